"""Disk given back: what is deleted leaves the store's files, in the background, or at once when somebody asks.

Deleting a document hides it; the next seal or merge of its segment drops it; collecting deletes it from the store, when
nobody reads it any more; and compacting writes the store's files again without it. `maintain` does this as it is due,
`compact` all of it now, and `purge` so thoroughly that deleted text is in no file.
"""

from __future__ import annotations

import gc
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from engine import failpoints
from engine.collection import Collection
from engine.errors import CollectionNotFoundError, CorruptionError, EngineError
from engine.maintenance import Rounds
from engine.memory import give_back
from engine.segments.state import seal_now
from engine.store import keys
from engine.store.rocks import DOCUMENTS, FAMILIES, IDS, LOG, SYSTEM, VECTORS, Store
from engine.vector.index import BuildStoppedError

log = logging.getLogger(__name__)

PINS_SECONDS_MAX = 60.0  # how long a purge waits for those that still read what it deletes
DROPPED_DOCUMENTS_MIN = 4096  # a dropped collection of so many is compacted at once; smaller ones when as many gathered
FILES_SECONDS_MAX = 10.0  # RocksDB removes files that are no more needed in the background
Progress = Callable[[str, int, int], None]  # what is being done, how many are done, of how many


class Reclaim:
    """Gives disk back to the system. Safe for many threads.

    `_exclusive` lets one compaction or purge run at a time; `_lock` guards what was dropped but not compacted.

    Args:
        store: of the database.
        collections: those there are now.
        damaged: names of those that cannot be opened.
        truncate_log: drops the changes that every collection has in its segments; all it may if told `True`.
    """

    def __init__(
        self,
        store: Store,
        collections: Callable[[], Sequence[Collection]],
        damaged: Callable[[], Sequence[str]],
        truncate_log: Callable[[bool], None],
    ) -> None:
        self._store = store
        self._collections = collections
        self._damaged = damaged
        self._truncate_log = truncate_log
        self._exclusive = threading.Lock()
        self._lock = threading.Lock()
        self._tidied: set[int] = set()
        self._dropped: dict[int, int] = {}
        self._rounds = Rounds()

    def maintain(self) -> bool:
        """One round in the background; whether anything was done."""
        worked = self._rounds.each(self._collections(), self._tend)
        with self._lock:
            due = sum(self._dropped.values()) >= DROPPED_DOCUMENTS_MIN
        if due:
            with self._exclusive:
                self._compact_dropped()
        return worked or due

    def dropped(self, number: int, documents: int) -> None:
        """Give back what a dropped collection took: at once, unless it is too little for that."""
        with self._lock:
            self._dropped[number] = documents
        self._tidied.discard(number)
        if documents >= DROPPED_DOCUMENTS_MIN:
            if self._exclusive.acquire(blocking=False):
                try:  # else whoever is at it, or the next round, does it
                    self._compact_dropped()
                finally:
                    self._exclusive.release()
            give_back()

    def compact(self, progress: Progress | None = None) -> dict[str, Any]:
        """Drop all that is deleted and not being read, and write the store's files again without it.

        Args:
            progress: is told of every step.

        Returns:
            Bytes on disk before and after, documents and rows deleted from the store, and seconds.

        Raises:
            StorageError: the disk refuses it; what was done so far is done.
        """
        with self._exclusive, self._measured() as figures:
            steps = _Steps(progress, len(self._collections()) + len(FAMILIES))
            self._each(steps, lambda collection: self._drop_dead(collection, figures))
            self._truncate_log(False)
            self._compact_families(steps, rewrite=False)
        return figures

    def purge(self, progress: Progress | None = None) -> dict[str, Any]:
        """As `compact`, but until no file holds anything of what was deleted before the call.

        Raises:
            EngineError: after a minute somebody still reads what was deleted.
            CorruptionError: a collection is damaged: all the others are purged, but it, and the log, may hold more.
            StorageError: the disk refuses it; what was done so far is done.
        """
        with self._exclusive, self._measured() as figures:
            steps = _Steps(progress, len(self._collections()) + len(FAMILIES))
            self._each(steps, lambda collection: self._drop_all(collection, figures))
            failpoints.hit("purge.before_truncate")
            self._truncate_log(True)
            self._compact_families(steps, rewrite=True)
            self._renew_manifest()
            self._await_files()
        self._check_undamaged()
        return figures

    def _check_undamaged(self) -> None:
        names = ", ".join(map(repr, self._damaged()))
        if names:
            reason = f"damaged collections keep theirs, and the log: {names}"
            raise CorruptionError(
                f"deleted documents may not be purged: {reason}; restore or drop them, and purge again"
            )

    def _tend(self, collection: Collection) -> bool:
        if collection.number not in self._tidied:
            collection.remove_orphans()
            self._tidied.add(collection.number)
        collected = collection.state.collect() > 0
        if not collection.state.wants_compaction():
            return collected
        with self._exclusive:
            started = time.perf_counter()
            self._compact_range(collection.number, collection.number + 1)
            collection.state.compacted()
            seconds = round(time.perf_counter() - started, 3)
            log.info("collection.compacted", extra={"collection": collection.name, "seconds": seconds})
        return True

    def _collect(self, collection: Collection, *, wait: bool = False) -> int:
        """Delete a collection's garbage from the store, if asked after waiting for those that read it."""
        state = collection.state
        newest = state.published()  # what is dropped from here on is of another's call
        count = state.collect()
        until = time.monotonic() + PINS_SECONDS_MAX
        while wait and state.garbage(newest):
            if time.monotonic() > until:
                pins = f"snapshots={state.pinned_by(newest)} collection={collection.name!r}"
                raise EngineError(f"deleted documents are still being read: {pins}; nothing that is read was purged")
            time.sleep(0.05)
            collection.snapshot()  # raises when the collection is closed or dropped meanwhile
            gc.collect()  # a snapshot in a cycle of references lives until then
            count += state.collect()
        return count

    def _each(self, steps: _Steps, work: Callable[[Collection], None]) -> None:
        """Do something with every collection, passing over those that are dropped meanwhile."""
        for collection in self._collections():
            steps.next(f"collection {collection.name}")
            with suppress(CollectionNotFoundError):
                work(collection)

    def _drop_dead(self, collection: Collection, figures: dict[str, Any]) -> None:
        while collection.tidy():
            pass
        seal_now(collection.state)
        with suppress(BuildStoppedError):  # it is being closed, which the next step says, or dropped
            collection.state.clean()
        figures["collected"] += self._collect(collection)

    def _drop_all(self, collection: Collection, figures: dict[str, Any]) -> None:
        collection.remove_orphans()
        while collection.tidy():
            pass
        collection.forget_absent()
        failpoints.hit("purge.before_optimize")
        collection.state.optimize()
        collection.state.remove_strays()
        figures["collected"] += self._collect(collection, wait=True)
        collection.state.discard_text()

    def _compact_families(self, steps: _Steps, *, rewrite: bool) -> None:
        with self._lock:
            dropped, self._dropped = self._dropped, {}
        try:
            self._store.flush()
            failpoints.hit("purge.after_flush")
            for family in FAMILIES:
                steps.next(f"store {family}")
                self._store.compact(family, rewrite=rewrite)
                failpoints.hit("purge.after_family")
        except BaseException:
            with self._lock:
                self._dropped.update(dropped)
            raise
        for collection in self._collections():
            collection.state.compacted()

    def _compact_dropped(self) -> None:
        with self._lock:
            dropped, self._dropped = self._dropped, {}
        living = sorted(collection.number for collection in self._collections())
        try:
            for first, end in spans(sorted(dropped), living):
                failpoints.hit("drop.before_compaction")
                self._compact_range(first, end)
            for family in (LOG, SYSTEM):  # small, and flushed with the others: their files would become many
                self._store.compact(family, rewrite=True)
        except BaseException:
            with self._lock:
                self._dropped.update(dropped)
            raise

    def _compact_range(self, first: int, end: int) -> None:
        """Compact what the store has of the collections `first` up to but without `end`."""
        self._store.flush()  # all families: the log's files go only when none needs them
        begin, beyond = keys.collection_range(first)[0], keys.collection_range(end)[0]
        for family in (DOCUMENTS, IDS, VECTORS):
            self._store.compact(family, begin, beyond)

    def _renew_manifest(self) -> None:
        """RocksDB's manifest as of before the last compaction names keys that are no more: one more edit renews it."""
        batch = self._store.batch()
        batch.put(SYSTEM, keys.PURGED, b"%d" % time.time_ns())
        batch.flush()
        self._store.flush()
        failpoints.hit("purge.after_manifest")

    def _await_files(self) -> None:
        """Wait until RocksDB has removed the tables that it no longer needs.

        Raises:
            EngineError: some reader holds one for longer than `FILES_SECONDS_MAX`.
        """
        until = time.monotonic() + FILES_SECONDS_MAX
        while True:
            known = set(self._store.tables())
            left = sorted({path.name for path in self._store.path.glob("*.sst")} - known - set(self._store.tables()))
            if not left:
                return
            if time.monotonic() > until:
                raise EngineError(f"store's old files are still being read: {', '.join(left)}")
            time.sleep(0.02)

    @contextmanager
    def _measured(self) -> Iterator[dict[str, Any]]:
        started = time.perf_counter()
        root = self._store.path.parent
        figures: dict[str, Any] = {"disk_bytes_before": disk_bytes(root), "collected": 0}
        yield figures
        give_back()
        figures["disk_bytes_after"] = disk_bytes(root)
        figures["seconds"] = round(time.perf_counter() - started, 3)


class _Steps:
    """Counts steps for whoever wants to know."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress = progress
        self._total = total
        self._done = 0

    def next(self, what: str) -> None:
        if self._progress is not None:
            self._progress(what, self._done, self._total)
        self._done += 1


def spans(dropped: Sequence[int], living: Sequence[int]) -> list[tuple[int, int]]:
    """Ranges (first, end) of numbers that hold all of `dropped` and none of `living`, as few as there can be."""
    found: list[tuple[int, int]] = []
    for number in dropped:
        if found and not any(found[-1][0] < other < number for other in living):
            found[-1] = found[-1][0], number + 1
        else:
            found.append((number, number + 1))
    return found


def disk_bytes(directory: Path) -> int:
    """Bytes of all files below; those that are being removed count as nothing, hard links (of snapshots) once."""
    sizes: dict[tuple[int, int], int] = {}
    for root, _, names in os.walk(directory):
        for name in names:
            with suppress(FileNotFoundError):
                status = Path(root, name).stat()
                sizes[status.st_dev, status.st_ino] = status.st_size
    return sum(sizes.values())
