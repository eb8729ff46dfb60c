"""RocksDB through rocksdict: column families, options, and errors of the disk as ours.

Facts of rocksdict 0.3.29 that shape the callers: `write` holds the GIL for its whole length, `flush_wal(True)` and
multi-gets release it. So batches are written unsynced in pieces of bounded size, and made durable by one
`sync()` outside the GIL (see `engine.writes.commit`).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from rocksdict import (
    AccessType,
    BottommostLevelCompaction,
    Cache,
    Checkpoint,
    ColumnFamily,
    CompactOptions,
    Options,
    Rdict,
    ReadOptions,
    WriteBatch,
)

from engine.errors import CorruptionError, DatabaseClosedError, ReadOnlyError, StorageError, StorageFullError
from engine.store.gate import Gate
from engine.store.mirror import refresh_mirror
from engine.store.options import StoreOptions, database_options, family_options

DOCUMENTS, IDS, VECTORS, LOG, SYSTEM = "documents", "ids", "vectors", "log", "system"
FAMILIES = (DOCUMENTS, IDS, VECTORS, LOG, SYSTEM)
PIECE_BYTES = 4 * 1024 * 1024  # a write of this size holds the GIL for about 20 ms
LAST_KEY = b"\xff" * 600  # after every key: ids have at most 512 bytes
REOPEN_BYTES = 1024 * 1024  # what opening again needs besides the log's size
REOPEN_TRIES = 50  # 10 ms apart: RocksDB lets go of its own lock when the last handle is gone
_ENVIRONMENT = ("Permission denied", "Too many open files", "Read-only file system", "lock")


class Store:
    """One open RocksDB. Safe for many threads; ordering of writes is the caller's.

    Every method raises `DatabaseClosedError` after `close`. RocksDB refuses all writes after one that failed, so the
    next write opens it anew first, once there is room again.

    Args:
        path: directory of the store.
        read_only: look only: the log is replayed in memory, and no file is changed or deleted.
        scratch: an empty directory for RocksDB's own notes, and links to its files. With it the store is read beside
            its living owner, as of the last `catch_up`; no file of `path` is changed.
        options: see `StoreOptions`.
    """

    def __init__(
        self,
        path: Path,
        *,
        read_only: bool = False,
        scratch: Path | None = None,
        options: StoreOptions | None = None,
    ) -> None:
        self.path = path
        self.options = options or StoreOptions()
        self.read_only = read_only or scratch is not None
        self._scratch = scratch
        self._gate = Gate()
        self._abandoned: str | None = None
        self._reopening = threading.Lock()
        self._refused = False
        self._torn = False  # the write that failed could not be appended: all before it is whole in the log's file
        self._expected = 0
        self._compacting = 0  # one at a time: see `Reclaim`
        self._cancelled = False
        self._cache = Cache.new_hyper_clock_cache(self.options.cache_bytes, 0)
        self._families: dict[str, Rdict] = {}
        self._handles: dict[str, ColumnFamily] = {}
        self._db: Rdict
        self._open()

    def _open(self) -> None:
        families = {name: family_options(self.options, self._cache) for name in FAMILIES}
        families["default"] = Options(raw_mode=True)
        access = AccessType.read_only(False) if self.read_only else AccessType.read_write()
        options = database_options(self.options)
        opened = self.path
        if self._scratch is not None:
            access, opened = AccessType.secondary(str(self._scratch / "notes")), self._scratch / "store"
            options.set_max_open_files(-1)  # a file that the owner deletes stays readable
        try:
            if self._scratch is not None:
                refresh_mirror(self.path, opened)
            self._db = Rdict(str(opened), options, column_families=families, access_type=access)
        except Exception as error:
            raise _translate_opening(error, self.path) from error
        self._families = {name: self._db.get_column_family(name) for name in FAMILIES}
        self._handles = {name: self._db.get_column_family_handle(name) for name in FAMILIES}

    def get(self, family: str, key: bytes) -> bytes | None:
        """One value, or None."""
        with self._gate:
            try:
                value: bytes | None = self._family(family).get(key)
            except Exception as error:
                raise translate(error, self.path) from error
        return value

    def get_many(self, family: str, keys: Sequence[bytes]) -> list[bytes | None]:
        """Values in the order of `keys`, None where there is none."""
        if not keys:
            return []
        with self._gate:
            try:
                values: list[bytes | None] | None = self._family(family).get(list(keys))
            except Exception as error:
                raise translate(error, self.path) from error
        return values or []

    def items(self, family: str, begin: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values in key order, from `begin` up to but without `end`.

        Raises:
            CorruptionError: a block cannot be read; rocksdict's own iterators would end there without a word.
        """
        options = ReadOptions()
        options.set_iterate_upper_bound(end)
        with self._gate:
            try:
                iterator = self._family(family).iter(options)
                iterator.seek(begin)
                while iterator.valid():
                    yield iterator.key(), iterator.value()
                    iterator.next()
                iterator.status()
            except Exception as error:
                raise translate(error, self.path) from error

    def batch(self) -> Pieces:
        """A new batch of writes."""
        return Pieces(self)

    def write(self, batch: WriteBatch) -> None:
        """Write a batch to log and memory, atomically, but not yet durably."""
        if self.read_only:
            raise ReadOnlyError(f"database was opened for reading only: path={self.path}")
        if self._refused:
            self._reopen()
        with self._gate:
            try:
                self._db.write(batch)
            except Exception as error:
                self._torn = self._torn or (not self._refused and "While appending" in str(error))
                self._refused = True
                raise translate(error, self.path) from error

    def sync(self) -> None:
        """Make everything written so far durable. Releases the GIL."""
        with self._gate:
            try:
                if not self._torn:
                    self._db.flush_wal(True)
            except Exception as error:
                if not self._torn:  # else another's write failed meanwhile
                    raise translate(error, self.path) from error
            if self._torn:
                self._sync_files()

    def _sync_files(self) -> None:
        """What `sync` does, after RocksDB has given its log up."""
        try:
            for file in self.path.glob("*.log"):
                with file.open("rb") as opened:
                    os.fsync(opened.fileno())
        except OSError as error:
            raise translate(error, self.path) from error

    def flush(self) -> None:
        """Write what is in memory to tables. Releases the GIL."""
        with self._gate:
            try:
                for name in FAMILIES:
                    self._family(name).flush()
            except Exception as error:
                raise translate(error, self.path) from error

    def compact(
        self, family: str, begin: bytes | None = None, end: bytes | None = None, *, rewrite: bool = False
    ) -> None:
        """Write the tables of a range again, without what is deleted in it. Releases the GIL; reads and writes go on.

        Args:
            family: which.
            begin: first key of the range; from the first of all by default.
            end: the key behind it; by default there is none.
            rewrite: also those tables in which, as far as RocksDB knows, nothing is deleted.

        Raises:
            DatabaseClosedError: `cancel_compactions` was called.
        """
        options = CompactOptions()
        options.set_exclusive_manual_compaction(False)
        if rewrite:
            options.set_bottommost_level_compaction(BottommostLevelCompaction.force())
        with self._gate:
            self._compacting += 1
            try:
                self._family(family).compact_range(begin, end, options)
            except Exception as error:
                if self._cancelled:
                    raise DatabaseClosedError(f"database is closing: path={self.path}") from error
                raise translate(error, self.path) from error
            finally:
                self._compacting -= 1

    def cancel_compactions(self) -> None:
        """Let running compactions end soon. Nothing may be written any more: RocksDB's other work ends with them."""
        with self._gate:
            if self._compacting:
                self._cancelled = True
                self._db.cancel_all_background(False)

    def memory(self) -> dict[str, int]:
        """Bytes that RocksDB holds: cached blocks, memtables, and what it knows of its tables outside the cache."""
        with self._gate:
            try:
                families = [self._family(name) for name in FAMILIES]
                return {
                    "block_cache_bytes": self._cache.get_usage(),
                    "block_cache_bytes_max": self.options.cache_bytes,
                    "memtables_bytes": sum(_property(each, "cur-size-all-mem-tables") for each in families),
                    "tables_bytes": sum(_property(each, "estimate-table-readers-mem") for each in families),
                }
            except Exception as error:
                raise translate(error, self.path) from error

    def checkpoint(self, target: Path) -> None:
        """Copy the store, as of one moment, to a directory that is not there yet: hard links where they are possible.

        Holds the GIL, and first writes to tables what is in memory: `flush` shortly before keeps it brief.
        """
        with self._gate:
            try:
                Checkpoint(self._db).create_checkpoint(str(target))
            except Exception as error:
                raise translate(error, target) from error

    def catch_up(self) -> None:
        """See what the owner has written since; for a store opened with `scratch`. Nobody else is inside meanwhile."""
        with self._gate.alone():
            try:
                if self._scratch is not None:
                    refresh_mirror(self.path, self._scratch / "store")
                self._db.try_catch_up_with_primary()
            except Exception as error:
                raise translate(error, self.path) from error

    def renew(self) -> None:
        """Open what is at `path` now, in place of what was; for a store opened with `scratch`."""
        with self._gate.alone():
            if self._families:
                with contextlib.suppress(StorageError):
                    self._close_handles()
            self._open()

    def check_not_abandoned(self) -> None:
        """Raises `DatabaseClosedError`, saying why, after `abandon`."""
        if self._abandoned is not None:
            raise DatabaseClosedError(self._abandoned)

    def abandon(self, reason: str) -> None:
        """In a forked child: refuse all use, and leave RocksDB alone for ever.

        Its threads have stayed with the parent. Closing it, as the last reference would, waits for them endlessly.
        """
        self._abandoned = reason
        self._gate = Gate(closed_because=reason)
        for handle in (self._db, *self._families.values(), *self._handles.values()):
            ctypes.pythonapi.Py_IncRef(ctypes.py_object(handle))

    def verify(self, family: str) -> list[CorruptionError]:
        """Read every block of a family and compare its checksum; what cannot be read, each once.

        Behind a damaged block it goes on where the next table begins or ends.
        """
        with self._gate:
            files = self._db.live_files()
        bounds = sorted({bound for file in files for bound in (file["start_key"], file["end_key"]) if bound})
        errors: dict[str, CorruptionError] = {}
        begin: bytes | None = b""
        while begin is not None:
            last = begin
            try:
                for key, _ in self.items(family, begin, LAST_KEY):
                    last = key
                begin = None
            except CorruptionError as error:
                errors.setdefault(str(error), error)
                begin = next((bound for bound in bounds if bound > last), None)
        return list(errors.values())

    def tables(self) -> list[str]:
        """Names of the files that the manifest names."""
        with self._gate:
            try:
                return [str(file["name"]).lstrip("/") for file in self._db.live_files()]
            except Exception as error:
                raise translate(error, self.path) from error

    def cache_bytes(self) -> int:
        """Bytes that the block cache holds."""
        with self._gate:
            return self._cache.get_usage()

    def close(self) -> None:
        """Close, when those that are reading or writing have finished.

        Raises:
            StorageError: RocksDB could not finish its work; all handles are released none the less.
        """
        self._gate.close()
        self._close_handles()

    def _close_handles(self) -> None:
        errors: list[Exception] = []
        for closable in (*self._families.values(), self._db):
            try:
                closable.close()
            except Exception as error:  # noqa: BLE001  (raised below, when the others are closed as well)
                errors.append(error)
        self._families.clear()
        self._handles.clear()
        if errors and not self._cancelled:  # then RocksDB could not flush: all of it is in the log
            raise translate(errors[-1], self.path) from errors[-1]

    def _family(self, name: str) -> Rdict:
        found = self._families.get(name)
        if found is None:
            raise StorageError("not open since a failure")
        return found

    def _reopen(self) -> None:
        """Open RocksDB anew after a write that failed. What was written before it is read back from the log.

        Raises:
            StorageFullError: there is still no room.
            StorageError: the log does not hold exactly what was written.
        """
        with self._reopening:
            if not self._refused:
                return
            self._check_room()
            with self._gate.alone():
                if self._families:
                    self._expected = self._db.latest_sequence_number()
                    with contextlib.suppress(StorageError):  # of the failure that is being mended
                        self._close_handles()
                self._open_patiently()
                found = self._db.latest_sequence_number()
                if found != self._expected:
                    numbers = f"expected={self._expected} got={found}"
                    raise StorageError(f"store must be opened again: path={self.path} {numbers}")
                self._refused = self._torn = False

    def _check_room(self) -> None:
        size = REOPEN_BYTES + sum(file.stat().st_size for file in self.path.glob("*.log"))
        probe = self.path / "room.probe"
        try:
            with probe.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            raise StorageFullError(f"disk is full: path={self.path} needed={size} bytes: {error}") from error
        finally:
            probe.unlink(missing_ok=True)

    def _open_patiently(self) -> None:
        for _ in range(REOPEN_TRIES):
            try:
                return self._open()
            except StorageError as error:
                if "lock" not in str(error):
                    raise
                time.sleep(0.01)
        return self._open()


class Pieces:
    """Writes that go to the store in pieces of bounded size, so that no write holds the GIL for long.

    Each piece is atomic, the whole is not: what must appear at once belongs in one piece (`flush` it alone).
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._batch = WriteBatch(raw_mode=True)
        self._bytes = 0

    def put(self, family: str, key: bytes, value: bytes) -> None:
        """Set a key."""
        self._batch.put(key, value, self._store._handles[family])  # noqa: SLF001
        self._bytes += len(key) + len(value)

    def delete(self, family: str, key: bytes) -> None:
        """Delete a key."""
        self._batch.delete(key, self._store._handles[family])  # noqa: SLF001
        self._bytes += len(key)

    def delete_range(self, family: str, begin: bytes, end: bytes) -> None:
        """Delete the keys from `begin` up to but without `end`."""
        self._batch.delete_range(begin, end, self._store._handles[family])  # noqa: SLF001
        self._bytes += len(begin) + len(end)

    def flush_if_large(self) -> None:
        """Write what has gathered if it has reached the size of a piece."""
        if self._bytes >= PIECE_BYTES:
            self.flush()

    def flush(self) -> None:
        """Write what has gathered, as one atomic piece."""
        if self._bytes:
            self._store.write(self._batch)
            self._batch = WriteBatch(raw_mode=True)
            self._bytes = 0


def _property(family: Rdict, name: str) -> int:
    return int(family.property_int_value(f"rocksdb.{name}") or 0)


def translate(error: Exception, path: Path | None = None) -> Exception:
    """The engine's error for one of rocksdict's, naming the store."""
    text = str(error) if path is None else f"path={path}: {error}"
    if "No space left" in text or "File too large" in text or "quota" in text.lower():
        return StorageFullError(f"disk is full: {text}")
    if "Corruption:" in text:
        return CorruptionError(f"store is damaged: {text}")
    return StorageError(f"store failed: {text}")


def _translate_opening(error: Exception, path: Path) -> Exception:
    """At opening, what neither the disk nor the machine explains is damage: a file that is not there, for example."""
    known = translate(error, path)
    if type(known) is not StorageError or any(cause in str(error) for cause in _ENVIRONMENT):
        return known
    return CorruptionError(f"store is damaged: path={path}: {error}")
