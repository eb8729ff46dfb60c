"""What must hold of a store before anything is built on it, or removed because of it."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from engine.errors import CorruptionError
from engine.meta import Counters
from engine.store import keys
from engine.store.rocks import LOG, SYSTEM, Store


def read_number(store: Store, key: bytes, default: int = 0) -> int:
    """A counter of `system`.

    Raises:
        CorruptionError: it is no number.
    """
    value = store.get(SYSTEM, key)
    try:
        return default if value is None else int(value)
    except ValueError as error:
        raise CorruptionError(f"store is damaged: path={store.path} {key.decode()}={value!r:.40}") from error


def read_counters(store: Store, collection: int) -> Counters:
    """What the next write of a collection takes."""
    value = store.get(SYSTEM, keys.state_key(collection))
    return msgspec.json.decode(value, type=Counters) if value else Counters()


def check_log(store: Store) -> None:
    """The log must hold every change from where it was truncated up to the last one, and none beyond.

    Raises:
        CorruptionError: naming the store and the first change that is missing.
    """
    for _ in _read_log(store, keys.log_key(0), read_number(store, keys.LOG_FLOOR) + 1):
        pass


def read_log(store: Store, after: int) -> Iterator[bytes]:
    """The changes of the log after a sequence, or after where it was truncated, as `decode_change` takes them.

    Raises:
        CorruptionError: as `check_log`.
    """
    first = max(after, read_number(store, keys.LOG_FLOOR)) + 1
    return _read_log(store, keys.log_key(first), first)


def _read_log(store: Store, begin: bytes, expected: int) -> Iterator[bytes]:
    last = read_number(store, keys.SEQUENCE)
    for key, value in store.items(LOG, begin, keys.log_key(2**64 - 1)):
        sequence = keys.log_sequence(key)
        if sequence != expected:
            raise _hole(store, expected, sequence, last)
        expected += 1
        yield value
    if expected != last + 1:
        raise _hole(store, expected, None, last)


def _hole(store: Store, expected: int, found: int | None, last: int) -> CorruptionError:
    facts = f"expected sequence={expected} got={found} of last={last}"
    return CorruptionError(f"log of changes has a hole: path={store.path} {facts}")
