"""RocksDB through rocksdict: column families, options, and errors of the disk as ours.

Facts of rocksdict 0.3.29 that shape the callers: `write` holds the GIL for its whole length, `flush_wal(True)` and
multi-gets release it. So batches are written unsynced in pieces of bounded size, and made durable by one
`sync()` outside the GIL (see `engine.commit`).
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from rocksdict import (
    AccessType,
    BlockBasedOptions,
    Cache,
    ColumnFamily,
    DBCompressionType,
    DBRecoveryMode,
    Options,
    Rdict,
    ReadOptions,
    WriteBatch,
)

from engine.errors import CorruptionError, DatabaseClosedError, StorageError, StorageFullError

DOCUMENTS, IDS, VECTORS, LOG, SYSTEM = "documents", "ids", "vectors", "log", "system"
FAMILIES = (DOCUMENTS, IDS, VECTORS, LOG, SYSTEM)
BLOCK_CACHE_BYTES = 128 * 1024 * 1024
MEMTABLES_BYTES = 128 * 1024 * 1024
WAL_BYTES_MAX = 512 * 1024 * 1024
PIECE_BYTES = 4 * 1024 * 1024  # a write of this size holds the GIL for about 20 ms
REOPEN_BYTES = 1024 * 1024  # what opening again needs besides the log's size
REOPEN_TRIES = 50  # 10 ms apart: RocksDB lets go of its own lock when the last handle is gone
_ENVIRONMENT = ("Permission denied", "Too many open files", "Read-only file system", "lock")


class _Gate:
    """Counts who is inside, so that closing waits for them, and turns later ones away."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0
        self._closed = False
        self._alone = False

    def __enter__(self) -> None:
        with self._changed:
            while self._alone:
                self._changed.wait()
            if self._closed:
                raise DatabaseClosedError("database is closed")
            self._inside += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._inside -= 1
            if self._closed or self._alone:
                self._changed.notify_all()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Wait until nobody is inside, and keep others waiting meanwhile. One caller at a time."""
        with self._changed:
            if self._closed:
                raise DatabaseClosedError("database is closed")
            self._alone = True
            self._changed.wait_for(lambda: self._inside == 0)
        try:
            yield
        finally:
            with self._changed:
                self._alone = False
                self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: not self._alone)
            self._closed = True
            self._changed.wait_for(lambda: self._inside == 0)


class Store:
    """One open RocksDB. Safe for many threads; ordering of writes is the caller's.

    Every method raises `DatabaseClosedError` after `close`. RocksDB refuses all writes after one that failed, so the
    next write opens it anew first, once there is room again.

    Args:
        path: directory of the store.
        read_only: look only: the log is replayed in memory, and no file is changed or deleted.
    """

    def __init__(self, path: Path, *, read_only: bool = False) -> None:
        self.path = path
        self._read_only = read_only
        self._gate = _Gate()
        self._reopening = threading.Lock()
        self._refused = False
        self._torn = False  # the write that failed could not be appended: all before it is whole in the log's file
        self._expected = 0
        self._cache = Cache.new_hyper_clock_cache(BLOCK_CACHE_BYTES, 0)
        self._families: dict[str, Rdict] = {}
        self._handles: dict[str, ColumnFamily] = {}
        self._db: Rdict
        self._open()

    def _open(self) -> None:
        families = {name: _family_options(self._cache) for name in FAMILIES}
        families["default"] = Options(raw_mode=True)
        access = AccessType.read_only(False) if self._read_only else AccessType.read_write()
        try:
            self._db = Rdict(str(self.path), _database_options(), column_families=families, access_type=access)
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
        if errors:
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


def _database_options() -> Options:
    options = Options(raw_mode=True)
    options.create_if_missing(True)
    options.create_missing_column_families(True)
    # The default point-in-time mode drops acknowledged writes behind a damaged record without a word.
    options.set_wal_recovery_mode(DBRecoveryMode.tolerate_corrupted_tail_records())
    options.set_max_total_wal_size(WAL_BYTES_MAX)
    options.set_db_write_buffer_size(MEMTABLES_BYTES)
    options.set_max_background_jobs(2)
    options.set_bytes_per_sync(1 << 20)
    options.set_keep_log_file_num(2)
    options.set_max_log_file_size(4 << 20)
    return options


def _family_options(cache: Cache) -> Options:
    table = BlockBasedOptions()
    table.set_block_cache(cache)
    table.set_bloom_filter(10, False)
    table.set_block_size(16 * 1024)
    table.set_cache_index_and_filter_blocks(True)
    table.set_pin_l0_filter_and_index_blocks_in_cache(True)
    options = Options(raw_mode=True)
    options.set_block_based_table_factory(table)
    options.set_write_buffer_size(32 << 20)
    options.set_level_compaction_dynamic_level_bytes(True)
    options.set_compression_type(DBCompressionType.lz4())
    options.set_bottommost_compression_type(DBCompressionType.zstd())
    return options
