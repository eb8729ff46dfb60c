"""Vector search over the parts of a snapshot: each part's nearest rows, joined, one hit a document."""

from __future__ import annotations

import math
import os
import time
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from engine.arrays import Numbers, Ordinals, Rows, Scores, Vectors
from engine.document import Passage
from engine.errors import InvalidInputError
from engine.schema import JSON, Metric, VectorField
from engine.search.scope import Condition
from engine.segments.part import VectorPart
from engine.segments.rows import RowOrigins
from engine.vector.allowed import Allowed
from engine.vector.checks import LENGTH_MAX, check_vectors
from engine.vector.index import SQUARES_MIN, prepare_vectors
from engine.vector.parameters import SearchParameters

if TYPE_CHECKING:
    from engine.snapshot import Snapshot

PASSAGES_EXPECTED = 3  # rows asked for a wanted document, at first, where documents have several


@dataclass(frozen=True, slots=True)
class VectorQuery:
    """What is asked of a vector field; `threads` 0 means every processor."""

    field: str
    k: int
    parameters: SearchParameters
    threads: int


@dataclass(frozen=True, slots=True)
class Found:
    """The arrays of `engine.hits.Hits`."""

    ordinals: Ordinals
    scores: Scores
    parts: npt.NDArray[np.int64]
    places: npt.NDArray[np.int64]
    passages: list[Passage | None]
    explain: dict[str, JSON]


@dataclass(frozen=True, slots=True)
class _Candidates:
    """Rows of one part for all queries: scores (q, n), rows (q, n), -1 where there are no more."""

    part: int
    vectors: VectorPart
    scores: Scores
    rows: Rows


def search_parts(snapshot: Snapshot, queries: Numbers, query: VectorQuery, where: Condition) -> list[Found]:
    """The `k` best documents of each query, over all parts."""
    prepared = prepare_queries(queries, snapshot.schema.vectors[query.field])
    candidates: list[_Candidates] = []
    steps: list[JSON] = []
    for i, part in enumerate(snapshot.parts):
        vectors = part.vector_part(query.field)
        if vectors is None or not len(vectors.origins):
            continue
        started = time.perf_counter()
        mask = snapshot.allowed(i, where)
        allowed = None if mask is None else vectors.allowed(mask)
        count = len(vectors.origins) if allowed is None else allowed.count
        if allowed is not None and count == len(vectors.origins):
            allowed = None
        how = "nothing allowed"
        if count:
            scores, rows, how = _search_part(vectors, prepared, query, allowed, count)
            candidates.append(_Candidates(i, vectors, scores, rows))
        elapsed = round(1000 * (time.perf_counter() - started), 3)
        size = len(vectors.origins)
        steps.append(
            {"part": i, "rows": size, "allowed": count, "how": how, "why": vectors.reason, "milliseconds": elapsed}
        )
    explain: dict[str, JSON] = {"vector_field": query.field, "k": query.k, "parts": steps}
    if candidates and all(found.vectors.one_row_a_document for found in candidates):
        return _join_all(snapshot, candidates, query.k, explain)
    return [_join(snapshot, candidates, q, query.k, explain) for q in range(len(prepared))]


def prepare_queries(queries: Numbers, spec: VectorField) -> Vectors:
    """(q, dim) float32, checked, and of unit length under cosine.

    Raises:
        DimensionMismatchError: they have another size than the field.
        InvalidInputError: they are no array of numbers, or one is not finite, too long, or zero under cosine.
    """
    if queries.ndim != 2 or queries.dtype.kind not in "fiu":
        raise InvalidInputError(f"vectors must be numbers of shape (n, dim): got={queries.dtype} {queries.shape}")
    if len(queries) == 1 and queries.dtype == np.float32 and queries.shape[1] == spec.dim:
        square = float(np.dot(queries[0], queries[0]))  # finite only if all components are
        if SQUARES_MIN < square < LENGTH_MAX**2:
            if spec.metric is Metric.COSINE:
                return np.ascontiguousarray(queries / np.float32(math.sqrt(square)), dtype=np.float32)
            return np.ascontiguousarray(queries)
    return np.ascontiguousarray(prepare_vectors(check_vectors(queries, spec), spec.metric))


def _search_part(
    vectors: VectorPart, queries: Vectors, query: VectorQuery, allowed: Allowed | None, count: int
) -> tuple[Scores, Rows, str]:
    """Rows enough for `k` distinct documents, or all that are allowed."""
    k = min(query.k, count)
    if not vectors.one_row_a_document:
        k = min(k * PASSAGES_EXPECTED, count)
    threads = query.threads or os.cpu_count() or 1
    while True:
        scores, rows, how = vectors.search(queries, k, allowed=allowed, parameters=query.parameters, threads=threads)
        if k == count or vectors.one_row_a_document or _distinct_least(vectors, rows) >= query.k:
            return scores, rows, how
        k = min(4 * k, count)


def _distinct_least(vectors: VectorPart, rows: Rows) -> int:
    """The fewest distinct documents that any query has found."""
    return min(len(np.unique(vectors.origins.documents[each[each >= 0]])) for each in rows)


def _join_all(snapshot: Snapshot, candidates: list[_Candidates], k: int, explain: dict[str, JSON]) -> list[Found]:
    """All queries at once, where no document has two rows: best first, ties by ordinal."""
    if len(candidates[0].rows) == 1:
        several = len(candidates) > 1
        alone = (_one(snapshot, candidates, k, explain)) if several else _single(snapshot, candidates[0], k, explain)
        if alone is not None:
            return [alone]
    places = [found.vectors.origins.documents[found.rows] for found in candidates]
    ordinals = [snapshot.parts[found.part].ordinals[at] for found, at in zip(candidates, places, strict=True)]
    parts = [_repeated(found.part, found.rows.shape[1]) for found in candidates]
    if len(candidates) == 1:
        score, row, place, ordinal, part = candidates[0].scores, candidates[0].rows, places[0], ordinals[0], parts[0]
        ordered = k >= score.shape[1] and bool((score[:, 1:] < score[:, :-1]).all() and (row[:, -1] >= 0).all())
    else:
        score, row = np.hstack([found.scores for found in candidates]), np.hstack([found.rows for found in candidates])
        place, ordinal, part, ordered = np.hstack(places), np.hstack(ordinals), np.hstack(parts), False
    if ordered:
        columns = [(score[q], row[q], part, place[q], ordinal[q]) for q in range(len(score))]
    else:
        order = np.lexsort((ordinal, np.where(row >= 0, -score, np.inf)), axis=1)[:, :k]
        columns = []
        for q, best in enumerate(order):
            kept = best if (row[q, best] >= 0).all() else best[row[q, best] >= 0]
            columns.append((score[q, kept], row[q, kept], part[kept], place[q, kept], ordinal[q, kept]))
    origins = {found.part: found.vectors.origins for found in candidates}
    named = any(each.names for each in origins.values())
    return [
        Found(ordinal, score, part, place, _passages(origins, part, row) if named else [None] * len(row), explain)
        for score, row, part, place, ordinal in columns
    ]


def _single(snapshot: Snapshot, found: _Candidates, k: int, explain: dict[str, JSON]) -> Found | None:
    """The usual case, one query of one part: as `_join_all`, where there are no ties."""
    row, score, origins = found.rows[0], found.scores[0], found.vectors.origins
    if row[-1] < 0 or len(row) > k or not (score[1:] < score[:-1]).all():
        return None
    place = origins.documents[row]
    part = _repeated(found.part, len(row))
    passages: list[Passage | None] = [None] * len(row)
    if origins.names:
        passages = _passages({found.part: origins}, part, row)
    return Found(snapshot.parts[found.part].ordinals[place], score, part, place, passages, explain)


def _one(snapshot: Snapshot, candidates: list[_Candidates], k: int, explain: dict[str, JSON]) -> Found | None:
    """One query of several parts: as `_join_all`, where there are no ties among the best, and nobody lacks rows."""
    rows = np.concatenate([found.rows[0] for found in candidates])
    scores = np.concatenate([found.scores[0] for found in candidates])
    best = np.argsort(-scores, kind="stable")[: k + 1]
    ordered = scores[best]
    if rows.min() < 0 or not (ordered[1:] < ordered[:-1]).all():
        return None
    best = best[:k]
    row, score = rows[best], scores[best]
    part = np.concatenate([_repeated(found.part, found.rows.shape[1]) for found in candidates])[best]
    place, ordinal = np.empty(len(best), dtype=np.int64), np.empty(len(best), dtype=np.uint32)
    for found in candidates:
        mine = part == found.part
        at = found.vectors.origins.documents[row[mine]]
        place[mine], ordinal[mine] = at, snapshot.parts[found.part].ordinals[at]
    origins = {found.part: found.vectors.origins for found in candidates}
    named = any(each.names for each in origins.values())
    passages: list[Passage | None] = [None] * len(row)
    if named:
        passages = _passages(origins, part, row)
    return Found(ordinal, score, part, place, passages, explain)


@lru_cache(maxsize=256)
def _repeated(number: int, count: int) -> npt.NDArray[np.int64]:
    numbers = np.full(count, number)
    numbers.flags.writeable = False
    return numbers


def _passages(origins: dict[int, RowOrigins], parts: Any, rows: Any) -> list[Passage | None]:
    return [origins[part].passage(row) for part, row in zip(parts.tolist(), rows.tolist(), strict=True)]


def _join(snapshot: Snapshot, candidates: list[_Candidates], q: int, k: int, explain: dict[str, JSON]) -> Found:
    """One query's rows of all parts: best first, ties by ordinal, the best row of each document."""
    if not candidates:
        nothing: Any = np.empty(0, dtype=np.int64)
        return Found(nothing.astype(np.uint32), nothing.astype(np.float32), nothing, nothing, [], explain)
    scores, rows, parts, places, ordinals = [], [], [], [], []
    for found in candidates:
        kept = found.rows[q] >= 0
        row = found.rows[q][kept]
        place = found.vectors.origins.documents[row]
        scores.append(found.scores[q][kept])
        rows.append(row)
        places.append(place)
        parts.append(np.full(len(row), found.part))
        ordinals.append(snapshot.parts[found.part].ordinals[place])
    score, ordinal, place = np.concatenate(scores), np.concatenate(ordinals), np.concatenate(places)
    row, part = np.concatenate(rows), np.concatenate(parts)
    order = np.lexsort((row, ordinal, -score))
    _, first = np.unique(ordinal[order], return_index=True)
    order = order[np.sort(first)]
    order = order[:k]
    origins = {found.part: found.vectors.origins for found in candidates}
    passages = _passages(origins, part[order], row[order])
    return Found(ordinal[order], score[order], part[order], place[order], passages, explain)
