"""A collection as a vector store of LangChain (https://python.langchain.com). Extra `langchain`.

Texts are embedded with LangChain's embeddings where they are given, else by the collection's own model, which also
makes hybrid and keyword searches and reranking possible.
"""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from langchain_core.callbacks import CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langchain_core.retrievers import BaseRetriever
from langchain_core.vectorstores import VectorStore
from langchain_core.vectorstores.utils import maximal_marginal_relevance
from pydantic import ConfigDict

from lumaai.client import Client
from lumaai.collection import Collection
from lumaai.database import Database
from lumaai.errors import InvalidRequestError
from lumaai.remote_collection import RemoteCollection
from lumaai.results import Hit, Hits

TEXT, METADATA, VECTOR = "text", "metadata", "vector"
# Of the default fusion of hybrid searches, "dbsf".
FUSION_DEVIATIONS, FUSED_SIDES = 3.0, 2
BATCH_TEXTS = 500  # embedded and sent at once: 3,072 numbers each stay below the service's limit of a body

Filter = dict[str, Any] | str


class LumaVectorStore(VectorStore):
    """Texts with metadata in a collection: `text`, `metadata` and, with embeddings of LangChain's, `vector`.

    Args:
        database: embedded (`lumaai.connect("./data")`) or behind an address; it stays the caller's to close.
        collection: its name; it is made if it is missing.
        embedding: LangChain's embeddings; None: the collection's own model embeds.
        mode: "semantic", "keyword" or "hybrid"; the last two need the collection's own model.

    Raises:
        InvalidRequestError: a mode that needs the collection's own model, together with `embedding`; or a collection
            of something else than texts with metadata: `LumaRetriever` searches any.
    """

    def __init__(
        self,
        database: Database | Client,
        collection: str,
        embedding: Embeddings | None = None,
        *,
        mode: str = "semantic",
    ) -> None:
        if embedding is not None and mode != "semantic":
            raise InvalidRequestError(f"mode {mode!r} searches with the collection's own model: give no embedding")
        self._embedding = embedding
        self._mode = mode
        self._collection = self._opened(database, collection)

    @property
    def embeddings(self) -> Embeddings | None:
        """LangChain's embeddings, if they embed."""
        return self._embedding

    @property
    def collection(self) -> Collection | RemoteCollection:
        """The collection itself, for all else that it can do."""
        return self._collection

    def _opened(self, database: Database | Client, name: str) -> Collection | RemoteCollection:
        if name in database.collections():
            return _of_texts(database.collection(name))
        # The text is what is searched; metadata is whatever it is.
        fields: dict[str, Any] = {TEXT: {"type": "text"}}
        if self._embedding is None:
            return database.create_collection(name, fields, embed={VECTOR: {"from": [TEXT]}})
        size = len(self._embedding.embed_query("how many numbers?"))
        fields[VECTOR] = {"type": "vector", "dim": size, "metric": "cosine"}
        return database.create_collection(name, fields, embed={})

    def add_texts(
        self,
        texts: Iterable[str],
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: Sequence[str | None] | None = None,
        **kwargs: Any,  # noqa: ARG002 - LangChain's signature
    ) -> list[str]:
        """Add texts, or replace those that have their ids; their ids, in order. However many: in batches.

        Raises:
            InvalidRequestError: not as many ids or metadata as texts.
        """
        given = list(texts)
        for what, others in (("ids", ids), ("metadatas", metadatas)):
            if others is not None and len(others) != len(given):
                raise InvalidRequestError(f"{what} must be as many as texts: expected={len(given)} got={len(others)}")
        named = [id_ or str(uuid.uuid4()) for id_ in (ids or [None] * len(given))]
        documents: list[dict[str, Any]] = [
            {"id": id_, TEXT: text, METADATA: metadata}
            for id_, text, metadata in zip(named, given, metadatas or [{} for _ in given], strict=True)
        ]
        for start in range(0, len(documents), BATCH_TEXTS):
            self._add(documents[start : start + BATCH_TEXTS])
        return named

    def _add(self, documents: list[dict[str, Any]]) -> None:
        if self._embedding is not None:
            texts = [document[TEXT] for document in documents]
            vectors = np.asarray(self._embedding.embed_documents(texts), np.float32)
            for document, vector in zip(documents, vectors, strict=True):
                document[VECTOR] = vector.tolist()
        self._collection.add(documents)

    def delete(self, ids: list[str] | None = None, **kwargs: Any) -> bool | None:  # noqa: ARG002
        """Delete by id; None: everything."""
        if ids is None:
            self._collection.delete(filter={})
        elif ids:
            self._collection.delete(ids=ids)
        return True

    def get_by_ids(self, ids: Sequence[str], /) -> list[Document]:
        """The documents that are there of these."""
        return [_document(found) for found in self._collection.get(list(ids)) if found is not None]

    def similarity_search(
        self,
        query: str,
        k: int = 4,
        *,
        filter: Filter | None = None,  # noqa: A002
        **kwargs: Any,  # noqa: ARG002
    ) -> list[Document]:
        """The documents nearest to a text; `filter` by metadata, as `{"year": {"$gte": 1990}}` or `"year >= 1990"`."""
        return [document for document, _ in self.similarity_search_with_score(query, k, filter=filter)]

    def similarity_search_with_score(
        self,
        query: str,
        k: int = 4,
        *,
        filter: Filter | None = None,  # noqa: A002
        **kwargs: Any,  # noqa: ARG002
    ) -> list[tuple[Document, float]]:
        """The same with scores: larger is better."""
        if self._embedding is not None:
            return self._near(self._embedding.embed_query(query), k, filter)
        return _scored(self._found(k, filter, query=query, mode=self._mode))

    def similarity_search_by_vector(
        self,
        embedding: list[float],
        k: int = 4,
        *,
        filter: Filter | None = None,  # noqa: A002
        **kwargs: Any,  # noqa: ARG002
    ) -> list[Document]:
        """The documents nearest to a vector."""
        return [document for document, _ in self._near(embedding, k, filter)]

    def max_marginal_relevance_search(
        self,
        query: str,
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        *,
        filter: Filter | None = None,  # noqa: A002
        **kwargs: Any,
    ) -> list[Document]:
        """Documents near a text and unlike each other."""
        if self._embedding is not None:
            return self.max_marginal_relevance_search_by_vector(
                self._embedding.embed_query(query), k, fetch_k, lambda_mult, filter=filter, **kwargs
            )
        hits = self._found(k, filter, query=query, diversity=1.0 - lambda_mult)
        return [document for document, _ in _scored(hits)]

    def max_marginal_relevance_search_by_vector(
        self,
        embedding: list[float],
        k: int = 4,
        fetch_k: int = 20,
        lambda_mult: float = 0.5,
        *,
        filter: Filter | None = None,  # noqa: A002
        **kwargs: Any,  # noqa: ARG002
    ) -> list[Document]:
        """Documents near a vector and unlike each other."""
        near = [document for document, _ in self._near(embedding, fetch_k, filter)]
        stored = self._collection.get([str(document.id) for document in near], vectors=True)
        vectors = [found[VECTOR] for found in stored if found is not None]
        chosen = maximal_marginal_relevance(np.asarray(embedding, np.float32), vectors, lambda_mult, k)
        return [near[place] for place in chosen]

    def _near(self, vector: Sequence[float], k: int, filter: Filter | None) -> list[tuple[Document, float]]:  # noqa: A002
        return _scored(self._found(k, filter, vector=np.asarray(vector, np.float32)))

    def _found(self, k: int, filter: Filter | None, **search: Any) -> Hits:  # noqa: A002
        return self._collection.search(limit=k, filter=_of_metadata(filter), **search)

    def _select_relevance_score_fn(self) -> Callable[[float], float]:
        if self._mode != "semantic":
            return _of_hybrid if self._mode == "hybrid" else _of_words
        fields = self._collection.info().schema.get("fields", {})
        metrics = {spec["metric"] for spec in fields.values() if spec.get("type") == "vector"}
        return _OF_METRIC[next(iter(metrics))] if len(metrics) == 1 else _of_cosine

    @classmethod
    def from_texts(
        cls,
        texts: list[str],
        embedding: Embeddings | None = None,
        metadatas: list[dict[str, Any]] | None = None,
        *,
        ids: list[str] | None = None,
        database: Database | Client | None = None,
        collection: str = "langchain",
        **kwargs: Any,
    ) -> LumaVectorStore:
        """A store with these texts in it; `database` has to be given."""
        if database is None:
            raise InvalidRequestError("give database: lumaai.connect(a directory or an address)")
        store = cls(database, collection, embedding, **kwargs)
        store.add_texts(texts, metadatas, ids=ids)
        return store


class LumaRetriever(BaseRetriever):
    """Finds documents of any collection: one that a store made, or one that was there before.

    Attributes:
        collection: embedded or behind an address.
        k: documents at most.
        mode: "semantic", "keyword" or "hybrid".
        filter: only documents that match, in the collection's own fields.
        text_field: what is the content; all other fields are metadata. None: the best passage, else all text.
            Of what a `LumaVectorStore` stored, metadata is what it was given.
        rerank: as for `Collection.search`.
    """

    model_config = ConfigDict(arbitrary_types_allowed=True)

    collection: Any
    k: int = 4
    mode: str = "hybrid"
    filter: dict[str, Any] | str | None = None
    text_field: str | None = None
    rerank: str | None = None

    def _get_relevant_documents(
        self,
        query: str,
        *,
        run_manager: CallbackManagerForRetrieverRun,  # noqa: ARG002
        k: int | None = None,
    ) -> list[Document]:
        hits: Hits = self.collection.search(
            query, limit=k or self.k, mode=self.mode, filter=self.filter, rerank=self.rerank
        )
        return [self._content(hit) for hit in hits]

    def _content(self, hit: Hit) -> Document:
        fields = {key: value for key, value in hit.document.items() if key != "id"}
        if fields.keys() == {TEXT, METADATA} and isinstance(fields[METADATA], dict):
            stored = _of_hit(hit)
            text = stored.page_content if hit.passage is None or self.text_field == TEXT else hit.passage.text
            return Document(id=hit.id, page_content=text, metadata={**stored.metadata, "score": float(hit.score)})
        if self.text_field is not None:
            text = str(fields.pop(self.text_field, ""))
        elif hit.passage is not None:
            text = hit.passage.text
        else:
            text = "\n".join(value for value in fields.values() if isinstance(value, str))
        return Document(id=hit.id, page_content=text, metadata={**fields, "score": float(hit.score)})


def _of_cosine(score: float) -> float:
    """From -1..1."""
    return max(0.0, min(1.0, (1.0 + score) / 2.0))


def _of_distance(score: float) -> float:
    """From minus the distance: 1 where there is none."""
    return 1.0 / (1.0 - min(score, 0.0))


def _of_product(score: float) -> float:
    """From a dot product of any size: 0.5 is a right angle."""
    return 0.5 + math.atan(score) / math.pi


def _of_words(score: float) -> float:
    """From BM25, 0 or more."""
    return score / (1.0 + score) if score > 0 else 0.0


def _of_hybrid(score: float) -> float:
    """From the sum of two scores on a scale where the mean ± 3 standard deviations of what was found are 1 and 0.

    The share of a normal distribution that lies below their mean: 0.5 is as good as the others that were found.
    """
    deviations = 2 * FUSION_DEVIATIONS * (score / FUSED_SIDES - 0.5)
    return 0.5 * (1.0 + math.erf(deviations / math.sqrt(2.0)))


_OF_METRIC: dict[str, Callable[[float], float]] = {"cosine": _of_cosine, "l2": _of_distance, "dot": _of_product}


def _of_texts(collection: Collection | RemoteCollection) -> Collection | RemoteCollection:
    """The collection, if its documents have texts.

    Raises:
        InvalidRequestError: they have none, and would all come back empty.
    """
    if TEXT not in collection.info().schema.get("fields", {}):
        raise InvalidRequestError(f"collection {collection.name!r} has no field {TEXT!r}: LumaRetriever searches any")
    return collection


def _of_metadata(filter: Filter | None) -> Filter | None:  # noqa: A002
    """A filter of metadata's keys as one of the collection's fields; a string names them itself (`metadata.year`)."""
    if not isinstance(filter, dict):
        return filter
    return dict(_condition(key, value) for key, value in filter.items())


def _condition(key: str, value: Any) -> tuple[str, Any]:
    if key in {"$and", "$or"}:
        return key, [_of_metadata(each) for each in value]
    if key == "$not":
        return key, _of_metadata(value)
    return (key if key.startswith(("$", f"{METADATA}.")) or key == TEXT else f"{METADATA}.{key}"), value


def _scored(hits: Hits) -> list[tuple[Document, float]]:
    return [(_of_hit(hit), float(hit.score)) for hit in hits]


def _of_hit(hit: Hit) -> Document:
    return _document({**hit.document, "id": hit.id})


def _document(found: dict[str, Any]) -> Document:
    return Document(id=found["id"], page_content=found.get(TEXT, ""), metadata=dict(found.get(METADATA) or {}))
