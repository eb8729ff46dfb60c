"""What all indexes of vectors have in common: how vectors are prepared, how distances become scores, how FAISS is run.

Scores are larger for nearer: cosine similarity, dot product, minus the Euclidean distance.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Protocol

import faiss
import numpy as np

from engine.arrays import Rows, Scores, Vectors
from engine.schema import IndexKind, Metric, Quantization
from engine.vector.parameters import Effort

SQUARES_MIN = 1e-30  # a sum of squares below has lost digits to underflow
TIES_GROWTH = 16  # times as many rows are asked for where more are equal than were asked for
_thread = threading.local()


class BuildStoppedError(Exception):
    """An index was not finished, because the database is being closed."""


class CannotTrainError(Exception):
    """There are too few rows for this kind, or they do not fit its numbers."""


class VectorIndex(Protocol):
    """An approximate index over the rows 0..n-1 of a segment: one way to get candidates. Immutable once built.

    Attributes:
        index: the FAISS index.
        kind, quantization: what was built.
        lossy: its distances are of quantized vectors, so candidates must be compared again.
    """

    index: Any
    kind: IndexKind
    quantization: Quantization
    lossy: bool

    def parameters(self, effort: Effort, k: int, selector: Any | None) -> Any:
        """FAISS's parameters for a search of `k` rows under a selector, or under none."""

    def efforts(self) -> Iterator[Effort]:
        """What calibration should try, cheapest first; it may be told to stop."""

    def memory_bytes(self) -> int:
        """Bytes of codes and graph or lists."""


def faiss_metric(metric: Metric) -> int:
    """FAISS's metric for exact comparison: squared distances for l2, inner products else."""
    number: int = faiss.METRIC_L2 if metric is Metric.L2 else faiss.METRIC_INNER_PRODUCT
    return number


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


def save_index(index: Any, path: Path) -> None:
    """Write a FAISS index to `path`.

    Raises:
        OSError: the disk refused it.
    """
    try:
        faiss.write_index(index, str(path))
    except RuntimeError as error:
        raise OSError(f"index cannot be written: path={path} reason={error}") from error


def load_index(path: Path, dim: int) -> Any:
    """Read what `save_index` wrote, memory-mapped.

    Raises:
        RuntimeError: the file is damaged, of another size, or no FAISS index.
    """
    index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
    if index.d != dim:
        raise RuntimeError(f"index has another dimension: path={path} expected={dim} got={index.d}")
    return index


def in_row_order(
    search: Callable[[Vectors, int], tuple[Scores, Rows]], queries: Vectors, k: int, count: int
) -> tuple[Scores, Rows]:
    """The k best of `count` rows of each query, where the lowest rows win between equal scores at the end.

    FAISS takes any of them. One row more than wanted shows whether there are such; only then more are asked for, until
    all of that score are there. Equal scores further up come in any order.

    Args:
        search: queries and a number of rows → their scores (q, n) and rows (q, n), best first.
        queries: (q, dim).
        k: rows wanted, at most `count`.
        count: rows that `search` has.
    """
    if k >= count:
        return search(queries, k)
    scores, rows = search(queries, k + 1)
    tied = np.flatnonzero(scores[:, k - 1] == scores[:, k])
    scores, rows = scores[:, :k], rows[:, :k]
    for q in tied.tolist():
        asked = k + 1
        while True:
            asked = min(TIES_GROWTH * asked, count)
            score, row = search(queries[q : q + 1], asked)
            if asked == count or score[0, -1] < score[0, k - 1]:
                break
        first = np.lexsort((row[0], -score[0]))[:k]
        scores[q], rows[q] = score[0, first], row[0, first]
    return scores, rows


def search_exact(queries: Vectors, vectors: Vectors, k: int, metric: Metric, *, threads: int) -> tuple[Scores, Rows]:
    """The k nearest of `vectors` (n, dim), all compared; k at most n. All prepared; ties as `in_row_order`."""
    use_threads(threads)
    number = faiss_metric(metric)

    def search(asking: Vectors, wanted: int) -> tuple[Scores, Rows]:
        distances, rows = faiss.knn(asking, vectors, wanted, metric=number)
        return to_scores(distances, metric), rows

    return in_row_order(search, queries, k, len(vectors))
