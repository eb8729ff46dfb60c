"""Rows that are not sealed yet, as codes: what a head is searched by that has grown faster than it could be sealed.

Comparing with each of 50,000 rows × 784 takes 7 ms. Their codes, by the centroids of an older segment, take 9 µs a row
to make and 0.1 ms to search, and what they find is compared again with the vectors of the head itself. Codes are never
written to: more rows make new ones, which share nothing with the old but the vectors, so searches need no lock.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import faiss
import msgspec
import numpy as np

from engine.arrays import Rows, Scores, Vectors
from engine.schema import IndexKind, Metric, Quantization, VectorField
from engine.vector.allowed import Allowed
from engine.vector.build import FLAT_BYTES_MAX, RECALL_AUTO_MIN, calibrated
from engine.vector.index import CannotTrainError, search_exact, to_scores
from engine.vector.ivf import InvertedLists
from engine.vector.parameters import Effort
from engine.vector.sealed import IndexInfo, SealedVectors

BEGIN_BYTES = 2 * FLAT_BYTES_MAX  # of vectors; a head of fewer is compared with as it is
TAIL_BYTES_MAX = FLAT_BYTES_MAX // 2  # of vectors behind the codes, before they are coded as well
TAIL_SHARE = 64  # or one such part of what is coded, since new codes copy the old ones
TRAIN_ROWS_MIN = 16_384  # without an older segment's centroids, so many rows are worth learning some: 0.4 s
QUERIES = 50  # that codes are tried with
TRIED_AGAIN = 2  # times as many rows: then codes are tried again


class MemoryVectors:
    """(n, dim) prepared vectors in memory, compared with one by one; see `ExactVectors`."""

    def __init__(self, vectors: Vectors, metric: Metric) -> None:
        self.vectors = vectors
        self._metric = metric

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def dim(self) -> int:
        """Components of a vector."""
        return int(self.vectors.shape[1])

    @property
    def bytes(self) -> int:
        """Of the vectors."""
        return int(self.vectors.nbytes)

    def search(self, queries: Vectors, k: int, *, allowed: Allowed | None, threads: int) -> tuple[Scores, Rows]:
        """The k nearest rows of each query among the allowed ones; k at most their number."""
        if allowed is None:
            return search_exact(queries, self.vectors, k, self._metric, threads=threads)
        rows = allowed.rows
        scores, places = search_exact(queries, self.vectors[rows], k, self._metric, threads=threads)
        return scores, rows[places]


class CodedVectors(SealedVectors):
    """Codes of the first rows of a head, and how they are searched. Immutable, as `SealedVectors` are."""

    def __init__(self, exact: MemoryVectors, codes: InvertedLists, info: IndexInfo, metric: Metric, tried: int) -> None:
        super().__init__(exact, codes, info, metric)
        self._codes = codes
        self._tried = tried
        near = metric is Metric.L2
        self._compare = faiss.fvec_L2sqr_by_idx if near else faiss.fvec_inner_products_by_idx
        self._sign = np.float32(1 if near else -1)

    @classmethod
    def begin(
        cls, vectors: Vectors, spec: VectorField, model: InvertedLists | None, stop: Callable[[], bool]
    ) -> CodedVectors | None:
        """Codes of (n, dim) prepared vectors; None where they would find too little.

        Args:
            vectors: of the head, or its first rows.
            spec: of their field.
            model: codes of an older segment, whose centroids are taken over; None to learn them.
            stop: see Raises.

        Raises:
            BuildStoppedError: `stop` said so.
        """
        coded = replace(spec, index=IndexKind.IVF_PQ, quantization=Quantization.PQ4)
        try:
            codes = model.emptied() if model is not None else None
            if codes is None:
                codes = InvertedLists.build(vectors, coded, coded.index, coded.quantization, threads=1, stop=stop)
            else:
                codes.add(vectors, stop)
        except CannotTrainError:
            return None
        info = IndexInfo(coded.index, coded.quantization, "more rows than are compared with quickly enough")
        return cls(MemoryVectors(vectors, spec.metric), codes, info, spec.metric, 0).checked(stop)

    @property
    def model(self) -> InvertedLists:
        """Their centroids, for codes of other rows."""
        return self._codes

    def extended(self, vectors: Vectors, stop: Callable[[], bool]) -> CodedVectors | None:
        """Codes of `vectors`, whose first rows are those of these; None where they would find too little.

        Raises:
            BuildStoppedError: `stop` said so.
        """
        codes = self._codes.copied()
        codes.add(vectors[len(self) :], stop)
        grown = CodedVectors(MemoryVectors(vectors, self._metric), codes, self.info, self._metric, self._tried)
        return grown.checked(stop) if len(vectors) >= TRIED_AGAIN * self._tried else grown

    def over(self, vectors: Vectors) -> CodedVectors:
        """The same codes over the same rows, which lie elsewhere: so that where they lay can be let go."""
        if vectors.base is self.exact.vectors.base:
            return self
        return CodedVectors(MemoryVectors(vectors, self._metric), self._codes, self.info, self._metric, self._tried)

    def checked(self, stop: Callable[[], bool]) -> CodedVectors | None:
        """The same, with the effort that they take by a new calibration; None where they find too little.

        Raises:
            BuildStoppedError: `stop` said so.
        """
        calibration = calibrated(self, self._codes, self.vectors, threads=1, stop=stop, count=QUERIES)
        if calibration.best().recall < RECALL_AUTO_MIN:
            return None
        info = msgspec.structs.replace(self.info, calibration=calibration)
        return CodedVectors(MemoryVectors(self.vectors, self._metric), self._codes, info, self._metric, len(self))

    def _joined(self) -> tuple[Any, bool]:
        assert self.approximate is not None
        return self.approximate.index, True

    def _faiss_parameters(self, effort: Effort, k: int, selector: Any | None) -> Any:
        wanted = self._wanted(effort, k)
        return wanted, self._codes.parameters(effort, wanted, selector)

    def _run(self, queries: Vectors, k: int, options: Any) -> tuple[Scores, Rows]:
        wanted, parameters = options
        distances = np.empty((len(queries), wanted), dtype=np.float32)
        rows = np.empty((len(queries), wanted), dtype=np.int64)
        pointer = faiss.swig_ptr
        asked, near, found = pointer(queries), pointer(distances), pointer(rows)
        self._target.search_c(len(queries), asked, wanted, near, found, parameters)
        vectors = self.vectors
        self._compare(near, asked, pointer(vectors), found, vectors.shape[1], len(queries), wanted)
        kept, chosen = best_of(self._sign * distances, rows, k)
        return to_scores(self._sign * kept, self._metric), chosen


def best_of(distances: Scores, rows: Rows, k: int) -> tuple[Scores, Rows]:
    """The k least of each line of (q, n) distances and their rows, in order; ties as they came."""
    if len(distances) == 1:
        first = np.argsort(distances[0], kind="stable")[:k]
        return distances[:, first], rows[:, first]
    best = np.argsort(distances, axis=1, kind="stable")[:, :k]
    return np.take_along_axis(distances, best, axis=1), np.take_along_axis(rows, best, axis=1)


def wants_codes(rows: int, coded: int, dim: int, *, model: bool) -> bool:
    """Whether `rows` of a head, of which `coded` have codes, should get (more of) them.

    Args:
        rows: in the head.
        coded: of them.
        dim: components of a vector.
        model: whether there are centroids to take over.
    """
    row = 4 * dim
    if coded:
        return (rows - coded) * row > max(TAIL_BYTES_MAX, coded * row // TAIL_SHARE)
    return rows * row > BEGIN_BYTES and (model or rows >= TRAIN_ROWS_MIN)
