"""A database: one directory with one store, the segments beside it, and the collections in them."""

from __future__ import annotations

import json
import logging
import re
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from engine.change import decode_change
from engine.collection import Collection, Counters, decode_meta, encode_meta
from engine.commit import CommitQueue
from engine.errors import (
    CollectionExistsError,
    CollectionNotFoundError,
    DatabaseClosedError,
    FormatError,
    SchemaError,
)
from engine.lock import LOCK_FILE, DirectoryLock
from engine.maintenance import Maintenance
from engine.schema import Schema
from engine.segments.state import CollectionState, maintain
from engine.snapshot import Snapshot
from engine.store import keys
from engine.store.rocks import DOCUMENTS, IDS, LOG, SYSTEM, VECTORS, Store

log = logging.getLogger(__name__)

FORMAT = 1
FORMAT_FILE = "lumaai.json"
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
        self._store = Store(path / "store")
        self._commits = CommitQueue(int(self._store.get(SYSTEM, keys.SEQUENCE) or 0), self._store.sync)
        self._collections: dict[str, Collection] = {}
        self._recover()
        self._maintenance = Maintenance(self._maintain)

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
            return cls(directory, lock, seal_rows)
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
            number = int(self._store.get(SYSTEM, keys.NEXT_COLLECTION) or 1)
            batch = self._store.batch()
            batch.put(SYSTEM, keys.NEXT_COLLECTION, b"%d" % (number + 1))
            batch.put(SYSTEM, keys.meta_key(name), encode_meta(number, schema))
            batch.flush()
            self._store.sync()
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
            collection.close()
            batch = self._store.batch()
            batch.delete(SYSTEM, keys.meta_key(name))
            batch.delete(SYSTEM, keys.state_key(collection.number))
            batch.delete(SYSTEM, keys.manifest_key(collection.number))
            batch.flush()
            for family in (DOCUMENTS, IDS, VECTORS):
                self._store.delete_range(family, *keys.collection_range(collection.number))
            self._store.sync()
            del self._collections[name]
            collection.state.destroy()

    def snapshot(self, names: Sequence[str] | None = None) -> Mapping[str, Snapshot]:
        """Snapshots of several collections (all by default) at one point of the log.

        Raises:
            CollectionNotFoundError: there is none of one of these names.
        """
        wanted = self.collections() if names is None else list(names)
        collections = [self.collection(name) for name in wanted]
        with self._commits.hold():
            return {collection.name: collection.snapshot() for collection in collections}

    def stats(self) -> dict[str, Any]:
        """Figures of the whole directory."""
        self._check_open()
        size = sum(path.stat().st_size for path in self.path.rglob("*") if path.is_file())
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
        self._maintenance.stop()
        for collection in self._collections.values():
            collection.close()
        self._maintenance.join()
        self._commits.close()
        self._store.close()
        self._directory_lock.release()

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
        prefix = keys.COLLECTION_PREFIX
        numbers: dict[int, Collection] = {}
        for key, value in self._store.items(SYSTEM, prefix, prefix + b"\xff"):
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
        if replayed:
            log.info("log.replayed", extra={"changes": replayed})

    def _maintain(self) -> bool:
        worked = False
        for collection in list(self._collections.values()):
            worked = maintain(collection.state, lambda: self.sequence) or worked
        if worked:
            self._truncate_log()
        return worked

    def _truncate_log(self) -> None:
        """Drop the changes that every collection has in its segments."""
        with self._commits.hold():
            states = [collection.state for collection in self._collections.values()]
            floor = min((state.covered for state in states if state.pending), default=self._commits.published)
        self._store.delete_range(LOG, keys.log_key(0), keys.log_key(floor + 1))

    def _check_open(self) -> None:
        if self._closed:
            raise DatabaseClosedError(f"database is closed: {self.path}")


def _check_format(directory: Path) -> None:
    marker = directory / FORMAT_FILE
    if marker.exists():
        try:
            found = json.loads(marker.read_text())["format"]
        except (ValueError, KeyError, TypeError) as error:
            raise FormatError(f"file is damaged: path={marker}") from error
        if found != FORMAT:
            raise FormatError(f"database has format {found}, this version reads {FORMAT}: path={directory}")
        return
    if any(entry.name != LOCK_FILE for entry in directory.iterdir()):
        raise FormatError(f"directory holds other files and is no LumaDB database: path={directory}")
    marker.write_text(json.dumps({"format": FORMAT}))
