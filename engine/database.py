"""A database: one directory with one store, the segments beside it, and the collections in them."""

from __future__ import annotations

import itertools
import logging
import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from engine import failpoints
from engine.collection import Collection
from engine.directory import forking
from engine.directory.archive import ArchiveInfo, write_archive
from engine.directory.durable import OWNERS_ALONE, make_directory
from engine.directory.layout import INDEXES, STORE
from engine.directory.lock import DirectoryLock
from engine.directory.opening import SEAL_ROWS, OpenOptions, check_format, naming, prepare
from engine.directory.recovery import recover, remove_strays
from engine.directory.restoring import discarding, stage, write_journal
from engine.directory.scrub import CheckReport, Scrub
from engine.errors import (
    CollectionExistsError,
    CollectionNotFoundError,
    CorruptionError,
    DatabaseClosedError,
    EngineError,
    SchemaError,
)
from engine.maintenance import Maintenance, Rounds
from engine.memory import MEMORY_BYTES_DEFAULT, MaskCache
from engine.meta import encode_meta
from engine.reclaim import Progress, Reclaim, disk_bytes
from engine.records import Records
from engine.schema import Schema
from engine.segments.files import TEXT
from engine.segments.state import CollectionState, merge_due, seal_due
from engine.segments.text import CollectionText
from engine.snapshot import Snapshot
from engine.store import keys
from engine.store.checks import read_counters, read_number
from engine.store.failures import translate
from engine.store.options import StoreOptions
from engine.store.rocks import DOCUMENTS, IDS, LOG, SYSTEM, VECTORS, Store
from engine.text.writers import TextWriters
from engine.vector.device.choice import parse_choice
from engine.vector.device.searcher import SearchDevice
from engine.vector.device.sharing import SHARED
from engine.writes.changes import LOG_KEEP_CHANGES, Changes, Followed, read_changes
from engine.writes.commit import SYNC_INTERVAL_SECONDS, CommitQueue
from engine.writes.copying import HIDDEN_PREFIX
from engine.writes.idempotency import move_records

log = logging.getLogger(__name__)

MARK_SECONDS = 1.0
RECLAIM_SECONDS = 1.0
TIDY_SECONDS = 1.0  # how long what has expired may wait, hidden, to be deleted
COLLECTION_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")


class Database:
    """Open a database directory with `Database.open`. Safe for many threads; one owner a directory.

    `_lock` guards the table of collections; `_exclusive` lets one archive, check or restore run at a time, and closing
    wait for it: what they change in the directory is theirs only while it is locked. `_truncating` lets one truncation
    of the log run at a time.
    """

    _collection_type: type[Collection] = Collection

    def __init__(self, path: Path, lock: DirectoryLock, options: OpenOptions) -> None:
        self.path = path
        self._directory_lock = lock
        self._options = options
        self._lock = threading.Lock()
        self._exclusive = threading.RLock()  # a `progress` may close the database
        self._truncating = threading.Lock()
        self._closed = False
        self._masks = MaskCache(options.masks_bytes, options.indexes_bytes)
        self._text_writers = TextWriters(options.text_bytes)
        self._high_water = prepare(path)
        self._store = Store(path / STORE, options=options.store)
        self._device = SHARED.acquire(options.device)
        try:
            self._log_floor = read_number(self._store, keys.LOG_FLOOR)
            self._next_collection = read_number(self._store, keys.NEXT_COLLECTION, 1)  # as far as it is durable
            self._commits = CommitQueue(
                read_number(self._store, keys.SEQUENCE),
                self._store.sync,
                interval_seconds=options.sync_interval_seconds,
                on_synced=self._advance,
            )
            recovered = recover(self._store, self._make)
            self._collections, self._damaged = recovered.collections, recovered.damaged
            remove_strays(path / INDEXES, recovered.numbers)
            if self._commits.published:
                self._high_water.warn_of_missing()
            self._mark(strict=True)
        except BaseException:
            self._store.close()
            self._high_water.close()
            SHARED.release(self._device)
            raise
        self._reclaim = Reclaim(
            self._store,
            lambda: list(self._collections.values()),
            lambda: sorted(self._damaged),
            lambda all_: self._truncate_log(everything=all_),
        )
        self._rounds = {work: Rounds() for work in ("seal", "merge", "tidy", "text")}  # each of one thread
        self._maintenance = Maintenance(self._seal)
        self._merging = Maintenance(self._merge)
        self._reclaiming = Maintenance(self._reclaim.maintain, RECLAIM_SECONDS)
        self._marking = Maintenance(self._mark, MARK_SECONDS)
        self._tidying = Maintenance(self._tidy, TIDY_SECONDS)
        self._indexing = Maintenance(self._index_text)
        forking.watch(self)

    @staticmethod
    def open(
        path: str | Path,
        *,
        read_only: bool = False,
        seal_rows: int = SEAL_ROWS,
        memory_bytes_max: int = MEMORY_BYTES_DEFAULT,
        sync_interval_seconds: float = SYNC_INTERVAL_SECONDS,
        options: StoreOptions | None = None,
        device: str | SearchDevice = "auto",
    ) -> Database:
        """Open the database at `path`, or make one where there is nothing.

        Args:
            path: a directory.
            read_only: look at it beside its owner, if it has one, and change no file; see `directory.secondary`.
            seal_rows: vectors that the head of a collection holds before it becomes a segment.
            memory_bytes_max: of what is kept only to be quick: blocks of the store, masks of filters.
            sync_interval_seconds: at most so long a write of `Durability.INTERVAL` waits for its sync.
            options: of the store; its `cache_bytes` come from `memory_bytes_max`.
            device: where vectors are searched: "cuda", "cpu", or "auto" for a CUDA card where there is one. Without
                card, library or memory the processor does it, after one warning. Or a device of the caller's own.

        Raises:
            InvalidInputError: there is no such device.
            DatabaseLockedError: somebody else has it open.
            FormatError: the directory holds something else, or a newer format.
            CorruptionError: the store cannot be read.
            OSError: no permission, or `path` is a file.
        """
        directory = Path(path).expanduser().resolve()
        chosen = OpenOptions(seal_rows, memory_bytes_max, sync_interval_seconds, options or StoreOptions(), device)
        if isinstance(device, str):
            parse_choice(device)
        if read_only:
            from engine.directory.secondary import SecondaryDatabase

            with naming(directory):
                return SecondaryDatabase(directory, chosen)
        make_directory(directory, OWNERS_ALONE)
        check_format(directory)
        return _own(directory, DirectoryLock(directory), chosen)

    @property
    def sequence(self) -> int:
        """Sequence of the last acknowledged write."""
        return self._commits.published

    def create_collection(self, name: str, schema: Schema, *, hidden: bool = False) -> Collection:
        """Make a collection.

        Args:
            name: of it.
            schema: likewise.
            hidden: its name begins with `HIDDEN_PREFIX`, and it is in no list, snapshot of all, or feed of changes.

        Raises:
            CollectionExistsError: there is one of that name.
            SchemaError: the name has characters other than letters, digits, "_", "." and "-", begins with "." or
                "-", or has more than 128.
        """
        if not COLLECTION_NAME.fullmatch(name.removeprefix(HIDDEN_PREFIX) if hidden else name):
            rule = "1 to 128 of A-Z a-z 0-9 _ . - and not begin with . or -"
            raise SchemaError(f"collection name must be {rule}: got={name!r:.140}", pointer="/name")
        with self._lock:
            self._check_open()
            if name in self._collections or name in self._damaged:
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
            CorruptionError: it could not be opened; the others serve.
        """
        self._check_open()
        found = self._collections.get(name)
        if found is None and name in self._damaged:
            _, error = self._damaged[name]
            raise CorruptionError(f"collection is damaged: {name!r}: {error}") from error
        if found is None:
            raise CollectionNotFoundError(name)
        return found

    def collections(self) -> list[str]:
        """Names of all collections, sorted; also of those that `collection` says are damaged."""
        self._check_open()
        return sorted(filter(_is_shown, [*self._collections, *self._damaged]))

    def hidden_collections(self) -> list[str]:
        """Names of the collections that are in no list, sorted; also of those that `collection` says are damaged."""
        self._check_open()
        return sorted(itertools.filterfalse(_is_shown, [*self._collections, *self._damaged]))

    def exchange_collections(self, name: str, other: str, finish: Callable[[], None]) -> None:
        """Let two collections take each other's place, at once for all, and over a crash: both, or neither.

        Who holds the one `Collection` goes on with what the other one was. What was kept under idempotency keys stays
        with the name.

        Args:
            name: of one; nobody can write to it meanwhile.
            other: of the other.
            finish: called when nobody can write to the first any more; may write to the other.

        Raises:
            CollectionNotFoundError: there is none of one of these names.
        """
        first, second = self.collection(name), self.collection(other)

        def write() -> None:
            batch = self._store.batch()
            for each, takes in ((first, second), (second, first)):
                batch.put(SYSTEM, keys.meta_key(each.name), encode_meta(takes.number, takes.schema))
            move_records(self._store, batch, first.number, second.number)
            failpoints.hit("exchange.before_batch")
            batch.flush()
            self._store.sync()

        with self._lock:
            self._check_open()
            first.exchange(second, finish, write)
        self._mark()

    def drop_collection(self, name: str) -> None:
        """Delete a collection with all that is in it.

        Raises:
            CollectionNotFoundError: there is none of that name.
        """
        with self._lock:
            self._check_open()
            collection = self._damaged[name][0] if name in self._damaged else self.collection(name)
            number = read_number(self._store, keys.NEXT_COLLECTION, 1)
            collection.drop(lambda: self._delete(collection, number + 1))
            self._collections.pop(name, None)
            self._damaged.pop(name, None)
            self._store.sync()  # if this fails, the files stay for the next opening to tidy
            self._next_collection = number + 1
            documents = collection.state.stored()
            collection.state.destroy()
        self._mark()
        self._reclaim.dropped(collection.number, documents)

    def compact(self, progress: Progress | None = None) -> dict[str, Any]:
        """Give back the disk that deleted documents take; see `Reclaim.compact`."""
        self._check_open()
        return self._reclaim.compact(progress)

    def purge(self, progress: Progress | None = None) -> dict[str, Any]:
        """Remove deleted documents from every file; see `Reclaim.purge`."""
        self._check_open()
        return self._reclaim.purge(progress)

    def archive(self, target: str | Path, *, progress: Progress | None = None) -> ArchiveInfo:
        """Write a consistent copy of all that is acknowledged, while reads and writes go on; see `directory.archive`.

        Args:
            target: a directory to make, or a tar where the name ends with ".tar".
            progress: told of the bytes read.

        Raises:
            ArchiveError: `target` exists, or cannot.
            StorageError: the disk refuses it; nothing is left of it.
            DatabaseClosedError: it was closed meanwhile; nothing is left of it.
        """
        place = Path(target).expanduser().resolve()
        with self._alone(progress) as told:
            return write_archive(self.path, self._store, self._commits.hold, place, told)

    def restore(self, source: str | Path, *, progress: Progress | None = None) -> Database:
        """Give up what the database holds for what an archive holds.

        The archive is copied and verified while reads and writes go on. What is written after that, and before the
        database closes, is given up too.

        Returns:
            The database, opened anew; this one is closed.

        Raises:
            ArchiveError: the archive cannot be used; the database goes on.
            StorageError: the disk refuses it. Before it is closed, it goes on; after it, opening it finishes.
            DatabaseClosedError: it was closed meanwhile; nothing was changed.
        """
        with self._alone(progress) as told:
            stage(Path(source), self.path, told)
            with discarding(self.path):
                self._decide()
            with ExitStack() as on_interruption:
                on_interruption.callback(self._directory_lock.release)
                try:
                    self._shut()
                except (EngineError, OSError) as error:  # of what is given up
                    log.warning("restore.close_failed", extra={"reason": str(error)})
                on_interruption.pop_all()
            try:
                return _own(self.path, self._directory_lock, self._options)
            except OSError as error:
                raise translate(error, self.path) from error

    def _decide(self) -> None:
        """Close to all callers, and have what is staged come in: both, or neither."""
        with self._lock:
            self._check_open()
            try:
                write_journal(self.path)
            except OSError as error:
                raise translate(error, self.path) from error
            self._closed = True

    def check(self, *, repair: bool = True, progress: Progress | None = None) -> CheckReport:
        """Read every file, compare every index with the store, and rebuild what is damaged; see `directory.scrub`."""
        with self._alone(progress) as told:
            run = Scrub(self.path, self._store, self._high_water, self._commits, repair=repair, progress=told)
            run.directory()
            run.snapshots()
            run.store()
            for collection in list(self._collections.values()):
                run.collection(collection)
            for collection, error in list(self._damaged.values()):
                run.unreadable(collection.name, collection.number, str(error))
            return run.report

    def _delete(self, collection: Collection, following: int) -> None:
        batch = self._store.batch()
        batch.put(SYSTEM, keys.NEXT_COLLECTION, b"%d" % following)  # skips a number: the mark shows if a drop is lost
        batch.delete(SYSTEM, keys.meta_key(collection.name))
        batch.delete(SYSTEM, keys.state_key(collection.number))
        batch.delete(SYSTEM, keys.manifest_key(collection.number))
        batch.delete_range(SYSTEM, *keys.idempotency_range(collection.number))
        for family in (DOCUMENTS, IDS, VECTORS):
            batch.delete_range(family, *keys.collection_range(collection.number))
        failpoints.hit("drop.before_batch")
        batch.flush()

    def snapshot(self, names: Sequence[str] | None = None) -> Mapping[str, Snapshot]:
        """Snapshots of several collections (all by default) at one point of the log.

        Raises:
            CollectionNotFoundError: there is none of one of these names.
        """
        self._check_open()
        found = self._listed() if names is None else [self.collection(name) for name in names]
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

    def changes(
        self,
        after: int = 0,
        *,
        collection: str | None = None,
        limit: int = 1000,
        passed_over: Callable[[str], bool] | None = None,
    ) -> Changes:
        """What was written and deleted after a sequence, all of it durable, in the order of the log.

        Args:
            after: sequence of the last change that is known already; 0 for none.
            collection: only of this one. What was done to collections that have been dropped is left out.
            limit: records at most, 1 to 10,000; fewer where they are large. Go on from `next`.
            passed_over: names of collections that are left out where no one collection is asked for.

        Raises:
            ChangesGoneError: the log no longer holds all changes after `after`, or never came to it.
            CollectionNotFoundError: there is none of that name.
            InvalidInputError: `after` or `limit` is out of range.
        """
        self._check_open()
        self._commits.settle()
        last = self._commits.synced  # before the collections: of one that is made from here on, nothing is told yet
        named = self._listed() if collection is None else [self.collection(collection)]
        if collection is None and passed_over is not None:
            named = [each for each in named if not passed_over(each.name)]
        followed = {each.number: Followed(each.name, each.now) for each in named}
        return read_changes(self._store, followed, after, last, limit=limit)

    def records(self, kind: str, *, lasting: bool = False) -> Records:
        """Small named values that are kept beside the collections; see `Records`."""
        return Records(self._store_in_use, kind, lasting=lasting)

    def _store_in_use(self) -> Store:
        self._check_open()
        return self._store

    def refresh(self) -> int:
        """Show what has been written since, where the database was opened to be read only; the sequence shown.

        A writer always shows everything.
        """
        self._check_open()
        return self.sequence

    def stats(self) -> dict[str, Any]:
        """Figures of the whole directory."""
        self._check_open()
        return {
            "path": str(self.path),
            "sequence": self.sequence,
            "collections": len(self._listed()),
            "disk_bytes": disk_bytes(self.path),
            "memory": self._memory(),
        }

    def _listed(self) -> list[Collection]:
        return [collection for name, collection in list(self._collections.items()) if _is_shown(name)]

    def _memory(self) -> dict[str, int]:
        """Bytes by what takes them; those that end in `_max` are limits. What is mapped is there as far as it fits."""
        each = [collection.state.memory() for collection in list(self._collections.values())]
        names = ("segments_bytes", "segments_mapped_bytes", "heads_bytes", "text_bytes")
        taken = {name: sum(figures[name] for figures in each) for name in names}
        indexes = self._masks.indexes
        masks = {
            "masks_bytes": self._masks.bytes, "masks_bytes_max": self._masks.bytes_max,
            "indexes_bytes": indexes.bytes, "indexes_bytes_max": indexes.bytes_max,
        }  # fmt: skip
        return {**self._store.memory(), **masks, **taken}

    def device(self) -> dict[str, Any]:
        """Where vectors are searched, what lies there and what it has done; `{"device": "cpu"}` without a card."""
        return {"device": "cpu"} if self._device is None else self._device.stats()

    def close(self) -> None:
        """Finish what is being written and close; a second time does nothing.

        An archive, check or restore under way ends with `DatabaseClosedError` at its next step, and is waited for.
        """
        if self._begin_closing():
            with self._exclusive, ExitStack() as always:
                always.callback(self._directory_lock.release)
                self._shut()

    @contextmanager
    def _alone(self, progress: Progress | None) -> Iterator[Progress]:
        """Run with no other archive, check or restore, and give up once the database is being closed.

        Yields:
            What is told of every step, and passes it on to `progress`.
        """

        def told(step: str, done: int, total: int) -> None:
            self._check_open()
            if progress is not None:
                progress(step, done, total)
            self._check_open()

        self._check_open()
        with self._exclusive:
            self._check_open()
            yield told

    def _begin_closing(self) -> bool:
        """Turn later calls away; whether this one is the first to close."""
        with self._lock:
            first, self._closed = not self._closed, True
        return first

    def _shut(self) -> None:
        """Finish what is being written and close all but the directory's lock."""
        forking.unwatch(self)
        with ExitStack() as always:  # in the opposite order, each whatever became of those before
            always.callback(SHARED.release, self._device)
            always.callback(self._high_water.close)
            always.callback(self._close_store)
            always.callback(self._mark)
            always.callback(self._reclaiming.join)
            always.callback(self._store.cancel_compactions)
            always.callback(self._commits.close)
            for background in (self._marking, self._maintenance, self._merging, self._tidying, self._indexing):
                always.callback(background.join)
            for collection in self._collections.values():
                always.callback(collection.close)
            for background in (
                self._marking, self._maintenance, self._merging, self._reclaiming, self._tidying, self._indexing
            ):  # fmt: skip
                background.stop()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _make(self, name: str, number: int, schema: Schema) -> Collection:
        directory = self.path / INDEXES / f"{number:08d}"
        text = CollectionText(
            name,
            self._text_directory(number),
            lambda: read_counters(self._store, number).next_ordinal,
            lambda: None if self._store.read_only else self._store.sync(),
            self._text_writers,
        )
        state = CollectionState(
            name, number, schema, self._store, directory, self._options.seal_rows, self._masks, text
        )
        state.files.device = self._device
        return self._collection_type(name, number, schema, self._store, self._commits, state)

    def _seal(self) -> bool:
        collections = list(self._collections.values())
        worked = self._rounds["seal"].each(collections, lambda each: seal_due(each.state, lambda: self.sequence))
        if worked:
            self._truncate_log()
            self._mark()
        return worked

    def _tidy(self) -> bool:
        """Delete what has expired; whether there may be more."""
        return self._rounds["tidy"].each(list(self._collections.values()), lambda each: each.tidy())

    def _text_directory(self, number: int) -> Path:
        return self.path / INDEXES / f"{number:08d}" / TEXT

    def _index_text(self) -> bool:
        return self._rounds["text"].each(list(self._collections.values()), lambda each: each.state.index_text())

    def _merge(self) -> bool:
        return self._rounds["merge"].each(list(self._collections.values()), lambda each: merge_due(each.state))

    def _close_store(self) -> None:
        """Close the store, and mark what it was closed with: a manifest cut short then shows at the next opening."""
        self._store.close()
        try:
            closed = Store(self._store.path, read_only=True)
            tables = closed.tables()
            closed.close()
            self._high_water.record(self._commits.synced, self._next_collection, tables)
        except (EngineError, OSError) as error:
            log.warning("highwater.failed", extra={"reason": str(error)})

    def _mark(self, *, strict: bool = False) -> bool:
        """Record how far the database has come. A disk that refuses it costs the check, not the write: `strict` raises.

        Returns:
            False: for `Maintenance`, there is no more to do.
        """
        try:
            self._high_water.record(self._commits.synced, self._next_collection)
        except OSError as error:
            if strict:
                raise
            log.warning("highwater.failed", extra={"reason": str(error)})
        return False

    def _advance(self, sequence: int) -> None:
        """Note at once what is durable; a disk that refuses it costs the check, not the write."""
        try:
            self._high_water.advance(sequence)
        except OSError as error:
            log.warning("highwater.failed", extra={"reason": str(error)})

    def forked(self) -> None:
        """In a forked child: refuse all use. The parent goes on with what it has open; see `directory.forking`."""
        self._closed = True
        self._lock = threading.Lock()
        reason = "database was opened by the process that forked this one, which must open its own"
        self._store.abandon(f"{reason}: path={self.path}")
        for collection in self._collections.values():
            collection.forked()

    def _truncate_log(self, *, everything: bool = False) -> None:
        """Drop the changes that every collection has in its segments, but for the last ones, unless `everything`.

        That is done in one batch with saying so.
        """
        with self._truncating:  # else a lower floor could be recorded after a higher one
            with self._commits.hold():
                if self._damaged:
                    return  # what they have not covered is theirs
                states = [collection.state for collection in list(self._collections.values())]
                needed = [after for state in states if (after := state.needs_after) is not None]
                floor = min([*needed, self._commits.published])
                if not everything:
                    floor = min(floor, self._commits.published - LOG_KEEP_CHANGES)
            if floor > self._log_floor:
                batch = self._store.batch()
                batch.delete_range(LOG, keys.log_key(0), keys.log_key(floor + 1))
                batch.put(SYSTEM, keys.LOG_FLOOR, b"%d" % floor)
                batch.flush()
                self._log_floor = floor

    def _check_open(self) -> None:
        if self._closed:
            self._store.check_not_abandoned()
            raise DatabaseClosedError(f"database is closed: {self.path}")


def _own(directory: Path, lock: DirectoryLock, options: OpenOptions) -> Database:
    """Open a directory that `lock` makes ours; it is released if that fails."""
    try:
        with naming(directory):
            return Database(directory, lock, options)
    except BaseException:
        lock.release()
        raise


def _is_shown(name: str) -> bool:
    return not name.startswith(HIDDEN_PREFIX)
