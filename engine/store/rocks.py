"""RocksDB through rocksdict: column families, options, and errors of the disk as ours.

Facts of rocksdict 0.3.29 that shape the callers: `write` holds the GIL for its whole length, `flush_wal(True)` and
multi-gets release it. So batches are written unsynced in pieces of bounded size, and made durable by one
`sync()` outside the GIL (see `engine.writes.commit`).
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
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
)

from engine.errors import CorruptionError, DatabaseClosedError, ReadOnlyError, StorageError, StorageFullError
from engine.store.failures import translate, translate_opening
from engine.store.gate import Gate
from engine.store.mirror import list_files, refresh_mirror
from engine.store.options import StoreOptions, database_options, family_options
from engine.store.pieces import Piece, Pieces
from engine.store.reopening import Reopening, sync_logs
from engine.store.stamps import Stamps, UnevenError

DOCUMENTS, IDS, VECTORS, LOG, SYSTEM = "documents", "ids", "vectors", "log", "system"
FAMILIES = (DOCUMENTS, IDS, VECTORS, LOG, SYSTEM)
LAST_KEY = b"\xff" * 600  # after every key: ids have at most 512 bytes
CHUNK_PAIRS_MAX = 1000
CHUNK_BYTES_MAX = 1 << 20


class Store:
    """One open RocksDB. Safe for many threads; ordering of writes is the caller's.

    Every method raises `DatabaseClosedError` after `close`. RocksDB refuses all writes after one that failed, so the
    next use opens it anew first; see `Reopening`, also for full disks.

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
        self._compacting = 0  # one at a time: see `Reclaim`
        self._cancelled = False
        self._cache = Cache.new_hyper_clock_cache(self.options.cache_bytes, 0)
        self._families: dict[str, Rdict] = {}
        self._handles: dict[str, ColumnFamily] = {}
        self._db: Rdict
        self._stamps = Stamps()
        self._mirrored: frozenset[str] = frozenset()
        self._reopening = Reopening(self)
        if self.read_only:
            self.open_handles()
        else:
            self._reopening.open_first()

    def open_handles(self, *, lean: bool = False) -> None:
        """For `Reopening`: open what is not open; `lean` as in `database_options`."""
        families = {name: family_options(self.options, self._cache, lean=lean) for name in FAMILIES}
        families["default"] = Options(raw_mode=True)
        access = AccessType.read_only(False) if self.read_only else AccessType.read_write()
        options = database_options(self.options, lean=lean)
        opened = self.path
        if self._scratch is not None:
            access, opened = AccessType.secondary(str(self._scratch / "notes")), self._scratch / "store"
            options.set_max_open_files(-1)  # a file that the owner deletes stays readable
        try:
            if self._scratch is not None:
                self._mirrored = refresh_mirror(self.path, opened)
            db = Rdict(str(opened), options, column_families=families, access_type=access)
            handles = {name: db.get_column_family_handle(name) for name in FAMILIES}
            self._families = {name: db.get_column_family(name) for name in FAMILIES}
        except Exception as error:
            raise translate_opening(error, self.path) from error
        self._db, self._handles = db, handles

    def get(self, family: str, key: bytes) -> bytes | None:
        """One value, or None."""
        with self._inside():
            try:
                value: bytes | None = self._family(family).get(key)
            except Exception as error:
                raise translate(error, self.path) from error
        return value

    def get_many(self, family: str, keys: Sequence[bytes]) -> list[bytes | None]:
        """Values in the order of `keys`, None where there is none."""
        if not keys:
            return []
        with self._inside():
            try:
                values: list[bytes | None] | None = self._family(family).get(list(keys))
            except Exception as error:
                raise translate(error, self.path) from error
        return values or []

    def items(self, family: str, begin: bytes, end: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Keys and values in key order, from `begin` up to but without `end`.

        They are read in chunks, and nothing of the store is held between them: what is written meanwhile may show.

        Raises:
            CorruptionError: a block cannot be read; rocksdict's own iterators would end there without a word.
        """
        pairs = 8  # few to begin with: some want only the first
        while True:
            chunk, whole = self._chunk(family, begin, end, pairs)
            yield from chunk
            if whole:
                return
            begin = chunk[-1][0] + b"\x00"
            pairs = min(8 * pairs, CHUNK_PAIRS_MAX)

    def _chunk(self, family: str, begin: bytes, end: bytes, pairs: int) -> tuple[list[tuple[bytes, bytes]], bool]:
        """At most so many pairs of a range, or 1 MiB, and whether they are all."""
        options = ReadOptions()
        options.set_iterate_upper_bound(end)
        found: list[tuple[bytes, bytes]] = []
        size = 0
        with self._inside():
            try:
                iterator = self._family(family).iter(options)
                iterator.seek(begin)
                while iterator.valid():
                    if len(found) == pairs or size >= CHUNK_BYTES_MAX:
                        return found, False
                    key, value = iterator.key(), iterator.value()
                    found.append((key, value))
                    size += len(key) + len(value)
                    iterator.next()
                iterator.status()
            except Exception as error:
                raise translate(error, self.path) from error
        return found, True

    def batch(self) -> Pieces:
        """A new batch of writes."""
        return Pieces(self.write)

    def write(self, piece: Piece) -> None:
        """Write a piece to log and memory, atomically, but not yet durably.

        Raises:
            StorageFullError: there is no room. What only deletes is written none the less, as long as it can.
        """
        if self.read_only:
            raise ReadOnlyError(f"database was opened for reading only: path={self.path}")
        self._gate.check_open()  # closed: neither is it opened anew
        if piece.grows:
            self._reopening.make_room()
            self._write(piece)
            return
        self._reopening.mend()
        try:
            self._write(piece)
        except StorageFullError:
            self._reopening.mend()  # with what was kept back for this
            self._write(piece)

    def _write(self, piece: Piece) -> None:
        with self._inside():
            try:
                self._stamps.write(piece, self._db, self._family(SYSTEM), self._handles)
            except Exception as error:
                self._reopening.failed(error)
                raise translate(error, self.path) from error

    def sync(self) -> None:
        """Make everything written so far durable. Releases the GIL."""
        with self._gate:
            try:
                if not self._reopening.torn:
                    self._db.flush_wal(True)
            except Exception as error:
                if not self._reopening.torn:  # else another's write failed meanwhile
                    raise translate(error, self.path) from error
            if self._reopening.torn:  # RocksDB has given its log up
                self._sync_logs()

    def _sync_logs(self) -> None:
        try:
            sync_logs(self.path)
        except OSError as error:
            raise translate(error, self.path) from error

    def flush(self) -> None:
        """Write what is in memory to tables. Releases the GIL."""
        with self._inside():
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
        with self._inside():
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
        with self._inside():
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
        with self._inside():
            try:
                Checkpoint(self._db).create_checkpoint(str(target))
            except Exception as error:
                raise translate(error, target) from error

    def catch_up(self) -> None:
        """See what the owner has written since; for a store opened with `scratch`. Nobody else is inside meanwhile."""
        with self._gate.alone():
            try:
                if self._scratch is not None:
                    self._mirrored = refresh_mirror(self.path, self._scratch / "store")
                self._db.try_catch_up_with_primary()
            except Exception as error:
                raise translate(error, self.path) from error

    def renew(self) -> None:
        """Open what is at `path` now, in place of what was; for a store opened with `scratch`."""
        with self._gate.alone():
            if self._families:
                with contextlib.suppress(StorageError):
                    self.close_handles()
            self.open_handles()

    def check_steady(self) -> None:
        """After `catch_up` or `renew`: the owner has added and removed no file meanwhile.

        Else RocksDB may have taken note of a flush, and let go of what it had in memory, but not found the tables.

        Raises:
            UnevenError: it has; only `renew` helps.
            StorageError: the directory cannot be read.
        """
        try:
            now = list_files(self.path)
        except OSError as error:
            raise translate(error, self.path) from error
        differing = (now ^ self._mirrored) | (set(self.tables()) - now)
        if differing:
            raise UnevenError(f"store changed while it was read: path={self.path} {', '.join(sorted(differing)[:5])}")

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
        with self._inside():
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
        with self._inside():
            try:
                return [str(file["name"]).lstrip("/") for file in self._db.live_files()]
            except Exception as error:
                raise translate(error, self.path) from error

    def close(self) -> None:
        """Close, when those that are reading or writing have finished.

        Raises:
            StorageError: RocksDB could not finish its work; all handles are released none the less.
        """
        self._gate.close()
        try:
            self.close_handles()
        except StorageFullError:
            self._sync_logs()  # what could not be written to tables is all in there

    def alone(self) -> AbstractContextManager[None]:
        """For `Reopening`: nobody else is inside meanwhile."""
        return self._gate.alone()

    def is_open(self) -> bool:
        """For `Reopening`: whether there are handles."""
        return bool(self._families)

    def written(self) -> int:
        """For `Reopening`: RocksDB's number of the last write."""
        return self._db.latest_sequence_number()

    def close_handles(self) -> None:
        """For `Reopening`: let go of RocksDB, whatever it says."""
        errors: list[Exception] = []
        for closable in (*self._families.values(), self._db) if self._families else ():
            try:
                closable.close()
            except Exception as error:  # noqa: BLE001  (raised below, when the others are closed as well)
                errors.append(error)
        self._families.clear()
        self._handles.clear()
        if errors and not self._cancelled:  # then RocksDB could not flush: all of it is in the log
            raise translate(errors[-1], self.path) from errors[-1]

    def _inside(self) -> Gate:
        """The gate, to be entered where there are open handles."""
        self._reopening.ready()
        return self._gate

    def _family(self, name: str) -> Rdict:
        found = self._families.get(name)
        if found is None:
            raise StorageError("not open since a failure")
        return found


def _property(family: Rdict, name: str) -> int:
    return int(family.property_int_value(f"rocksdb.{name}") or 0)
