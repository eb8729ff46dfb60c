"""Links of the OpenAPI document: requests one after the other, each made from answers to those before it.

In a file of its own: what a machine walks along is found in seconds, where all requests of the document take minutes.
"""

from __future__ import annotations

import copy
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.config import SchemathesisConfig

from lumaai.routes import all_operations
from lumaai.routes.links import LINKS
from tests.lumaai.serving import FILMS, serving
from tests.lumaai.test_schemathesis import CONFIG, EXAMPLES, Application, document, with_a_key_of_its_own

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
application = Application()
# Where links lead, names are those of answers: nothing else names a collection.
stateful_schema = schemathesis.openapi.from_dict(
    copy.deepcopy(document),  # links that schemathesis infers are put into it
    config=SchemathesisConfig.from_dict(
        {
            **CONFIG,
            "parameters": {},
            "operations": [each for each in CONFIG["operations"] if "parameters" not in each],
        }
    ),
)
stateful_schema.app = application


def test_links_lead_to_what_there_is() -> None:
    """Operations that are there, their parameters by name, from answers that they have."""
    operations = {operation.id: operation for operation in all_operations()}
    for (source, status), links in LINKS.items():
        assert status in operations[source].answers
        for link in links:
            path = operations[link.to].path
            wanted = {part[1:-1] for part in path.replace(":", "/").split("/") if part.startswith("{")}
            query = operations[link.to].query
            assert wanted <= set(link.parameters), (source, link.to)
            assert set(link.parameters) - wanted <= set(query.model_fields if query else ())


class Following(stateful_schema.as_state_machine()):  # type: ignore[misc]  # schemathesis has no types
    """Requests one after the other, each made from answers to earlier ones, as the document's links lead.

    Each walk has a service of its own, with something of each kind: what it generates depends on answers, and so must
    not on earlier walks.
    """

    def setup(self) -> None:
        self._running = ExitStack()
        folder = self._running.enter_context(TemporaryDirectory())
        service = application.service = self._running.enter_context(serving(Path(folder), model="hashing:16"))
        assert service.put("/v1/collections/films", {}).status_code == 201
        assert service.post("/v1/collections/films/documents", {"documents": FILMS}).status_code == 200
        plan = service.post("/v1/ask/plan", {"question": "How many films are there after 1980?"}).json()["plan"]
        assert service.put("/v1/programs/since", {"plan": plan}).status_code == 201
        assert service.post("/v1/snapshots", {"name": "first"}).status_code == 201
        assert service.post("/v1/check", {"background": True}).status_code == 202

    def teardown(self) -> None:
        self._running.close()

    def before_call(self, case: schemathesis.Case) -> None:
        with_a_key_of_its_own(case)


TestLinks = Following.TestCase
TestLinks.settings = settings(
    max_examples=max(2, EXAMPLES // 5), stateful_step_count=20, deadline=None, derandomize=True, database=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
