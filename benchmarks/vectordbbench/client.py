"""The client that VectorDBBench drives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from vectordb_bench.backend.clients.api import VectorDB
from vectordb_bench.backend.filter import Filter, FilterOp
from vectordb_bench.backend.payload import PayloadProfile

import lumaai
from benchmarks.vectordbbench.config import LumaIndexConfig

BATCH = 500  # documents a request: 784 numbers in JSON are about 8 kB


class LumaClient(VectorDB):  # type: ignore[misc]  # its package is not there for mypy
    """A collection of a running service: ids, a number and a label to filter by, and vectors."""

    name = "LumaDB AI"
    supported_filter_types = [FilterOp.NonFilter, FilterOp.NumGE, FilterOp.StrEqual]  # noqa: RUF012  (as it declares it)
    thread_safe = True

    def __init__(
        self,
        dim: int,
        db_config: dict[str, Any],
        db_case_config: LumaIndexConfig | None,
        collection_name: str = "VectorDBBench",
        drop_old: bool = False,  # noqa: FBT001, FBT002  (its signature)
        **kwargs: Any,  # noqa: ARG002  (likewise)
    ) -> None:
        self._connection = db_config
        self._case = db_case_config or LumaIndexConfig()
        self._collection_name = collection_name
        self._filter: dict[str, Any] | None = None
        self._collection: Any = None
        with self._connected() as database:
            if drop_old and collection_name in database.collections():
                database.drop(collection_name)
            fields = {
                "vector": {**self._case.index_param(), "dim": dim},
                "number": {"type": "integer"},
                "label": {"type": "keyword"},
            }
            database.create_collection(collection_name, fields, embed={}, exist_ok=not drop_old)

    @contextmanager
    def init(self) -> Iterator[None]:
        """Connected meanwhile."""
        with self._connected() as database:
            self._collection = database.collection(self._collection_name)
            try:
                yield
            finally:
                self._collection = None

    def optimize(self, data_size: int | None = None) -> None:  # noqa: ARG002  (its signature)
        """Join all segments into one, and wait for it."""
        self._collection.optimize(wait=True)

    def prepare_filter(self, filters: Filter) -> None:
        """Of the searches that follow."""
        if filters.type == FilterOp.NumGE:
            self._filter = {"number": {"$gte": filters.int_value}}
        elif filters.type == FilterOp.StrEqual:
            self._filter = {"label": filters.label_value}
        else:
            self._filter = None

    def insert_embeddings(
        self,
        embeddings: Sequence[Sequence[float]],
        metadata: Sequence[int],
        labels_data: Sequence[str] | None = None,
        tenant_labels_data: Sequence[str] | None = None,  # noqa: ARG002  (no tenants)
        **kwargs: Any,  # noqa: ARG002  (its signature)
    ) -> tuple[int, Exception | None]:
        """Write documents; how many, and what went wrong."""
        written = 0
        try:
            for begin in range(0, len(metadata), BATCH):
                numbers = list(metadata[begin : begin + BATCH])
                fields: dict[str, list[Any]] = {"number": [int(number) for number in numbers]}
                if labels_data is not None:
                    fields["label"] = list(labels_data[begin : begin + BATCH])
                vectors = np.asarray(embeddings[begin : begin + BATCH], dtype=np.float32)
                self._collection.add(ids=[str(number) for number in numbers], vectors=vectors, fields=fields)
                written += len(numbers)
        except lumaai.LumaError as error:
            return written, error
        return written, None

    def search_embedding(
        self,
        query: Sequence[float],
        k: int = 100,
        payload_profile: PayloadProfile = PayloadProfile.IDS_ONLY,  # noqa: ARG002  (the only one supported)
        tenant: str | None = None,  # noqa: ARG002  (no tenants)
    ) -> list[int]:
        """Ids of the k nearest."""
        params = self._case.search_param() or None
        hits = self._collection.search(vector=query, limit=k, filter=self._filter, select=[], params=params)
        return [int(hit.id) for hit in hits]

    def _connected(self) -> Any:
        return lumaai.connect(self._connection["uri"], api_key=self._connection.get("api_key"))
