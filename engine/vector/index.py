"""An immutable nearest-neighbour index over the rows of one segment, in FAISS.

The kinds: `flat` compares with every row; `hnsw` walks a graph (Malkov and Yashunin, IEEE TPAMI 2020,
https://arxiv.org/abs/1603.09320). Both keep the vectors as float32, so exact search and reading back are possible
with either. Scores are larger for nearer: cosine similarity, dot product, minus the Euclidean distance.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from engine.arrays import Mask, Rows, Scores, Vectors
from engine.schema import IndexKind, Metric, VectorField

EF_SEARCH_DEFAULT = 64
HNSW_ROWS_MIN = 8192  # below, an exact scan is about as quick as the graph, and is exact
SQUARES_MIN = 1e-30  # a sum of squares below has lost digits to underflow
BUILD_ROWS = 256  # added at a time, in about 0.2 s × 784 dimensions on one processor; a build can stop between
_thread = threading.local()


class BuildStoppedError(Exception):
    """An index was not finished, because the database is being closed."""


def prepare_vectors(vectors: Vectors, metric: Metric) -> Vectors:
    """`vectors`, (n, dim), as they are indexed and asked: of unit length for cosine, else as they are."""
    if metric is not Metric.COSINE:
        return vectors
    squares = np.einsum("ij,ij->i", vectors, vectors)
    if not (np.isfinite(squares).all() and (squares > SQUARES_MIN).all()):  # too long or too short for float32
        squares = np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64)
        squares[squares == 0] = 1
    unit: Vectors = (vectors / np.sqrt(squares)[:, np.newaxis]).astype(np.float32, copy=False)
    return unit


def to_scores(distances: Scores, metric: Metric) -> Scores:
    """FAISS's distances as scores; FAISS gives squared distances for l2 and similarities else."""
    if metric is Metric.L2:
        scores: Scores = -np.sqrt(np.maximum(distances, 0))
        return scores
    return distances


def use_threads(count: int) -> None:
    """Let FAISS use `count` threads in this thread; OpenMP's setting belongs to the calling thread."""
    if getattr(_thread, "count", None) != count:
        faiss.omp_set_num_threads(count)
        _thread.count = count


class VectorIndex:
    """Search over the rows 0..n-1. Immutable, so safe for many threads."""

    def __init__(self, index: Any, spec: VectorField) -> None:
        self._index = index
        self._is_hnsw = isinstance(index, faiss.IndexHNSW)
        self._flat = faiss.downcast_index(index.storage) if self._is_hnsw else index
        self._spec = spec
        self.kind = IndexKind.HNSW if self._is_hnsw else IndexKind.FLAT

    @classmethod
    def build(cls, vectors: Vectors, spec: VectorField, threads: int, stop: Callable[[], bool]) -> VectorIndex:
        """Index (n, dim) vectors that `prepare_vectors` has prepared.

        Raises:
            BuildStoppedError: `stop` said so; it is asked every fraction of a second.
        """
        kind = spec.index
        if kind is IndexKind.AUTO:
            kind = IndexKind.HNSW if len(vectors) >= HNSW_ROWS_MIN else IndexKind.FLAT
        metric = faiss.METRIC_L2 if spec.metric is Metric.L2 else faiss.METRIC_INNER_PRODUCT
        if kind is IndexKind.HNSW:
            index: Any = faiss.IndexHNSWFlat(spec.dim, spec.m, metric)
            index.hnsw.efConstruction = spec.ef_construction
        else:
            index = faiss.IndexFlat(spec.dim, metric)
        use_threads(threads)
        for begin in range(0, len(vectors), BUILD_ROWS):
            if stop():
                raise BuildStoppedError
            index.add(np.ascontiguousarray(vectors[begin : begin + BUILD_ROWS]))
        return cls(index, spec)

    @classmethod
    def load(cls, path: Path, spec: VectorField) -> VectorIndex:
        """Read what `save` wrote, memory-mapped where FAISS can.

        Raises:
            RuntimeError: the file is damaged, of another size, or no FAISS index.
        """
        index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
        if index.d != spec.dim:
            raise RuntimeError(f"index has another dimension: path={path} expected={spec.dim} got={index.d}")
        return cls(index, spec)

    def save(self, path: Path) -> None:
        """Write the index to `path`.

        Raises:
            OSError: the disk refused it.
        """
        try:
            faiss.write_index(self._index, str(path))
        except RuntimeError as error:
            raise OSError(f"index cannot be written: path={path} reason={error}") from error

    def __len__(self) -> int:
        rows: int = self._index.ntotal
        return rows

    @property
    def vectors(self) -> Vectors:
        """(n, dim) float32 view of the indexed vectors, prepared as they were given. Do not write."""
        rows: Vectors = faiss.rev_swig_ptr(self._flat.get_xb(), len(self) * self._spec.dim).reshape(len(self), -1)
        return rows

    def memory_bytes(self) -> int:
        """Bytes of vectors and graph."""
        size = 4 * len(self) * self._spec.dim
        if self._is_hnsw:
            size += 4 * self._index.hnsw.neighbors.size() + 8 * self._index.hnsw.offsets.size()
        return size

    def search(
        self, queries: Vectors, k: int, *, allowed: Mask | None, ef_search: int, exact: bool, threads: int
    ) -> tuple[Scores, Rows]:
        """The k nearest rows of each query, best first.

        Args:
            queries: (q, dim) float32, prepared.
            k: at most this many rows; less than `len(self)` or equal.
            allowed: (n,) which rows may be returned; None for all.
            ef_search: HNSW, candidates kept while searching.
            exact: compare with every allowed row, whatever the kind.
            threads: processors to use.

        Returns:
            Scores (q, k), and rows (q, k) with -1 where there are no more.
        """
        selector = None if allowed is None else _Selector(allowed)
        use_threads(threads)
        if self._is_hnsw and not exact:
            parameters = faiss.SearchParametersHNSW(efSearch=max(ef_search, k))
            target = self._index
        else:
            parameters = faiss.SearchParameters()
            target = self._flat
        if selector is not None:
            parameters.sel = selector.selector
        distances, rows = target.search(queries, k, params=parameters)
        return to_scores(distances, self._spec.metric), rows


class _Selector:
    """A FAISS bitmap selector together with the bytes it points to."""

    def __init__(self, allowed: Mask) -> None:
        self._bits = np.packbits(allowed, bitorder="little")
        self.selector = faiss.IDSelectorBitmap(len(self._bits), faiss.swig_ptr(self._bits))


def search_exact(queries: Vectors, vectors: Vectors, k: int, metric: Metric, *, threads: int) -> tuple[Scores, Rows]:
    """The k nearest of `vectors` (n, dim), by comparing with each; k at most n. All prepared."""
    kind = faiss.METRIC_L2 if metric is Metric.L2 else faiss.METRIC_INNER_PRODUCT
    use_threads(threads)
    distances, rows = faiss.knn(queries, vectors, k, metric=kind)
    return to_scores(distances, metric), rows
