"""Idempotency keys: a write that is sent twice happens once, and both times gets the same answer.

What became of a write is kept under its key in the same batch as the write itself, so that neither is there without
the other.
"""

from __future__ import annotations

import struct
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from engine.document import is_unicode
from engine.errors import IdempotencyConflictError, InvalidInputError
from engine.store import keys
from engine.store.rocks import SYSTEM, Store

KEY_CHARACTERS_MAX = 255
KEEP_SECONDS = 24 * 3600.0
KEEP_RECORDS = 100_000  # of a collection
SWEEP_RECORDS = 1_000  # after so many new ones, or `SWEEP_SECONDS`, the old ones are looked for
SWEEP_SECONDS = 600.0


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


class IdempotencyRecords:
    """The records of one collection. Safe for many threads; `_lock` guards when they were last swept."""

    def __init__(self, store: Store, collection: int) -> None:
        self._store = store
        self._collection = collection
        self._lock = threading.Lock()
        self._entries = 0  # made since then
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

    def entry(self, key: IdempotencyKey, result: dict[str, Any]) -> tuple[bytes, bytes]:
        """What is to be put into `system` with the write: key and value."""
        with self._lock:
            self._entries += 1
        value = _MADE.pack(time.time()) + _encoder.encode(_Record(key.fingerprint, result))
        return keys.idempotency_key(self._collection, key.key), value

    def old(self) -> list[bytes]:
        """Now and then, the keys in `system` of the records that are too old or too many; else none."""
        now = time.monotonic()
        with self._lock:
            if self._entries < SWEEP_RECORDS and now - self._swept < SWEEP_SECONDS:
                return []
            self._entries, self._swept = 0, now
        begin, end = keys.idempotency_range(self._collection)
        return too_old(((_made(value), key) for key, value in self._store.items(SYSTEM, begin, end)), time.time())

    def drop(self, found: Sequence[bytes]) -> None:
        """Delete what `old` found. The caller holds the write lock: a key may be in use again."""
        batch = self._store.batch()
        for key, value in zip(found, self._store.get_many(SYSTEM, found), strict=True):
            if value is not None and _made(value) < time.time() - SWEEP_SECONDS:
                batch.delete(SYSTEM, key)
        batch.flush()


def too_old(records: Iterable[tuple[float, bytes]], now: float) -> list[bytes]:
    """Keys of the records beyond `KEEP_SECONDS`, and of the oldest beyond `KEEP_RECORDS`."""
    ordered = sorted(records)
    excess = max(0, len(ordered) - KEEP_RECORDS)
    return [key for place, (made, key) in enumerate(ordered) if place < excess or now - made > KEEP_SECONDS]


def _made(value: bytes) -> float:
    seconds: float = _MADE.unpack_from(value)[0]
    return seconds
