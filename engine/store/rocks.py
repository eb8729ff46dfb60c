"""RocksDB through rocksdict: column families, options, and errors of the disk as ours.

Facts of rocksdict 0.3.29 that shape the callers: `write` holds the GIL for its whole length, `flush_wal(True)` and
multi-gets release it. So batches are written unsynced in pieces of bounded size, and made durable by one
`sync()` outside the GIL (see `engine.commit`).
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType

from rocksdict import (
    BlockBasedOptions,
    Cache,
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


class _Gate:
    """Counts who is inside, so that closing waits for them, and turns later ones away."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside = 0
        self._closed = False

    def __enter__(self) -> None:
        with self._changed:
            if self._closed:
                raise DatabaseClosedError("database is closed")
            self._inside += 1

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._changed:
            self._inside -= 1
            if self._closed:
                self._changed.notify_all()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.wait_for(lambda: self._inside == 0)


class Store:
    """One open RocksDB. Safe for many threads; ordering of writes is the caller's.

    Every method raises `DatabaseClosedError` after `close`.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._gate = _Gate()
        self._cache = Cache.new_hyper_clock_cache(BLOCK_CACHE_BYTES, 0)
        families = {name: _family_options(self._cache) for name in FAMILIES}
        families["default"] = Options(raw_mode=True)
        try:
            self._db = Rdict(str(path), _database_options(), column_families=families)
        except Exception as error:
            raise translate(error) from error
        self._families = {name: self._db.get_column_family(name) for name in FAMILIES}
        self._handles = {name: self._db.get_column_family_handle(name) for name in FAMILIES}

    def get(self, family: str, key: bytes) -> bytes | None:
        """One value, or None."""
        with self._gate:
            try:
                value: bytes | None = self._families[family].get(key)
            except Exception as error:
                raise translate(error) from error
        return value

    def get_many(self, family: str, keys: Sequence[bytes]) -> list[bytes | None]:
        """Values in the order of `keys`, None where there is none."""
        if not keys:
            return []
        with self._gate:
            try:
                values: list[bytes | None] | None = self._families[family].get(list(keys))
            except Exception as error:
                raise translate(error) from error
        return values or []

    def items(self, family: str, begin: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values in key order, from `begin` up to but without `end`."""
        options = ReadOptions()
        options.set_iterate_upper_bound(end)
        with self._gate:
            try:
                yield from self._families[family].items(from_key=begin, read_opt=options)
            except Exception as error:
                raise translate(error) from error

    def batch(self) -> Pieces:
        """A new batch of writes."""
        return Pieces(self)

    def write(self, batch: WriteBatch) -> None:
        """Write a batch to log and memory, atomically, but not yet durably."""
        with self._gate:
            try:
                self._db.write(batch)
            except Exception as error:
                raise translate(error) from error

    def sync(self) -> None:
        """Make everything written so far durable. Releases the GIL."""
        with self._gate:
            try:
                self._db.flush_wal(True)
            except Exception as error:
                raise translate(error) from error

    def cache_bytes(self) -> int:
        """Bytes that the block cache holds."""
        with self._gate:
            return self._cache.get_usage()

    def close(self) -> None:
        """Close, when those that are reading or writing have finished."""
        self._gate.close()
        for family in self._families.values():
            family.close()
        self._families.clear()
        self._handles.clear()
        self._db.close()


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


def translate(error: Exception) -> Exception:
    """The engine's error for one of rocksdict's."""
    text = str(error)
    if "No space left" in text or "File too large" in text or "quota" in text.lower():
        return StorageFullError(f"disk is full: {text}")
    if text.startswith("Corruption") or "Corruption:" in text:
        return CorruptionError(f"store is damaged: {text}")
    return StorageError(f"store failed: {text}")


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
