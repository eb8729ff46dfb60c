"""Ingestion with vectors of a service: what it refuses is left out and reported, the rest goes in."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lumaai.client import Client
from lumaai.collection import Collection
from lumaai.database import Database
from lumaai.errors import InvalidRequestError, ModelUnavailableError
from lumaai.ingestion import ingest
from lumaai.ingestion.ingest import TEXTS_REFUSED_MAX
from lumaai.model_options import ModelOptions
from lumaai.remote_collection import RemoteCollection
from models import RemoteAccess
from tests.congruence.conftest import served
from tests.models.embedding_server import KEY, Fault, Service, running_service

LINES = 40


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with running_service() as running:
        yield running
        assert running.refused == []


@pytest.fixture
def database(tmp_path: Path, service: Service) -> Iterator[Database]:
    options = ModelOptions(embeddings=RemoteAccess(service.url, KEY), cache="none")
    with Database(tmp_path / "data", cache_directory=tmp_path / "cache", model_options=options) as opened:
        opened.create_collection("notes", embed={"vector": {"model": "openai:m"}})
        yield opened


@pytest.fixture(params=["embedded", "remote"])
def notes(
    request: pytest.FixtureRequest, database: Database, tmp_path: Path
) -> Iterator[Collection | RemoteCollection]:
    if request.param == "embedded":
        yield database["notes"]
    else:
        with served(database, tmp_path) as url, Client(url) as client:
            yield client["notes"]


@pytest.fixture
def lines(tmp_path: Path) -> Path:
    path = tmp_path / "notes.jsonl"
    path.write_text("".join(f'{{"id": "{i}", "text": "note {i:03} on things"}}\n' for i in range(LINES)))
    return path


def test_a_text_that_the_service_refuses_is_left_out(
    notes: Collection | RemoteCollection, service: Service, lines: Path
) -> None:
    """With its line and the service's reason; the others of its batch are stored, and found."""
    service.refuses = "note 017"
    summary = ingest(notes, [lines])
    assert (summary.added, summary.failures) == (LINES - 1, 1)
    assert (summary.failed[0].position, "input is too long" in summary.failed[0].reason) == (18, True)
    assert KEY not in summary.failed[0].reason
    assert notes.count() == LINES - 1
    assert notes.search("note 018 on things", limit=1)[0].id == "18"


@pytest.mark.parametrize(
    "change", [lambda _: "nonsense", lambda answer: {**answer, "data": [{**answer["data"][0], "embedding": [1.0]}]}]
)
def test_one_answer_of_nonsense_costs_a_batch_nothing(
    database: Database, service: Service, lines: Path, change: Callable[[object], object]
) -> None:
    """It is asked again in halves: nothing is stored of what was nonsense, all of what was not."""
    service.fail(Fault(change=change))
    summary = ingest(database["notes"], [lines])
    assert (summary.added, summary.failures) == (LINES, 0)
    assert database["notes"].search("note 018 on things", limit=1)[0].id == "18"


def test_a_service_that_refuses_everything_ends_it(database: Database, service: Service, lines: Path) -> None:
    """After a few documents; nothing is stored, and the next run begins again."""
    service.requests.clear()
    service.refuses = "note"
    with pytest.raises(ModelUnavailableError, match="input is too long"):
        ingest(database["notes"], [lines])
    assert sum(size == 1 for size in service.sizes()) == TEXTS_REFUSED_MAX
    assert database["notes"].count() == 0
    service.refuses = None
    assert ingest(database["notes"], [lines]).added == LINES


def test_strict_ingestion_stops_at_the_service(database: Database, service: Service, lines: Path) -> None:
    """As at any record that does not go in."""
    service.refuses = "note 017"
    with pytest.raises((ModelUnavailableError, InvalidRequestError), match="input is too long"):
        ingest(database["notes"], [lines], strict=True)
    assert database["notes"].count() == 0
