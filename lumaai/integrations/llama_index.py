"""A collection as a vector store of LlamaIndex (https://docs.llamaindex.ai). Extra `llama-index`.

Nodes are kept whole: their vector, their text (searched by words in hybrid and text modes), their metadata (filtered
by), and the rest of them as LlamaIndex writes it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from llama_index.core.bridge.pydantic import PrivateAttr
from llama_index.core.schema import BaseNode, MetadataMode
from llama_index.core.vector_stores.types import (
    BasePydanticVectorStore,
    FilterCondition,
    FilterOperator,
    MetadataFilter,
    MetadataFilters,
    VectorStoreQuery,
    VectorStoreQueryMode,
    VectorStoreQueryResult,
)
from llama_index.core.vector_stores.utils import metadata_dict_to_node, node_to_metadata_dict

from lumaai.client import Client
from lumaai.collection import Collection
from lumaai.database import Database
from lumaai.errors import InvalidRequestError, NotSupportedError
from lumaai.remote_collection import RemoteCollection

TEXT, METADATA, VECTOR, NODE, REFERENCE = "text", "metadata", "vector", "node", "ref_doc_id"
BATCH_NODES = 500  # sent at once: 3,072 numbers each stay below the service's limit of a body
# What LlamaIndex adds to a node's metadata so that it can be made again.
INTERNAL = frozenset({"_node_content", "_node_type", "document_id", "doc_id", "ref_doc_id"})
MODES = {
    VectorStoreQueryMode.DEFAULT: "semantic",
    VectorStoreQueryMode.MMR: "semantic",
    VectorStoreQueryMode.HYBRID: "hybrid",
    VectorStoreQueryMode.TEXT_SEARCH: "keyword",
    VectorStoreQueryMode.SPARSE: "keyword",
}
OPERATORS = {
    FilterOperator.EQ: "$eq", FilterOperator.NE: "$ne", FilterOperator.GT: "$gt", FilterOperator.GTE: "$gte",
    FilterOperator.LT: "$lt", FilterOperator.LTE: "$lte", FilterOperator.IN: "$in", FilterOperator.NIN: "$nin",
    FilterOperator.ANY: "$contains_any", FilterOperator.ALL: "$contains_all", FilterOperator.CONTAINS: "$contains",
    FilterOperator.TEXT_MATCH: "$contains",
}  # fmt: skip


class LumaVectorStore(BasePydanticVectorStore):
    """Nodes of LlamaIndex in a collection, which is made with the first of them if it is missing.

    All but the constructor raise InvalidRequestError where the collection holds documents that are no nodes.

    Args:
        database: embedded (`lumaai.connect("./data")`) or behind an address; it stays the caller's to close.
        collection: its name.
    """

    stores_text: bool = True
    flat_metadata: bool = False

    _database: Database | Client = PrivateAttr()
    _name: str = PrivateAttr()

    def __init__(self, database: Database | Client, collection: str = "llama_index") -> None:
        super().__init__(stores_text=True)
        self._database = database
        self._name = collection

    @classmethod
    def class_name(cls) -> str:
        """As LlamaIndex calls it."""
        return "LumaVectorStore"

    @property
    def client(self) -> Database | Client:
        """The database."""
        return self._database

    def add(self, nodes: Sequence[BaseNode], **kwargs: Any) -> list[str]:  # noqa: ARG002 - LlamaIndex's signature
        """Add nodes with their embeddings, or replace those that have their ids. However many: in batches."""
        for start in range(0, len(nodes), BATCH_NODES):
            batch = nodes[start : start + BATCH_NODES]
            vectors = np.asarray([node.get_embedding() for node in batch], np.float32)
            collection = self._opened(vectors.shape[1])
            collection.add(
                [{**_document(node), VECTOR: vector.tolist()} for node, vector in zip(batch, vectors, strict=True)]
            )
        return [node.node_id for node in nodes]

    def delete(self, ref_doc_id: str, **delete_kwargs: Any) -> None:  # noqa: ARG002
        """Delete the nodes of a document."""
        if (collection := self._there()) is not None:
            collection.delete(filter={REFERENCE: ref_doc_id})

    def delete_nodes(
        self,
        node_ids: list[str] | None = None,
        filters: MetadataFilters | None = None,
        **delete_kwargs: Any,  # noqa: ARG002
    ) -> None:
        """Delete nodes by id, by metadata, or by both; without either none."""
        chosen = _all_of([*_ids(node_ids), *_filters(filters)])
        if chosen is not None and (collection := self._there()) is not None:
            collection.delete(filter=chosen)

    def clear(self) -> None:
        """Delete all nodes."""
        if (collection := self._there()) is not None:
            collection.delete(filter={})

    def get_nodes(self, node_ids: list[str] | None = None, filters: MetadataFilters | None = None) -> list[BaseNode]:
        """Nodes by id, by metadata, or by both; without either all."""
        if (collection := self._there()) is None:
            return []
        nodes: list[BaseNode] = []
        cursor: str | None = None
        while True:
            page = collection.scroll(filter=_all_of([*_ids(node_ids), *_filters(filters)]), cursor=cursor)
            nodes += [_node(document) for document in page.documents]
            cursor = page.next_cursor
            if cursor is None:
                return nodes

    def query(self, query: VectorStoreQuery, **kwargs: Any) -> VectorStoreQueryResult:  # noqa: ARG002
        """The nodes that fit best.

        Raises:
            NotSupportedError: a mode that trains a classifier.
        """
        if query.mode not in MODES:
            raise NotSupportedError(f"mode is not supported: got={query.mode.value}")
        if (collection := self._there()) is None:
            return VectorStoreQueryResult(nodes=[], similarities=[], ids=[])
        mode = MODES[query.mode]
        hits = collection.search(
            query.query_str if mode != "semantic" else None,
            vector=None if mode == "keyword" or query.query_embedding is None else np.asarray(query.query_embedding),
            mode=mode,
            limit=query.hybrid_top_k or query.similarity_top_k,
            # LlamaIndex's own retriever asks among no ids where it means any.
            filter=_all_of([*_ids(query.node_ids or None), *_references(query.doc_ids), *_filters(query.filters)]),
            diversity=_diversity(query),
            fusion=_fusion(query),
        )
        nodes = [_node({**hit.document, "id": hit.id}) for hit in hits]
        return VectorStoreQueryResult(nodes=nodes, similarities=hits.scores.tolist(), ids=hits.ids)

    def _there(self) -> Collection | RemoteCollection | None:
        if self._name not in self._database.collections():
            return None
        collection = self._database.collection(self._name)
        if NODE not in collection.info().schema.get("fields", {}) and collection.count():
            raise InvalidRequestError(f"collection {self._name!r} holds no nodes of LlamaIndex")
        return collection

    def _opened(self, size: int) -> Collection | RemoteCollection:
        fields = {
            VECTOR: {"type": "vector", "dim": size, "metric": "cosine"},
            TEXT: {"type": "text"},
            REFERENCE: {"type": "keyword"},
        }
        return self._there() or self._database.create_collection(self._name, fields, embed={})


def _diversity(query: VectorStoreQuery) -> float | None:
    """How unlike each other hits shall be: LlamaIndex's threshold of 1 is by score alone, 0 as unlike as can be."""
    if query.mode is not VectorStoreQueryMode.MMR:
        return None
    return 0.5 if query.mmr_threshold is None else 1.0 - query.mmr_threshold


def _fusion(query: VectorStoreQuery) -> dict[str, Any] | None:
    """What meaning and words weigh: LlamaIndex's alpha of 1 is meaning alone, 0 words alone."""
    if query.mode is not VectorStoreQueryMode.HYBRID or query.alpha is None:
        return None
    return {"method": "dbsf", "weights": {"semantic": query.alpha, "keyword": 1.0 - query.alpha}}


def _document(node: BaseNode) -> dict[str, Any]:
    written = node_to_metadata_dict(node, remove_text=True)
    return {
        "id": node.node_id,
        TEXT: node.get_content(metadata_mode=MetadataMode.NONE),
        METADATA: {key: value for key, value in node.metadata.items() if value is not None},
        NODE: {key: value for key, value in written.items() if key in INTERNAL},
        **({REFERENCE: node.ref_doc_id} if node.ref_doc_id is not None else {}),
    }


def _node(document: Mapping[str, Any]) -> BaseNode:
    return metadata_dict_to_node({**document[METADATA], **document[NODE]}, text=document.get(TEXT, ""))


def _ids(ids: Sequence[str] | None) -> list[dict[str, Any]]:
    return [] if ids is None else [{"id": {"$in": list(ids)}}]


def _references(ids: Sequence[str] | None) -> list[dict[str, Any]]:
    return [] if ids is None else [{REFERENCE: {"$in": list(ids)}}]


def _filters(filters: MetadataFilters | None) -> list[dict[str, Any]]:
    """LlamaIndex's filters as one of ours.

    Raises:
        NotSupportedError: an operator that we have none for.
    """
    if filters is None or not filters.filters:
        return []
    parts = [
        part for each in filters.filters
        for part in (_filters(each) if isinstance(each, MetadataFilters) else [_condition(each)])
    ]  # fmt: skip
    match filters.condition:
        case FilterCondition.OR:
            return [{"$or": parts}]
        case FilterCondition.NOT:
            return [{"$not": {"$or": parts}}]
        case _:
            return [{"$and": parts}]


def _condition(condition: MetadataFilter) -> dict[str, Any]:
    field = f"{METADATA}.{condition.key}"
    if condition.operator is FilterOperator.IS_EMPTY:
        return {field: {"$is_null": True}}
    if condition.operator not in OPERATORS:
        raise NotSupportedError(f"filter operator is not supported: got={condition.operator.value}")
    return {field: {OPERATORS[condition.operator]: condition.value}}


def _all_of(parts: list[dict[str, Any]]) -> dict[str, Any] | None:
    return {"$and": parts} if parts else None
