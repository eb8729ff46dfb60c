"""The algorithm that ann-benchmarks loads; in its tree as `ann_benchmarks/algorithms/lumadb/module.py`."""

from __future__ import annotations

import shutil
import tempfile
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

import engine

if TYPE_CHECKING:

    class BaseANN:
        """What ann-benchmarks calls."""

        def done(self) -> None: ...

else:
    try:
        from ann_benchmarks.algorithms.base.module import BaseANN
    except ImportError:  # our own driver
        BaseANN = object

METRICS = {"angular": "cosine", "euclidean": "l2"}
BATCH = 1_000
Vectors = npt.NDArray[np.float32]
Neighbors = npt.NDArray[np.int64]


class LumaDB(BaseANN):
    """A collection in a directory of its own, with one vector field and all rows in one finished index.

    Args:
        metric: "angular" or "euclidean".
        parameters: `index`, and `quantization`, `m`, `ef_construction` where they are not to be chosen.
    """

    def __init__(self, metric: str, parameters: dict[str, Any]) -> None:
        self._vector = {"type": "vector", "metric": METRICS[metric], **parameters}
        self._parameters = engine.SearchParameters()
        self._directory = tempfile.mkdtemp(prefix="lumadb-")
        self._database = engine.Database.open(self._directory, device="cpu")
        self._words = " ".join(f"{name}={value}" for name, value in parameters.items())
        self.name = f"LumaDB({self._words})"
        self.res: list[Neighbors] = []

    def fit(self, X: Vectors) -> None:  # noqa: N803  (its name)
        """Write (n, dim) vectors and build the index."""
        schema = engine.Schema.from_json({"fields": {"vector": {**self._vector, "dim": int(X.shape[1])}}})
        collection = self._database.create_collection("bench", schema)
        for begin in range(0, len(X), BATCH):
            vectors = np.ascontiguousarray(X[begin : begin + BATCH], dtype=np.float32)
            documents = [{"id": str(begin + i)} for i in range(len(vectors))]
            collection.add(documents, {"vector": engine.VectorRows(vectors, np.arange(len(vectors)))})
        collection.optimize()
        self._snapshot = collection.snapshot()

    def set_query_arguments(self, arguments: dict[str, Any]) -> None:
        """`ef_search`, `nprobe`, `oversample`, `exact` or `recall`."""
        self._parameters = engine.SearchParameters(**arguments)
        asked = " ".join(f"{name}={value}" for name, value in arguments.items())
        self.name = f"LumaDB({self._words} {asked})"

    def query(self, q: Vectors, n: int) -> Neighbors:
        """The rows of the n nearest."""
        hits = self._snapshot.search(np.asarray(q, dtype=np.float32), n, parameters=self._parameters)
        return np.array(hits.ids, dtype=np.int64)

    def batch_query(self, X: Vectors, n: int) -> None:  # noqa: N803  (its name)
        """All queries at once, with every processor; see `get_batch_results`."""
        queries = np.asarray(X, dtype=np.float32)
        found = self._snapshot.search_batch(queries, n, parameters=self._parameters)
        self.res = [np.array(hits.ids, dtype=np.int64) for hits in found]

    def get_batch_results(self) -> list[Neighbors]:
        """Of the last `batch_query`."""
        return self.res

    def get_memory_usage(self) -> float:
        """Kilobytes that searches go through."""
        return float(self._database.collection("bench").stats()["memory_bytes"]) / 1024

    def get_additional(self) -> dict[str, Any]:
        """Nothing more to store."""
        return {}

    def done(self) -> None:
        """Close and remove the directory."""
        self._database.close()
        shutil.rmtree(self._directory, ignore_errors=True)

    def __str__(self) -> str:
        return self.name
