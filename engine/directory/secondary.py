"""A database read beside its owner: any number of processes may, and none changes a file of it.

RocksDB's secondary instances read the owner's files and log; segments are mapped, and the log behind them is applied as
in recovery. All of it is as of the last `refresh`. What it shows was committed by the owner, and is durable unless the
owner writes with a lesser `Durability` than `sync`, or is just about to sync.

The owner flushes, compacts and restores at any time, and what is read meanwhile may be of several moments. So nothing
is shown before it is known to be of one: see `engine.store.stamps`.
"""

from __future__ import annotations

import logging
import random
import shutil
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

import msgspec

from engine.collection import Collection
from engine.database import Database
from engine.directory import forking
from engine.directory.highwater import HighWater
from engine.directory.layout import RESTORE_JOURNAL, STORE
from engine.directory.opening import OpenOptions, check_format, check_store, expect_store
from engine.errors import CorruptionError, DatabaseNotFoundError, ReadOnlyError, StorageError
from engine.memory import MaskCache
from engine.meta import Counters, decode_meta
from engine.schema import Schema
from engine.segments.manifest import EMPTY, Manifest, decode_manifest
from engine.segments.segment import SegmentDamagedError
from engine.store import keys
from engine.store.checks import read_log, read_number
from engine.store.rocks import SYSTEM, Store
from engine.store.stamps import UnevenError, check_stamps
from engine.text.writers import TextWriters
from engine.vector.device.sharing import SHARED
from engine.writes.change import Change, decode_change
from engine.writes.commit import CommitQueue

log = logging.getLogger(__name__)

TRIES = 10
TRY_SECONDS = 0.02
WAIT_SECONDS = 5.0  # for an owner who restores, or writes and compacts without a pause
CATCH_UPS = 2  # then the store is opened anew
_UNKNOWN = 2**63  # newer than anything: what the store holds while it catches up


class _Place(NamedTuple):
    """Which store it is: another one after a restore."""

    device: int
    directory: int
    identity: tuple[int, int]


class _Shown(NamedTuple):
    """What the collections show: the store at `place` as of RocksDB's number `stamp`."""

    place: _Place
    stamp: int


class SecondaryCollection(Collection):
    """A collection of `SecondaryDatabase`; `manifest` is what its segments were loaded from."""

    manifest: Manifest = EMPTY

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
        if self.state.text is not None and self.state.text is not newer.state.text:
            self.state.text.destroy()
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
    meanwhile deleted what is in it and reclaimed the space, or has restored: then it raises `CollectionNotFoundError`.
    """

    _collection_type = SecondaryCollection

    def __init__(self, path: Path, options: OpenOptions) -> None:
        self.path = path
        self._options = options
        self._lock = threading.Lock()
        self._exclusive = threading.RLock()
        self._closed = False
        self._masks = MaskCache(options.masks_bytes, options.indexes_bytes)
        self._device = SHARED.acquire(options.device)
        self._text_writers = TextWriters(options.text_bytes)
        self._collections: dict[str, Collection] = {}
        self._damaged = {}
        self._commits = CommitQueue(0, lambda: None)
        self._shown: _Shown | None = None
        self._untouched = True  # the store was just opened
        self._steady = False  # nothing is known to have gone wrong when it caught up last
        if not path.is_dir() or not check_format(path):
            raise DatabaseNotFoundError(f"there is no database to read: path={path}")
        with ExitStack() as on_failure:
            self._scratch = Path(tempfile.mkdtemp(prefix="lumaai-beside-"))
            self._cleanup = weakref.finalize(self, shutil.rmtree, self._scratch, ignore_errors=True)
            on_failure.callback(self._cleanup)
            on_failure.callback(SHARED.release, self._device)
            self._patiently(lambda *_: self._open_store())
            on_failure.callback(self._store.close)
            self._follow()
            on_failure.pop_all()
        forking.watch(self)

    def refresh(self) -> int:
        """See what the owner has committed; returns the sequence of the last write that can be seen now.

        Raises:
            CorruptionError: what is on disk cannot be read.
            StorageError: likewise, or the owner changes it without a pause. What was shown stays.
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
            SHARED.release(self._device)
            self._store.close()
            self._cleanup()

    def forked(self) -> None:
        """See `Database.forked`; the links stay, for the parent."""
        self._cleanup.detach()
        super().forked()

    def _patiently(self, step: Callable[[bool, bool], None]) -> None:
        """Do `step` until it comes through: the owner may be changing just what it reads.

        Args:
            step: is told whether to open the store anew, and, at last, whether to build damaged segments again in a
                directory of our own.
        """
        until = time.monotonic() + WAIT_SECONDS
        tries = unread = faults = 0
        reason = ""
        while True:
            tries += 1
            try:
                return step(unread >= CATCH_UPS, faults >= TRIES)
            except UnevenError as error:
                unread += 1
                failure: Exception = error
            except SegmentDamagedError as error:
                faults = faults + 1 if str(error) == reason else 1  # another one: the owner goes on merging
                failure = error
            except (CorruptionError, StorageError) as error:
                unread += 1
                faults += 1
                failure = error
            reason = str(failure)
            if faults > TRIES or (tries > TRIES and time.monotonic() > until):
                raise failure
            log.info("beside.retried", extra={"path": str(self.path), "reason": reason})
            time.sleep(TRY_SECONDS * random.uniform(0.1, 1))  # noqa: S311  (out of step with the owner)

    def _open_store(self) -> None:
        restored = (self.path / RESTORE_JOURNAL).exists()
        if not restored and not expect_store(self.path / STORE, HighWater(self.path)):
            raise DatabaseNotFoundError(f"there is no database to read yet: path={self.path}")
        self._place = _find_place(self.path)
        self._store = Store(self.path / STORE, scratch=self._scratch, options=self._options.store)

    def _follow(self) -> None:
        self._patiently(self._step)

    def _step(self, renew: bool, rebuild: bool) -> None:  # noqa: FBT001  (see `_patiently`)
        """See what the owner has committed, and show it."""
        place = _find_place(self.path)
        high_water = HighWater(self.path)  # read before the store, which is at least as far
        self._catch_up(place, renew=renew)
        self._store.check_steady()
        self._steady = True
        stamp = check_stamps(self._store)
        sequence = read_number(self._store, keys.SEQUENCE)
        if self._shown is None:
            check_store(self._store, high_water)
        elif sequence < max(high_water.sequence or 0, self.sequence if self._shown.place == place else 0):
            raise UnevenError(f"store is not as far as its mark: path={self._store.path} sequence={sequence}")
        if self._shown != (place, stamp):
            read = self._load(rebuild=rebuild)
            changes = self._read_changes(read)
            for each in read:
                if each not in self._collections.values():
                    each.replay_all(changes)
            if _find_place(self.path) != place:
                raise UnevenError(f"database was restored while it was read: path={self.path}")
            with self._commits.hold():
                self._show(read, changes, sequence)
            self._shown = _Shown(place, stamp)
        for collection in self._collections.values():
            collection.reader.written = sequence

    def _catch_up(self, place: _Place, *, renew: bool) -> None:
        for collection in self._collections.values():
            collection.reader.written = _UNKNOWN
        if self._untouched:
            self._untouched = False
            if place == self._place:
                return
        steady, self._steady = self._steady, False
        if place == self._place and steady and not renew:
            with suppress(CorruptionError, StorageError):
                self._store.catch_up()
                return
        if self._shown is not None and self._shown.place != place:  # what was shown is no more
            for collection in self._collections.values():
                collection.reader.dropped = True
        self._store.renew()  # after a restore, or when the owner removed a file before it could be opened
        self._place = place

    def _load(self, *, rebuild: bool) -> list[SecondaryCollection]:
        """Every collection as far as its manifest; the known one where that says nothing new of it.

        Raises:
            SegmentDamagedError: a segment is not there, or no more, and `rebuild` does not ask to build it again.
        """
        prefix = keys.COLLECTION_PREFIX
        metas = list(self._store.items(SYSTEM, prefix, prefix + b"\xff"))
        return [self._read(key[len(prefix) :].decode(), *decode_meta(value), rebuild=rebuild) for key, value in metas]

    def _read(self, name: str, number: int, schema: Schema, *, rebuild: bool) -> SecondaryCollection:
        known = self._collections.get(name)
        value = self._store.get(SYSTEM, keys.manifest_key(number))
        manifest = decode_manifest(value) if value else EMPTY
        state = self._store.get(SYSTEM, keys.state_key(number))
        counters = msgspec.json.decode(state, type=Counters) if state else Counters()
        if isinstance(known, SecondaryCollection) and self._is_as_far(known, number, manifest):
            known.grow(schema, counters)
            return known
        opened = self._make(name, number, schema)
        if isinstance(known, SecondaryCollection) and known.number == number and self._is_same_store():
            opened.state.text = known.state.text  # it knows documents by ordinals, which stay
        assert isinstance(opened, SecondaryCollection)
        opened.manifest = manifest
        if rebuild:
            opened.state.files.rebuilds_in = Path(self._scratch, f"{self._place.directory}-{number:08d}")
        opened.open(counters)
        return opened

    def _is_as_far(self, known: SecondaryCollection, number: int, manifest: Manifest) -> bool:
        return self._is_same_store() and known.number == number and _sealed(known.manifest) == _sealed(manifest)

    def _is_same_store(self) -> bool:
        return self._shown is not None and self._shown.place == self._place

    def _text_directory(self, number: int) -> Path:
        """One of our own: the owner's changes whenever it commits."""
        place = self._place
        return Path(self._scratch, f"text-{place.directory}-{place.identity[1]}-{number:08d}")

    def _read_changes(self, read: Sequence[SecondaryCollection]) -> list[Change]:
        """Those of the log that a collection may lack: the known ones have been followed up to `sequence`."""
        known = list(self._collections.values())
        after = min((self.sequence if each in known else each.state.covered for each in read), default=self.sequence)
        return [decode_change(value) for value in read_log(self._store, after)]

    def _show(self, read: Sequence[SecondaryCollection], changes: Sequence[Change], sequence: int) -> None:
        collections: dict[str, Collection] = {}
        for each in read:
            known = self._collections.get(each.name)
            if each is known:
                each.replay_all(changes)
            same = isinstance(known, SecondaryCollection) and known.number == each.number
            if each is not known and isinstance(known, SecondaryCollection) and same:
                known.become(each)
            collections[each.name] = known if known is not None and same else each
        for name, gone in self._collections.items():
            if collections.get(name) is not gone:
                gone.reader.dropped = True
                gone.close()
        self._collections = collections
        self._commits.published = self._commits.synced = sequence


def _sealed(manifest: Manifest) -> tuple[Any, ...]:
    """What a collection is loaded from, without what is said of garbage."""
    return manifest.sequence, manifest.segments, manifest.deleted


def _find_place(path: Path) -> _Place:
    """Which store is in the database at `path`.

    Raises:
        UnevenError: none just now.
    """
    if (path / RESTORE_JOURNAL).exists():
        text = "restore was cut short, or is under way; opening the database for writing finishes it"
        raise UnevenError(f"{text}: path={path}")
    try:
        status = (path / STORE).stat()
    except FileNotFoundError as error:
        raise UnevenError(f"there is no store just now: path={path / STORE}") from error
    try:
        file = (path / STORE / "IDENTITY").stat()
    except FileNotFoundError:
        return _Place(status.st_dev, status.st_ino, (0, 0))
    return _Place(status.st_dev, status.st_ino, (file.st_ino, file.st_mtime_ns))


def _refused(path: object) -> ReadOnlyError:
    return ReadOnlyError(f"database was opened for reading only: path={path}")
