"""Adds files to a collection in batches and accounts for every record."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from lumaai.errors import (
    ErrorDetail,
    InvalidRequestError,
    LumaError,
    ModelUnavailableError,
    OverloadedError,
    TooLargeError,
)
from lumaai.ingestion.mixtures import Mixtures
from lumaai.ingestion.read import GUESSING_SUFFIXES, place, read
from lumaai.results import CollectionInfo, WriteResult

BATCH_DOCUMENTS = 256
# A batch is sent early at this size, so that large documents stay far below what a service takes at once.
BATCH_BYTES_MAX = 8 * 1024 * 1024
OVERLOAD_TRIES = 6
OVERLOAD_SECONDS_MAX = 10.0

# How a service of embeddings answers a text that it cannot embed, or does not embed rightly.
TEXT_REFUSED_CODES = frozenset({"remote_model_error", "remote_model_reply"})
# So many documents in a row that it does so with, and it is the service that is at fault and not they.
TEXTS_REFUSED_MAX = 8

# So many are described; a file of another kind than its name says may have millions.
FAILURES_KEPT_MAX = 1000

Document = Mapping[str, Any]
Entry = tuple[str, int, Document]  # path, position and document


class Watcher(Protocol):
    """Is told what becomes of files and batches."""

    def before(self, entries: Sequence[Entry]) -> None:
        """These documents are about to be added."""

    def after(self) -> None:
        """All documents read so far have been added."""

    def failed(self, path: str, position: int) -> None:
        """A record of a file does not go in, or (0) the file cannot be read any further."""


class Target(Protocol):
    """What `ingest` needs of a collection: both the embedded and the remote one have it."""

    def info(self) -> CollectionInfo:
        """The collection's schema, which decides what stays text."""

    def add(self, documents: Sequence[Document], *, atomic: bool) -> WriteResult:
        """Add or replace documents; with `atomic=False` the bad ones are left out and reported."""


@dataclass(frozen=True, slots=True)
class Failure:
    """A record that did not go in.

    Attributes:
        position: line, row or item number; 0 where the whole file failed.
    """

    path: str
    position: int
    reason: str

    def __str__(self) -> str:
        return f"{self.path}:{self.position}: {self.reason}" if self.position else f"{self.path}: {self.reason}"


@dataclass(frozen=True, slots=True)
class Progress:
    """How far it is: `documents` handled (bad ones included), `failed` of them, `fraction` 0..1 of all bytes."""

    path: str
    documents: int
    failed: int
    fraction: float


@dataclass(frozen=True, slots=True)
class IngestSummary:
    """What became of the records: every one is counted once.

    Attributes:
        failed: the first 1,000 records that did not go in.
        failures: how many did not go in.
        notes: what is no failure and yet good to know, such as a column that one cell keeps text.
    """

    added: int
    replaced: int
    skipped: int
    failed: list[Failure]
    seconds: float
    failures: int
    notes: tuple[str, ...] = ()

    @property
    def documents(self) -> int:
        """Records that are in the collection now."""
        return self.added + self.replaced + self.skipped


def ingest(
    collection: Target,
    paths: Sequence[str | Path],
    *,
    strict: bool = False,
    batch: int = BATCH_DOCUMENTS,
    on_progress: Callable[[Progress], None] | None = None,
) -> IngestSummary:
    """Add the documents of files to a collection.

    Bad records, and files that cannot be read, are left out and reported with place and reason. Files are not one
    transaction: each batch is, and what was added before an error stays.

    Args:
        collection: embedded or remote.
        paths: read in this order.
        strict: stop at the first bad record instead; nothing of its batch goes in.
        batch: documents added at once.
        on_progress: called after every batch, and at the end of every file and of all.

    Raises:
        InvalidRequestError: with `strict`, the first bad record (code "record_invalid"), as
            `path: stopped at line 4: reason; 256 documents had gone in before`.
        LumaError: the collection refuses everything: it is gone, the disk is full, the service does not answer, the
            model's service refuses one document after the other.
    """
    if batch < 1:
        raise InvalidRequestError(f"batch must be at least 1: got={batch}")
    files = [Path(path) for path in paths]
    run = IngestRun(collection, strict, batch, on_progress, files, total_bytes=max(1, sum(map(_size, files))))
    for path in run.paths:
        run.take(path)
    run.flush()
    run.note_mixtures()
    if run.paths:
        run.report(run.paths[-1])
    return run.summary()


@dataclass(slots=True)
class IngestRun:
    """One call of `ingest`: the batch in hand and the counts so far."""

    collection: Target
    strict: bool
    batch: int
    on_progress: Callable[[Progress], None] | None
    paths: list[Path]
    total_bytes: int
    watcher: Watcher | None = None
    started: float = field(default_factory=time.perf_counter)
    pending: list[Entry] = field(default_factory=list)
    pending_bytes: int = 0
    read_bytes: int = 0
    finished_bytes: int = 0
    added: int = 0
    replaced: int = 0
    skipped: int = 0
    failures: int = 0
    failed: list[Failure] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    mixtures: Mixtures = field(default_factory=Mixtures)
    texts_refused: int = 0  # one after the other

    def take(self, path: Path, name: str | None = None) -> None:
        """Read one file into batches; a document that is made of all of it is called `name`, or as its path."""
        self.read_bytes = 0
        # Only CSV leaves open what is text; a service need not be asked for every one of many small files.
        guesses = path.suffix.lower() in GUESSING_SUFFIXES
        records = read(path, fields=self.known_fields() if guesses else None, on_note=self.notes.append, name=name)
        while True:
            try:
                record = next(records, None)
            except LumaError as error:
                self.fail(str(path), 0, error.message)
                break
            if record is None:
                break
            self.read_bytes += record.bytes
            if record.document is None:
                self.fail(str(path), record.position, record.problem or "")
                continue
            self.pending.append((str(path), record.position, record.document))
            self.pending_bytes += record.bytes
            if len(self.pending) >= self.batch or self.pending_bytes >= BATCH_BYTES_MAX:
                self.flush()
                self.report(path)
        self.finished_bytes += _size(path)
        self.read_bytes = 0
        self.report(path)

    def known_fields(self) -> Mapping[str, Mapping[str, Any]]:
        """How the collection has its fields, those of the files before included."""
        self.flush()
        fields: Mapping[str, Mapping[str, Any]] = self.collection.info().schema["fields"]
        return fields

    def fail(self, path: str, position: int, reason: str) -> None:
        """Account for a record that is left out, or stop."""
        if self.strict:
            raise self.stop(path, position, reason)
        self.failures += 1
        if self.watcher is not None:
            self.watcher.failed(path, position)
        if len(self.failed) < FAILURES_KEPT_MAX:
            self.failed.append(Failure(path, position, reason))

    def stop(self, path: str, position: int, reason: str, errors: Sequence[ErrorDetail] = ()) -> InvalidRequestError:
        """The error that ends a strict run: where, why, and what stays."""
        where = f"{path}: stopped at {place(path, position)}: {reason}" if position else reason
        stored = self.added + self.replaced + self.skipped
        count = f"{stored:,} document{'' if stored == 1 else 's'}"
        return InvalidRequestError(f"{where}; {count} had gone in before", code="record_invalid", errors=errors)

    def note_mixtures(self) -> None:
        """Note the fields that the collection has as `json` because their values are of several kinds."""
        if self.mixtures:
            self.notes.extend(self.mixtures.notes(self.collection.info().schema["fields"]))

    def flush(self) -> None:
        """Add the batch in hand."""
        pending, self.pending, self.pending_bytes = self.pending, [], 0
        for entry in pending:
            self.mixtures.see(*entry)
        if self.watcher is not None:
            self.watcher.before(pending)
        try:
            self.add(pending)
        except _Refused as error:
            raise self.stop(error.entry[0], error.entry[1], error.reason, error.errors) from error
        self.mixtures.end_batch()
        if self.watcher is not None:
            self.watcher.after()

    def add(self, entries: Sequence[Entry]) -> None:
        """Add entries in one batch, or in halves where it is too large, or holds what the model's service refuses."""
        if not entries:
            return
        try:
            result = _add(self.collection, [document for _, _, document in entries], atomic=self.strict)
        except (TooLargeError, ModelUnavailableError) as error:
            if isinstance(error, ModelUnavailableError):
                self.bear_with_model(error, single=len(entries) == 1)
            if len(entries) == 1:
                self.count(entries, _refused(error))
                return
            half = len(entries) // 2
            self.add(entries[:half])
            self.add(entries[half:])
        except InvalidRequestError as error:
            if error.code != "documents_invalid" or not error.errors:
                raise
            first = error.errors[0]
            raise _Refused(entries[first.index or 0], first.message, error.errors) from error
        else:
            self.texts_refused = 0
            self.count(entries, result)

    def bear_with_model(self, error: ModelUnavailableError, *, single: bool) -> None:
        """Raise what is not the fault of single documents."""
        self.texts_refused += single
        if self.strict or error.code not in TEXT_REFUSED_CODES or self.texts_refused >= TEXTS_REFUSED_MAX:
            raise error

    def count(self, part: Sequence[Entry], result: WriteResult) -> None:
        """Account for a batch, or a part of one, that was added."""
        self.added += result.added
        self.replaced += result.replaced
        self.skipped += result.skipped
        for error in result.errors:
            path, position, _ = part[error.index or 0]
            self.fail(path, position, error.message)

    def report(self, path: Path) -> None:
        """Tell how far it is."""
        if self.on_progress is None:
            return
        done = self.finished_bytes + min(self.read_bytes, _size(path))
        handled = self.added + self.replaced + self.skipped + self.failures
        self.on_progress(Progress(str(path), handled, self.failures, min(1.0, done / self.total_bytes)))

    def summary(self) -> IngestSummary:
        """What became of everything."""
        seconds = time.perf_counter() - self.started
        notes = tuple(self.notes)
        return IngestSummary(self.added, self.replaced, self.skipped, self.failed, seconds, self.failures, notes)


class _Refused(Exception):  # noqa: N818 - not an error of the caller's yet: `IngestRun` knows what had gone in before
    """A strict batch was refused because of a document.

    Attributes:
        entry: the document and its place.
        reason: what is wrong with it.
        errors: what is wrong with all of the batch.
    """

    def __init__(self, entry: Entry, reason: str, errors: Sequence[ErrorDetail]) -> None:
        super().__init__(reason)
        self.entry, self.reason, self.errors = entry, reason, errors


def _add(collection: Target, documents: list[Document], *, atomic: bool) -> WriteResult:
    """Add a batch; a service that is busy is asked again, a bounded number of times."""
    for tried in range(1, OVERLOAD_TRIES):
        try:
            return collection.add(documents, atomic=atomic)
        except OverloadedError as error:
            time.sleep(min(error.retry_after or 0.25 * 2**tried, OVERLOAD_SECONDS_MAX))
    return collection.add(documents, atomic=atomic)


def _refused(error: LumaError) -> WriteResult:
    """What adding a single document comes to that a service refuses."""
    return WriteResult(0, "none", 0, 0, 0, (ErrorDetail("/documents/0", error.code, error.message, index=0),))


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0  # reading it will say what is wrong
