"""Comparing with every row: the exact vectors that each segment has, and a scan of 8-bit codes before them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import faiss
import numpy as np

from engine.arrays import Rows, Scores, Vectors
from engine.schema import IndexKind, Metric, Quantization, VectorField
from engine.vector.allowed import Allowed
from engine.vector.index import BuildStoppedError, faiss_metric, in_row_order, search_exact, to_scores, use_threads
from engine.vector.parameters import Effort
from engine.vector.progress import report
from engine.vector.quantization import check_fits, half_view, scalar_type

GATHER_ROWS_MAX = 4096  # so few allowed rows of half precision are decoded rather than looked up among all
NAMED_ROWS_MAX = 4096  # so few allowed rows are compared by their numbers, without what FAISS does around a search
ADD_ROWS = 4096  # at a time; a build can stop between
OVERSAMPLES = (1.5, 2.0, 4.0, 8.0, 16.0, 32.0)


class ExactVectors:
    """All rows of a segment as they are compared in the end: float32, or float16 where the field says so."""

    def __init__(self, index: Any, metric: Metric) -> None:
        self.index = index
        self._metric = metric
        self._half = isinstance(index, faiss.IndexScalarQuantizer)
        near = metric is Metric.L2
        self._compare = faiss.fvec_L2sqr_by_idx if near else faiss.fvec_inner_products_by_idx
        self._sign = np.float32(1 if near else -1)

    @classmethod
    def build(cls, vectors: Vectors, spec: VectorField, stop: Callable[[], bool]) -> ExactVectors:
        """Take (n, dim) prepared vectors in.

        Raises:
            BuildStoppedError: `stop` said so.
            CannotTrainError: they do not fit float16.
        """
        metric = faiss_metric(spec.metric)
        if spec.quantization is Quantization.FP16:
            check_fits(vectors, spec.quantization)
            index: Any = faiss.IndexScalarQuantizer(spec.dim, scalar_type(spec.quantization), metric)
            index.is_trained = True  # there is nothing to learn
        else:
            index = faiss.IndexFlat(spec.dim, metric)
        add_in_pieces(index, vectors, ADD_ROWS, stop)
        return cls(index, spec.metric)

    def __len__(self) -> int:
        rows: int = self.index.ntotal
        return rows

    @property
    def vectors(self) -> Vectors:
        """(n, dim) float32, a view where they are kept so. Do not write."""
        if self._half:
            decoded: Vectors = half_view(self.index).astype(np.float32)
            return decoded
        size = len(self) * self.index.d
        view: Vectors = faiss.rev_swig_ptr(self.index.get_xb(), size).reshape(len(self), -1)
        return view

    @property
    def dim(self) -> int:
        """Components of a vector."""
        return int(self.index.d)

    @property
    def bytes(self) -> int:
        """Of the vectors."""
        return int(len(self) * self.index.d * (2 if self._half else 4))

    def search(self, queries: Vectors, k: int, *, allowed: Allowed | None, threads: int) -> tuple[Scores, Rows]:
        """The k nearest rows of each query among the allowed ones; k at most their number; ties as `in_row_order`."""
        use_threads(threads)
        options = None
        if allowed is not None and self._half and allowed.count <= GATHER_ROWS_MAX:
            taken = half_view(self.index)[allowed.rows].astype(np.float32)
            scores, places = search_exact(queries, taken, k, self._metric, threads=threads)
            return scores, allowed.rows[places]
        if allowed is not None and len(queries) == 1 and not self._half and allowed.count <= NAMED_ROWS_MAX:
            return self._named(queries, k, allowed.rows)
        if allowed is not None:
            options = faiss.SearchParameters(sel=allowed.by_bits if self._half else allowed.by_rows)

        def search(asking: Vectors, wanted: int) -> tuple[Scores, Rows]:
            distances, rows = self.index.search(asking, wanted, params=options)
            return to_scores(distances, self._metric), rows

        return in_row_order(search, queries, k, len(self) if allowed is None else allowed.count)

    def _named(self, query: Vectors, k: int, rows: Rows) -> tuple[Scores, Rows]:
        """One query (1, dim), compared with `rows` alone, ascending: half the time of a selector for a few dozen."""
        distances = np.empty(len(rows), dtype=np.float32)
        pointer = faiss.swig_ptr
        vectors = self.index.get_xb()
        self._compare(pointer(distances), pointer(query), vectors, pointer(rows), query.shape[1], 1, len(rows))
        best = _smallest(self._sign * distances, k)
        return to_scores(distances[best][np.newaxis], self._metric), rows[best][np.newaxis]


def _smallest(values: Scores, k: int) -> Rows:
    """Places of the k smallest, equal ones in their order; sorting all of some thousand takes twice as long."""
    if k < len(values):
        places = np.flatnonzero(values <= np.partition(values, k - 1)[k - 1])
        if len(places) >= k:  # not where some are no numbers
            return places[np.argsort(values[places], kind="stable")[:k]]
    return np.argsort(values, kind="stable")[:k]


class QuantizedScan:
    """A scan of all rows in 8 bits a component."""

    kind = IndexKind.FLAT
    quantization = Quantization.SQ8
    lossy = True

    def __init__(self, index: Any) -> None:
        self.index = index

    @classmethod
    def build(cls, vectors: Vectors, spec: VectorField, stop: Callable[[], bool]) -> QuantizedScan:
        """Index (n, dim) prepared vectors.

        Raises:
            BuildStoppedError: `stop` said so.
            CannotTrainError: too few rows.
        """
        check_fits(vectors, Quantization.SQ8)
        index = faiss.IndexScalarQuantizer(spec.dim, scalar_type(Quantization.SQ8), faiss_metric(spec.metric))
        index.train(vectors)
        add_in_pieces(index, vectors, ADD_ROWS, stop)
        return cls(index)

    def parameters(self, effort: Effort, k: int, selector: Any | None) -> Any:  # noqa: ARG002  (one way to scan)
        """See `VectorIndex.parameters`."""
        return faiss.SearchParameters() if selector is None else faiss.SearchParameters(sel=selector)

    def efforts(self) -> Iterator[Effort]:
        """See `VectorIndex.efforts`."""
        for oversample in OVERSAMPLES:
            yield Effort(oversample=oversample)

    def memory_bytes(self) -> int:
        """See `VectorIndex.memory_bytes`."""
        return int(self.index.ntotal * self.index.code_size)


def add_in_pieces(index: Any, vectors: Vectors, rows: int, stop: Callable[[], bool]) -> None:
    """Add (n, dim) vectors to a FAISS index, `rows` at a time.

    Raises:
        BuildStoppedError: `stop` said so between two pieces.
    """
    for begin in range(0, len(vectors), rows):
        if stop():
            raise BuildStoppedError
        report("rows", begin / len(vectors))
        index.add(np.ascontiguousarray(vectors[begin : begin + rows]))
