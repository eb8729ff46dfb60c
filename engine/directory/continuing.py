"""Sequences after a restore: they go on above all that the database has ever given out.

Clients remember sequences: as versions of documents (`if_version`) and as places in the change feed. In a restored
database the same numbers would come to name other writes. So what is restored over a database begins with a sequence
that neither of the two has given out: followers of an older one learn that its changes are gone, and every document has
the new one for its version. The archive may be of another database, or of a copy that went its own way: which versions
both share cannot be told, so that none is kept. What is restored to a new place keeps all of it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import msgspec

from engine import failpoints
from engine.collection import Collection
from engine.directory.highwater import HighWater
from engine.directory.layout import INDEXES, STORE
from engine.directory.recovery import recover
from engine.errors import CorruptionError, EngineError
from engine.records import put_lasting, read_lasting
from engine.schema import Schema
from engine.segments.manifest import decode_manifest, encode_manifest
from engine.segments.state import SEAL_DOCUMENTS, CollectionState
from engine.store import keys
from engine.store.checks import read_number
from engine.store.rocks import LOG, SYSTEM, Store
from engine.writes.commit import CommitQueue

log = logging.getLogger(__name__)

SEQUENCES_UNSURE = 1_000_000_000  # left out where a database is too damaged to tell how far it had come


def has_past(directory: Path) -> bool:
    """Whether there is a database, open or closed, that is likely to have given out sequences."""
    known = HighWater(directory).sequence
    return known > 0 if known is not None else _has_store(directory)


@dataclass(frozen=True, slots=True)
class Past:
    """What a database leaves to the one that is restored over it.

    Attributes:
        furthest: the last sequence that it can have given out; None where nothing was written.
        lasting: its lasting records; None where there is no database, or one too damaged to tell.
    """

    furthest: int | None = None
    lasting: Mapping[bytes, bytes] | None = None


def read_past(directory: Path) -> Past:
    """What a closed database leaves."""
    path, known = directory / STORE, HighWater(directory).sequence or 0
    if not known and not _has_store(directory):
        return Past()
    try:
        store = Store(path, read_only=True)
        try:
            return Past(max(known, read_number(store, keys.SEQUENCE)) or None, read_lasting(store))
        finally:
            store.close()
    except EngineError as error:
        log.warning("restore.past_unsure", extra={"path": str(path), "reason": str(error)})
        return Past(known + SEQUENCES_UNSURE)


def keep_lasting(directory: Path, lasting: Mapping[bytes, bytes]) -> None:
    """Give a closed database these lasting records and no others.

    Raises:
        StorageError: the disk refuses it.
    """
    store = Store(directory / STORE)
    try:
        batch = store.batch()
        put_lasting(store, batch, lasting)
        batch.flush()
        store.sync()
    finally:
        store.close()


def settle(directory: Path) -> None:
    """Put all that the log of a closed database tells of into segments, and empty it: sequences may then leap.

    Raises:
        CorruptionError: something cannot be read.
        StorageError: the disk refuses it.
    """
    store = Store(directory / STORE)
    try:
        last = read_number(store, keys.SEQUENCE)
        commits = CommitQueue(last, store.sync)

        def make(name: str, number: int, schema: Schema) -> Collection:
            indexes = directory / INDEXES / f"{number:08d}"
            state = CollectionState(name, number, schema, store, indexes, SEAL_DOCUMENTS)
            return Collection(name, number, schema, store, commits, state)

        found = recover(store, make)
        for name, (_, error) in found.damaged.items():
            raise CorruptionError(f"collection is damaged: {name!r}: {error}") from error
        for collection in found.collections.values():
            collection.state.seal()
            collection.close()
        commits.close()
        batch = store.batch()
        batch.delete_range(LOG, keys.log_key(0), keys.log_key(last + 1))
        batch.put(SYSTEM, keys.LOG_FLOOR, b"%d" % last)
        batch.flush()
        store.sync()
    finally:
        store.close()


def continue_above(directory: Path, furthest: int, lasting: Mapping[bytes, bytes] | None = None) -> None:
    """Let a closed database begin above `furthest`, and above its own sequence; done twice, it begins higher still.

    Args:
        directory: of the database.
        furthest: see `Past`.
        lasting: the lasting records that it is to have; None: its own.

    Raises:
        CorruptionError: something cannot be read.
        StorageError: the disk refuses it.
    """
    if not _is_settled(directory):
        settle(directory)
    store = Store(directory / STORE)
    try:
        sequence = max(furthest, read_number(store, keys.SEQUENCE)) + 1
        batch = store.batch()
        prefix = keys.MANIFEST_PREFIX
        for key, value in list(store.items(SYSTEM, prefix, prefix + b"\xff")):
            manifest = msgspec.structs.replace(decode_manifest(value), sequence=sequence)
            batch.put(SYSTEM, key, encode_manifest(manifest))
        if lasting is not None:
            put_lasting(store, batch, lasting)
        batch.flush()
        failpoints.hit("restore.before_leap")
        for key in (keys.SEQUENCE, keys.LOG_FLOOR, keys.VERSION_FLOOR):
            batch.put(SYSTEM, key, b"%d" % sequence)
        batch.flush()  # these three at once
        store.sync()
        following = read_number(store, keys.NEXT_COLLECTION, 1)
    finally:
        store.close()
    high_water = HighWater(directory)
    high_water.record(sequence, following)
    high_water.close()
    failpoints.hit("restore.after_leap")
    log.info("restore.continued", extra={"path": str(directory), "sequence": sequence})


def _has_store(directory: Path) -> bool:
    path = directory / STORE
    return (path / "CURRENT").exists() or any(path.glob("*.sst"))


def _is_settled(directory: Path) -> bool:
    store = Store(directory / STORE, read_only=True)
    try:
        return read_number(store, keys.LOG_FLOOR) == read_number(store, keys.SEQUENCE)
    finally:
        store.close()
