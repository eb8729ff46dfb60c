"""The change feed: what was written and deleted, in the order of the log, for those who follow."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.document import decode
from engine.errors import ChangesGoneError, InvalidInputError
from engine.schema import ID, JSON
from engine.store import codec, keys
from engine.store.checks import read_number
from engine.store.rocks import DOCUMENTS, IDS, LOG, Store
from engine.writes.change import Change, decode_change

LOG_KEEP_CHANGES = 10_000  # kept for followers, beyond what indexes need
CHANGES_MAX = 10_000
CHANGES_BYTES_MAX = 64 * 1024 * 1024  # of documents, after which an answer ends


@dataclass(frozen=True, slots=True)
class ChangeRecord:
    """What one write did to one collection.

    Attributes:
        sequence: of the write.
        collection: its name.
        documents: those written that are still as this write left them; of others a later record tells.
        deleted: ids of the documents that it deleted.
    """

    sequence: int
    collection: str
    documents: list[dict[str, JSON]]
    deleted: list[str]


@dataclass(frozen=True, slots=True)
class Changes:
    """Some records of the log, in order.

    Attributes:
        changes: the records.
        next: where to go on from.
    """

    changes: list[ChangeRecord]
    next: int


@dataclass(frozen=True, slots=True)
class Followed:
    """A collection whose changes are told.

    Attributes:
        name: of it.
        now: the time by which its documents expire, in microseconds since 1970.
    """

    name: str
    now: Callable[[], int]


def read_changes(
    store: Store,
    collections: Mapping[int, Followed],
    after: int,
    last: int,
    *,
    limit: int,
    bytes_max: int = CHANGES_BYTES_MAX,
) -> Changes:
    """The changes of some collections after a sequence.

    Args:
        store: holds the log.
        collections: by number; what was done to other collections is left out.
        after: sequence of the last change that is known already; 0 for none.
        last: sequence of the last change that may be told of.
        limit: records at most, 1 to `CHANGES_MAX`.
        bytes_max: of documents; reached within a record, it is the last one.

    Raises:
        ChangesGoneError: the log no longer holds all changes after `after`, or never came to it.
        InvalidInputError: `after` or `limit` is out of range.
    """
    if not _is_integer(after) or after < 0:
        raise InvalidInputError(f"after must be an integer from 0: got={after!r:.40}", pointer="/from")
    if not _is_integer(limit) or not 1 <= limit <= CHANGES_MAX:
        raise InvalidInputError(f"limit must be from 1 to {CHANGES_MAX}: got={limit!r:.40}", pointer="/limit")
    if after > last:  # of a database that this one was restored from, or lost its tail to
        raise ChangesGoneError(after, read_number(store, keys.LOG_FLOOR), last)
    records: list[ChangeRecord] = []
    seen, size = after, 0
    for change in _log(store, after, last):
        seen = change.sequence
        followed = collections.get(change.collection)
        if not change.documents and not change.gone and change.deleted_ordinals():  # of format 1: it names no ids
            raise ChangesGoneError(after, change.sequence, last)
        if followed is None or not (change.documents or change.gone):
            continue
        record, read = _record(store, followed, change)
        records.append(record)
        size += read
        if len(records) == limit or size >= bytes_max:
            break
    return Changes(records, seen)


def _log(store: Store, after: int, last: int) -> Iterator[Change]:
    """The changes from `after` to `last`; one that is missing was truncated, perhaps while this reads."""
    expected = after + 1
    for key, value in store.items(LOG, keys.log_key(expected), keys.log_key(last + 1)):
        if keys.log_sequence(key) != expected:
            break
        yield decode_change(value)
        expected += 1
    if expected <= last:
        raise ChangesGoneError(after, read_number(store, keys.LOG_FLOOR), last)


def _record(store: Store, followed: Followed, change: Change) -> tuple[ChangeRecord, int]:
    """The record of a change, and how many bytes its documents have in the store."""
    first = change.first_ordinal
    ordinals = np.arange(first, first + change.documents)
    values = store.get_many(DOCUMENTS, [keys.document_key(change.collection, int(ordinal)) for ordinal in ordinals])
    now = followed.now()
    found: dict[int, dict[str, Any]] = {
        int(ordinal): decode(codec.decode_document(value))
        for ordinal, value in zip(ordinals, values, strict=True)
        if value is not None and codec.decode_expiry(value) > now
    }
    current = store.get_many(IDS, [keys.id_key(change.collection, document[ID]) for document in found.values()])
    documents = [
        document
        for (ordinal, document), hit in zip(found.items(), current, strict=True)
        if hit is not None and codec.decode_id(hit)[0] == ordinal
    ]
    size = sum(len(value) for value in values if value is not None)
    return ChangeRecord(change.sequence, followed.name, documents, list(change.gone)), size


def _is_integer(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
