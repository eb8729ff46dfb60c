"""Searching by examples: documents like some vectors and unlike others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from engine.arrays import Vectors
from engine.document import Passage
from engine.errors import InvalidInputError
from engine.schema import Metric, VectorField
from engine.search.ranking import NOTHING, Ranking, ordered
from engine.search.request import EXAMPLES_MAX, Examples
from engine.search.scope import Condition
from engine.vector.checks import check_vectors
from engine.vector.index import prepare_vectors

if TYPE_CHECKING:
    from engine.segments.part import VectorPart
    from engine.snapshot import Snapshot

PIECE_ROWS = 16_384  # compared at once


def checked_examples(examples: Examples, spec: VectorField) -> tuple[Vectors, Vectors]:
    """Both kinds as (n, dim) float32, of unit length under cosine.

    Raises:
        DimensionMismatchError, InvalidInputError: of another size, not finite, zero under cosine, none, or too many.
    """
    pair = [
        _checked(given, name, spec)
        for given, name in ((examples.positive, "positive"), (examples.negative, "negative"))
    ]
    if not len(pair[0]) and not len(pair[1]):
        raise InvalidInputError("a search by examples needs at least one", pointer="/positive")
    return pair[0], pair[1]


def average_vector(examples: Examples, spec: VectorField) -> Vectors:
    """(dim,) 2 × mean(positive) − mean(negative): as far beyond the positive ones as the negative ones are behind.

    Raises:
        InvalidInputError: there is no positive example, or they cancel each other out under cosine.
    """
    positive, negative = checked_examples(examples, spec)
    if not len(positive):
        message = "average_vector needs a positive example: give one, or the strategy best_score"
        raise InvalidInputError(message, pointer="/positive")
    target: Vectors = positive.mean(axis=0)
    if len(negative):
        target = 2 * target - negative.mean(axis=0)
    if spec.metric is Metric.COSINE and float(np.linalg.norm(target)) < 1e-6:
        raise InvalidInputError(
            "the examples cancel each other out: what is left is a zero vector", pointer="/positive"
        )
    try:
        return check_vectors(target, spec)
    except InvalidInputError as error:  # twice as far may be too far
        error.pointer = "/positive"
        raise


def rank_by_best_score(
    snapshot: Snapshot, examples: Examples, field: str, k: int, where: Condition
) -> tuple[Ranking, list[Any]]:
    """The `k` documents with the highest best-score, and what was done in each part; every vector is compared."""
    positive, negative = checked_examples(examples, snapshot.schema.vectors[field])
    metric = snapshot.schema.vectors[field].metric
    scores, ordinals, passages, steps = [], [], [], []
    for i, part in enumerate(snapshot.parts):
        vectors = part.vector_part(field)
        if vectors is None or not len(vectors.origins):
            continue
        places, best, rows = _best_rows(vectors, positive, negative, metric)
        mask = snapshot.allowed(i, where)
        kept = np.arange(len(places)) if mask is None else np.flatnonzero(mask[places])
        steps.append({"part": i, "rows": len(vectors.origins), "allowed": len(kept), "how": "every vector compared"})
        kept = kept[np.argsort(-best[kept], kind="stable")[: k + 1]]
        scores.append(best[kept])
        ordinals.append(part.ordinals[places[kept]])
        passages += [vectors.origins.passage(row) for row in rows[kept].tolist()]
    if not scores:
        return NOTHING, steps
    return _joined(np.concatenate(ordinals), np.concatenate(scores), passages, k), steps


def _joined(ordinals: Any, scores: Any, passages: list[Passage | None], k: int) -> Ranking:
    order = ordered(ordinals, scores)
    return Ranking(ordinals, scores, passages, whole=len(order) <= k).take(order[:k])


def _best_rows(vectors: VectorPart, positive: Vectors, negative: Vectors, metric: Metric) -> tuple[Any, Any, Any]:
    """Places of the documents that have rows, the score of the best row of each, and that row."""
    stored, documents = vectors.vectors, vectors.origins.documents
    scores = np.concatenate(
        [
            _best_scores(stored[begin : begin + PIECE_ROWS], positive, negative, metric)
            for begin in range(0, len(stored), PIECE_ROWS)
        ]
    )
    order = np.lexsort((-scores, documents))
    places, first = np.unique(documents[order], return_index=True)
    return places, scores[order][first], order[first]


def _best_scores(rows: Vectors, positive: Vectors, negative: Vectors, metric: Metric) -> Any:
    """(n,): half a fast sigmoid of the nearest positive, or minus that of the nearest negative where it is nearer."""
    near, far = _nearest(rows, positive, metric), _nearest(rows, negative, metric)
    likes = near > far if len(positive) else np.zeros(len(rows), dtype=bool)
    value = np.where(likes, near, far)
    share = 0.5 * (value / (1 + np.abs(value)) + 1)
    return np.where(likes, share, -share).astype(np.float32)


def _nearest(rows: Vectors, examples: Vectors, metric: Metric) -> Any:
    """(n,) the score of the most similar example; minus infinity where there is none."""
    if not len(examples):
        return np.full(len(rows), -np.inf)
    if metric is not Metric.L2:
        return (rows @ examples.T).max(axis=1)
    squares = np.stack([np.einsum("ij,ij->i", rows - each, rows - each) for each in examples], axis=1)
    return -np.sqrt(squares.min(axis=1))


def _checked(given: Any, name: str, spec: VectorField) -> Vectors:
    vectors = np.asarray(given)
    if not len(vectors):
        return np.empty((0, spec.dim), dtype=np.float32)
    if len(vectors) > EXAMPLES_MAX:
        raise InvalidInputError(f"too many examples: maximum={EXAMPLES_MAX} got={len(vectors)}", pointer=f"/{name}")
    if vectors.ndim != 2 or vectors.dtype.kind not in "fiu":
        message = f"examples must be numbers of shape (n, dim): got={vectors.dtype} {vectors.shape}"
        raise InvalidInputError(message, pointer=f"/{name}")
    for place, vector in enumerate(vectors):
        try:
            check_vectors(vector, spec)
        except InvalidInputError as error:
            error.pointer = f"/{name}/{place}"
            raise
    return prepare_vectors(np.ascontiguousarray(vectors, dtype=np.float32), spec.metric)
