"""LangChain's own standard suite over our store and retriever, and what it does not ask. `make judges` runs it."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("langchain_tests", reason="needs langchain-tests: make judges")
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.vectorstores import VectorStore
from langchain_tests.integration_tests import RetrieversIntegrationTests, VectorStoreIntegrationTests

from lumaai.client import Client
from lumaai.database import Database
from lumaai.errors import InvalidRequestError
from lumaai.integrations.langchain import LumaRetriever, LumaVectorStore
from tests.congruence.conftest import served

TEXTS = ["A crew meets a creature in space.", "A detective hunts robbers.", "A clerk dreams of escape."]
METADATA = [{"title": "Alien", "year": 1979}, {"title": "Heat", "year": 1995}, {"title": "Brazil", "year": 1985}]


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    with Database(tmp_path / "data", default_model="hashing") as database:
        yield database


class TestStandardSuiteEmbedded(VectorStoreIntegrationTests):
    """In this process, with LangChain's embeddings."""

    @pytest.fixture
    def vectorstore(self, database: Database) -> VectorStore:
        return LumaVectorStore(database, "texts", self.get_embeddings())


class TestStandardSuiteOwnModel(VectorStoreIntegrationTests):
    """In this process, with the collection's own model."""

    @pytest.fixture
    def vectorstore(self, database: Database) -> VectorStore:
        return LumaVectorStore(database, "texts")


class TestStandardSuiteRemote(VectorStoreIntegrationTests):
    """Through a service."""

    @pytest.fixture
    def vectorstore(self, database: Database, tmp_path: Path) -> Iterator[VectorStore]:
        with served(database, tmp_path) as url, Client(url) as client:
            yield LumaVectorStore(client, "texts", self.get_embeddings())


class TestStandardSuiteRetriever(RetrieversIntegrationTests):
    """The retriever over a collection that was there before."""

    @pytest.fixture(autouse=True)
    def _films(self, database: Database) -> None:
        self.films = database.create_collection("films")
        self.films.add([{"id": str(n), "plot": text, **METADATA[n % 3]} for n, text in enumerate(TEXTS * 2)])

    @property
    def retriever_constructor(self) -> type[LumaRetriever]:
        return LumaRetriever

    @property
    def retriever_constructor_params(self) -> dict[str, Any]:
        return {"collection": self.films}

    @property
    def retriever_query_example(self) -> str:
        return "a crew in space"


@pytest.mark.parametrize("embedding", [None, DeterministicFakeEmbedding(size=8)])
def test_metadata_filters(database: Database, embedding: DeterministicFakeEmbedding | None) -> None:
    """By the keys of metadata, as JSON or as a string that names the collection's field."""
    store = LumaVectorStore.from_texts(TEXTS, embedding, METADATA, database=database)
    for filter_ in ({"year": {"$gte": 1990}}, "metadata.year >= 1990", {"$or": [{"title": "Heat"}, {"year": 1900}]}):
        found = store.similarity_search("anything", k=3, filter=filter_)
        assert [document.metadata for document in found] == [METADATA[1]]
    assert len(store.max_marginal_relevance_search("crew", k=2, filter={"year": {"$lt": 1990}})) == 2


def test_scores_and_ids(database: Database) -> None:
    """Larger is better; relevance is between 0 and 1; ids are the documents'."""
    store = LumaVectorStore.from_texts(TEXTS, None, METADATA, ids=["a", "b", "c"], database=database)
    (first, high), *_, (_, low) = store.similarity_search_with_score(TEXTS[0], k=3)
    assert (first.id, high > low) == ("a", True)
    assert all(0.0 <= score <= 1.0 for _, score in store.similarity_search_with_relevance_scores(TEXTS[0], k=3))
    assert asyncio.run(store.asimilarity_search(TEXTS[0], k=1))[0].id == "a"


@pytest.mark.parametrize("mode", ["semantic", "keyword", "hybrid"])
def test_relevance_is_between_0_and_1_in_the_order_of_the_scores(database: Database, mode: str) -> None:
    """Also of hits far above the others, where scores of hybrid and keyword searches are above 1."""
    texts = [*TEXTS, *(f"Something else, number {number}." for number in range(60))]
    store = LumaVectorStore(database, "texts", mode=mode)
    store.add_texts(texts)
    for query in (TEXTS[0], "a crew in space", "detective clerk", "number"):
        scores = [score for _, score in store.similarity_search_with_score(query, k=20)]
        relevance = [score for _, score in store.similarity_search_with_relevance_scores(query, k=20)]
        assert len(relevance) == len(scores)
        assert all(0.0 <= each <= 1.0 for each in relevance)
        for (score, more), (next_score, less) in pairwise(zip(scores, relevance, strict=True)):
            assert (more > less) == (score > next_score)


@pytest.mark.parametrize("metric", ["cosine", "dot", "l2"])
def test_relevance_follows_the_metric_of_the_collection(database: Database, metric: str) -> None:
    """The nearest is the most relevant, whatever scores look like."""
    embedding = DeterministicFakeEmbedding(size=8)
    vector = {"type": "vector", "dim": 8, "metric": metric}
    database.create_collection("texts", {"text": "text", "vector": vector}, embed={})
    store = LumaVectorStore.from_texts(TEXTS, embedding, METADATA, database=database, collection="texts")
    found = store.similarity_search_with_relevance_scores(TEXTS[1], k=3)
    relevance = [score for _, score in found]
    assert all(0.0 <= score <= 1.0 for score in relevance)
    assert relevance == sorted(relevance, reverse=True)
    assert len(set(relevance)) == 3
    if metric == "l2":
        assert found[0][1] == pytest.approx(1.0, abs=1e-2)


def test_metadata_of_any_kind(database: Database) -> None:
    """The same key may be a number here and a text there."""
    store = LumaVectorStore(database, "texts")
    store.add_texts(["one"], [{"source": 7, "nested": {"deep": [1]}}], ids=["1"])
    store.add_texts(["two"], [{"source": "web"}], ids=["2"])
    assert [document.metadata["source"] for document in store.get_by_ids(["1", "2"])] == [7, "web"]


def test_a_mode_that_needs_our_model(database: Database) -> None:
    """Hybrid with foreign embeddings is refused; with our own it searches words as well."""
    with pytest.raises(InvalidRequestError, match="embedding"):
        LumaVectorStore(database, "texts", DeterministicFakeEmbedding(size=8), mode="hybrid")
    store = LumaVectorStore(database, "texts", mode="keyword")
    store.add_texts(TEXTS)
    assert [document.page_content for document in store.similarity_search("robbers")] == [TEXTS[1]]


def test_the_retriever_says_what_it_found(database: Database) -> None:
    """The passage as content; fields and score as metadata."""
    films = database.create_collection("films")
    films.add([{"id": str(n), "plot": text, **METADATA[n]} for n, text in enumerate(TEXTS)])
    found = LumaRetriever(collection=films, k=1, filter="year > 1990").invoke("detective")[0]
    assert (found.id, found.metadata["title"]) == ("1", "Heat")
    assert LumaRetriever(collection=films, k=1, text_field="plot").invoke("robbers")[0].page_content == TEXTS[1]


def test_more_texts_than_one_request_takes(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """They go in batches, each embedded by itself, under the ids that were given."""
    monkeypatch.setattr("lumaai.integrations.langchain.BATCH_TEXTS", 2)
    store = LumaVectorStore(database, "texts", DeterministicFakeEmbedding(size=8))
    assert store.add_texts([str(n) for n in range(5)], ids=[f"t{n}" for n in range(5)]) == [
        "t0",
        "t1",
        "t2",
        "t3",
        "t4",
    ]
    assert [document.page_content for document in store.get_by_ids(["t4", "t0"])] == ["4", "0"]
    with pytest.raises(InvalidRequestError, match="expected=2 got=1"):
        store.add_texts(["a", "b"], [{}])


def test_collections_of_something_else(database: Database) -> None:
    """A store over them would find empty texts; the retriever takes them as they are."""
    database.create_collection("films").add([{"id": "1", "plot": TEXTS[0]}])
    with pytest.raises(InvalidRequestError, match="no field 'text'"):
        LumaVectorStore(database, "films")
    assert LumaVectorStore.from_texts(TEXTS, database=database, collection="texts").collection.count() == 3
    assert LumaVectorStore(database, "texts").similarity_search(TEXTS[1], k=1)[0].page_content == TEXTS[1]


@pytest.mark.parametrize("text_field", [None, "text"])
def test_the_retriever_over_what_a_store_stored(database: Database, text_field: str | None) -> None:
    """Metadata is what was given, with the score."""
    store = LumaVectorStore.from_texts(TEXTS, None, METADATA, database=database)
    found = LumaRetriever(collection=store.collection, k=1, text_field=text_field).invoke("robbers")[0]
    assert found.page_content == TEXTS[1]
    assert {**METADATA[1], "score": found.metadata["score"]} == found.metadata


def test_metadata_may_hold_what_python_has_and_json_lacks(database: Database) -> None:
    """A moment is found by, and comes back as, ISO 8601; a set is refused at its place."""
    store = LumaVectorStore(database, "texts")
    made = dt.datetime(2024, 2, 28, 12, 30, tzinfo=dt.UTC)
    store.add_texts(TEXTS[:2], [{"made": made}, {"made": made.replace(year=2025)}], ids=["a", "b"])
    (found,) = store.similarity_search("crew", filter={"made": {"$lt": "2025-01-01T00:00:00Z"}})
    assert (found.id, found.metadata) == ("a", {"made": "2024-02-28T12:30:00+00:00"})
    with pytest.raises(InvalidRequestError) as refused:
        store.add_texts(TEXTS[:1], [{"tags": {"space"}}])
    assert refused.value.errors[0].pointer == "/documents/0/metadata/tags"
