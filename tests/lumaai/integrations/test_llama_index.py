"""A vector store of LlamaIndex: nodes come back as they went in, by every way of asking. `make judges` runs it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("llama_index.core", reason="needs llama-index-core: make judges")
from llama_index.core import MockEmbedding, StorageContext, VectorStoreIndex
from llama_index.core.schema import Document, NodeRelationship, RelatedNodeInfo, TextNode
from llama_index.core.vector_stores.types import (
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
)

from lumaai.client import Client
from lumaai.database import Database
from lumaai.errors import InvalidRequestError, NotSupportedError
from lumaai.integrations.llama_index import LumaVectorStore
from tests.congruence.conftest import served


def node(id_: str, text: str, year: int, vector: list[float], source: str) -> TextNode:
    made = TextNode(
        id_=id_, text=text, metadata={"year": year, "tags": [text.rsplit(maxsplit=1)[-1]]}, embedding=vector
    )
    made.relationships[NodeRelationship.SOURCE] = RelatedNodeInfo(node_id=source)
    return made


NODES = [
    node("a", "a crew in space", 1979, [1.0, 0.0, 0.0], "s1"),
    node("b", "a crew of robbers", 1995, [0.8, 0.6, 0.0], "s1"),
    node("c", "a clerk and robbers", 1985, [0.0, 0.0, 1.0], "s2"),
]


@pytest.fixture(params=["embedded", "remote"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[LumaVectorStore]:
    with Database(tmp_path / "data", default_model="hashing") as database:
        if request.param == "embedded":
            yield LumaVectorStore(database)
            return
        with served(database, tmp_path) as url, Client(url) as client:
            yield LumaVectorStore(client)


def ids(store: LumaVectorStore, **query: object) -> list[str]:
    result = store.query(VectorStoreQuery(similarity_top_k=3, **query))  # type: ignore[arg-type]
    found: list[str] | None = result.ids
    assert found is not None
    return found


def test_nodes_come_back_whole(store: LumaVectorStore) -> None:
    """Text, metadata and relationships; nothing there is no error."""
    assert (store.get_nodes(), ids(store, query_embedding=[1.0, 0.0, 0.0])) == ([], [])
    assert store.add(NODES) == ["a", "b", "c"]
    found = store.get_nodes(["b"])[0]
    assert isinstance(found, TextNode)
    assert (found.text, found.metadata, found.ref_doc_id) == (NODES[1].text, NODES[1].metadata, "s1")


def test_ways_of_asking(store: LumaVectorStore) -> None:
    """By vector, by words, by both, and unlike each other."""
    store.add(NODES)
    assert ids(store, query_embedding=[1.0, 0.0, 0.0])[:2] == ["a", "b"]
    words = {"query_str": "robbers", "mode": VectorStoreQueryMode.TEXT_SEARCH}
    assert sorted(ids(store, **words)) == ["b", "c"]
    both = {"query_embedding": [1.0, 0.0, 0.0], "query_str": "robbers", "mode": VectorStoreQueryMode.HYBRID}
    assert set(ids(store, **both)) == {"a", "b", "c"}
    unlike = {"query_embedding": [1.0, 0.0, 0.0], "mode": VectorStoreQueryMode.MMR, "mmr_threshold": 0.1}
    assert ids(store, **unlike)[:2] == ["a", "c"]
    with pytest.raises(NotSupportedError, match="svm"):
        ids(store, query_embedding=[1.0, 0.0, 0.0], mode=VectorStoreQueryMode.SVM)


@pytest.mark.parametrize(
    ("key", "operator", "value", "expected"),
    [
        ("year", FilterOperator.EQ, 1979, ["a"]),
        ("year", FilterOperator.NE, 1979, ["b", "c"]),
        ("year", FilterOperator.GTE, 1985, ["b", "c"]),
        ("year", FilterOperator.IN, [1979, 1985], ["a", "c"]),
        ("year", FilterOperator.NIN, [1979, 1985], ["b"]),
        ("tags", FilterOperator.CONTAINS, "space", ["a"]),
        ("tags", FilterOperator.ANY, ["space", "x"], ["a"]),
        ("director", FilterOperator.IS_EMPTY, None, ["a", "b", "c"]),
    ],
)
def test_metadata_filters(
    store: LumaVectorStore, key: str, operator: FilterOperator, value: object, expected: list[str]
) -> None:
    """Each operator that we have."""
    store.add(NODES)
    filters = MetadataFilters(filters=[MetadataFilter(key=key, operator=operator, value=value)])  # type: ignore[arg-type]
    assert sorted(ids(store, query_embedding=[1.0, 0.0, 0.0], filters=filters)) == expected
    assert sorted(node.node_id for node in store.get_nodes(filters=filters)) == expected


def test_filters_of_filters(store: LumaVectorStore) -> None:
    """Or, and not, within each other."""
    store.add(NODES)
    old = MetadataFilter(key="year", operator=FilterOperator.LT, value=1980)
    new = MetadataFilter(key="year", operator=FilterOperator.GT, value=1990)
    either = MetadataFilters(filters=[old, new], condition=FilterCondition.OR)
    neither = MetadataFilters(filters=[either], condition=FilterCondition.NOT)
    assert sorted(node.node_id for node in store.get_nodes(filters=either)) == ["a", "b"]
    assert [node.node_id for node in store.get_nodes(filters=neither)] == ["c"]


def test_deleting(store: LumaVectorStore) -> None:
    """By document, by id, and all; without saying which, none."""
    store.add(NODES)
    store.delete_nodes()
    assert len(store.get_nodes()) == 3
    store.delete("s1")
    assert [node.node_id for node in store.get_nodes()] == ["c"]
    store.add(NODES)
    store.delete_nodes(["a"])
    assert sorted(node.node_id for node in asyncio.run(store.aget_nodes())) == ["b", "c"]
    store.clear()
    assert store.get_nodes() == []


def test_an_index_over_it(store: LumaVectorStore) -> None:
    """As LlamaIndex's own index uses it: documents in, a retriever's nodes out."""
    embedding = MockEmbedding(embed_dim=8)
    index = VectorStoreIndex.from_documents(
        [Document(text="A crew meets a creature.", metadata={"year": 1979})],
        storage_context=StorageContext.from_defaults(vector_store=store),
        embed_model=embedding,
    )
    found = index.as_retriever(similarity_top_k=1).retrieve("creature")
    assert (found[0].text, found[0].metadata["year"]) == ("A crew meets a creature.", 1979)


def test_what_meaning_and_words_weigh(store: LumaVectorStore) -> None:
    """By `alpha`, as in LlamaIndex's other stores: 1 is meaning alone, 0 words alone."""
    store.add(NODES)
    both = {"query_embedding": [1.0, 0.0, 0.0], "query_str": "clerk", "mode": VectorStoreQueryMode.HYBRID}
    assert ids(store, **both, alpha=1.0)[0] == "a"
    assert ids(store, **both, alpha=0.0)[0] == "c"


def test_no_threshold_is_not_a_threshold_of_nothing(store: LumaVectorStore) -> None:
    """At 0 the second is as unlike the first as can be, however near the others are."""
    store.add([*NODES, node("d", "opposite", 2000, [-1.0, 0.0, 0.0], "s3")])
    unlike = {"query_embedding": [1.0, 0.0, 0.0], "mode": VectorStoreQueryMode.MMR}
    assert ids(store, **unlike, mmr_threshold=0.0)[:2] == ["a", "d"]
    assert ids(store, **unlike, mmr_threshold=1.0)[:2] == ["a", "b"]


def test_more_nodes_than_one_request_takes(store: LumaVectorStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """They go in batches."""
    monkeypatch.setattr("lumaai.integrations.llama_index.BATCH_NODES", 2)
    assert store.add(NODES) == ["a", "b", "c"]
    assert len(store.get_nodes()) == 3


def test_collections_of_something_else(store: LumaVectorStore) -> None:
    """Are refused, not read as nodes."""
    store.client.create_collection("films").add([{"id": "1", "title": "Alien"}])
    with pytest.raises(InvalidRequestError, match="no nodes"):
        LumaVectorStore(store.client, "films").get_nodes()
