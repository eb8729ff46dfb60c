"""One search from its request to its hits; see `engine.search.request` for the order of events."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.errors import InvalidInputError
from engine.fields.filter import And, Filter
from engine.hits import Hits
from engine.schema import JSON
from engine.search.diversity import diversify, unit_vectors
from engine.search.examples import average_vector, rank_by_best_score
from engine.search.fusion import fuse
from engine.search.grouping import Filler, Group, gather, groupable_field, with_value
from engine.search.ranking import NOTHING, Rank, Ranking, collect, ordered
from engine.search.request import Examples, Nearest, Query, Rerank, SearchRequest, Strategy, Words
from engine.search.scope import Among, Condition

if TYPE_CHECKING:
    from engine.snapshot import Snapshot

DIVERSITY_WINDOW = 100
DIVERSIFIED_MAX = 1_000  # documents put in order by how unlike they are: the work grows with the square
MILLISECOND_DIGITS = 3


def execute(snapshot: Snapshot, request: SearchRequest) -> Hits:
    """What `request` finds in `snapshot`.

    Raises:
        InvalidInputError: a field that does not exist, a vector of the wrong size, examples that cancel each other out;
            `pointer` says where.
    """
    started = time.perf_counter()
    search = _Search(snapshot)
    ranking, groups = search.page(request)
    explain: dict[str, JSON] = {"steps": search.steps, "milliseconds": _milliseconds(started)}
    located = snapshot.locate(ranking.ordinals)
    gathered = None if groups is None else tuple(groups)
    return snapshot.hits(ranking.ordinals, ranking.scores, *located, list(ranking.passages), explain, gathered)


class _Search:
    """One run; `steps` says what ran, in order."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self.steps: list[JSON] = []

    def page(self, request: SearchRequest, where: Filter | None = None) -> tuple[Ranking, list[Group] | None]:
        """The documents of the request's page, and its groups; `where` holds beside its own filter."""
        condition = _both(where, request.where)
        group_by = request.group_by
        if group_by is not None:
            groupable_field(self._snapshot, group_by)
            condition = with_value(group_by, condition)
        rank, window = self._ranked(request, condition)
        end = request.offset + request.limit
        if group_by is not None:
            size = max(window, group_by.size * end)
            page = slice(request.offset, end)
            return gather(self._snapshot, rank, size, group_by, page, self._filler(request, condition))
        found = collect(rank, window, end, falling=request.diversity is None)
        return found.take(np.arange(request.offset, max(request.offset, min(end, len(found))))), None

    def _ranked(self, request: SearchRequest, where: Filter | None) -> tuple[Rank, int]:
        """What ranks, and how many documents it should be asked for at first."""
        rank, window = self._fused(request, where)
        if request.rerank is not None:
            rank, window = _once(partial(self._reranked, rank, window, request.rerank)), request.rerank.top
        if request.score_threshold is not None:
            rank = partial(_cut, rank, request.score_threshold)
        if request.diversity is not None:
            field = self._snapshot.vector_field(request.diversity_field or _searched_field(request.queries))
            rank = partial(self._diversified, rank, window, field, request.diversity)
            window = DIVERSITY_WINDOW
        return rank, window

    def _fused(self, request: SearchRequest, where: Filter | None) -> tuple[Rank, int]:
        queries, end = request.queries, request.offset + request.limit
        if request.prefetch:
            return _once(partial(self._prefetched, request, where)), end
        if len(queries) > 1:
            return partial(self._fused_queries, request, where), request.fusion.window
        (query,) = queries
        # What is found approximately may differ with how much is asked for; pages of one search must not.
        window = end if _is_exact(query) else request.limit
        return partial(self._rank, query, where, request.without), window

    def _fused_queries(self, request: SearchRequest, where: Condition, window: int) -> Ranking:
        weights = request.fusion.weights or (1.0,) * len(request.queries)
        rankings = [
            self._rank(query, where, request.without, window) if weight else NOTHING
            for query, weight in zip(request.queries, weights, strict=True)
        ]
        return self._fuse(rankings, request)

    def _fuse(self, rankings: Sequence[Ranking], request: SearchRequest) -> Ranking:
        started, fusion = time.perf_counter(), request.fusion
        fused = fuse(rankings, fusion)
        weights: list[JSON] = [*(fusion.weights or (1.0,) * len(rankings))]
        found: list[JSON] = [len(each) for each in rankings]
        self.steps.append(
            {
                "step": "fusion", "method": fusion.method.value, "weights": weights, "found": found,
                "together": len(fused), "milliseconds": _milliseconds(started),
            }
        )  # fmt: skip
        return fused

    def _prefetched(self, request: SearchRequest, where: Filter | None) -> Ranking:
        """The prefetched documents: fused, or ranked by the request's own queries."""
        rankings = []
        for place, each in enumerate(request.prefetch):
            inner = _Search(self._snapshot)
            with _at(f"/prefetch/{place}"):
                ranking, _ = inner.page(replace(each, without=(*each.without, *request.without)), where)
            rankings.append(replace(ranking, whole=True))
            self.steps.append({"step": "prefetch", "found": len(ranking), "steps": inner.steps})
        if not request.queries:
            found = rankings[0] if len(rankings) == 1 else self._fuse(rankings, request)
            return replace(found, whole=True)
        ordinals = np.unique(np.concatenate([each.ordinals for each in rankings]))
        if not len(ordinals):
            return NOTHING
        among = Among(ordinals, where)
        if len(request.queries) > 1:
            return replace(self._fused_queries(request, among, len(ordinals)), whole=True)
        return replace(self._rank(request.queries[0], among, request.without, len(ordinals)), whole=True)

    def _rank(self, query: Query, where: Condition, without: Sequence[int], window: int) -> Ranking:
        """The `window` best documents of one query."""
        started, asked = time.perf_counter(), window + len(without)
        step: dict[str, JSON]
        match query:
            case Words():
                ranking, step = self._keyword(query, asked, where)
            case Nearest():
                ranking, step = self._nearest(query, asked, where)
            case Examples(strategy=Strategy.AVERAGE_VECTOR):
                field = self._snapshot.vector_field(query.field)
                target = average_vector(query, self._snapshot.schema.vectors[field])
                ranking, step = self._nearest(Nearest(target, field, query.parameters), asked, where)
            case Examples():
                field = self._snapshot.vector_field(query.field)
                ranking, parts = rank_by_best_score(self._snapshot, query, field, asked, where)
                step = {"step": "best_score", "vector_field": field, "k": asked, "parts": parts}
        self.steps.append({**step, "found": len(ranking), "milliseconds": _milliseconds(started)})
        return ranking.without(without)

    def _nearest(self, query: Nearest, k: int, where: Condition) -> tuple[Ranking, dict[str, JSON]]:
        try:
            hits = self._snapshot.search(
                query.vector, k, vector_field=query.field, where=where, parameters=query.parameters
            )
        except InvalidInputError as error:
            error.pointer = error.pointer or "/vector"
            raise
        ranking = Ranking(hits.ordinals, hits.scores, hits.passages, whole=len(hits) < k)
        return ranking, {"step": "semantic", **hits.explain}

    def _keyword(self, query: Words, k: int, where: Condition) -> tuple[Ranking, dict[str, JSON]]:
        try:
            hits = self._snapshot.keyword(query.query, k, where=where, fields=query.fields)
        except InvalidInputError as error:
            pointer = error.pointer or "/query"
            error.pointer = f"/text_{pointer[1:]}" if pointer.startswith("/fields") else pointer
            raise
        ranking = Ranking(hits.ordinals, hits.scores, hits.passages, whole=len(hits) < k)
        return ranking, {"step": "keyword", "k": k, **hits.explain}

    def _reranked(self, rank: Rank, window: int, rerank: Rerank) -> Ranking:
        found = collect(rank, window, rerank.top).first(rerank.top)
        started = time.perf_counter()
        scores = np.asarray(rerank.score(found.ordinals, found.passages), dtype=np.float64)
        if scores.shape != (len(found),) or not np.isfinite(scores).all():
            raise InvalidInputError(f"reranker must give a finite score for each text: got={scores.shape}")
        self.steps.append({"step": "rerank", "documents": len(found), "milliseconds": _milliseconds(started)})
        order = ordered(found.ordinals, scores)
        return Ranking(found.ordinals, scores, found.passages).take(order, whole=True)

    def _diversified(self, rank: Rank, first: int, field: str, diversity: float, window: int) -> Ranking:
        found = collect(rank, first, window)
        started = time.perf_counter()
        pool = found.first(min(window, DIVERSIFIED_MAX))
        spread = diversify(pool, unit_vectors(self._snapshot, pool.ordinals, field), diversity)
        self.steps.append({"step": "diversity", "documents": len(pool), "milliseconds": _milliseconds(started)})
        rest = found.first(window)
        whole = found.whole and len(found) <= window
        return replace(rest.after(spread, falling=False), whole=whole)

    def _filler(self, request: SearchRequest, where: Filter | None) -> Filler | None:
        composed = request.prefetch or len(request.queries) > 1 or request.rerank or request.diversity is not None
        if composed or request.score_threshold is not None:
            return None
        query, without = request.queries[0], request.without
        return Filler(lambda condition, k: self._rank(query, condition, without, k), where)


class _at:  # noqa: N801 - reads as a statement
    """Within it, places of faults are inside `prefix`."""

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: Any, error: BaseException | None, _traceback: Any) -> None:
        if isinstance(error, InvalidInputError) and error.pointer is not None:
            error.pointer = f"{self._prefix}{error.pointer}"


def _once(make: Any) -> Rank:
    """A ranking that is made when it is first asked for, and is the same for every window."""
    made: list[Ranking] = []

    def rank(_window: int) -> Ranking:
        if not made:
            made.append(make())
        return made[0]

    return rank


def _cut(rank: Rank, threshold: float, window: int) -> Ranking:
    ranking = rank(window)
    kept = np.flatnonzero(ranking.scores >= threshold)
    return ranking if len(kept) == len(ranking) else ranking.take(kept, whole=True)


def _both(first: Filter | None, second: Filter | None) -> Filter | None:
    if first is None or second is None:
        return second if first is None else first
    return And((first, second))


def _is_exact(query: Query) -> bool:
    match query:
        case Words() | Examples(strategy=Strategy.BEST_SCORE):
            return True
        case _:
            return query.parameters.exact


def _searched_field(queries: Sequence[Query]) -> str | None:
    return next((query.field for query in queries if not isinstance(query, Words)), None)


def _milliseconds(started: float) -> float:
    return round(1000 * (time.perf_counter() - started), MILLISECOND_DIGITS)
