"""Results unlike each other: maximal marginal relevance.

Carbonell and Goldstein, SIGIR 1998, https://doi.org/10.1145/290941.291025, with λ = 1 − diversity.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from engine.arrays import Ordinals, Vectors
from engine.schema import Metric
from engine.search.ranking import Ranking
from engine.vector.index import prepare_vectors

if TYPE_CHECKING:
    from engine.snapshot import Snapshot


def diversify(ranking: Ranking, vectors: Vectors, diversity: float) -> Ranking:
    """The same documents, each next one the best by λ × relevance − (1 − λ) × likeness to those before it.

    Relevance is the score on a scale from 0 (the last of the ranking) to 1 (the first), so that any kind of score will
    do; likeness is the cosine of vectors. Documents keep their scores, which therefore need not fall.

    Args:
        ranking: (n,) documents.
        vectors: (n, dim) of unit length; zeros for a document that has none, which is then unlike all others.
        diversity: 0 to 1.
    """
    count = len(ranking)
    if count < 2 or diversity == 0:
        return ranking
    gain = (1 - diversity) * _relevance(ranking.scores.astype(np.float64))
    likeness = np.zeros(count)  # to the most similar one chosen; nothing is chosen at first
    chosen = np.empty(count, dtype=np.int64)
    open_ = np.ones(count, dtype=bool)
    for place in range(count):
        value = np.where(open_, gain - diversity * likeness, -np.inf)
        best = int(np.argmax(value))  # the first of equals: they stand in the ranking's order
        chosen[place], open_[best] = best, False
        near = (vectors @ vectors[best]).astype(np.float64)
        likeness = near if place == 0 else np.maximum(likeness, near)
    return ranking.take(chosen)


def unit_vectors(snapshot: Snapshot, ordinals: Ordinals, field: str) -> Vectors:
    """(n, dim) directions of documents: of the mean of their passages; zeros where a document has none."""
    spec = snapshot.schema.vectors[field]
    rows, owners = snapshot.rows_of(ordinals, field)
    stored = snapshot.vectors_at(field, rows)
    sums = np.zeros((len(ordinals), spec.dim), dtype=np.float32)
    np.add.at(sums, owners, prepare_vectors(stored, Metric.COSINE))
    return prepare_vectors(sums, Metric.COSINE)


def _relevance(scores: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    least, most = scores.min(), scores.max()
    return np.ones(len(scores)) if least == most else (scores - least) / (most - least)
