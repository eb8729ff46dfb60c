"""A database: one directory with one store, the segments beside it, and the collections in them."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from engine.change import decode_change
from engine.collection import Collection
from engine.commit import CommitQueue
from engine.errors import (
    CollectionExistsError,
    CollectionNotFoundError,
    CorruptionError,
    DatabaseClosedError,
    EngineError,
    FormatError,
    SchemaError,
)
from engine.highwater import HighWater
from engine.lock import LOCK_FILE, DirectoryLock
from engine.maintenance import Maintenance
from engine.meta import Counters, decode_meta, encode_meta
from engine.schema import Schema
from engine.segments.state import CollectionState, maintain
from engine.snapshot import Snapshot
from engine.store import keys
from engine.store.checks import check_log, read_number
from engine.store.rocks import DOCUMENTS, IDS, LOG, SYSTEM, VECTORS, Store

log = logging.getLogger(__name__)

FORMAT = 1
FORMAT_FILE = "lumaai.json"
FORMAT_DRAFT = FORMAT_FILE + ".new"
STORE = "store"
MARK_SECONDS = 1.0
SEAL_ROWS = 4096  # an exact scan of so many rows × 784 costs about 0.65 ms
COLLECTION_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


class Database:
    """Open a database directory with `Database.open`. Safe for many threads; one owner a directory.

    `_lock` guards the table of collections.
    """

    def __init__(self, path: Path, lock: DirectoryLock, seal_rows: int) -> None:
        self.path = path
        self._directory_lock = lock
        self._seal_rows = seal_rows
        self._lock = threading.Lock()
        self._closed = False
        self._high_water = HighWater(path)
        self._store = self._open_store()
        self._collections: dict[str, Collection] = {}
        try:
            self._log_floor = read_number(self._store, keys.LOG_FLOOR)
            self._next_collection = read_number(self._store, keys.NEXT_COLLECTION, 1)  # as far as it is durable
            self._commits = CommitQueue(read_number(self._store, keys.SEQUENCE), self._store.sync)
            self._recover()
            self._mark(strict=True)
        except BaseException:
            self._store.close()
            raise
        self._maintenance = Maintenance(self._maintain)
        self._marking = Maintenance(self._mark, MARK_SECONDS)

    def _open_store(self) -> Store:
        """Open the store, but first look at it: RocksDB would tidy away what a damaged manifest no longer names."""
        path = self.path / STORE
        marked = self._high_water.mark is not None
        if not (path / "CURRENT").exists() and (marked or any(path.glob("*.sst"))):
            raise CorruptionError(f"file is missing: path={path / 'CURRENT'}")
        if marked:
            self._check(Store(path, read_only=True))
        return Store(path)

    def _check(self, store: Store) -> None:
        try:
            sequence, following = read_number(store, keys.SEQUENCE), read_number(store, keys.NEXT_COLLECTION, 1)
            self._high_water.check(sequence, following, store.tables(), store.path)
            check_log(store)
        finally:
            store.close()

    @classmethod
    def open(cls, path: str | Path, *, seal_rows: int = SEAL_ROWS) -> Self:
        """Open the database at `path`, or make one where there is nothing.

        Args:
            path: a directory.
            seal_rows: vectors that the head of a collection holds before it becomes a segment.

        Raises:
            DatabaseLockedError: somebody else has it open.
            FormatError: the directory holds something else, or a newer format.
            CorruptionError: the store cannot be read.
            OSError: no permission, or `path` is a file.
        """
        directory = Path(path).expanduser().resolve()
        directory.mkdir(parents=True, exist_ok=True)
        _check_format(directory)
        lock = DirectoryLock(directory)
        try:
            _mark_format(directory)
            return cls(directory, lock, seal_rows)
        except CorruptionError as error:
            lock.release()
            if str(directory) in str(error):
                raise
            raise CorruptionError(f"{error}: path={directory / STORE}") from error
        except BaseException:
            lock.release()
            raise

    @property
    def sequence(self) -> int:
        """Sequence of the last acknowledged write."""
        return self._commits.published

    def create_collection(self, name: str, schema: Schema) -> Collection:
        """Make a collection.

        Raises:
            CollectionExistsError: there is one of that name.
            SchemaError: the name has characters other than letters, digits, "_", "." and "-", begins with "." or
                "-", or has more than 128.
        """
        if not COLLECTION_NAME.fullmatch(name):
            rule = "1 to 128 of A-Z a-z 0-9 _ . - and not begin with . or -"
            raise SchemaError(f"collection name must be {rule}: got={name!r:.140}", pointer="/name")
        with self._lock:
            self._check_open()
            if name in self._collections:
                raise CollectionExistsError(name)
            number = read_number(self._store, keys.NEXT_COLLECTION, 1)
            batch = self._store.batch()
            batch.put(SYSTEM, keys.NEXT_COLLECTION, b"%d" % (number + 1))
            batch.put(SYSTEM, keys.meta_key(name), encode_meta(number, schema))
            batch.flush()
            self._store.sync()
            self._next_collection = number + 1
            self._mark()
            collection = self._make(name, number, schema)
            self._collections[name] = collection
            return collection

    def collection(self, name: str) -> Collection:
        """The collection of that name.

        Raises:
            CollectionNotFoundError: there is none.
        """
        self._check_open()
        found = self._collections.get(name)
        if found is None:
            raise CollectionNotFoundError(name)
        return found

    def collections(self) -> list[str]:
        """Names of all collections, sorted."""
        self._check_open()
        return sorted(self._collections)

    def drop_collection(self, name: str) -> None:
        """Delete a collection with all that is in it.

        Raises:
            CollectionNotFoundError: there is none of that name.
        """
        with self._lock:
            collection = self.collection(name)
            number = read_number(self._store, keys.NEXT_COLLECTION, 1)
            collection.drop(lambda: self._delete(collection, number + 1))
            del self._collections[name]
            self._store.sync()  # if this fails, the files stay for the next opening to tidy
            self._next_collection = number + 1
            collection.state.destroy()
        self._mark()

    def _delete(self, collection: Collection, following: int) -> None:
        batch = self._store.batch()
        batch.put(SYSTEM, keys.NEXT_COLLECTION, b"%d" % following)  # skips a number: the mark shows if a drop is lost
        batch.delete(SYSTEM, keys.meta_key(collection.name))
        batch.delete(SYSTEM, keys.state_key(collection.number))
        batch.delete(SYSTEM, keys.manifest_key(collection.number))
        for family in (DOCUMENTS, IDS, VECTORS):
            batch.delete_range(family, *keys.collection_range(collection.number))
        batch.flush()

    def snapshot(self, names: Sequence[str] | None = None) -> Mapping[str, Snapshot]:
        """Snapshots of several collections (all by default) at one point of the log.

        Raises:
            CollectionNotFoundError: there is none of one of these names.
        """
        self._check_open()
        found = list(self._collections.values()) if names is None else [self.collection(name) for name in names]
        snapshots: dict[str, Snapshot] = {}
        with self._commits.hold():
            for collection in found:
                try:
                    snapshots[collection.name] = collection.snapshot()
                except (DatabaseClosedError, CollectionNotFoundError):
                    self._check_open()
                    if names is not None:
                        raise CollectionNotFoundError(collection.name) from None
        return dict(sorted(snapshots.items())) if names is None else snapshots

    def stats(self) -> dict[str, Any]:
        """Figures of the whole directory."""
        self._check_open()
        size = sum(_file_bytes(Path(root, name)) for root, _, names in os.walk(self.path) for name in names)
        return {
            "path": str(self.path),
            "sequence": self.sequence,
            "collections": len(self._collections),
            "disk_bytes": size,
            "block_cache_bytes": self._store.cache_bytes(),
        }

    def close(self) -> None:
        """Finish what is being written and close; a second time does nothing."""
        with self._lock:
            if self._closed:
                return
            self._closed = True
        with ExitStack() as always:  # in the opposite order, each whatever became of those before
            always.callback(self._directory_lock.release)
            always.callback(self._close_store)
            always.callback(self._mark)
            always.callback(self._commits.close)
            always.callback(self._marking.join)
            always.callback(self._maintenance.join)
            for collection in self._collections.values():
                always.callback(collection.close)
            self._maintenance.stop()
            self._marking.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _make(self, name: str, number: int, schema: Schema) -> Collection:
        directory = self.path / "indexes" / f"{number:08d}"
        state = CollectionState(name, number, schema, self._store, directory, self._seal_rows)
        return Collection(name, number, schema, self._store, self._commits, state)

    def _recover(self) -> None:
        """Open every collection, drop what was never committed, and apply the log behind the segments again."""
        check_log(self._store)
        prefix = keys.COLLECTION_PREFIX
        numbers: dict[int, Collection] = {}
        for key, value in list(self._store.items(SYSTEM, prefix, prefix + b"\xff")):
            number, schema = decode_meta(value)
            collection = self._make(key[len(prefix) :].decode(), number, schema)
            state = self._store.get(SYSTEM, keys.state_key(number))
            collection.open(msgspec.json.decode(state, type=Counters) if state else Counters())
            self._collections[collection.name] = numbers[number] = collection
        first = min((collection.state.covered for collection in numbers.values()), default=0) + 1
        replayed = 0
        for _, value in self._store.items(LOG, keys.log_key(first), keys.log_key(2**64 - 1)):
            change = decode_change(value)
            owner = numbers.get(change.collection)
            if owner is not None and change.sequence > owner.state.covered:
                owner.replay(change)
                replayed += 1
        self._remove_strays({f"{number:08d}" for number in numbers})
        if replayed:
            log.info("log.replayed", extra={"changes": replayed})

    def _remove_strays(self, known: set[str]) -> None:
        """Directories of collections that were being dropped when the process ended."""
        indexes = self.path / "indexes"
        for path in indexes.iterdir() if indexes.is_dir() else ():
            if path.name not in known:
                shutil.rmtree(path, ignore_errors=True)

    def _maintain(self) -> bool:
        worked = False
        for collection in list(self._collections.values()):
            worked = maintain(collection.state, lambda: self.sequence) or worked
        if worked:
            self._truncate_log()
            self._mark()
        return worked

    def _close_store(self) -> None:
        """Close the store, and mark what it was closed with: a manifest cut short then shows at the next opening."""
        self._store.close()
        try:
            closed = Store(self._store.path, read_only=True)
            tables = closed.tables()
            closed.close()
            self._high_water.record(self._commits.published, self._next_collection, tables)
        except (EngineError, OSError) as error:
            log.warning("highwater.failed", extra={"reason": str(error)})

    def _mark(self, *, strict: bool = False) -> bool:
        """Record how far the database has come. A disk that refuses it costs the check, not the write: `strict` raises.

        Returns:
            False: for `Maintenance`, there is no more to do.
        """
        try:
            self._high_water.record(self._commits.published, self._next_collection)
        except OSError as error:
            if strict:
                raise
            log.warning("highwater.failed", extra={"reason": str(error)})
        return False

    def _truncate_log(self) -> None:
        """Drop the changes that every collection has in its segments; in one batch with saying so."""
        with self._commits.hold():
            states = [collection.state for collection in list(self._collections.values())]
            floor = min((state.covered for state in states if state.pending), default=self._commits.published)
        if floor > self._log_floor:
            batch = self._store.batch()
            batch.delete_range(LOG, keys.log_key(0), keys.log_key(floor + 1))
            batch.put(SYSTEM, keys.LOG_FLOOR, b"%d" % floor)
            batch.flush()
            self._log_floor = floor

    def _check_open(self) -> None:
        if self._closed:
            raise DatabaseClosedError(f"database is closed: {self.path}")


def _file_bytes(path: Path) -> int:
    """Size of a file; 0 for one that has just been removed."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _check_format(directory: Path) -> None:
    """Refuse what this version cannot open; writes nothing."""
    names = {entry.name for entry in directory.iterdir()}
    if FORMAT_FILE not in names:
        if STORE in names:
            raise FormatError(f"file that marks a database is missing: path={directory / FORMAT_FILE}")
        if names - {LOCK_FILE, FORMAT_DRAFT}:
            raise FormatError(f"directory holds other files and is no LumaDB database: path={directory}")
        return
    marker = directory / FORMAT_FILE
    try:
        found = json.loads(marker.read_text())["format"]
    except (ValueError, KeyError, TypeError) as error:
        raise FormatError(f"file is damaged: path={marker}") from error
    if found != FORMAT:
        raise FormatError(f"database has format {found}, this version reads {FORMAT}: path={marker}")


def _mark_format(directory: Path) -> None:
    """Make a new directory ours, at one stroke: another process may be looking."""
    marker = directory / FORMAT_FILE
    if not marker.exists():
        draft = directory / FORMAT_DRAFT
        with draft.open("w") as file:
            json.dump({"format": FORMAT}, file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(marker)
