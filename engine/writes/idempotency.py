"""Idempotency keys: a write that is sent twice happens once, and both times gets the same answer.

What became of a write is kept under its key in the same batch as the write itself, so that neither is there without
the other. Of documents that are deleted it names the ids until a purge (`Reclaim.purge`) takes them out: they are ""
in the record then, and a replay leaves them out. The keys themselves stay, for their day: nothing that must not be
kept belongs in them.
"""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any

import msgspec

from engine.document import is_unicode
from engine.errors import IdempotencyConflictError, InvalidInputError
from engine.store import keys
from engine.store.pieces import Pieces
from engine.store.rocks import SYSTEM, Store

KEY_CHARACTERS_MAX = 255
KEEP_SECONDS = 24 * 3600.0
KEEP_RECORDS = 100_000  # of a collection
KEEP_BYTES = 256 * 1024 * 1024  # likewise: a record of 1,000 documents takes about 45 KB
SWEEP_RECORDS = 1_000  # after so many new ones, or `SWEEP_SECONDS`, the old ones are looked for
SWEEP_SECONDS = 600.0
Absent = Callable[[Sequence[str]], AbstractSet[str]]  # of some ids, those that no document has


@dataclass(frozen=True, slots=True)
class IdempotencyKey:
    """Names one write of a collection.

    Attributes:
        key: the caller's, 1 to 255 characters.
        fingerprint: of the request, so that the same key with another request is noticed.
        context: the caller's own, kept beside the result and given back with it.
    """

    key: str
    fingerprint: str
    context: bytes = b""

    def __post_init__(self) -> None:
        given: Any = self.key
        if not isinstance(given, str) or not is_unicode(given):
            raise InvalidInputError(f"idempotency key must be a string of Unicode: got={type(given).__name__}")
        if not 1 <= len(given) <= KEY_CHARACTERS_MAX:
            rule = f"idempotency key must have 1 to {KEY_CHARACTERS_MAX} characters"
            raise InvalidInputError(f"{rule}: got={len(given)}")


class _Record(msgspec.Struct, array_like=True):
    fingerprint: str
    result: dict[str, Any]


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(_Record)
_MADE = struct.Struct(">d")  # seconds since 1970, before the record
_SIZE = struct.Struct(">I")  # of a record, in the index by time


class IdempotencyRecords:
    """The records of one collection, and an index of them by when they were made. Safe for many threads.

    `_lock` guards how many there are, and when they were last swept.
    """

    def __init__(self, store: Store, collection: int) -> None:
        self._store = store
        self._collection = collection
        self._lock = threading.Lock()
        self._count = self._bytes = 0  # at least: an entry counts also where it was not written after all
        self._counted = False
        self._entries = 0  # made since they were last swept
        self._swept = -SWEEP_SECONDS  # so the first sweep looks at what an earlier process left

    def find(self, key: IdempotencyKey) -> dict[str, Any] | None:
        """What became of the write of that key, as it was given to `entry`; None where there is none, or no longer.

        Raises:
            IdempotencyConflictError: the key was used for another request.
        """
        value = self._store.get(SYSTEM, keys.idempotency_key(self._collection, key.key))
        if value is None:
            return None
        if time.time() - _made(value) > KEEP_SECONDS:
            return None
        record = _decoder.decode(value[_MADE.size :])
        if record.fingerprint != key.fingerprint:
            raise IdempotencyConflictError(f"idempotency key was used for another request: key={key.key!r}")
        return record.result

    def put(self, pieces: Pieces, key: IdempotencyKey, result: dict[str, Any]) -> None:
        """Put a record into the batch of its write."""
        value = _MADE.pack(time.time()) + _encoder.encode(_Record(key.fingerprint, result))
        with self._lock:
            self._entries += 1
            self._count += 1
            self._bytes += len(value)
        pieces.put(SYSTEM, keys.idempotency_key(self._collection, key.key), value)
        pieces.put(SYSTEM, self._time_key(value, key.key.encode()), _SIZE.pack(len(value)))

    def old(self) -> list[bytes]:
        """Now and then, the keys in the index of the records that are too old or too many; else none.

        Reads no more of the index than is returned, but for the first time.
        """
        now = time.monotonic()
        with self._lock:
            if self._entries < SWEEP_RECORDS and now - self._swept < SWEEP_SECONDS:
                return []
            self._entries, self._swept = 0, now
        if not self._counted:
            self._recount()
        with self._lock:
            count, size = self._count, self._bytes
        found = []
        for key, value in self._store.items(SYSTEM, *keys.idempotency_times(self._collection)):
            if count <= KEEP_RECORDS and size <= KEEP_BYTES and time.time() - self._time_of(key) <= KEEP_SECONDS:
                break
            found.append(key)
            count, size = count - 1, size - _SIZE.unpack(value)[0]
        return found

    def drop(self, found: Sequence[bytes]) -> None:
        """Delete what `old` found. The caller holds the write lock: a key may be in use again."""
        batch = self._store.batch()
        start = len(keys.idempotency_times(self._collection)[0]) + _MADE.size
        records = [keys.idempotency_range(self._collection)[0] + each[start:] for each in found]
        sizes = 0
        values = self._store.get_many(SYSTEM, records)
        for each, record, value in zip(found, records, values, strict=True):
            batch.delete(SYSTEM, each)
            if value is not None and self._time_key(value, each[start:]) == each:
                batch.delete(SYSTEM, record)
                sizes += len(value)
        batch.flush()
        with self._lock:
            self._count, self._bytes = max(0, self._count - len(found)), max(0, self._bytes - sizes)

    def naming(self, absent: Absent) -> Iterator[tuple[bytes, bytes, bytes | None]]:
        """The records that name documents which are not there, or may do so.

        Args:
            absent: see `Absent`.

        Yields:
            A record's key in `system`, its value, and the value without those ids: they read "" then. None where the
            record has a context: nobody here can tell what that names.
        """
        for key, value in self._store.items(SYSTEM, *keys.idempotency_records(self._collection)):
            record = _decoder.decode(value[_MADE.size :])
            gone = absent(record.result["ids"])
            if record.result.get("context"):
                yield key, value, None
            elif gone:
                record.result["ids"] = ["" if id_ in gone else id_ for id_ in record.result["ids"]]
                yield key, value, value[: _MADE.size] + _encoder.encode(record)

    def replace(self, key: bytes, before: bytes, after: bytes | None) -> None:
        """Put `after` in place of a record that `naming` found. The caller holds the write lock."""
        if self._store.get(SYSTEM, key) != before:
            return  # the key is in use again
        batch = self._store.batch()
        if after is None:
            batch.delete(SYSTEM, key)
            batch.delete(SYSTEM, self._time_key(before, key[len(keys.idempotency_range(self._collection)[0]) :]))
        else:
            batch.put(SYSTEM, key, after)
        batch.flush()

    def _recount(self) -> None:
        """Count what there is; what is just being written may be left out."""
        times = keys.idempotency_times(self._collection)
        sizes = [_SIZE.unpack(size)[0] for _, size in self._store.items(SYSTEM, *times)]
        with self._lock:
            self._count, self._bytes, self._counted = len(sizes), sum(sizes), True

    def _time_key(self, value: bytes, key: bytes) -> bytes:
        """The key in the index of a record; times after 1970 are in the order of their bytes."""
        return keys.idempotency_times(self._collection)[0] + value[: _MADE.size] + key

    def _time_of(self, key: bytes) -> float:
        seconds: float = _MADE.unpack_from(key, len(keys.idempotency_times(self._collection)[0]))[0]
        return seconds


def _made(value: bytes) -> float:
    seconds: float = _MADE.unpack_from(value)[0]
    return seconds


def move_records(store: Store, pieces: Pieces, collection: int, to: int) -> None:
    """Put the records of one collection under the number of another into a batch.

    Args:
        store: holds them.
        pieces: the batch.
        collection: whose they are; they stay there, too, until it is dropped.
        to: whose they will be as well.
    """
    first, beyond = keys.idempotency_range(collection)
    own = keys.idempotency_range(to)[0]
    for key, value in store.items(SYSTEM, first, beyond):
        pieces.put(SYSTEM, own + key[len(first) :], value)
