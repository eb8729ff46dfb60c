"""What an index finds and what it costs at several efforts, measured when it is built.

Inverted lists are asked for the neighbours of some of their own rows: what they find of those they find of other
queries, too. A graph leads to its own rows by links that other queries have not (Gaussian, 8,000 × 32, cosine, ef 16:
0.99 of their neighbours, and 0.75 of other queries'), so it is asked from places beside them.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol

import msgspec
import numpy as np

from engine.arrays import Rows, Scores, Vectors
from engine.schema import Metric
from engine.vector.index import BuildStoppedError, VectorIndex, prepare_vectors
from engine.vector.parameters import Effort
from engine.vector.progress import report

QUERIES = 100
QUERIES_A_PIECE_MIN = 20  # FAISS compares 20 and more by matrix products
COMPARISONS_A_PIECE = 5_000_000  # of a query with a row, between two moments when it can be stopped: about 0.2 s
K = 10
RECALL_DEFAULT = 0.98  # what a search aims at that does not say otherwise
MARGIN = 0.005  # of a sample of `QUERIES` × `K`
GAIN_MIN = 0.002  # of one more step of oversampling; with less, the rest is not tried
RECALL_ENOUGH = 0.998
COST_ALIKE = 1.2  # times: the measurement itself varies so much
# How far beside a row a query is, in differences of two of its neighbours. With so much, what graphs find is what they
# find of other queries, or less, but for 0.02 (clustered, Gaussian and low-dimensional data, fashion-mnist).
BESIDE = {Metric.L2: 1.0, Metric.COSINE: 1.5, Metric.DOT: 1.5}


class Level(msgspec.Struct, frozen=True):
    """One effort: its recall@10, and its cost in microseconds of one processor a query."""

    effort: Effort
    recall: float
    microseconds: float


class Calibration(msgspec.Struct, frozen=True):
    """The levels that were tried.

    Attributes:
        levels: in the order of trying.
        all_lists_microseconds: of a search of all inverted lists; 0 where there are none.
    """

    levels: tuple[Level, ...] = ()
    all_lists_microseconds: float = 0.0

    def effort(self, recall: float) -> Effort | None:
        """The cheapest effort that finds so much, and of those that cost about as much the one that finds most.

        None where none of those tried finds so much.
        """
        enough = [level for level in self.levels if level.recall >= min(recall + MARGIN, RECALL_ENOUGH)]
        least = min((level.microseconds for level in enough), default=0.0)
        alike = [level for level in enough if level.microseconds <= COST_ALIKE * least]
        return max(alike, key=lambda level: (level.recall, -level.microseconds)).effort if alike else None

    def best(self) -> Level:
        """The level that finds most."""
        return max(self.levels, key=lambda level: (level.recall, -level.microseconds))


class Search(Protocol):
    """A search of (q, dim) queries for k rows at an effort: scores and rows."""

    def __call__(self, queries: Vectors, k: int, effort: Effort) -> tuple[Scores, Rows]:
        """See above."""


def sample_rows(vectors: Vectors, count: int) -> Vectors:
    """Some of (n, dim) vectors, the same each time, in order."""
    random = np.random.default_rng(len(vectors))
    chosen = np.sort(random.choice(len(vectors), min(count, len(vectors)), replace=False))
    return np.ascontiguousarray(vectors[chosen])


def beside(own: Vectors, vectors: Vectors, neighbours: Rows, metric: Metric) -> Vectors:
    """Queries near rows, but none of them: (q, dim), prepared.

    Args:
        own: (q, dim) some of `vectors`.
        vectors: (n, dim), prepared.
        neighbours: (q, K + 1) rows near each, nearest first; -1 where there are no more.
        metric: of the field.
    """
    first, second = neighbours[:, K // 2], neighbours[:, K]
    known = ((first >= 0) & (second >= 0))[:, np.newaxis]
    moved = own + BESIDE[metric] * np.where(known, vectors[first] - vectors[second], np.float32(0))
    return np.ascontiguousarray(prepare_vectors(moved.astype(np.float32), metric))


def calibrate(
    index: VectorIndex,
    search: Search,
    search_exact: Callable[[Vectors, int], tuple[Scores, Rows]],
    queries: Vectors,
    rows: int,
    stop: Callable[[], bool],
    *,
    own: bool,
) -> Calibration:
    """Try the efforts of an index of so many rows.

    Args:
        index: whose efforts are tried.
        search: at an effort.
        search_exact: the truth.
        queries: (q, dim), prepared.
        rows: of the index.
        stop: see Raises.
        own: the queries are rows of the index, each of which may not find itself.

    Raises:
        BuildStoppedError: `stop` said so.
    """
    k = min(K + own, rows)
    truth = _truth(search_exact, queries, k, rows, stop)
    levels: list[Level] = []
    efforts = list(index.efforts())
    for tried, effort in enumerate(efforts):
        if stop():
            raise BuildStoppedError
        report("calibration", tried / len(efforts))
        if _pointless(effort, levels):
            continue
        started = time.thread_time()  # not the clock: others may be using the processors
        scores, found = search(queries, k, effort)
        microseconds = 1e6 * (time.thread_time() - started) / len(queries)
        levels.append(Level(effort, recall_of(scores, found, truth, own=own), round(microseconds, 1)))
    return Calibration(tuple(levels))


def _truth(
    search_exact: Callable[[Vectors, int], tuple[Scores, Rows]],
    queries: Vectors,
    k: int,
    rows: int,
    stop: Callable[[], bool],
) -> Scores:
    """The scores of the nearest k of each query, a few queries at a time: a million rows take a second for all."""
    found = []
    piece = max(QUERIES_A_PIECE_MIN, COMPARISONS_A_PIECE // max(1, rows))
    for begin in range(0, len(queries), piece):
        if stop():
            raise BuildStoppedError
        found.append(search_exact(queries[begin : begin + piece], k)[0])
    return np.concatenate(found)


def recall_of(scores: Scores, rows: Rows, truth: Scores, *, own: bool) -> float:
    """Mean share of the true k that were found; rows of equal score count alike.

    With `own`, each query is one of the rows and finds itself, which does not count.
    """
    worst = truth[:, -1:]
    near = (scores >= worst - 1e-4 * np.abs(worst) - 1e-6) & (rows >= 0)
    wanted = max(1, truth.shape[1] - own)
    found = np.minimum(near.sum(axis=1) - own, wanted) / wanted
    return round(float(np.maximum(found, 0).mean()), 4)


def _pointless(effort: Effort, levels: list[Level]) -> bool:
    """Whether what was tried shows that this effort costs more and finds no more."""
    if not levels:
        return False
    done = levels[-1]
    if done.recall >= RECALL_ENOUGH and effort.nprobe >= done.effort.nprobe:
        return True
    same = [level for level in levels if level.effort.nprobe == effort.nprobe]
    return (
        len(same) >= 2
        and effort.oversample > same[-1].effort.oversample
        and (same[-1].effort.ef_search == effort.ef_search and same[-1].recall - same[-2].recall < GAIN_MIN)
    )
