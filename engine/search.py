"""Vector search over the parts of a snapshot: each part's nearest rows, joined, one hit a document."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from engine.arrays import Mask, Numbers, Ordinals, Rows, Scores, Vectors
from engine.batch import check_vectors
from engine.document import Passage
from engine.errors import InvalidInputError
from engine.fields.filter import Filter
from engine.schema import JSON
from engine.segments.part import VectorPart
from engine.vector.index import prepare_vectors

if TYPE_CHECKING:
    from engine.snapshot import Snapshot

PASSAGES_EXPECTED = 3  # rows asked for a wanted document, at first, where documents have several


@dataclass(frozen=True, slots=True)
class VectorQuery:
    """What is asked of a vector field; `threads` 0 means every processor."""

    field: str
    k: int
    ef_search: int
    exact: bool
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


def search_parts(snapshot: Snapshot, queries: Numbers, query: VectorQuery, where: Filter | None) -> list[Found]:
    """The `k` best documents of each query, over all parts."""
    spec = snapshot.schema.vectors[query.field]
    if queries.ndim != 2 or queries.dtype.kind not in "fiu":
        raise InvalidInputError(f"vectors must be numbers of shape (n, dim): got={queries.dtype} {queries.shape}")
    prepared = np.ascontiguousarray(prepare_vectors(check_vectors(queries, spec), spec.metric))
    candidates: list[_Candidates] = []
    steps: list[JSON] = []
    for i, part in enumerate(snapshot.parts):
        vectors = part.vector_part(query.field)
        if vectors is None or not len(vectors.origins):
            continue
        started = time.perf_counter()
        mask = snapshot.allowed(i, where)
        allowed = None if mask is None else mask[vectors.origins.documents]
        count = len(vectors.origins) if allowed is None else int(np.count_nonzero(allowed))
        how = "nothing allowed"
        if count:
            scores, rows, how = _search_part(vectors, prepared, query, allowed, count)
            candidates.append(_Candidates(i, vectors, scores, rows))
        elapsed = round(1000 * (time.perf_counter() - started), 3)
        steps.append({"part": i, "rows": len(vectors.origins), "allowed": count, "how": how, "milliseconds": elapsed})
    explain: dict[str, JSON] = {"vector_field": query.field, "k": query.k, "parts": steps}
    return [_join(snapshot, candidates, q, query.k, explain) for q in range(len(prepared))]


def _search_part(
    vectors: VectorPart, queries: Vectors, query: VectorQuery, allowed: Mask | None, count: int
) -> tuple[Scores, Rows, str]:
    """Rows enough for `k` distinct documents, or all that are allowed."""
    k = min(query.k, count)
    if not vectors.one_row_a_document:
        k = min(k * PASSAGES_EXPECTED, count)
    threads = query.threads or os.cpu_count() or 1
    while True:
        scores, rows, how = vectors.search(
            queries, k, allowed=allowed, ef_search=query.ef_search, exact=query.exact, threads=threads
        )
        if k == count or vectors.one_row_a_document or _distinct_least(vectors, rows) >= query.k:
            return scores, rows, how
        k = min(4 * k, count)


def _distinct_least(vectors: VectorPart, rows: Rows) -> int:
    """The fewest distinct documents that any query has found."""
    return min(len(np.unique(vectors.origins.documents[each[each >= 0]])) for each in rows)


def _join(snapshot: Snapshot, candidates: list[_Candidates], q: int, k: int, explain: dict[str, JSON]) -> Found:
    """One query's rows of all parts: best first, ties by ordinal, the best row of each document."""
    if len(candidates) == 1 and (alone := _single(snapshot, candidates[0], q, explain)) is not None:
        return alone
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
    if not all(found.vectors.one_row_a_document for found in candidates):
        _, first = np.unique(ordinal[order], return_index=True)
        order = order[np.sort(first)]
    order = order[:k]
    origins = {found.part: found.vectors.origins for found in candidates}
    passages = [origins[int(p)].passage(int(r)) for p, r in zip(part[order], row[order], strict=True)]
    return Found(ordinal[order], score[order], part[order], place[order], passages, explain)


def _single(snapshot: Snapshot, found: _Candidates, q: int, explain: dict[str, JSON]) -> Found | None:
    """The usual case, a search of one part with a row a document and no ties: nothing to join or to sort."""
    row, score = found.rows[q], found.scores[q]
    origins = found.vectors.origins
    if not found.vectors.one_row_a_document or row[-1] < 0 or not (score[1:] < score[:-1]).all():
        return None
    place = origins.documents[row]
    passages: list[Passage | None] = [None] * len(row)
    if origins.names:
        passages = [origins.passage(each) for each in row.tolist()]
    part = np.full(len(row), found.part)
    return Found(snapshot.parts[found.part].ordinals[place], score, part, place, passages, explain)
