"""A collection of a database that is open in this process."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict
from types import EllipsisType
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

import engine
from lumaai.batch import vector_array
from lumaai.composing import Composer, at, vector_of_document
from lumaai.countable import CountableCollection
from lumaai.declare import said_of
from lumaai.documents import Removal, WritableCollection, Write
from lumaai.embedding import UNBOUNDED, EmbedBounds, embed_query
from lumaai.errors import ErrorDetail, InvalidRequestError
from lumaai.ingestion.manifest import FIELDS, manifest_name
from lumaai.opened import Opened
from lumaai.pages import bounded, up_to
from lumaai.ranked_pages import RankedPages
from lumaai.results import (
    BatchHits,
    CollectionInfo,
    DeleteResult,
    Document,
    Fetched,
    Highlight,
    HitGroup,
    Hits,
    PassageHit,
    RecallLevel,
    RecallReport,
    ScrollPage,
    WriteResult,
)
from lumaai.scroll import Pin, cursor_fault
from lumaai.search import (
    RawHits,
    check_page,
    check_rows,
    check_strings,
    effort_of,
    passage_hit,
    selected,
    vector_field_of,
)
from lumaai.searchable import Search, SearchableCollection
from lumaai.translation import translated
from lumaai.write import conditions_of, key_of
from lumaai.write import write as write_batch

if TYPE_CHECKING:
    from lumaai import wire
    from lumaai.embedding import Vector

Filter = Mapping[str, Any] | str
Order = str | Mapping[str, str] | Sequence[str | Mapping[str, str]]

SCROLL_LIMIT = 1000

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class Collection(WritableCollection, SearchableCollection, CountableCollection):
    """Documents under one name, with their vectors. Made by `Database`; safe for many threads.

    Every read sees one state of the collection; what a write has returned from is seen by the next read. After the
    database was restored it is the collection of that name in what was restored.
    """

    def __init__(self, native: engine.Collection, opened: Opened) -> None:
        self._found = native
        self._opened = opened
        self._generation = opened.generation

    def __repr__(self) -> str:
        return f"Collection({self.name!r})"

    @property
    def _native(self) -> engine.Collection:
        if self._generation != self._opened.generation:
            generation, self._found = self._opened.generation, self._opened.native.collection(self.name)
            self._generation = generation
        return self._found

    @property
    def name(self) -> str:
        """The name it was created with."""
        return self._found.name

    @property
    @translated
    def has_text_at_hand(self) -> bool:
        """Whether a search for words would wait for nothing: the text index is known to have all that was written."""
        return self._native.snapshot().has_text_view

    @translated
    def info(self) -> CollectionInfo:
        """Name, size and schema."""
        snapshot = self._native.snapshot()
        return CollectionInfo(self.name, snapshot.count(), snapshot.sequence, snapshot.schema.to_json())

    @translated
    def describe(
        self,
        description: str | EllipsisType | None = ...,
        synonyms: Sequence[str] | EllipsisType | None = ...,
        fields: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> CollectionInfo:
        """Say what the collection and its fields are about; questions are read with it. None takes away.

        Args:
            description: of the collection.
            synonyms: other words for it.
            fields: by name, `description`, `synonyms` and `references`.

        Raises:
            InvalidRequestError: a field that there is not, or what is said is malformed.
        """
        self._native.describe(said_of(description, synonyms, fields))
        return self.info()

    def _write(self, write: Write) -> WriteResult:
        result = self.write_bounded(write, UNBOUNDED)
        write.tell(len(write.batch.documents), len(write.batch.documents))
        return result

    @translated
    def _manifest(self) -> Collection:
        name, database = manifest_name(self.name), self._opened.native
        if name not in database.collections():
            with suppress(engine.CollectionExistsError):  # another thread was quicker
                database.create_collection(name, engine.Schema.from_json({"fields": FIELDS}))
        return Collection(database.collection(name), self._opened)

    @translated
    def write_bounded(self, write: Write, bounds: EmbedBounds) -> WriteResult:
        """As `add`, `insert` and `patch`, within bounds on what is embedded: the way of the HTTP service.

        Raises:
            TooLargeError: there is more text to embed than the bounds allow.
            OverloadedError: it was stopped; nothing was written.
        """
        return write_batch(
            self._native, write, self._opened.embedders, durability=self._opened.durability, bounds=bounds
        )

    @translated
    def _remove(self, removal: Removal) -> DeleteResult:
        native, options = self._native, removal.options
        content = {"ids": removal.ids, "filter": removal.filter}
        key = None if removal.dry_run else key_of("delete", content, {}, options)
        done = None if key is None else native.replayed(key)
        if done is None:
            done = native.delete(
                ids=removal.ids,
                where=None if removal.filter is None else engine.parse_filter(removal.filter, native.schema),
                dry_run=removal.dry_run,
                conditions=conditions_of(options, native.schema),
                durability=engine.Durability(options.durability or self._opened.durability),
                key=key,
            )
        return DeleteResult(done.sequence, done.deleted, str(done.durability), done.replayed, removal.dry_run)

    @property
    @translated
    def embeds(self) -> bool:
        """Whether text is embedded when documents are added."""
        return bool(self._native.schema.embed)

    @translated
    def get(self, ids: Sequence[str], *, vectors: bool = False) -> list[Document | None]:
        """Documents by id, None where there is none.

        Args:
            ids: in any order; the answer has the same.
            vectors: with each document's vectors, as lists, under the names of their fields.
        """
        return self._native.snapshot().get(check_strings("ids", ids), vectors=vectors)

    @translated
    def fetch(self, ids: Sequence[str], *, vectors: bool = False) -> Fetched:
        """Documents by id with the versions they have: what `if_version` takes to write only if nobody else has.

        Args:
            ids: in any order; the answer has the same.
            vectors: with each document's vectors.
        """
        snapshot, names = self._native.snapshot(), check_strings("ids", ids)
        return Fetched(snapshot.get(names, vectors=vectors), snapshot.versions(names))

    @translated
    def fetch_raw(
        self, ids: Sequence[str], *, vectors: bool = False, bytes_max: int | None = None
    ) -> tuple[list[bytes | None], list[int | None]]:
        """As `fetch`: documents as JSON bytes, and their versions.

        Raises:
            TooLargeError: the documents are more than `bytes_max` together.
        """
        snapshot, names = self._native.snapshot(), check_strings("ids", ids)
        return _documents_raw(snapshot, names, vectors=vectors, bytes_max=bytes_max), snapshot.versions(names)

    @translated
    def get_raw(self, ids: Sequence[str], *, vectors: bool = False, bytes_max: int | None = None) -> list[bytes | None]:
        """Documents by id as JSON bytes, None where there is none.

        Args:
            ids: in any order; the answer has the same.
            vectors: with each document's vectors.
            bytes_max: of all documents together.

        Raises:
            TooLargeError: they are more.
        """
        snapshot, names = self._native.snapshot(), check_strings("ids", ids)
        return _documents_raw(snapshot, names, vectors=vectors, bytes_max=bytes_max)

    @translated
    def count(self, filter: Filter | None = None) -> int:  # noqa: A002 - the API's word
        """How many documents there are, or match a filter."""
        snapshot = self._native.snapshot()
        return snapshot.count(_where(filter, snapshot))

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
        where = _where(filter, snapshot)
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
    def answer_raw(self, body: wire.SearchRequest, *, bytes_max: int | None = None) -> RawHits:
        """A search of any kind: the way of the HTTP service."""
        if "cursor" in body.model_fields_set:
            return self._page_raw(body, bytes_max)
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

    def _page_raw(self, body: wire.SearchRequest, bytes_max: int | None) -> RawHits:
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
        next_cursor = None if end is None else cursors.start(pages, end) if is_first else cursor_at(end)
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
    ) -> list[RawHits]:
        """Several searches, one after the other; `bytes_max` holds for each, `cancelled` ends them between two."""
        answers = []
        for place, body in enumerate(bodies):
            engine.check_wanted(cancelled)
            with at(f"/searches/{place}"):
                answers.append(self.answer_raw(body, bytes_max=bytes_max))
        return answers

    @translated
    def _recall(self, body: dict[str, Any]) -> RecallReport:
        snapshot = self._native.snapshot()
        report = snapshot.recall(
            body["queries"], body["limit"], where=_where(body.get("filter"), snapshot),
            vector_field=vector_field_of(snapshot.schema, body.get("vector_field"), embedded=False),
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
            where=_where(filter, snapshot), parameters=effort, cancelled=cancelled,
        )  # fmt: skip
        milliseconds = (time.perf_counter() - started) * 1000
        ids, scores = [list(hits.ids) for hits in found], [hits.scores for hits in found]
        return BatchHits.of(ids, scores, rows, snapshot.sequence, milliseconds)

    @translated
    def scroll(
        self,
        *,
        limit: int = SCROLL_LIMIT,
        cursor: str | None = None,
        filter: Filter | None = None,  # noqa: A002
        order_by: Order | None = None,
    ) -> ScrollPage:
        """A page of all documents, or of those that match, in the order of the store or of some fields.

        All pages show the state at the first one: each document once, whatever is written meanwhile.

        Args:
            limit: documents at most, up to 10,000.
            cursor: `next_cursor` of the page before; None for the first page.
            filter: the same for all pages; may be left out after the first.
            order_by: `"year"`, `"year desc"`, or a list of those; documents without the field come last, those that are
                equal in the order of the store. As the filter, it may be left out after the first page.

        Raises:
            GoneError: the cursor has not been used for five minutes, is older than an hour, or its service was
                restarted.
            InvalidRequestError: the cursor is not one of this collection, filter and order; there is no such field.
        """
        documents, next_cursor = self.scroll_raw(limit=limit, cursor=cursor, filter=filter, order_by=order_by)
        return ScrollPage([_decode(document) for document in documents], next_cursor)

    @translated
    def scroll_raw(
        self,
        *,
        limit: int = SCROLL_LIMIT,
        cursor: str | None = None,
        filter: Filter | None = None,  # noqa: A002
        order_by: Order | None = None,
        bytes_max: int | None = None,
        owner: str = "",
    ) -> tuple[list[bytes], str | None]:
        """As `scroll`: the documents as the bytes they are stored as, and the next cursor.

        A page ends early, with at least one document, before it is larger than `bytes_max`; the cursor is `owner`'s.
        """
        check_page(limit)
        position = 0
        if cursor is None:
            snapshot = self._native.snapshot()
            pin = Pin(self.name, filter, snapshot, _in_order(snapshot, order_by, _where(filter, snapshot)), order_by)
        else:
            pinned, position, cursor_at = self._opened.cursors.resume(cursor)
            if not isinstance(pinned, Pin):
                raise cursor_fault("cursor is of a search")
            pin = pinned
            is_same = filter in (None, pin.filter) and order_by in (None, pin.order_by)
            if pin.collection != self.name or not is_same:
                raise cursor_fault("cursor is of another collection, filter or order")
        end = position + limit
        documents = up_to(pin.ordinals[position:end], pin.snapshot.documents_raw, bytes_max)
        end = position + (len(documents) or limit)
        if end >= len(pin.ordinals):
            return documents, None
        return documents, self._opened.cursors.start(pin, end, owner) if cursor is None else cursor_at(end)

    @translated
    def optimize(self, *, wait: bool = True) -> None:
        """Merge what has been written into one index: searches become faster, deleted rows are freed."""
        self._native.optimize(wait=wait)

    @translated
    def stats(self) -> dict[str, Any]:
        """Documents, rows, segments, bytes."""
        return self._native.stats()

    @translated
    def _facets(self, facets: Any, filter: Filter | None) -> dict[str, Any]:  # noqa: A002
        return self.facets_while(None, facets, filter)

    @translated
    def facets_while(self, cancelled: Callable[[], bool] | None, facets: Any, filter: Filter | None) -> dict[str, Any]:  # noqa: A002
        """As `facets`; `cancelled` ends it between some documents and the next."""
        snapshot = self._native.snapshot()
        return engine.count_facets(snapshot, facets, _where(filter, snapshot), cancelled=cancelled)

    @translated
    def _statistics(self) -> dict[str, Any]:
        return {name: figures.to_json() for name, figures in self._native.snapshot().statistics().items()}

    @translated
    def _explain(self, filter: Filter) -> dict[str, Any]:  # noqa: A002
        snapshot = self._native.snapshot()
        return engine.explain_filter(snapshot, engine.parse_filter(filter, snapshot.schema))

    def _query_vector(self, query: str | None, vector: ArrayLike | None, name: str) -> Vector:
        if vector is not None:
            return vector_array(vector, dimensions=1)
        embedder = self._opened.embedders.of(self._native.schema.embed[name], self.name)
        return embed_query(embedder, query)


def _where(filter: Filter | None, snapshot: engine.Snapshot) -> engine.Filter | None:  # noqa: A002
    return None if filter is None else engine.parse_filter(filter, snapshot.schema)


def _in_order(snapshot: engine.Snapshot, order_by: Order | None, where: engine.Filter | None) -> NDArray[np.uint32]:
    """The documents that satisfy a filter, in the order of the store or of some fields."""
    if order_by is None:
        return snapshot.ordinals(where)
    return engine.ordered(snapshot, engine.parse_order(order_by), where)


def _documents_raw(
    snapshot: engine.Snapshot, ids: Sequence[str], *, vectors: bool, bytes_max: int | None
) -> list[bytes | None]:
    """Documents by id as JSON bytes, None where there is none, `bytes_max` at most."""

    def read(some: Sequence[str]) -> list[bytes | None]:
        if not vectors:
            return snapshot.get_raw(some)
        found = snapshot.get(some, vectors=True)
        return [None if document is None else _encode(document) for document in found]

    return bounded(ids, read, bytes_max)


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
