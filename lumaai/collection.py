"""A collection of a database that is open in this process."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from numpy.typing import ArrayLike

import engine
from lumaai.batch import vector_array
from lumaai.documents import Removal, WritableCollection, Write
from lumaai.embedding import UNBOUNDED, EmbedBounds, embed_query
from lumaai.errors import InvalidRequestError, NotFoundError
from lumaai.opened import Opened
from lumaai.pages import bounded, up_to
from lumaai.results import (
    BatchHits,
    CollectionInfo,
    DeleteResult,
    Document,
    Fetched,
    Hits,
    PassageHit,
    ScrollPage,
    WriteResult,
)
from lumaai.scroll import Pin
from lumaai.search import (
    ROWS_MAX,
    RawHits,
    check_mode,
    check_rows,
    check_strings,
    effort_of,
    passage_hit,
    selected,
    vector_field_of,
    whole_number,
)
from lumaai.translation import translated
from lumaai.write import conditions_of, key_of
from lumaai.write import write as write_batch

if TYPE_CHECKING:
    from lumaai.embedding import Vector

Filter = Mapping[str, Any]

SCROLL_LIMIT = 1000

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class Collection(WritableCollection):
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

    @translated
    def info(self) -> CollectionInfo:
        """Name, size and schema."""
        snapshot = self._native.snapshot()
        return CollectionInfo(self.name, snapshot.count(), snapshot.sequence, snapshot.schema.to_json())

    def _write(self, write: Write) -> WriteResult:
        return self.write_bounded(write, UNBOUNDED)

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

    def search(
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
        mode: str = "semantic",
        explain: bool = False,
    ) -> Hits:
        """The documents nearest to a text, to a vector, or to another document; one hit a document.

        Args:
            query: embedded with the collection's model.
            vector: (dim,) numbers.
            id: of a document; it is not among its own hits.
            vector_field: needed where there are several.
            limit: hits at most.
            offset: hits passed over; `limit + offset` at most 10,000.
            filter: only documents that match, such as `{"year": {"$gte": 1990}}`.
            select: fields that the documents come with, beside their id.
            params: `ef_search` (candidates kept in the graph), `exact` (compare with every vector).
            mode: "semantic" is the only one in this version.
            explain: say in `Hits.explain` what ran.

        Raises:
            InvalidRequestError: not exactly one of query, vector and id; a vector of the wrong size; a bad filter.
            NotFoundError: there is no document with that id.
            ModelMismatchError: the collection was embedded with another model than is installed.
        """
        return self.search_raw(
            query, vector=vector, id=id, vector_field=vector_field, limit=limit, offset=offset, filter=filter,
            select=select, params=params, mode=mode, explain=explain,
        ).decoded()  # fmt: skip

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
        mode: str = "semantic",
        explain: bool = False,
        bytes_max: int | None = None,
    ) -> RawHits:
        """As `search`, with documents as the bytes they are stored as: the way of the HTTP service."""
        started = time.perf_counter()
        check_mode(mode)
        rows = check_rows(limit, offset)
        effort = effort_of(params)
        fields = None if select is None else check_strings("select", select)
        if sum(given is not None for given in (query, vector, id)) != 1:
            raise InvalidRequestError("give exactly one of query, vector and id", code="exactly_one")
        # A text is embedded before the snapshot is taken, so that the answer is as fresh as it can be.
        name = vector_field_of(self._native.schema, vector_field, embedded=query is not None)
        target = None if id is not None else self._query_vector(query, vector, name)
        snapshot = self._native.snapshot()
        if id is not None:
            target = _vector_of_document(snapshot, id, name)
        assert target is not None
        found = snapshot.search(
            target, rows + (id is not None), vector_field=name, where=_where(filter, snapshot),
            ef_search=effort.ef_search, exact=effort.exact,
        )  # fmt: skip
        raw = _raw_hits(snapshot, found, slice(offset, offset + limit), id, fields, bytes_max)
        milliseconds = (time.perf_counter() - started) * 1000
        return RawHits(*raw, snapshot.sequence, milliseconds, found.explain if explain else None)

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
        started = time.perf_counter()
        rows = check_rows(limit)
        effort = effort_of(params)
        queries = vector_array(vectors, dimensions=2)
        if not len(queries):
            raise InvalidRequestError("batch is empty: give at least one vector", code="batch_empty")
        snapshot = self._native.snapshot()
        found = snapshot.search_batch(
            queries, rows, vector_field=vector_field_of(snapshot.schema, vector_field, embedded=False),
            where=_where(filter, snapshot), ef_search=effort.ef_search, exact=effort.exact,
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
    ) -> ScrollPage:
        """A page of all documents, or of those that match, in the order of the store.

        All pages show the state at the first one: each document once, whatever is written meanwhile.

        Args:
            limit: documents at most, up to 10,000.
            cursor: `next_cursor` of the page before; None for the first page.
            filter: the same for all pages; may be left out after the first.

        Raises:
            GoneError: the cursor has not been used for five minutes, or its service was restarted.
            InvalidRequestError: the cursor is not one of this collection and filter.
        """
        documents, next_cursor = self.scroll_raw(limit=limit, cursor=cursor, filter=filter)
        return ScrollPage([_decode(document) for document in documents], next_cursor)

    @translated
    def scroll_raw(
        self,
        *,
        limit: int = SCROLL_LIMIT,
        cursor: str | None = None,
        filter: Filter | None = None,  # noqa: A002
        bytes_max: int | None = None,
    ) -> tuple[list[bytes], str | None]:
        """As `scroll`: the documents as the bytes they are stored as, and the next cursor.

        A page ends early, with at least one document, before it is larger than `bytes_max`.
        """
        if whole_number("limit", limit, least=1) > ROWS_MAX:
            raise InvalidRequestError(f"limit is too large: maximum={ROWS_MAX} got={limit}")
        position = 0
        if cursor is None:
            snapshot = self._native.snapshot()
            pin = Pin(self.name, filter, snapshot, snapshot.ordinals(_where(filter, snapshot)))
        else:
            pin, position, cursor_at = self._opened.cursors.resume(cursor)
            if pin.collection != self.name or filter not in (None, pin.filter):
                raise InvalidRequestError("cursor is of another collection or filter", code="cursor_invalid")
        end = position + limit
        documents = up_to(pin.ordinals[position:end], pin.snapshot.documents_raw, bytes_max)
        end = position + (len(documents) or limit)
        if end >= len(pin.ordinals):
            return documents, None
        return documents, self._opened.cursors.start(pin, end) if cursor is None else cursor_at(end)

    @translated
    def optimize(self, *, wait: bool = True) -> None:
        """Merge what has been written into one index: searches become faster, deleted rows are freed."""
        self._native.optimize(wait=wait)

    @translated
    def stats(self) -> dict[str, Any]:
        """Documents, rows, segments, bytes."""
        return self._native.stats()

    def _query_vector(self, query: str | None, vector: ArrayLike | None, name: str) -> Vector:
        if vector is not None:
            return vector_array(vector, dimensions=1)
        embedder = self._opened.embedders.of(self._native.schema.embed[name], self.name)
        return embed_query(embedder, query)


def _where(filter: Filter | None, snapshot: engine.Snapshot) -> engine.Filter | None:  # noqa: A002
    return None if filter is None else engine.parse_filter(filter, snapshot.schema)


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


def _vector_of_document(snapshot: engine.Snapshot, id_: object, name: str) -> Vector:
    """The vector of a stored document: the mean of its passages' where it has several."""
    (wanted,) = check_strings("id", [id_])
    vectors = snapshot.vectors_of(wanted, name)
    if not len(vectors):
        if snapshot.get_raw([wanted]) == [None]:
            raise NotFoundError(f"document does not exist: {wanted!r:.100}", code="document_not_found")
        raise InvalidRequestError(f"document {wanted!r:.100} has no vector in {name!r}", code="vector_missing")
    return np.ascontiguousarray(vectors.mean(axis=0), dtype=np.float32)


def _raw_hits(
    snapshot: engine.Snapshot,
    found: engine.Hits,
    page: slice,
    without: str | None,
    fields: Sequence[str] | None,
    bytes_max: int | None,
) -> tuple[list[str], list[float], list[bytes], list[PassageHit | None]]:
    """A page of the hits: ids, scores, documents, passages."""
    ids, scores, passages = found.ids, found.scores.tolist(), found.passages
    chosen = [row for row, id_ in enumerate(ids) if id_ != without][page]
    texts: list[PassageHit | None] = []

    def read(rows: list[int]) -> list[bytes]:
        bodies = snapshot.documents_raw(found.ordinals[rows])
        texts.extend(passage_hit(body, passages[row]) for body, row in zip(bodies, rows, strict=True))
        return bodies if fields is None else [selected(body, fields) for body in bodies]

    documents = bounded(chosen, read, bytes_max)
    return [ids[row] for row in chosen], [scores[row] for row in chosen], documents, texts
