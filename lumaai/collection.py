"""A collection of a database that is open in this process."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import EllipsisType
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

import engine
from lumaai.countable import CountableCollection
from lumaai.declare import said_of
from lumaai.documents import Removal, WritableCollection, Write
from lumaai.embedded_search import EmbeddedSearches, where_of
from lumaai.embedding import UNBOUNDED, EmbedBounds
from lumaai.ingestion.manifest import FIELDS, manifest_name
from lumaai.opened import Opened
from lumaai.pages import bounded, up_to
from lumaai.results import (
    CollectionInfo,
    DeleteResult,
    Document,
    Fetched,
    ScrollPage,
    WriteResult,
)
from lumaai.scroll import Pin, cursor_fault
from lumaai.search import (
    check_page,
    check_strings,
)
from lumaai.searchable import Filter
from lumaai.translation import translated
from lumaai.write import conditions_of, key_of
from lumaai.write import write as write_batch

Order = str | Mapping[str, str] | Sequence[str | Mapping[str, str]]

SCROLL_LIMIT = 1000

_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


class Collection(WritableCollection, EmbeddedSearches, CountableCollection):
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
        return snapshot.count(where_of(filter, snapshot))

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
            pin = Pin(self.name, filter, snapshot, _in_order(snapshot, order_by, where_of(filter, snapshot)), order_by)
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
        return engine.count_facets(snapshot, facets, where_of(filter, snapshot), cancelled=cancelled)

    @translated
    def _statistics(self) -> dict[str, Any]:
        return {name: figures.to_json() for name, figures in self._native.snapshot().statistics().items()}

    @translated
    def _explain(self, filter: Filter) -> dict[str, Any]:  # noqa: A002
        snapshot = self._native.snapshot()
        return engine.explain_filter(snapshot, engine.parse_filter(filter, snapshot.schema))


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
