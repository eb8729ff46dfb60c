"""The OpenAPI document against the service: what it says of requests and answers is so.

Schemathesis makes requests from the document, well-formed and malformed, and checks the answers with all its default
checks: no 5xx, no undocumented status, header or body, malformed requests refused and well-formed ones accepted.
"""

from __future__ import annotations

import io
import itertools
import json
import os
import re
import time
from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import schemathesis
from hypothesis import strategies as st
from pydantic import SecretStr
from schemathesis.config import SchemathesisConfig

import lumaai
from lumaai.routes import all_operations
from lumaai.routes.openapi import openapi_document
from lumaai.settings import Settings
from tests.lumaai.serving import FILMS, Service, serving

# Requests that these take may be well formed and mean nothing here (422): a vector of another size, a field that was a
# number before, an operator that is none, an embedded field without a vector. No JSON Schema can say that.
WITH_MEANING = (
    "search",  # a vector of another size, and what else is above
    "search_batch",
    "explain_search",
    "write_documents",
    "measure_recall",  # of a field that there is none of
    "count_facets",  # the same, or a facet without a name
    "sql",  # what is no SQL
    "query",  # what is none of its language
    "bulk_documents",
    "put_document",
    "patch_document",
    "delete_document",
    "delete_documents",
    "count_documents",
    "scroll_documents",
    "list_collections",  # a cursor that nobody gave
    "create_collection",
    "describe_collection",  # a field that there is none of
    "start_reembedding",  # a model that there is none of
    "ask",  # planner "llm" where none is configured
    "plan_question",  # the same
    "execute_plan",  # what is no plan
    "explain_plan",
    "save_program",
    "run_program",
    "give_feedback",  # what is no plan, or a hash that no answer of late has
    "review_lessons",  # what is no question with an answer
    "create_snapshot",  # a name that ends like a file or like a snapshot in the making, and so for those below
    "restore_snapshot",
    "download_snapshot",
    "delete_snapshot",
)
# The same in OpenAI's shapes, where it is 400.
LIKE_OPENAI = ("complete_chat", "create_embeddings", "rerank")
# A service that asks for no key makes none; of others, names with characters that cannot be printed.
OF_KEYS = ("create_key", "rotate_key", "revoke_key")
# Reads that may be told which version is known: 304.
OF_VERSIONS = ("get_document", "get_collection")
API_KEY = "a key of this test"
# 410: changes from a sequence that is not there yet. 412: conditions.
# 413: a number that is an integer and beyond a limit of this service's settings.
ACCEPTED = ["2xx", "404", "409", "410", "412", "413"]

# `make judges` asks for more.
EXAMPLES = int(os.environ.get("LUMAAI_SCHEMATHESIS_EXAMPLES", "30"))

RESTORING_TRIES = 50  # of a request that meets the exchange of a restore; 0.1 s apart
DIM = 16  # of the vectors of films

CONFIG: dict[str, Any] = {
    "generation": {"max-examples": EXAMPLES, "deterministic": True, "database": "none"},
    "checks": {
        "positive_data_acceptance": {"expected-statuses": ACCEPTED},
        # Schemathesis' own, and 413: an id that is too long is refused by its limit; 412: conditions come first.
        "negative_data_rejection": {
            "expected-statuses": ["400", "403", "404", "405", "409", "412", "413", "415", "422"]
        },
    },
    # Most requests go to a collection that is there; the operations on collections choose their own names.
    "parameters": {"c": "films"},
    "operations": [
        *(
            {
                "include-operation-id": name,
                "checks": {"positive_data_acceptance": {"expected-statuses": [*ACCEPTED, "422"]}},
            }
            for name in WITH_MEANING
        ),
        *(
            {
                "include-operation-id": name,
                "checks": {"positive_data_acceptance": {"expected-statuses": [*ACCEPTED, "403", "422"]}},
            }
            for name in OF_KEYS
        ),
        *(
            {
                "include-operation-id": name,
                "checks": {"positive_data_acceptance": {"expected-statuses": [*ACCEPTED, "400"]}},
            }
            for name in LIKE_OPENAI
        ),
        *(
            {
                "include-operation-id": name,
                "checks": {"positive_data_acceptance": {"expected-statuses": [*ACCEPTED, "304"]}},
            }
            for name in OF_VERSIONS
        ),
        *(
            {"include-operation-id": name, "parameters": {"c": "another"}}
            for name in ("drop_collection", "create_collection")
        ),
    ],
}

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


class Application:
    """What the schema is tested against: the document is needed when tests are collected, the service when they run."""

    def __init__(self) -> None:
        self.service: Service | None = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """The service without its lifespan, which `serving` keeps; the test's Host is not this machine's."""
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            await send({"type": "lifespan.shutdown.complete"})
            return
        assert self.service is not None
        headers = [(name, b"localhost" if name == b"host" else value) for name, value in scope["headers"]]
        await self.service.app({**scope, "headers": headers}, receive, send)


application = Application()
document = openapi_document(all_operations(), Settings(), version=lumaai.__version__)
schema = schemathesis.openapi.from_dict(document, config=SchemathesisConfig.from_dict(CONFIG))
schema.app = application
guarded = Application()
guarded_document = openapi_document(
    all_operations(), Settings(api_key=SecretStr(API_KEY)), version=lumaai.__version__
)  # fmt: skip
# Cut out here: `include` would add to what the operations above are configured by, and leave all of them in.
of_keys = {
    path: item for path, item in guarded_document["paths"].items() if path.startswith(("/v1/keys", "/v1/limits"))
}
guarded_schema = schemathesis.openapi.from_dict(
    {**guarded_document, "paths": of_keys}, config=SchemathesisConfig.from_dict(CONFIG)
)
guarded_schema.app = guarded


@pytest.fixture(scope="module", autouse=True)
def _running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with serving(tmp_path_factory.mktemp("schemathesis")) as service:
        assert service.get("/openapi.json").json() == json.loads(json.dumps(document))
        body = {"embed": {"vector": {"from": ["title", "plot"], "model": f"hashing:{DIM}"}}}
        service.put("/v1/collections/films", body)
        service.post("/v1/collections/films/documents", {"documents": FILMS})
        application.service = service
        with serving(tmp_path_factory.mktemp("guarded"), api_key=SecretStr(API_KEY)) as guarded.service:
            assert guarded.service.get("/openapi.json").json() == json.loads(json.dumps(guarded_document))
            yield


@schemathesis.serializer(
    "application/x-ndjson",
    "text/csv",
    "text/tab-separated-values",
    "application/vnd.apache.parquet",
)  # type: ignore[untyped-decorator]  # schemathesis has no types
def serialize_ndjson(ctx: Any, value: Any) -> Any:
    """Lines as they were generated."""
    return value if isinstance(value, bytes) else str(value).encode()


def npy_of(rows: list[list[float]]) -> bytes:
    """Vectors as NumPy writes them."""
    file = io.BytesIO()
    np.save(file, np.array(rows, dtype="<f4"))
    return file.getvalue()


def arrow_of(rows: list[list[float]], *, as_file: bool) -> bytes:
    """Vectors as the only column of an Arrow file or stream."""
    vectors = pa.array(rows, pa.list_(pa.float32(), DIM))
    table = pa.table({"vector": vectors})
    sink = pa.BufferOutputStream()
    with (pa.ipc.new_file if as_file else pa.ipc.new_stream)(sink, table.schema) as writer:
        writer.write_table(table)
    return bytes(sink.getvalue())


# Bodies of bytes are made as their media types say, so that none of them may be refused as none of that type.
ROWS = st.lists(
    st.lists(st.floats(0.125, 2.0, width=32), min_size=DIM, max_size=DIM), min_size=1, max_size=3
)  # fmt: skip
schemathesis.openapi.media_type("application/x-npy", ROWS.map(npy_of))
for kind, is_file in (("file", True), ("stream", False)):
    schemathesis.openapi.media_type(
        f"application/vnd.apache.arrow.{kind}", ROWS.map(partial(arrow_of, as_file=is_file))
    )
numbers = itertools.count()


def with_a_key_of_its_own(case: schemathesis.Case) -> schemathesis.Case:
    """A key that is well-formed is used once: under one that was used for another request, each would be refused."""
    name = "Idempotency-Key"
    if name in case.headers and re.fullmatch(r"[!-~]{1,200}", str(case.headers[name])):
        case.headers[name] = f"{case.headers[name]}{next(numbers)}"
    return case


def answered(case: schemathesis.Case) -> schemathesis.Response:
    """The answer; one that comes amid the exchange of a restore that goes on in the background is asked for again.

    Any request may meet that: the answer says that nothing was done and when to come again, as the client does.
    """
    for _ in range(RESTORING_TRIES):
        response = case.call()
        if response.status_code != 503 or response.json()["code"] != "restoring":
            break
        assert response.headers["retry-after"] == ["1"]
        time.sleep(0.1)
    return response


@schema.parametrize()  # type: ignore[untyped-decorator]  # schemathesis has no types
def test_the_service_is_as_documented(case: schemathesis.Case) -> None:
    """All default checks hold for every generated request."""
    case = with_a_key_of_its_own(case)
    case.validate_response(answered(case))


@guarded_schema.parametrize()  # type: ignore[untyped-decorator]  # likewise
def test_keys_are_as_documented(case: schemathesis.Case) -> None:
    """Where a key is asked for: made, listed, rotated and revoked as documented, and by nobody without one."""
    case.call_and_validate(headers={"Authorization": f"Bearer {API_KEY}", "X-Api-Key": API_KEY})
