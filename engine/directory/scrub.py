"""Reading everything: every file with its checksums, and every index against the store.

What is derived (segments, the mark, a log that is still in memory) is built again; what is not is reported, and
acknowledged documents that cannot be read are named by their ids. Reads and writes go on meanwhile.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from engine.collection import Collection
from engine.directory.archive import Progress
from engine.directory.highwater import HighWater
from engine.directory.layout import FORMAT_FILE, INDEXES, SNAPSHOTS
from engine.directory.migration import read_format, write_marker
from engine.directory.reading import verify_archive
from engine.document import decode
from engine.errors import ArchiveError, CollectionNotFoundError, CorruptionError, EngineError, StorageError
from engine.segments.comparison import differing_columns, live_places
from engine.segments.files import TEXT
from engine.segments.part import Part
from engine.segments.segment import Segment, SegmentDamagedError
from engine.segments.sources import read_bodies, read_vectors
from engine.snapshot import Snapshot
from engine.store import codec, keys
from engine.store.checks import read_number
from engine.store.rocks import FAMILIES, IDS, SYSTEM, Store
from engine.writes.commit import CommitQueue

log = logging.getLogger(__name__)

CHUNK = 1000  # documents or rows read at a time
REOPEN_TRIES = 5  # the store's own work may remove a file that is just being looked at
_UNFINISHED = (".partial", ".deleting")  # an archive in the making, or no more
_TABLE = re.compile(r"in (\S+\.sst)")


@dataclass(frozen=True, slots=True)
class Problem:
    """Something that is not as it should be.

    Attributes:
        file: the damaged file, as far as it is known; empty for an index that disagrees with the store.
        collection: whose it is; None where it is the database's, or several collections'.
        what: a sentence with the facts.
        repaired: whether it is as it should be now.
        ids: of acknowledged documents that cannot be read.
    """

    file: str
    collection: str | None
    what: str
    repaired: bool
    ids: tuple[str, ...] = ()


@dataclass(slots=True)
class CheckReport:
    """What a check read, and what it found.

    Attributes:
        files: read in full.
        documents: read, and compared with their columns.
        rows: of vectors, likewise with where they came from.
        problems: none, if all is well.
    """

    files: int = 0
    documents: int = 0
    rows: int = 0
    problems: list[Problem] = field(default_factory=list)


class Scrub:
    """One run over a database.

    Args:
        path: the database's directory.
        store: its open store.
        high_water: its mark.
        commits: say up to where the store's files must be whole.
        repair: build again what is derived.
        progress: told of what is done.
    """

    def __init__(
        self,
        path: Path,
        store: Store,
        high_water: HighWater,
        commits: CommitQueue,
        *,
        repair: bool,
        progress: Progress | None,
    ) -> None:
        self.report = CheckReport()
        self._path = path
        self._store = store
        self._high_water = high_water
        self._commits = commits
        self._repair = repair
        self._progress = progress

    def directory(self) -> None:
        """The small files beside the store."""
        self.report.files += 1
        while self._high_water.found:
            file, what = self._high_water.found.pop()
            self._mended(str(file), None, what)
        try:
            read_format(self._path)
        except (EngineError, OSError) as error:
            self._found(str(self._path / FORMAT_FILE), None, str(error), lambda: write_marker(self._path))
        for file, what in self._high_water.damages():
            self._found(str(file), None, what, self._high_water.write_anew)
        self.report.files += 2

    def store(self) -> None:
        """Every block of every table; then the manifest and the log, by opening them a second time to look."""
        for done, family in enumerate(FAMILIES):
            self._tell("store", done, len(FAMILIES) + 1)
            for error in self._store.verify(family):
                match = _TABLE.search(str(error))
                self._found(match[1] if match else str(self._store.path), None, str(error), None)
        self._tell("store", len(FAMILIES), len(FAMILIES) + 1)
        self.report.files += len(self._store.tables())
        fault = self._look_again()
        if fault is not None:  # what is in memory is whole: in tables, it needs the damaged log no more
            self._found(str(self._store.path), None, fault, self._store.flush, confirm=self._look_again)
        self._tell("store", len(FAMILIES) + 1, len(FAMILIES) + 1)

    def collection(self, collection: Collection) -> None:
        """Segments, documents, ids, columns and vectors of one collection."""
        before = len(self.report.problems)
        try:
            damaged = self._files(collection)
            snapshot = collection.state.snapshot
            sound = [part for part in snapshot.parts if part not in damaged]
            for part in sound:
                self._part(collection, snapshot, part)
            if len(sound) == len(snapshot.parts):
                self._ids(collection, snapshot)
                self._text(collection, snapshot)
        except CollectionNotFoundError:
            pass  # dropped meanwhile
        if collection.reader.dropped:  # what was missing since was not lost
            del self.report.problems[before:]

    def snapshots(self) -> None:
        """The archives in the database's own directory: every file of them."""
        place = self._path / SNAPSHOTS
        for archive in sorted(place.iterdir()) if place.is_dir() else ():
            if archive.name.endswith(_UNFINISHED):
                continue
            try:
                self.report.files += verify_archive(archive, progress=self._progress).files
            except (ArchiveError, StorageError, OSError) as error:
                if archive.exists():  # else it was deleted meanwhile
                    self._found(str(archive), None, f"snapshot cannot be restored: {error}", None)

    def unreadable(self, name: str, number: int, why: str) -> None:
        """A collection that could not be opened: which of its documents cannot be read."""
        begin, end = keys.collection_range(number)
        ids, lost = [], []
        try:
            for key, value in self._store.items(IDS, begin, end):
                ids.append((key[len(begin) :].decode(), codec.decode_id(value)[0]))
        except EngineError as error:
            why = f"{why}; not all of its ids can be read: {error}"
        for i in range(0, len(ids), CHUNK):
            chunk = ids[i : i + CHUNK]
            found = _readable(chunk, lambda some: read_bodies(self._store, number, [ordinal for _, ordinal in some]))
            lost += [id_ for (id_, _), body in zip(chunk, found, strict=True) if body is None]
            self.report.documents += sum(body is not None for body in found)
        if self._store.get(SYSTEM, keys.meta_key(name)) is not None:  # else it was dropped meanwhile
            self.report.problems.append(Problem(str(self._store.path), name, why, repaired=False, ids=tuple(lost)))

    def _files(self, collection: Collection) -> list[Segment]:
        """Read the segments' files; those that are damaged and stay so: what they say proves nothing."""
        damaged = []
        while collection.state.files.mended:
            directory, why = collection.state.files.mended.pop()
            self._mended(str(directory), collection.name, why)
        for segment in collection.state.segments():
            self.report.files += len(segment.entry.files)
            try:
                segment.check_files()
            except (SegmentDamagedError, OSError) as error:
                if segment in collection.state.segments():  # else it was merged away, and its files with it
                    self._rebuild(collection, segment, str(error))
                    damaged.append(segment)
            self._tell("segments", 1, 1)
        return damaged

    def _part(self, collection: Collection, snapshot: Snapshot, part: Part) -> None:
        live = live_places(part, snapshot.deleted)
        differing: list[str] = []
        for i in range(0, len(live), CHUNK):
            places = live[i : i + CHUNK]
            ordinals = part.ordinals[places].tolist()
            bodies = _readable(ordinals, lambda some: read_bodies(self._store, collection.number, some))
            self._lost(collection, part, [int(p) for p, body in zip(places, bodies, strict=True) if body is None])
            kept = np.array([body is not None for body in bodies], dtype=bool)
            documents = [decode(body) for body in bodies if body is not None]
            differing += differing_columns(part, places[kept], documents, snapshot.schema)
            self.report.documents += len(documents)
            self._tell("documents", i + len(places), len(live))
        for name in snapshot.schema.vectors:
            differing += self._vectors(collection, snapshot, part, name)
        if differing:
            what = f"index disagrees with the store: {', '.join(sorted(set(differing)))}"
            if isinstance(part, Segment):
                self._rebuild(collection, part, what)
            else:
                self._found("", collection.name, f"{what}; opening the database again mends it", None)

    def _vectors(self, collection: Collection, snapshot: Snapshot, part: Part, name: str) -> list[str]:
        """Every row must be in the store, and be of the document that the index says."""
        found = part.vector_part(name)
        differing: list[str] = []
        for i in range(0, 0 if found is None else len(found.origins), CHUNK):
            numbers = found.origins.numbers[i : i + CHUNK].tolist()  # type: ignore[union-attr]  # the range is empty
            owners = part.ordinals[found.origins.documents[i : i + CHUNK]].tolist()  # type: ignore[union-attr]
            read = _readable(numbers, lambda some: self._owners(collection.number, snapshot, name, some))
            lost = [number for number, owner in zip(numbers, read, strict=True) if owner is None]
            if lost:
                what = f"vectors cannot be read: field={name} rows={lost[:20]} of {len(lost)}"
                self._found(str(self._store.path), collection.name, what, None)
            if any(owner not in (None, expected) for owner, expected in zip(read, owners, strict=True)):
                differing.append(name)
            self.report.rows += len(numbers) - len(lost)
        return differing

    def _owners(self, number: int, snapshot: Snapshot, name: str, rows: Sequence[int]) -> list[Any]:
        owners: list[Any] = read_vectors(self._store, number, snapshot.schema, name, rows)[1].tolist()
        return owners

    def _lost(self, collection: Collection, part: Part, places: list[int]) -> None:
        if places:
            ids = tuple(part.ids(np.array(places)))
            what = f"documents cannot be read: {len(ids)}, the first {ids[0]!r}"
            file = str(self._store.path)
            self.report.problems.append(Problem(file, collection.name, what, repaired=False, ids=ids))

    def _text(self, collection: Collection, snapshot: Snapshot) -> None:
        text = collection.state.text
        for what in [] if text is None else text.check(snapshot):
            directory = self._path / INDEXES / f"{collection.number:08d}" / TEXT
            self._found(str(directory), collection.name, what, collection.state.discard_text)

    def _ids(self, collection: Collection, snapshot: Snapshot) -> None:
        """Every live document has its id, and every id its live document."""
        begin, end = keys.collection_range(collection.number)
        known: dict[int, str] = {}
        suspects: set[str] = set()
        try:
            for key, value in self._store.items(IDS, begin, end):
                known[codec.decode_id(value)[0]] = key[len(begin) :].decode()
        except CorruptionError:
            return  # found and named with its table
        for part in snapshot.parts:
            live = live_places(part, snapshot.deleted)
            ids = part.ids(live) if len(live) else []
            for ordinal, id_ in zip(part.ordinals[live].tolist(), ids, strict=True):
                if known.pop(ordinal, None) != id_:
                    suspects.add(id_)
        suspects.update(known.values())
        if suspects:  # or only written meanwhile: look again at those while nobody writes
            with collection.paused() as now:
                wanted = sorted(suspects)
                found, live_now = collection.reader.lookup(wanted), now.find(wanted)
                known_now = {id_: hit[0] for id_, hit in zip(wanted, found, strict=True) if hit}
                wrong = tuple(id_ for id_ in wanted if known_now.get(id_) != live_now.get(id_))
            if wrong:
                what = f"ids disagree with the documents: {len(wrong)}, the first {wrong[0]!r}"
                self.report.problems.append(Problem("", collection.name, what, repaired=False, ids=wrong))

    def _look_again(self) -> str | None:
        """What a second opening of the store says against it."""
        reason = None
        for _ in range(REOPEN_TRIES):
            expected = self._commits.synced
            try:
                again = Store(self._store.path, read_only=True)
            except (CorruptionError, StorageError) as error:
                reason = str(error)
                continue
            try:
                found = read_number(again, keys.SEQUENCE)
                if found >= expected:
                    return None
                reason = f"log has lost what was acknowledged: sequence={found} expected at least {expected}"
            finally:
                again.close()
        return reason

    def _rebuild(self, collection: Collection, segment: Segment, what: str) -> None:
        self._found(str(segment.directory), collection.name, what, lambda: collection.state.rebuild(segment))

    def _mended(self, file: str, collection: str | None, what: str) -> None:
        """Report what opening the database found, and mended, whether or not this run repairs."""
        what = f"{what}; it was built again when the database was opened"
        self.report.problems.append(Problem(file, collection, what, repaired=True))

    def _found(
        self,
        file: str,
        collection: str | None,
        what: str,
        mend: Callable[[], object] | None,
        confirm: Callable[[], str | None] = lambda: None,
    ) -> None:
        """Report a problem, after mending it if that is wanted and possible."""
        repaired = False
        if self._repair and mend is not None:
            try:
                mend()
                repaired = confirm() is None
            except (EngineError, OSError) as error:
                what = f"{what}; repairing it failed: {error}"
        log.warning("check.problem", extra={"path": file, "reason": what, "repaired": repaired})
        self.report.problems.append(Problem(file, collection, what, repaired))

    def _tell(self, step: str, done: int, total: int) -> None:
        if self._progress is not None:
            self._progress(step, done, total)


def _readable(wanted: Sequence[Any], read: Callable[[Sequence[Any]], Sequence[Any]]) -> list[Any]:
    """What `read` finds of each, None where it fails: halves what fails until it is one."""
    if not wanted:
        return []
    try:
        return list(read(wanted))
    except CorruptionError:
        if len(wanted) == 1:
            return [None]
        half = len(wanted) // 2
        return _readable(wanted[:half], read) + _readable(wanted[half:], read)
