"""Bringing collections back from the store when a database is opened: their segments, and the log behind them."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from engine import failpoints
from engine.collection import Collection
from engine.errors import CorruptionError
from engine.meta import Counters, decode_meta
from engine.schema import Schema
from engine.store import keys
from engine.store.checks import check_log
from engine.store.rocks import LOG, SYSTEM, Store
from engine.writes.change import decode_change

log = logging.getLogger(__name__)

MakeCollection = Callable[[str, int, Schema], Collection]


@dataclass(slots=True)
class Recovered:
    """What was found.

    Attributes:
        collections: by name.
        damaged: those of which something cannot be read, by name, with what; the others serve.
    """

    collections: dict[str, Collection] = field(default_factory=dict)
    damaged: dict[str, tuple[Collection, CorruptionError]] = field(default_factory=dict)

    @property
    def numbers(self) -> set[int]:
        """Of all collections."""
        return {each.number for each in (*self.collections.values(), *(each for each, _ in self.damaged.values()))}


def recover(store: Store, make: MakeCollection) -> Recovered:
    """Open every collection, drop what was never committed, and apply the log behind the segments again.

    Raises:
        CorruptionError: what all collections share is damaged: the log, or the table of collections.
    """
    check_log(store)
    found = Recovered()
    prefix = keys.COLLECTION_PREFIX
    for key, value in list(store.items(SYSTEM, prefix, prefix + b"\xff")):
        name = key[len(prefix) :].decode()
        number, schema = decode_meta(value)
        collection = make(name, number, schema)
        state = store.get(SYSTEM, keys.state_key(number))
        failpoints.hit("open.before_collection")
        try:
            collection.open(msgspec.json.decode(state, type=Counters) if state else Counters())
            found.collections[name] = collection
        except CorruptionError as error:
            _set_aside(found, collection, error)
    _replay(store, found)
    return found


def _replay(store: Store, found: Recovered) -> None:
    numbers = {each.number: each for each in found.collections.values()}
    first = min((each.state.covered for each in numbers.values()), default=0) + 1
    replayed = 0
    for _, value in store.items(LOG, keys.log_key(first), keys.log_key(2**64 - 1)):
        change = decode_change(value)
        owner = numbers.get(change.collection)
        if owner is None or change.sequence <= owner.state.covered:
            continue
        try:
            owner.replay(change)
            replayed += 1
        except CorruptionError as error:
            del numbers[change.collection]
            _set_aside(found, owner, error)
    if replayed:
        log.info("log.replayed", extra={"changes": replayed})


def _set_aside(found: Recovered, collection: Collection, error: CorruptionError) -> None:
    log.error("collection.damaged", extra={"collection": collection.name, "reason": str(error)})
    found.collections.pop(collection.name, None)
    found.damaged[collection.name] = (collection, error)


def remove_strays(indexes: Path, known: set[int]) -> None:
    """Directories of collections that were being dropped when the process ended."""
    names = {f"{number:08d}" for number in known}
    for path in indexes.iterdir() if indexes.is_dir() else ():
        if path.name not in names:
            shutil.rmtree(path, ignore_errors=True)
