"""Searches of a collection that is open in this process."""

from __future__ import annotations

import time
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from numpy.typing import ArrayLike

import engine
from lumaai.batch import vector_array
from lumaai.composing import Composer, at, vector_of_document
from lumaai.embedding import embed_query
from lumaai.errors import ErrorDetail, InvalidRequestError
from lumaai.opened import Opened
from lumaai.pages import bounded
from lumaai.ranked_pages import RankedPages
from lumaai.reports import Progress, in_steps
from lumaai.results import (
    BatchHits,
    Highlight,
    HitGroup,
    Hits,
    PassageHit,
    RecallLevel,
    RecallReport,
)
from lumaai.scroll import cursor_fault
from lumaai.search import (
    RawHits,
    check_rows,
    check_strings,
    effort_of,
    passage_hit,
    selected,
    vector_field_of,
)
from lumaai.searchable import Filter, Search, SearchableCollection
from lumaai.translation import translated

if TYPE_CHECKING:
    from lumaai import wire
    from lumaai.embedding import Vector


class EmbeddedSearches(SearchableCollection):
    """The part of a `Collection` that searches."""

    _opened: Opened

    @property
    @abstractmethod
    def _native(self) -> engine.Collection:
        """The engine's collection, of what the database is now."""

    @property
    @abstractmethod
    def name(self) -> str:
        """The name it was created with."""

    def _search(self, search: Search) -> Hits:
        if not search.more:
            return self.search_raw(
                search.query, vector=search.vector, id=search.id, vector_field=search.vector_field,
                limit=search.limit, offset=search.offset, filter=search.filter, select=search.select,
                params=search.params, explain=search.explain,
            ).decoded()  # fmt: skip
        return self.answer_raw(_read_search(search.body(), "")).decoded()

    def _search_many(self, bodies: list[dict[str, Any]]) -> list[Hits]:
        requests = [_read_search(body, f"/searches/{place}") for place, body in enumerate(bodies)]
        return [raw.decoded() for raw in self.answers_raw(requests)]

    @translated
    def search_raw(
        self,
        query: str | None = None,
        *,
        vector: ArrayLike | None = None,
        id: str | None = None,  # noqa: A002
        vector_field: str | None = None,
        limit: int = 10,
        offset: int = 0,
        filter: Filter | None = None,  # noqa: A002
        select: Sequence[str] | None = None,
        params: Mapping[str, Any] | None = None,
        explain: bool = False,
        bytes_max: int | None = None,
    ) -> RawHits:
        """The usual searches, by one text, vector or document, as fast as can be; documents as they are stored."""
        started = time.perf_counter()
        rows = check_rows(limit, offset)
        effort = effort_of(params)
        fields = None if select is None else check_strings("select", select)
        if sum(given is not None for given in (query, vector, id)) != 1:
            raise InvalidRequestError("give exactly one of query, vector and id", code="exactly_one")
        # A text is embedded before the snapshot is taken, so that the answer is as fresh as it can be.
        name = vector_field_of(self._native.schema, vector_field, embedded=query is not None)
        while True:
            embed = self._native.schema.embed
            target = None if id is not None else self._query_vector(query, vector, name)
            snapshot = self._native.snapshot()
            if query is None or snapshot.schema.embed == embed:
                break  # else it was embedded anew meanwhile, and the query's vector is of the model before
        where = where_of(filter, snapshot)
        if target is not None and not offset:
            found = _nearest(snapshot, target, rows, name, where, effort)
        else:
            without = () if id is None else self._own(snapshot, id)
            near = engine.Nearest(
                vector_of_document(snapshot, str(id), name) if target is None else target, name, effort
            )
            found = snapshot.query(engine.SearchRequest((near,), limit, offset, where, without))
        raw = _raw_hits(snapshot, found, fields, bytes_max)
        milliseconds = (time.perf_counter() - started) * 1000
        return RawHits(*raw, snapshot.sequence, milliseconds, found.explain if explain else None, ran=found.explain)

    @staticmethod
    def _own(snapshot: engine.Snapshot, id_: object) -> tuple[int, ...]:
        """The ordinal of the document that is asked by, which is not to be found itself."""
        return tuple(ordinal for ordinal in snapshot.ordinals_of(check_strings("id", [id_])) if ordinal is not None)

    @translated
    def answer_raw(self, body: wire.SearchRequest, *, bytes_max: int | None = None, owner: str = "") -> RawHits:
        """A search of any kind: the way of the HTTP service. A cursor that it begins is `owner`'s."""
        if "cursor" in body.model_fields_set:
            return self._page_raw(body, bytes_max, owner)
        started = time.perf_counter()
        snapshot, request = Composer(self._native, self._opened).compose(body)
        found = snapshot.query(request)
        raw = _raw_hits(snapshot, found, body.select, bytes_max)
        groups = None if found.groups is None else _hit_groups(found.groups, raw[0])
        facets = None if body.facets is None else engine.count_facets(snapshot, _plain_facets(body), request.where)
        highlights = _highlights(snapshot, body, found) if body.highlight else None
        milliseconds = (time.perf_counter() - started) * 1000
        explain = found.explain if body.explain else None
        return RawHits(*raw, snapshot.sequence, milliseconds, explain, groups, facets, highlights, ran=found.explain)

    def _page_raw(self, body: wire.SearchRequest, bytes_max: int | None, owner: str) -> RawHits:
        """A page of a search, which goes on over the state and with the settings of its first one."""
        started = time.perf_counter()
        cursors, limit = self._opened.cursors, body.limit
        if not body.cursor:
            _check_paged(body)
            snapshot, request = Composer(self._native, self._opened).compose(body)
            pages, position = RankedPages(self.name, snapshot, request, body), 0
        else:
            pinned, position, cursor_at = cursors.resume(body.cursor)
            if not isinstance(pinned, RankedPages) or pinned.collection != self.name:
                raise cursor_fault("cursor is of a scroll, or of another collection")
            pages = pinned
        found, end = pages.page(position, limit)
        select = body.select if "select" in body.model_fields_set else pages.body.select
        raw = _raw_hits(pages.snapshot, found, select, bytes_max)
        is_first, first = not body.cursor, pages.body
        next_cursor = None if end is None else cursors.start(pages, end, owner) if is_first else cursor_at(end)
        facets = None
        if is_first and first.facets is not None:
            facets = engine.count_facets(pages.snapshot, _plain_facets(first), pages.request.where)
        highlights = _highlights(pages.snapshot, first, found) if first.highlight or body.highlight else None
        milliseconds = (time.perf_counter() - started) * 1000
        explain = found.explain if first.explain else None
        sequence = pages.snapshot.sequence
        return RawHits(
            *raw, sequence, milliseconds, explain, None, facets, highlights, next_cursor=next_cursor, is_paged=True
        )

    @translated
    def answers_raw(
        self,
        bodies: Sequence[wire.SearchRequest],
        *,
        bytes_max: int | None = None,
        cancelled: Callable[[], bool] | None = None,
        owner: str = "",
    ) -> list[RawHits]:
        """Several searches, one after the other; `bytes_max` holds for each, `cancelled` ends them between two."""
        answers = []
        for place, body in enumerate(bodies):
            engine.check_wanted(cancelled)
            with at(f"/searches/{place}"):
                answers.append(self.answer_raw(body, bytes_max=bytes_max, owner=owner))
        return answers

    def _recall(self, body: dict[str, Any]) -> RecallReport:
        return self.recall_told(None, **body)

    @translated
    def recall_told(
        self,
        progress: Progress | None,
        queries: int,
        limit: int,
        *,
        vector_field: str | None = None,
        filter: Filter | None = None,  # noqa: A002
    ) -> RecallReport:
        """As `recall`; `progress` is called with a stage and a fraction 0..1, and what it raises ends it."""
        snapshot = self._native.snapshot()
        report = snapshot.recall(
            queries, limit, where=where_of(filter, snapshot), progress=in_steps(progress),
            vector_field=vector_field_of(snapshot.schema, vector_field, embedded=False),
        )  # fmt: skip
        levels = tuple(map(_recall_level, report.levels))
        return RecallReport(report.queries, report.k, _recall_level(report.exact), levels)

    @translated
    def search_batch(
        self,
        vectors: ArrayLike,
        *,
        vector_field: str | None = None,
        limit: int = 10,
        filter: Filter | None = None,  # noqa: A002
        params: Mapping[str, Any] | None = None,
    ) -> BatchHits:
        """Ids and scores for many vectors at once.

        Args:
            vectors: (n, dim) numbers.
            vector_field: needed where there are several.
            limit: hits for each vector at most.
            filter: only documents that match.
            params: as for `search`.
        """
        return self.search_batch_while(
            None, vectors, vector_field=vector_field, limit=limit, filter=filter, params=params
        )

    @translated
    def search_batch_while(
        self,
        cancelled: Callable[[], bool] | None,
        vectors: ArrayLike,
        *,
        vector_field: str | None,
        limit: int,
        filter: Filter | None,  # noqa: A002
        params: Mapping[str, Any] | None,
    ) -> BatchHits:
        """As `search_batch`; `cancelled` ends it between some vectors and the next."""
        started = time.perf_counter()
        rows = check_rows(limit)
        effort = effort_of(params)
        queries = vector_array(vectors, dimensions=2)
        if not len(queries):
            raise InvalidRequestError("batch is empty: give at least one vector", code="batch_empty")
        snapshot = self._native.snapshot()
        found = snapshot.search_batch(
            queries, rows, vector_field=vector_field_of(snapshot.schema, vector_field, embedded=False),
            where=where_of(filter, snapshot), parameters=effort, cancelled=cancelled,
        )  # fmt: skip
        milliseconds = (time.perf_counter() - started) * 1000
        ids, scores = [list(hits.ids) for hits in found], [hits.scores for hits in found]
        return BatchHits.of(ids, scores, rows, snapshot.sequence, milliseconds)

    def _query_vector(self, query: str | None, vector: ArrayLike | None, name: str) -> Vector:
        if vector is not None:
            return vector_array(vector, dimensions=1)
        embedder = self._opened.embedders.of(self._native.schema.embed[name], self.name)
        return embed_query(embedder, query)


def where_of(filter: Filter | None, snapshot: engine.Snapshot) -> engine.Filter | None:  # noqa: A002
    """A filter as the engine takes it; None for none."""
    return None if filter is None else engine.parse_filter(filter, snapshot.schema)


def _nearest(
    snapshot: engine.Snapshot,
    target: Vector,
    rows: int,
    name: str,
    where: engine.Filter | None,
    effort: engine.SearchParameters,
) -> engine.Hits:
    try:
        return snapshot.search(target, rows, vector_field=name, where=where, parameters=effort)
    except engine.InvalidInputError as error:
        error.pointer = error.pointer or "/vector"
        raise


def _read_search(body: dict[str, Any], place: str) -> wire.SearchRequest:
    """A search in the shape of the HTTP API, checked as the service checks it."""
    from pydantic import ValidationError

    from lumaai.wire import SearchRequest
    from lumaai.wire.faults import invalid_request

    try:
        return SearchRequest.model_validate(body)
    except ValidationError as error:
        with at(place):
            raise invalid_request(error, body, "search does not have the right shape", SearchRequest) from error


def _check_paged(body: wire.SearchRequest) -> None:
    """Refuse what has no pages.

    Raises:
        InvalidRequestError: grouped, or with an offset.
    """
    for name, is_given in (("group_by", body.group_by is not None), ("offset", body.offset != 0)):
        if is_given:
            message = f"a search with a cursor takes no {name}"
            raise InvalidRequestError(message, errors=[ErrorDetail(f"/{name}", "invalid_value", message)])


def _plain_facets(body: wire.SearchRequest) -> Any:
    """The facets as they were given."""
    if isinstance(body.facets, Mapping):
        return {name: spec.model_dump(by_alias=True, exclude_unset=True) for name, spec in body.facets.items()}
    return body.facets


def _highlights(snapshot: engine.Snapshot, body: wire.SearchRequest, found: engine.Hits) -> list[tuple[Highlight, ...]]:
    if "query" not in body.model_fields_set:
        message = "highlight needs a query: words to show in the hits"
        raise InvalidRequestError(message, errors=[ErrorDetail("/highlight", "invalid_value", message)])
    lists = snapshot.highlights(body.query, found.ordinals, body.text_fields)
    return [tuple(Highlight(h.field, h.item, h.text, h.start, h.spans) for h in each) for each in lists]


def _recall_level(level: Any) -> RecallLevel:
    params = {key: value for key, value in asdict(level.parameters).items() if value not in (None, False)}
    return RecallLevel(params, level.recall, level.milliseconds_p50, level.milliseconds_p99)


def _hit_groups(groups: Sequence[engine.Group], ids: Sequence[str]) -> tuple[HitGroup, ...]:
    found, begin = [], 0
    for group in groups:
        found.append(HitGroup(group.value, tuple(ids[begin : begin + group.count])))
        begin += group.count
    return tuple(found)


def _raw_hits(
    snapshot: engine.Snapshot, found: engine.Hits, fields: Sequence[str] | None, bytes_max: int | None
) -> tuple[list[str], list[float], list[bytes], list[PassageHit | None]]:
    """Ids, scores, documents and passages."""
    passages = found.passages
    texts: list[PassageHit | None] = []

    def read(rows: range) -> list[bytes]:
        bodies = snapshot.documents_raw(found.ordinals[rows.start : rows.stop])
        texts.extend(passage_hit(body, passages[row]) for body, row in zip(bodies, rows, strict=True))
        return bodies if fields is None else [selected(body, fields) for body in bodies]

    documents = bounded(range(len(found)), read, bytes_max)
    return found.ids, found.scores.tolist(), documents, texts
