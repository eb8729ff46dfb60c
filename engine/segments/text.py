"""The text index of one collection beside its segments: made when it is first needed, and caught up by whoever asks.

Nothing of it is needed to open a collection, and no write waits for it: a search adds what it lacks, and so does a
thread in the background when nobody writes, or when it lacks too much. Like the segments it is derived; one that is
missing, damaged, of other fields, or further than the store is built again.

| path          | holds                                                              |
|---------------|--------------------------------------------------------------------|
| `text/current`| which of the following counts: any other is a left-over            |
| `text/N/`     | a text index (`engine.text.index`)                                 |
"""

from __future__ import annotations

import logging
import os
import shutil
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from pyroaring import BitMap

from engine import failpoints
from engine.directory.durable import make_directory, write_durably
from engine.errors import (
    CollectionNotFoundError,
    DatabaseClosedError,
    InvalidInputError,
    StorageError,
    StorageFullError,
)
from engine.segments.texts import chunks, first_chunk, has_terms, text_languages, texts_of, with_values
from engine.store.failures import translate
from engine.text.errors import TextIndexDamagedError, TextIndexOutdatedError
from engine.text.index import HEAP_BYTES_MIN, TextIndex, remove_uncommitted
from engine.text.writers import TextWriters

if TYPE_CHECKING:
    from engine.segments.part import Part
    from engine.snapshot import Snapshot
    from engine.text.view import TextView

log = logging.getLogger(__name__)

CURRENT = "current"
BACKLOG_MAX = 50_000  # documents that may wait for the index while writes go on: about 3 s for the next search
IDLE_SECONDS = 1.0  # without a write, before what waits is added
FIRST_IDLE_SECONDS = 5.0  # likewise, before an index is made for which nobody has asked
WRITER_IDLE_SECONDS = 10.0  # then its heap is given back
DEAD_DOCUMENTS_MIN = 20_000  # so many deleted, and
DEAD_SHARE_MAX = 0.5  # so large a part of all, are worth building the index again
NEAR_SHARE = 1 / 32  # of a snapshot: adding a document takes about as long as comparing so many with a word
TRIES = 3
_KILLED = "writer was killed"  # Tantivy's words


class CollectionText:
    """The text index of one collection. Safe for many threads.

    `_lock` guards the index that counts, and what of the collection is in it; it is held while documents are added.
    `_building` lets one index be built anew at a time, aside. They are taken in this order: building, lock.

    Args:
        name: of the collection.
        directory: of the index; made when it is needed.
        next_ordinal: the ordinal that the store gives out next.
        settle: makes durable what was written to the store.
        writers: that share memory.
    """

    def __init__(
        self,
        name: str,
        directory: Path,
        next_ordinal: Callable[[], int],
        settle: Callable[[], None],
        writers: TextWriters,
    ) -> None:
        self._name = name
        self.directory = directory
        self._next_ordinal = next_ordinal
        self._settle = settle
        self._writers = writers
        self._lock = threading.Lock()
        self._building = threading.Lock()
        self._index: TextIndex | None = None
        self._seen = BitMap()  # in the index, or without text
        self._late = BitMap()  # added after later ones
        self._forgotten: deque[BitMap] = deque()  # to be deleted from the index
        self._done: weakref.ref[Snapshot] | None = None  # of which nothing is missing
        self._there = False  # an index on disk, as far as it is known
        self._opened = False
        self._reconciled = False
        self._weighed = False  # how much of it is dead
        self._closed = False
        self._dropped = False
        self._used_at = time.monotonic()
        self.rebuilds = 0

    def view(self, snapshot: Snapshot) -> TextView:
        """The index with all documents of `snapshot` in it, and perhaps others; waits until they are.

        Raises:
            InvalidInputError: the collection has no text field.
            StorageError: the disk refuses it.
            DatabaseClosedError, CollectionNotFoundError: it was closed or dropped.
        """
        languages = text_languages(snapshot.schema)
        if not languages:
            raise InvalidInputError(f"collection {self._name!r} has no text field to search", pointer="/query")
        for tries in range(1, TRIES + 1):
            try:
                return self._view(snapshot, languages)
            except TextIndexDamagedError as error:
                self._raise_if_full(error)
                self._recover(str(error), discard=tries > 1)
                if tries == TRIES:
                    raise StorageError(f"text index cannot be built: collection={self._name!r}: {error}") from error
            except OSError as error:
                raise translate(error, self.directory) from error
        raise AssertionError("unreachable")

    def is_near(self, snapshot: Snapshot) -> bool:
        """Whether there is an index which, as far as is known, lacks little of `snapshot`; waits for nobody."""
        if self._closed or not text_languages(snapshot.schema):
            return False
        if self._index is None:
            return self._current() is not None
        present = snapshot.present()
        return len(present - self._seen) <= len(present) * NEAR_SHARE

    def suspect(self, error: TextIndexDamagedError) -> None:
        """A search found the index damaged: it is given up, and built again when it is asked for."""
        self._recover(str(error), discard=True)

    def forget(self, ordinals: BitMap) -> None:
        """No snapshot shows these any more: the index may let go of them."""
        self._forgotten.append(ordinals)

    def maintain(self, latest: Callable[[], Snapshot], kept: Callable[[], BitMap], idle_seconds: float) -> bool:
        """One step in the background; whether there may be more to do.

        Args:
            latest: gives the newest snapshot, which has text fields.
            kept: gives all ordinals that some snapshot may show.
            idle_seconds: since the last write.
        """
        try:
            with self._lock:
                self._check_open()
                if not self._is_due(idle_seconds):
                    return False
                worked, fits = self._step(latest(), kept, idle_seconds)
            if not fits:
                snapshot = latest()
                self._build_anew(snapshot, text_languages(snapshot.schema), even_so=True)
            return worked or not fits
        except TextIndexDamagedError as error:
            self._raise_if_full(error)
            self._recover(str(error), discard=True)
            return True
        except OSError as error:
            raise translate(error, self.directory) from error

    def optimize(self) -> None:
        """Wait for the merges that are going on, and let searches use what they made."""
        try:
            with self._lock:
                if self._index is not None and not self._index.broken and not self._closed:
                    self._commit(self._index)
                    self._index.close_writer()
                    self._writers.forget(self)
                    self._index.adopt_merges()
        except TextIndexDamagedError as error:
            self._raise_if_full(error)
            self._recover(str(error), discard=True)
        except OSError as error:
            raise translate(error, self.directory) from error

    def discard(self) -> None:
        """Remove all files; the index is built again when it is asked for."""
        with self._building, self._lock:
            self._let_go()
            self._there = False
            failpoints.hit("text.before_discard")
            shutil.rmtree(self.directory, ignore_errors=True)
            failpoints.hit("text.after_discard")

    def check(self, snapshot: Snapshot) -> list[str]:
        """What is wrong with the index, if there is one: damaged files, and documents that it lacks.

        What `snapshot` has and the index has not come to yet is no fault.
        """
        with self._lock:
            self._check_open()
            if self._index is None and not (self.directory / CURRENT).exists():
                return []
            try:
                index = self._usable(text_languages(snapshot.schema))
                self._commit(index)
                faults = [f"file is damaged: path={index.directory / name}" for name in index.check()]
                if not faults:
                    missing = (snapshot.present() & self._seen) - index.view().ordinals()
                    lost = sum(
                        has_terms(index.view().analyzers, texts)
                        for part, places in chunks(snapshot, missing)
                        for texts in texts_of(snapshot, index.fields, part, places)[1]
                    )
                    faults += [f"text index lacks documents: {lost}"] if lost else []
            except (TextIndexDamagedError, StorageError, OSError) as error:
                return [str(error)]
            return faults

    def stats(self, snapshot: Snapshot) -> dict[str, Any]:
        """Documents in the index and waiting for it, and bytes on disk and in memory; waits for nobody."""
        index, disk_bytes = self._index, _disk_bytes(self.directory)
        if index is None or index.broken:
            return {"open": False, "disk_bytes": disk_bytes}
        return {
            "open": True,
            "documents": index.documents,
            "pending": len(snapshot.present() - self._seen),
            "dirty": index.dirty,
            "disk_bytes": disk_bytes,
            "memory_bytes": index.memory_bytes(),
            "rebuilds": self.rebuilds,
        }

    def memory_bytes(self) -> int:
        """Of the writer's heap, and the dictionary for typing errors."""
        index = self._index
        return 0 if index is None else index.memory_bytes()

    def close(self) -> None:
        """Refuse further use; what was added stays."""
        self._closed = True
        with self._lock:
            index, self._index = self._index, None
            self._writers.forget(self)
            if index is not None:
                try:
                    self._commit(index)
                    index.close()
                except (TextIndexDamagedError, StorageError, OSError) as error:  # it is caught up the next time
                    log.warning("text.close_failed", extra={"collection": self._name, "reason": str(error)})

    def destroy(self) -> None:
        """Refuse further use, and let all go: the collection was dropped."""
        self._closed = self._dropped = True
        with self._lock:
            self._let_go()

    def abandon(self) -> None:
        """In a forked child: refuse further use, and touch nothing of the parent's."""
        self._closed = True
        self._lock, self._building = threading.Lock(), threading.Lock()
        if self._index is not None:
            self._index.abandon()

    def _view(self, snapshot: Snapshot, languages: Mapping[str, str | None]) -> TextView:
        while True:
            with self._lock:
                self._check_open()
                index = self._usable(languages)
                if self._fit(index, snapshot, languages):
                    self._used_at = time.monotonic()
                    chunk = first_chunk(snapshot, snapshot.present() - self._seen)
                    if chunk is None:
                        self._commit(index)
                        return index.view()
                    self._add(index, snapshot, chunk)  # then others have their turn
                    continue
            self._build_anew(snapshot, languages)

    def _is_due(self, idle_seconds: float) -> bool:
        if self._index is None:  # what is there is opened by whoever searches it
            self._there = self._there or self._current() is not None
            return idle_seconds >= FIRST_IDLE_SECONDS and not self._there
        return idle_seconds >= IDLE_SECONDS or self._next_ordinal() - self._index.next_ordinal > BACKLOG_MAX

    def _step(self, snapshot: Snapshot, kept: Callable[[], BitMap], idle_seconds: float) -> tuple[bool, bool]:
        """Whether there may be more to do, and whether that can be done with this index."""
        languages = text_languages(snapshot.schema)
        if self._index is None and not snapshot.parts:
            return False, True
        index = self._usable(languages)
        if not self._fit(index, snapshot, languages):
            return True, False
        if self._done is None or self._done() is not snapshot:
            chunk = first_chunk(snapshot, snapshot.present() - self._seen)
            if chunk is not None:
                self._add(index, snapshot, chunk)
                return True, True
            self._done = weakref.ref(snapshot)
        if idle_seconds >= IDLE_SECONDS and self._tidy(index, kept):
            return True, True
        return False, not self._is_mostly_dead(index)

    def _tidy(self, index: TextIndex, kept: Callable[[], BitMap]) -> bool:
        """Delete what is gone, commit, and give the heap back; whether there was anything to do."""
        if not self._reconciled:  # a crash may have come between the deletion in the store and here
            self._forgotten.append(index.view().ordinals() - kept())
            self._reconciled = True
        while self._forgotten:
            index.delete(np.array(self._forgotten.popleft() & self._seen, dtype=np.uint32))
            self._weighed = False
        if index.dirty:
            self._commit(index)
            self._used_at = time.monotonic()
            return True
        if time.monotonic() - self._used_at >= WRITER_IDLE_SECONDS:
            index.close_writer()
            self._writers.forget(self)
        index.adopt_merges()
        return False

    def _is_mostly_dead(self, index: TextIndex) -> bool:
        if self._weighed or index.dirty:
            return False
        self._weighed = True
        dead, share = index.dead_share()
        return dead >= DEAD_DOCUMENTS_MIN and share >= DEAD_SHARE_MAX

    def _usable(self, languages: Mapping[str, str | None]) -> TextIndex:
        """The index that is open, unless a write to it failed: what was added to it since its last commit is lost."""
        if self._index is not None and self._index.broken:
            self._leave()
        return self._index or self._open(languages)

    def _open(self, languages: Mapping[str, str | None]) -> TextIndex:
        """The index that counts, or a new one; left-overs are removed."""
        make_directory(self.directory)
        number = self._current()
        for path in self.directory.iterdir():
            if path.name not in (CURRENT, str(number)):
                shutil.rmtree(path, ignore_errors=True)
        try:
            index = None if number is None else self._load(self.directory / str(number))
        except (TextIndexDamagedError, TextIndexOutdatedError) as error:
            log.warning("text.discarded", extra={"collection": self._name, "reason": str(error)})
            index = None
        if index is None:
            number = 1 if number is None else number + 1
            index = TextIndex(self.directory / str(number), languages, self._writers.heap_bytes)
            self._make_current(number)
            shutil.rmtree(self.directory / str(number - 1), ignore_errors=True)
            self._seen, self._late, self._opened, self._done = BitMap(), BitMap(), True, None
        self._index = index
        self._reconciled = self._weighed = False
        return index

    def _load(self, directory: Path) -> TextIndex:
        """The index in `directory`, and what of the collection is in it."""
        if not directory.is_dir():
            raise TextIndexDamagedError(f"text index is missing: path={directory}")
        remove_uncommitted(directory)
        index = TextIndex(directory, {}, self._writers.heap_bytes)
        reaches, given = index.next_ordinal, self._next_ordinal()
        if reaches > given:
            index.destroy()
            raise TextIndexOutdatedError(f"text index is further than the store: next={reaches} expected={given}")
        within = BitMap(range(reaches))
        if self._opened:  # before: what older snapshots show may be neither in it nor seen
            self._seen = (self._seen & within) - (self._late - index.view().ordinals())
        else:
            self._seen, self._opened = within, True
        return index

    def _fit(self, index: TextIndex, snapshot: Snapshot, languages: Mapping[str, str | None]) -> bool:
        """Whether the index has the text fields of `snapshot`, after taking those in of which it has missed nothing."""
        known = index.fields
        if all(name in known and known[name].language == language for name, language in languages.items()):
            return True
        new = [name for name in languages if name not in known]
        if any(self._seen.intersect(there) for name in new for there in with_values(snapshot, name)):
            return False  # they were no text when those were added
        try:
            index.set_fields(languages)
        except TextIndexOutdatedError:
            return False
        return True

    def _build_anew(self, snapshot: Snapshot, languages: Mapping[str, str | None], *, even_so: bool = False) -> None:
        """Build another index aside, and let it count. Searches of what the old one has go on meanwhile."""
        with self._building:
            with self._lock:
                self._check_open()
                if not even_so and self._index is not None and self._fit(self._index, snapshot, languages):
                    return  # somebody else has
                number = (self._current() or 0) + 1
            started = time.perf_counter()
            fresh = TextIndex(self.directory / str(number), languages, self._writers.heap_bytes)
            try:
                failpoints.hit("text.before_build")
                present = snapshot.present()
                for part, places in chunks(snapshot, present):
                    self._check_open()
                    fresh.add(*texts_of(snapshot, fresh.fields, part, places))
                self._settle()
                fresh.commit()
                failpoints.hit("text.before_swap")
                with self._lock:
                    self._check_open()
                    self._make_current(number)
                    self._writers.use(self, self._close_writer)
                    old, self._index = self._index, fresh
                    self._seen, self._late, self._opened, self._done = present, BitMap(), True, None
                    self._reconciled = True
                    self.rebuilds += 1
            except BaseException:
                fresh.destroy()
                raise
            failpoints.hit("text.after_swap")
            if old is not None:
                old.destroy()
            seconds = round(time.perf_counter() - started, 3)
            log.info("text.rebuilt", extra={"collection": self._name, "rows": len(present), "seconds": seconds})

    def _add(self, index: TextIndex, snapshot: Snapshot, chunk: tuple[Part, Any]) -> None:
        self._check_open()
        failpoints.hit("text.before_add")
        self._writers.use(self, self._close_writer)
        ordinals, documents = texts_of(snapshot, index.fields, *chunk)
        added = BitMap(ordinals)
        self._late |= added & BitMap(range(index.next_ordinal))
        index.add(ordinals, documents, late=True)
        self._seen |= added
        self._used_at = time.monotonic()

    def _commit(self, index: TextIndex) -> None:
        if index.dirty:
            self._settle()  # first: the index must never be further than the store
            failpoints.hit("text.before_commit")
            index.commit()
            failpoints.hit("text.after_commit")

    def _close_writer(self) -> bool:
        """Let the heap go, unless the index is being written to just now."""
        if not self._lock.acquire(blocking=False):
            return False
        try:
            if self._index is not None:
                self._commit(self._index)
                self._index.close_writer()
            return True
        except (TextIndexDamagedError, StorageError, OSError) as error:
            log.warning("text.close_failed", extra={"collection": self._name, "reason": str(error)})
            return False
        finally:
            self._lock.release()

    def _recover(self, reason: str, *, discard: bool) -> None:
        """After a failure: open the index again, from its last commit, or give it up."""
        log.warning("text.failed", extra={"collection": self._name, "reason": reason, "discarded": discard})
        if discard:
            self.discard()
            return
        with self._lock:
            self._leave()

    def _leave(self) -> None:
        """Let the index go as of its last commit; it is opened again when it is asked for."""
        index, self._index, self._done = self._index, None, None
        self._writers.forget(self)
        if index is not None:
            index.let_go()
            index.free()

    def _raise_if_full(self, error: TextIndexDamagedError) -> None:
        """On a full disk a new index would fare no better: what is committed is kept until there is room."""
        full = _full(error, self.directory)
        if full is not None:
            self._recover(str(full), discard=False)
            raise full from error

    def _let_go(self) -> None:
        index, self._index = self._index, None
        self._seen, self._late, self._done = BitMap(), BitMap(), None
        self._forgotten.clear()
        self._writers.forget(self)
        if index is not None:
            index.destroy()

    def _current(self) -> int | None:
        try:
            return int((self.directory / CURRENT).read_text())
        except (FileNotFoundError, ValueError):
            return None

    def _make_current(self, number: int) -> None:
        write_durably(self.directory / CURRENT, b"%d" % number)

    def _check_open(self) -> None:
        if self._dropped:
            raise CollectionNotFoundError(self._name)
        if self._closed:
            raise DatabaseClosedError(f"database is closed: collection={self._name!r}")


def _full(error: TextIndexDamagedError, directory: Path) -> StorageFullError | None:
    """Whether an index failed for want of room. Of a writer's thread Tantivy says only that it failed."""
    known = translate(error, directory)
    if not isinstance(known, StorageFullError) and _KILLED in str(error):
        probe = directory / "room.probe"  # with the next opening it goes, should this be killed
        try:
            with probe.open("wb") as file:
                os.posix_fallocate(file.fileno(), 0, HEAP_BYTES_MIN)
        except OSError as refused:
            known = translate(refused, directory)
        finally:
            with suppress(OSError):
                probe.unlink(missing_ok=True)
    return known if isinstance(known, StorageFullError) else None


def _disk_bytes(directory: Path) -> int:
    """Bytes of all files below; those that are being removed count as nothing."""
    total = 0
    with suppress(FileNotFoundError):  # of a directory that is walked through
        for path in directory.rglob("*"):
            with suppress(FileNotFoundError):
                total += path.stat().st_size if path.is_file() else 0
    return total
