"""What segments are built from: the live documents of other parts, or the store."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyarrow as pa
from pyroaring import BitMap

from engine.arrays import Mask, Ordinals, Rows, Vectors
from engine.document import Passage, decode, is_unicode
from engine.errors import CollectionNotFoundError, CorruptionError, InvalidInputError
from engine.fields.columns import ID_FIELD, build_columns
from engine.schema import ID, Schema
from engine.segments.head import HeadVectors
from engine.segments.nulls import joined as join_nulls
from engine.segments.nulls import nulls_of_documents, with_nulls
from engine.segments.part import Part
from engine.segments.rows import RowOrigins
from engine.segments.segment import SegmentData
from engine.store import codec, keys
from engine.store.checks import read_number
from engine.store.rocks import DOCUMENTS, IDS, VECTORS, Store
from engine.writes.expiry import Microseconds
from engine.writes.expiry import joined as join_expiries

TOUCHED_IDS = 10_000  # of published changes, for snapshots a little older: about 1 MB a collection


def from_parts(parts: Sequence[Part], live: Sequence[Mask | None], schema: Schema) -> SegmentData:
    """The live documents of several parts, in order of ordinals.

    Args:
        parts: in order of their ordinals, which do not overlap.
        live: for each part, which of its documents live; None for all.
        schema: what columns and vectors to keep.
    """
    tables, ordinals, places = [], [], []
    vectors: dict[str, list[tuple[Vectors, RowOrigins]]] = {}
    base = 0
    for part, mask in zip(parts, live, strict=True):
        kept = np.arange(len(part.ordinals)) if mask is None else np.flatnonzero(mask)
        ordinals.append(part.ordinals[kept])
        places.append(kept)
        fields = {ID: ID_FIELD, **schema.fields}
        table = pa.table({name: part.column(name, field) for name, field in fields.items()})
        tables.append(table if mask is None else table.take(pa.array(kept)))
        for name in schema.vectors:
            taken = _take_vectors(part, name, kept, base)
            if taken is not None:
                vectors.setdefault(name, []).append(taken)
        base += len(kept)
    joined = {
        name: (np.concatenate([v for v, _ in pieces]), RowOrigins.concatenate([o for _, o in pieces]))
        for name, pieces in vectors.items()
    }
    columns = with_nulls(pa.concat_tables(tables), join_nulls([part.nulls() for part in parts], places))
    return SegmentData(np.concatenate(ordinals), columns, joined, join_expiries(parts, places))


def _take_vectors(part: Part, name: str, kept: Any, base: int) -> tuple[Vectors, RowOrigins] | None:
    found = part.vector_part(name)
    if found is None:
        return None
    place = np.full(len(part.ordinals), -1, dtype=np.int64)
    place[kept] = base + np.arange(len(kept))
    documents = place[found.origins.documents]
    rows = np.flatnonzero(documents >= 0)
    if not len(rows):
        return None
    return found.vectors[rows], found.origins.take(rows, documents[rows])


def from_store(store: Store, collection: int, schema: Schema, ordinals: BitMap, rows: dict[str, BitMap]) -> SegmentData:
    """Documents and vectors of a lost segment, read back from the store."""
    wanted = np.array(ordinals, dtype=np.uint32)
    bodies, expires = read_documents(store, collection, wanted)
    documents = [decode(body) for body in bodies]
    columns = with_nulls(pa.table(build_columns(schema, documents)), nulls_of_documents(documents))
    vectors = {}
    for name, numbers in rows.items():
        given, owners, passages = read_vectors(store, collection, schema, name, numbers)
        growing = HeadVectors(schema.vectors[name])
        growing.append(np.array(numbers, dtype=np.uint32), given, np.searchsorted(wanted, owners), passages)
        view = growing.view()
        vectors[name] = (view.vectors, view.origins)
    return SegmentData(wanted, columns, vectors, expires)


def read_bodies(store: Store, collection: int, ordinals: Any) -> list[bytes]:
    """The JSON of documents by ordinal.

    Raises:
        CorruptionError: one is not there.
    """
    wanted = np.asarray(ordinals, dtype=np.int64).tolist()  # of scalars as of arrays
    return codec.decode_documents(store.get_many(DOCUMENTS, keys.document_keys(collection, wanted)), wanted)


def read_documents(store: Store, collection: int, ordinals: Any) -> tuple[list[bytes], Microseconds | None]:
    """The JSON of documents by ordinal, and when each expires; None where none does.

    Raises:
        CorruptionError: one is not there.
    """
    values = _read_values(store, collection, ordinals)
    expires = np.array([codec.decode_expiry(value) for value in values], dtype=np.int64)
    return [codec.decode_document(value) for value in values], expires if (expires != codec.NEVER).any() else None


def _read_values(store: Store, collection: int, ordinals: Any) -> list[bytes]:
    values = store.get_many(DOCUMENTS, [keys.document_key(collection, int(ordinal)) for ordinal in ordinals])
    return [codec.present(value, "document", n) for value, n in zip(values, ordinals, strict=True)]


def read_vectors(
    store: Store, collection: int, schema: Schema, name: str, numbers: Iterable[int]
) -> tuple[Vectors, Rows, list[Passage | None]]:
    """Vectors by row as they were given, (n, dim); the ordinals of their documents, (n,); and their passages.

    Raises:
        CorruptionError: one is not there, or is cut short.
    """
    dim, place, wanted = schema.vectors[name].dim, list(schema.vectors).index(name), list(numbers)
    values = store.get_many(VECTORS, [keys.vector_key(collection, place, number) for number in wanted])
    vectors = np.empty((len(wanted), dim), dtype=np.float32)
    ordinals = np.empty(len(wanted), dtype=np.int64)
    passages = []
    for i, value in enumerate(values):
        vectors[i], ordinals[i], passage = codec.decode_vector(codec.present(value, "vector", wanted[i]), dim)
        passages.append(passage)
    return vectors, ordinals, passages


class TouchedIds:
    """Which ids the changes in flight, and the last ones before, have replaced or deleted.

    A snapshot asks it which of the ids that the store no longer has it may have. Safe for many threads; `_lock` guards
    all of it.

    Attributes:
        written: sequence of the last change.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.written = 0
        self._floor = 0  # what changes up to here have touched is not known
        self._changes: deque[tuple[int, Sequence[str]]] = deque()
        self._last: dict[str, int] = {}
        self._size = 0

    def add(self, sequence: int, ids: Sequence[str], published: int) -> None:
        """Take in what a change touches; forget the oldest of what is published, where that is much."""
        with self._lock:
            self.written = sequence
            if ids:
                self._changes.append((sequence, ids))
                self._size += len(ids)
                self._last.update(dict.fromkeys(ids, sequence))
            while self._size > TOUCHED_IDS and self._changes[0][0] <= published:
                self._floor, oldest = self._changes.popleft()
                self._size -= len(oldest)
                for id_ in oldest:
                    if self._last.get(id_) == self._floor:
                        del self._last[id_]

    def forget(self, sequence: int) -> None:
        """What the changes up to `sequence` have touched is not known."""
        with self._lock:
            self.written = self._floor = sequence
            self._changes.clear()
            self._last.clear()
            self._size = 0

    def after(self, ids: Sequence[str], sequence: int) -> list[str]:
        """See `Reader.touched`."""
        with self._lock:
            if sequence < self._floor:
                return list(ids)
            return [id_ for id_ in ids if self._last.get(id_, 0) > sequence]


class StoreReader:
    """The store as the snapshots of one collection see it.

    Attributes:
        dropped: set before the collection is deleted from the store, where snapshots then find nothing.
    """

    def __init__(self, store: Store, number: int, name: str) -> None:
        self._store = store
        self._number = number
        self._name = name
        self.dropped = False
        self._touched = TouchedIds()
        self._version_floor = read_number(store, keys.VERSION_FLOOR)

    @property
    def written(self) -> int:
        """See `Reader.written`. Set where it is not known what the changes up to there have touched."""
        return self._touched.written

    @written.setter
    def written(self, sequence: int) -> None:
        self._touched.forget(sequence)

    def writing(self, sequence: int, ids: Sequence[str], published: int) -> None:
        """To be called before a change is written to the store.

        Args:
            sequence: of the change.
            ids: that are there, and that it replaces or deletes.
            published: sequence of the newest snapshot.
        """
        self._touched.add(sequence, ids, published)

    def touched(self, ids: Sequence[str], sequence: int) -> list[str]:
        """See `Reader.touched`."""
        return self._touched.after(ids, sequence)

    def bodies(self, ordinals: Ordinals) -> list[bytes]:
        """See `Reader.bodies`."""
        with self._explained():
            return read_bodies(self._store, self._number, ordinals)

    def lookup(self, ids: Sequence[str]) -> list[tuple[int, int] | None]:
        """See `Reader.lookup`. An id that is not Unicode is nowhere.

        Raises:
            InvalidInputError: an id is no string.
        """
        if set(map(type, ids)) - {str} and not all(isinstance(id_, str) for id_ in ids):
            raise InvalidInputError("ids must be strings")
        try:
            values = self._store.get_many(IDS, keys.id_keys(self._number, ids))
        except UnicodeEncodeError:
            known = iter(self._store.get_many(IDS, [keys.id_key(self._number, id_) for id_ in ids if is_unicode(id_)]))
            values = [next(known) if is_unicode(id_) else None for id_ in ids]
        if self.dropped:  # asked after reading: then nothing found means nothing
            raise CollectionNotFoundError(self._name)
        hits, floor = codec.decode_ids(values), self._version_floor
        return [hit and (hit[0], max(hit[1], floor)) for hit in hits] if floor else hits

    def vectors(self, schema: Schema, name: str, rows: Any) -> Vectors:
        """See `Reader.vectors`."""
        with self._explained():
            return read_vectors(self._store, self._number, schema, name, [int(row) for row in rows])[0]

    @contextmanager
    def _explained(self) -> Iterator[None]:
        """What a dropped collection has lost is no damage."""
        try:
            yield
        except CorruptionError as error:
            if self.dropped:
                raise CollectionNotFoundError(self._name) from error
            raise
