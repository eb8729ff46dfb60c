"""Each kind of reranker in a search: late interaction, a cross-encoder, a service; what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

import lumaai
from lumaai.database import Database
from lumaai.errors import InvalidRequestError, LumaError, ModelUnavailableError
from lumaai.model_options import ModelOptions
from models import CrossEncoderReranker, LateInteractionReranker, RemoteAccess, load_embedder
from tests.congruence.conftest import served
from tests.models.embedders.tiny_bert import write_cross_encoder, write_model
from tests.models.embedding_server import KEY, Fault, Service, running_service

TEXTS = ["a b c", "d e f", "a e i", "g h j", "j i h g", "b b b", "c d a"]
QUERY = "a e i j"


@pytest.fixture
def service(monkeypatch: pytest.MonkeyPatch) -> Iterator[Service]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with running_service() as running:
        yield running


@pytest.fixture
def database(tmp_path: Path, service: Service) -> Iterator[Database]:
    model = write_model(tmp_path / "tiny")
    options = ModelOptions(precision="float32", rerankers=RemoteAccess(service.url, KEY))
    with Database(
        tmp_path / "data", cache_directory=tmp_path / "cache", default_model=str(model), model_options=options
    ) as database:
        films = database.create_collection("films")
        films.add([{"id": str(place), "text": text} for place, text in enumerate(TEXTS)])
        yield database


def order(database: Any, **rerank: Any) -> list[str]:
    return [hit.id for hit in database["films"].search(QUERY, limit=len(TEXTS), rerank=rerank)]


def test_pages_of_a_reranked_search_are_its_order(database: Database) -> None:
    """The model reads the best once; each page is a part of what it made of them."""
    films = database["films"]
    whole = order(database, model="late-interaction")
    page = films.search(QUERY, limit=2, rerank="late-interaction", cursor="")
    found = page.ids
    while page.next_cursor is not None:
        page = films.search(cursor=page.next_cursor, limit=3)
        found += page.ids
    assert found == whole


def sorted_by(scores: Any) -> list[str]:
    return [str(place) for place in sorted(range(len(TEXTS)), key=lambda place: -float(scores[place]))]


def test_late_interaction_orders_anew(database: Database, tmp_path: Path) -> None:
    """By the token vectors of the collection's own model; it is the default."""
    embedder = load_embedder(str(tmp_path / "tiny"), cache_directory=tmp_path / "cache")
    expected = sorted_by(LateInteractionReranker(embedder).score(QUERY, TEXTS))
    assert expected != [hit.id for hit in database["films"].search(QUERY, limit=len(TEXTS))]
    assert order(database, model="late-interaction") == expected
    assert order(database, top=7) == expected


def test_a_cross_encoder_orders_anew(database: Database, tmp_path: Path) -> None:
    """A directory, with or without its runtime."""
    directory = write_cross_encoder(tmp_path / "cross")
    cross = CrossEncoderReranker(directory, name="cross", cache_directory=tmp_path / "cache")
    expected = sorted_by(cross.score(QUERY, TEXTS))
    assert order(database, model=str(directory)) == expected
    assert order(database, model=f"onnx:{directory}") == expected


def test_a_service_orders_anew(database: Database, service: Service) -> None:
    """Its scores, which come in another order; ties stay as they were found."""
    found = order(database, model="openai:m")
    assert found[0] == "2"
    assert service.requests[-1]["query"] == QUERY
    service.fail(Fault(change=lambda _: "nonsense"))
    with pytest.raises(ModelUnavailableError) as failure:
        order(database, model="openai:m")
    assert (failure.value.code, failure.value.status) == ("remote_model_reply", 502)


def test_what_cannot_rerank_says_why(database: Database, tmp_path: Path) -> None:
    """Unknown names, embedders, collections without a model."""
    for model in ("nothing", str(tmp_path / "tiny"), "torch:x"):
        with pytest.raises(LumaError):
            order(database, model=model)
    plain = database.create_collection("plain", {"title": "text"}, embed={})
    plain.add([{"id": "1", "title": "a b"}])
    with pytest.raises(InvalidRequestError, match="embeds no text"):
        plain.search("a", mode="keyword", rerank={"model": "late-interaction"})


def test_over_http_rerankers_are_names(database: Database, tmp_path: Path, service: Service) -> None:
    """The same order as embedded; neither directories nor addresses."""
    directory = write_cross_encoder(tmp_path / "cross")
    with served(database, tmp_path) as url, lumaai.connect(url) as client:
        for model in ("late-interaction", "openai:m"):
            assert order(client, model=model) == order(database, model=model)
        for model in (str(directory), f"onnx:{directory}", f"openai:m@{service.url}", "hub:a/b"):
            with pytest.raises(LumaError, match="over HTTP"):
                order(client, model=model)
            refused = httpx.post(f"{url}/v1/rerank", json={"query": QUERY, "documents": TEXTS, "model": model})
            assert (refused.status_code, refused.json()["error"]["code"]) == (404, "model_not_found")


def test_texts_of_no_collection_are_reranked(database: Database, tmp_path: Path) -> None:
    """In Jina's shape: best first, as the reranker scores them, no more than asked for, with the texts if wanted."""
    scores = database.served_models.score(QUERY, TEXTS, "late-interaction")
    best = sorted(range(len(TEXTS)), key=lambda place: -scores[place])
    with served(database, tmp_path) as url:
        for model in (None, "late-interaction", "openai:m"):
            body = {"query": QUERY, "documents": [*TEXTS[:-1], {"text": TEXTS[-1]}], "top_n": 3, "model": model}
            answer = httpx.post(f"{url}/v1/rerank", json={**body, "return_documents": True}).json()
            assert len(answer["results"]) == 3
            if model != "openai:m":
                assert [each["index"] for each in answer["results"]] == best[:3]
            for each in answer["results"]:
                assert each["document"] == {"text": TEXTS[each["index"]]}
            found = [each["relevance_score"] for each in answer["results"]]
            assert found == sorted(found, reverse=True)
        whole = httpx.post(f"{url}/v1/rerank", json={"query": QUERY, "documents": TEXTS}).json()
        assert sorted(each["index"] for each in whole["results"]) == list(range(len(TEXTS)))
        assert "document" not in whole["results"][0]
