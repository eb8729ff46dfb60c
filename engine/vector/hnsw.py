"""A graph of near neighbours, walked greedily (Malkov and Yashunin, IEEE TPAMI 2020, https://arxiv.org/abs/1603.09320).

The graph is searched without a filter: under a selector it would wander through rows that it may not return, and miss
(60,000 × 784: recall@10 of 0.39 under a 1 % filter). Instead it is asked for so many rows that enough are allowed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import faiss

from engine.arrays import Vectors
from engine.schema import IndexKind, Quantization, VectorField
from engine.vector.flat import add_in_pieces
from engine.vector.index import faiss_metric, use_threads
from engine.vector.parameters import Effort
from engine.vector.quantization import check_fits, scalar_type

BUILD_ROWS = 256  # added at a time, in about 0.2 s × 784 dimensions on one processor; a build can stop between
EFS = (16, 32, 64, 96, 128, 192, 256, 512, 1024)
OVERSAMPLE = 4.0  # of 8-bit codes, whose order is nearly that of the vectors


class Graph:
    """HNSW over vectors as they are, in float16, or in 8 bits a component."""

    kind = IndexKind.HNSW

    def __init__(self, index: Any) -> None:
        self.index = index
        storage = faiss.downcast_index(index.storage)
        self.storage = storage
        self.quantization = Quantization.NONE
        if isinstance(storage, faiss.IndexScalarQuantizer):
            half = storage.sq.qtype == faiss.ScalarQuantizer.QT_fp16
            self.quantization = Quantization.FP16 if half else Quantization.SQ8
        self.lossy = self.quantization is Quantization.SQ8

    @classmethod
    def build(cls, vectors: Vectors, spec: VectorField, threads: int, stop: Callable[[], bool]) -> Graph:
        """Index (n, dim) prepared vectors.

        Raises:
            BuildStoppedError: `stop` said so.
            CannotTrainError: the quantization cannot hold them.
        """
        use_threads(threads)
        metric = faiss_metric(spec.metric)
        if spec.quantization in (Quantization.FP16, Quantization.SQ8):
            check_fits(vectors, spec.quantization)
            index: Any = faiss.IndexHNSWSQ(spec.dim, scalar_type(spec.quantization), spec.m, metric)
            index.train(vectors)
        else:
            index = faiss.IndexHNSWFlat(spec.dim, spec.m, metric)
        index.hnsw.efConstruction = spec.ef_construction
        add_in_pieces(index, vectors, BUILD_ROWS, stop)
        return cls(index)

    def parameters(self, effort: Effort, k: int, selector: Any | None) -> Any:
        """See `VectorIndex.parameters`."""
        ef_search = max(effort.ef_search, k)
        if selector is None:
            return faiss.SearchParametersHNSW(efSearch=ef_search)
        return faiss.SearchParametersHNSW(efSearch=ef_search, sel=selector)

    def efforts(self) -> Iterator[Effort]:
        """See `VectorIndex.efforts`."""
        for ef_search in EFS:
            yield Effort(ef_search=ef_search, oversample=OVERSAMPLE if self.lossy else 1.0)

    def memory_bytes(self) -> int:
        """See `VectorIndex.memory_bytes`."""
        graph = 4 * self.index.hnsw.neighbors.size() + 8 * self.index.hnsw.offsets.size() + 4 * self.index.ntotal
        return int(graph + self.storage.ntotal * self.storage.code_size)
