"""A directory into a collection: what is new or has changed is read, and what a file no longer gives is removed."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lumaai.errors import InvalidRequestError
from lumaai.ingestion.ingest import BATCH_DOCUMENTS, Entry, IngestRun, IngestSummary, Progress, Target
from lumaai.ingestion.manifest import FileEntry, Finished, Kept, Manifest, SharedIds
from lumaai.ingestion.walk import Selection, Walked, walk

# Files are read again by readers that make other documents of them than those that read them.
READER_VERSION = 1
# A file that was changed so shortly before it was read may be changed again without another time.
_SETTLED_NS = 2_000_000_000
_HASHED_BYTES = 1024 * 1024
_VANISHED_SHOWN_MAX = 1000


class Ingestible(Target, Kept, Protocol):
    """A collection, embedded or remote."""


@dataclass(frozen=True, slots=True)
class DirectorySummary:
    """What became of a directory.

    Attributes:
        documents: what became of the records of the files that were read.
        read: files that were new or had changed.
        unchanged: files that were passed over because they are as they were.
        unreadable: files and directories that could not be read, or not to their end.
        removed: documents that were removed, because their files no longer give them or (sync) are gone.
        vanished: files whose documents are there and that are gone, or no longer selected; the first 1,000.
        other: files of kinds that cannot be read.
        shared: ids that several files give, as far as one of them was read.
    """

    documents: IngestSummary
    read: int
    unchanged: int
    unreadable: int
    removed: int
    vanished: tuple[str, ...]
    other: int
    shared: tuple[SharedIds, ...] = ()


def ingest_directory(
    collection: Ingestible,
    kept: Kept,
    path: str | Path,
    selection: Selection,
    *,
    prefix: str = "",
    sync: bool = False,
    force: bool = False,
    strict: bool = False,
    batch: int = BATCH_DOCUMENTS,
    on_progress: Callable[[Progress], None] | None = None,
) -> DirectorySummary:
    """Make the collection hold what the selected files give; see `WritableCollection.ingest`.

    Args:
        collection: for the documents.
        kept: for the manifest.
        path: a directory or a file.
        selection: which of the files below it.
        prefix: of their names.
        sync: remove the documents of files that are gone.
        force: read unchanged files too.
        strict: stop at the first bad record.
        batch: documents added at once.
        on_progress: told how far it is.

    Raises:
        InvalidRequestError: there is no such path, a pattern is malformed, or (strict) a record is bad.
    """
    root = Path(path)
    walked = walk(root, selection)
    run = _DirectoryRun(collection, kept, root, walked, prefix, strict=strict, batch=batch, on_progress=on_progress)
    return run.run(sync=sync, force=force)


@dataclass(slots=True)
class _Reading:
    """The file in hand, and what it gave so far."""

    name: str
    status: os.stat_result
    hash: str
    ids: set[str]
    failed: int = 0
    is_whole: bool = True


class _DirectoryRun:
    """One run: goes through the files, and is the watcher that keeps the manifest up with the batches."""

    def __init__(
        self, collection: Ingestible, kept: Kept, root: Path, walked: Walked, prefix: str,
        *, strict: bool, batch: int, on_progress: Callable[[Progress], None] | None,
    ) -> None:  # fmt: skip
        self._files = {f"{prefix}{name}": path for name, path in walked.files.items()}
        self._walked, self._prefix = walked, prefix
        self._source = str(root.resolve() if root.is_dir() else root.resolve().parent)
        self._is_one_file = not root.is_dir()
        total = max(1, sum(map(_size, self._files.values())))
        self._ingest = IngestRun(
            collection, strict, batch, on_progress, list(self._files.values()), total_bytes=total, watcher=self
        )
        self._manifest = Manifest(collection, kept)
        self._reading: _Reading | None = None
        self._finished: list[_Reading] = []
        self._names: dict[str, str] = {str(path): name for name, path in self._files.items()}
        self._passed: set[str] = set()  # files that count as unchanged
        self._read = self._unchanged = self._unreadable = self._removed = 0

    def run(self, *, sync: bool, force: bool) -> DirectorySummary:
        """Everything, in the order of the names."""
        entries = self._manifest.entries()
        for name, reason in self._walked.unreadable.items():
            self._unreadable += 1
            self._ingest.fail(str(Path(self._source, name)), 0, f"cannot read {Path(self._source, name)}: {reason}")
        for name, path in self._files.items():
            self._take(name, path, entries.get(name), force=force)
        self._ingest.flush()
        vanished = self._vanished(entries)
        if sync:
            self._removed += self._manifest.forget(vanished)
        self._read_reopened(entries)
        self._ingest.note_mixtures()
        if self._files:
            self._ingest.report(list(self._files.values())[-1])
        return DirectorySummary(
            self._ingest.summary(), self._read, self._unchanged, self._unreadable, self._removed,
            tuple(vanished[:_VANISHED_SHOWN_MAX]), self._walked.other,
            self._manifest.shared((entries.keys() | self._files.keys()) - set(vanished)),
        )  # fmt: skip

    def _read_reopened(self, entries: Mapping[str, FileEntry]) -> None:
        """Read the files again that were passed over, and whose documents another file had taken and gave back."""
        while again := sorted(self._manifest.reopened & self._files.keys()):
            for name in again:
                self._unchanged -= name in self._passed
                self._take(name, self._files[name], entries.get(name), force=True)
            self._ingest.flush()

    def _take(self, name: str, path: Path, known: FileEntry | None, *, force: bool) -> None:
        """Read a file, unless it is known as it is."""
        force = force or name in self._manifest.reopened
        self._manifest.reopened.discard(name)
        if known is not None and self._is_foreign(known):
            self._refuse(path, f"{name} is there from {known.source}: give a prefix to tell the directories apart")
            return
        try:
            status = path.stat()
            if not force and _is_as_it_was(known, status):
                self._pass_over(path)
                self._passed.add(name)
                return
            digest = _hash(path)
        except OSError as error:
            self._refuse(path, f"cannot read {path}: {error.strerror or error}")
            return
        is_known = known is not None and known.hash == digest and known.reader == READER_VERSION
        if is_known and not force:
            assert known is not None
            self._pass_over(path)
            self._passed.add(name)
            self._manifest.remember([_entry(name, self._source, digest, status, known.documents)])
            return
        self._read += 1
        self._reading = _Reading(name, status, digest, set())
        self._ingest.take(path, name)
        done, self._reading = self._reading, None
        self._unreadable += not done.is_whole
        self._finished.append(done)

    def _refuse(self, path: Path, reason: str) -> None:
        self._unreadable += 1
        self._ingest.fail(str(path), 0, reason)
        self._pass_over(path, unchanged=0)

    def _pass_over(self, path: Path, unchanged: int = 1) -> None:
        self._unchanged += unchanged
        self._ingest.finished_bytes += _size(path)
        if unchanged and self._unchanged % 100 == 0:
            self._ingest.report(path)

    def _is_foreign(self, known: FileEntry) -> bool:
        """Whether the name belongs to a file of another directory, which is still there."""
        return known.source != self._source and Path(known.source).is_dir()

    def _vanished(self, entries: Mapping[str, FileEntry]) -> list[str]:
        """Files of this directory that were there and are not now, as far as it could be looked."""
        if self._is_one_file:
            return []
        hidden = tuple(f"{self._prefix}{name}" for name in self._walked.unreadable)
        return [
            name
            for name, entry in entries.items()
            if entry.source == self._source
            and name.startswith(self._prefix)
            and name not in self._files
            and not (hidden and name.startswith(hidden))
        ]

    def before(self, entries: Sequence[Entry]) -> None:
        """Write down the ids first: see `manifest`."""
        ids: dict[str, list[str]] = {}
        for path, _, document in entries:
            ids.setdefault(self._names[path], []).append(document["id"])
        readings = {reading.name: reading for reading in (*self._finished, *([self._reading] if self._reading else []))}
        begun = [readings[name] for name in ids if not readings[name].ids]
        self._manifest.intend(ids, [_entry(item.name, self._source, "", item.status, 0) for item in begun])
        for name, some in ids.items():
            readings[name].ids.update(some)

    def after(self) -> None:
        """The files that have been read to their end are in the collection now."""
        finished, self._finished = self._finished, []
        self._removed += self._manifest.settle([self._settled(item) for item in finished])

    def _settled(self, item: _Reading) -> Finished:
        digest = "" if item.failed or self._has_changed(item) else item.hash
        entry = _entry(item.name, self._source, digest, item.status, len(item.ids))
        return Finished(entry, item.ids, item.is_whole)

    def _has_changed(self, item: _Reading) -> bool:
        """Whether the file was changed while it was read: then the next run reads it again."""
        try:
            status = self._files[item.name].stat()
        except OSError:
            return True
        return (status.st_size, status.st_mtime_ns) != (item.status.st_size, item.status.st_mtime_ns)

    def failed(self, path: str, position: int) -> None:
        """Count the failures of a file."""
        name = self._names.get(path)
        for item in (*self._finished, *([self._reading] if self._reading else [])):
            if item.name == name:
                item.failed += 1
                item.is_whole = item.is_whole and position > 0


def _entry(name: str, source: str, digest: str, status: os.stat_result, documents: int) -> FileEntry:
    settled = time.time_ns() - status.st_mtime_ns > _SETTLED_NS
    modified = str(status.st_mtime_ns) if settled and digest else ""
    return FileEntry(name, source, digest, status.st_size, modified, documents, READER_VERSION)


def _is_as_it_was(known: FileEntry | None, status: os.stat_result) -> bool:
    """Whether size and time say so, and may be believed."""
    if known is None or not known.hash or known.reader != READER_VERSION:
        return False
    return known.size == status.st_size and known.modified_ns == str(status.st_mtime_ns)


def _hash(path: Path) -> str:
    """Of the file's bytes; what is no regular file is not waited for."""
    if not path.is_file():
        raise InvalidRequestError(f"cannot read {path}: it is no regular file", code="file_unreadable")
    with path.open("rb") as file:
        digest = hashlib.blake2b(digest_size=16)
        while data := file.read(_HASHED_BYTES):
            digest.update(data)
    return digest.hexdigest()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
