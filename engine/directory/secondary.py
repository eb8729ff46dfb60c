"""A database read beside its owner: any number of processes may, and none changes a file of it.

RocksDB's secondary instances read the owner's files and log; segments are mapped, and the log behind them is applied as
in recovery. All of it is as of the last `refresh`. What it shows was committed by the owner, and is durable unless the
owner writes with a lesser `Durability` than `sync`, or is just about to sync.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import threading
import time
import weakref
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from engine.collection import Collection
from engine.database import Database
from engine.directory import forking
from engine.directory.highwater import HighWater
from engine.directory.layout import RESTORE_JOURNAL, STORE
from engine.directory.opening import OpenOptions, check_format, check_store, expect_store
from engine.errors import CorruptionError, FormatError, ReadOnlyError, StorageError
from engine.memory import MaskCache
from engine.meta import Counters, decode_meta
from engine.schema import Schema
from engine.segments.segment import SegmentDamagedError
from engine.store import keys
from engine.store.checks import check_log, read_number
from engine.store.rocks import LOG, SYSTEM, Store
from engine.writes.change import Change, decode_change
from engine.writes.commit import CommitQueue

log = logging.getLogger(__name__)

TRIES = 10
TRY_SECONDS = 0.02
_UNKNOWN = 2**63  # newer than anything: what the store holds while it catches up


class SecondaryCollection(Collection):
    """A collection of `SecondaryDatabase`; `manifest` is what its segments were loaded from."""

    manifest: bytes | None = None

    def add(self, *_: Any, **__: Any) -> NoReturn:
        """Raises `ReadOnlyError`."""
        raise _refused(self.name)

    def patch(self, *_: Any, **__: Any) -> NoReturn:
        """Raises `ReadOnlyError`."""
        raise _refused(self.name)

    def delete(self, *_: Any, **__: Any) -> NoReturn:
        """Raises `ReadOnlyError`."""
        raise _refused(self.name)

    def optimize(self, *_: Any, **__: Any) -> NoReturn:
        """Raises `ReadOnlyError`."""
        raise _refused(self.name)

    def grow(self, schema: Schema, counters: Counters) -> None:
        """Take up what the owner has recorded since."""
        self._writer.schema, self._writer.counters = schema, counters

    def become(self, newer: SecondaryCollection) -> None:
        """Show what `newer` shows, which is thrown away."""
        self._writer = newer._writer
        self.manifest, self.reader, self.state = newer.manifest, newer.reader, newer.state

    def replay_all(self, changes: Sequence[Change]) -> None:
        """Apply those of the log's changes that are of this collection, and newer than what it shows."""
        for change in changes:
            if change.collection == self.number and change.sequence > self.state.snapshot.sequence:
                self.replay(change)


class SecondaryDatabase(Database):
    """See `Database`. Everything that reads works; everything that writes raises `ReadOnlyError`.

    `_lock` also lets one `refresh` run at a time. A snapshot taken before a refresh stays readable unless the owner has
    meanwhile deleted what is in it and reclaimed the space.
    """

    _collection_type = SecondaryCollection

    def __init__(self, path: Path, options: OpenOptions) -> None:
        self.path = path
        self._options = options
        self._lock = threading.Lock()
        self._exclusive = threading.Lock()
        self._closed = False
        self._masks = MaskCache(options.masks_bytes)
        self._collections: dict[str, Collection] = {}
        self._damaged = {}
        self._commits = CommitQueue(0, lambda: None)
        if not path.is_dir() or not check_format(path):
            raise FormatError(f"there is no database to read: path={path}")
        if (path / RESTORE_JOURNAL).exists():
            raise StorageError(f"restore was cut short; opening the database for writing finishes it: path={path}")
        high_water = HighWater(path)  # read before the store, which is at least as far
        if not expect_store(path / STORE, high_water):
            raise FormatError(f"there is no database to read yet: path={path}")
        with ExitStack() as on_failure:
            self._scratch = Path(tempfile.mkdtemp(prefix="lumaai-beside-"))
            self._cleanup = weakref.finalize(self, shutil.rmtree, self._scratch, ignore_errors=True)
            on_failure.callback(self._cleanup)
            self._place = _identity(path / STORE)
            self._store = self._open_store()
            on_failure.callback(self._store.close)
            check_store(self._store, high_water)
            self._follow()
            on_failure.pop_all()
        forking.watch(self)

    def refresh(self) -> int:
        """See what the owner has committed; returns the sequence of the last write that can be seen now.

        Raises:
            CorruptionError: what is on disk cannot be read.
            StorageError: likewise.
        """
        with self._lock:
            self._check_open()
            self._follow()
        return self.sequence

    def create_collection(self, *_: Any, **__: Any) -> NoReturn:
        """Raises `ReadOnlyError`."""
        raise _refused(self.path)

    def drop_collection(self, *_: Any, **__: Any) -> NoReturn:
        """Raises `ReadOnlyError`."""
        raise _refused(self.path)

    def archive(self, *_: Any, **__: Any) -> NoReturn:
        """Raises `ReadOnlyError`: it is the owner who archives."""
        raise _refused(self.path)

    def restore(self, *_: Any, **__: Any) -> NoReturn:
        """Raises `ReadOnlyError`."""
        raise _refused(self.path)

    def check(self, *_: Any, **__: Any) -> NoReturn:
        """Raises `ReadOnlyError`: only the owner can tell damage from what it is just removing."""
        raise _refused(self.path)

    def compact(self, *_: Any, **__: Any) -> NoReturn:
        """Raises `ReadOnlyError`."""
        raise _refused(self.path)

    def purge(self, *_: Any, **__: Any) -> NoReturn:
        """Raises `ReadOnlyError`."""
        raise _refused(self.path)

    def close(self) -> None:
        """Let go of everything; a second time does nothing."""
        if self._begin_closing():
            forking.unwatch(self)
            for collection in self._collections.values():
                collection.close()
            self._store.close()
            self._cleanup()

    def forked(self) -> None:
        """See `Database.forked`; the links stay, for the parent."""
        self._cleanup.detach()
        super().forked()

    def _open_store(self) -> Store:
        for _ in range(TRIES):  # the owner may be removing just the file that is being opened
            with suppress(CorruptionError, StorageError):
                return Store(self.path / STORE, scratch=self._scratch, options=self._options.store)
            time.sleep(TRY_SECONDS)
        return Store(self.path / STORE, scratch=self._scratch, options=self._options.store)

    def _follow(self) -> None:
        """Catch up and load, again and again while the owner removes what is being loaded.

        A segment that stays damaged is built again in a directory of our own.
        """
        for last in [False] * TRIES + [True]:
            try:
                self._catch_up()
                self._load(rebuild=last)
                return
            except (SegmentDamagedError, CorruptionError, StorageError) as error:
                if last:
                    raise
                log.info("beside.retried", extra={"path": str(self.path), "reason": str(error)})
                time.sleep(TRY_SECONDS)

    def _catch_up(self) -> None:
        for collection in self._collections.values():
            collection.reader.written = _UNKNOWN
        place = _identity(self.path / STORE)
        if place == self._place:
            with suppress(CorruptionError, StorageError):
                self._store.catch_up()
                return
        self._store.renew()  # after a restore, or when the owner removed a file before it could be opened
        self._place = place

    def _load(self, *, rebuild: bool) -> None:
        """Bring every collection to what the store says, and show all of them at once.

        Raises:
            SegmentDamagedError: a segment is not there, or no more, and `rebuild` does not ask to build it again.
        """
        check_log(self._store)
        sequence = read_number(self._store, keys.SEQUENCE)
        prefix = keys.COLLECTION_PREFIX
        metas = list(self._store.items(SYSTEM, prefix, prefix + b"\xff"))
        read = [self._read(key[len(prefix) :].decode(), *decode_meta(value), rebuild=rebuild) for key, value in metas]
        first = min((each.state.snapshot.sequence for each in read), default=sequence)
        log_of = self._store.items(LOG, keys.log_key(first + 1), keys.log_key(2**64 - 1))
        changes = [decode_change(value) for _, value in log_of]
        for each in read:
            if each not in self._collections.values():
                each.replay_all(changes)
        with self._commits.hold():
            self._show(read, changes, sequence)

    def _read(self, name: str, number: int, schema: Schema, *, rebuild: bool) -> SecondaryCollection:
        """A collection as far as its manifest: the known one where that is still the same."""
        known = self._collections.get(name)
        manifest = self._store.get(SYSTEM, keys.manifest_key(number))
        state = self._store.get(SYSTEM, keys.state_key(number))
        counters = msgspec.json.decode(state, type=Counters) if state else Counters()
        if isinstance(known, SecondaryCollection) and (known.number, known.manifest) == (number, manifest):
            known.grow(schema, counters)
            return known
        opened = self._make(name, number, schema)
        assert isinstance(opened, SecondaryCollection)
        opened.manifest = manifest
        if rebuild:
            opened.state.rebuilds_in = Path(self._scratch, f"{number:08d}")
        opened.open(counters)
        return opened

    def _show(self, read: Sequence[SecondaryCollection], changes: Sequence[Change], sequence: int) -> None:
        collections: dict[str, Collection] = {}
        for each in read:
            known = self._collections.get(each.name)
            if each is known:
                each.replay_all(changes)
            same = isinstance(known, SecondaryCollection) and known.number == each.number
            if each is not known and isinstance(known, SecondaryCollection) and same:
                known.become(each)
            shown = known if known is not None and same else each
            shown.reader.written = sequence
            collections[each.name] = shown
        for name, gone in self._collections.items():
            if collections.get(name) is not gone:
                gone.reader.dropped = True
                gone.close()
        self._collections = collections
        self._commits.published = self._commits.synced = sequence


def _identity(path: Path) -> tuple[int, int]:
    """Which directory is at `path`: another one after a restore."""
    status = path.stat()
    return status.st_dev, status.st_ino


def _refused(path: object) -> ReadOnlyError:
    return ReadOnlyError(f"database was opened for reading only: path={path}")
