"""The writing half of a collection: what its calls take, the same for a directory and for a service."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from numpy.typing import ArrayLike

from lumaai.batch import Batch, batch_of
from lumaai.errors import InvalidRequestError
from lumaai.options import WriteOptions
from lumaai.results import DeleteResult, WriteResult
from lumaai.search import check_strings

Filter = Mapping[str, Any] | str

if TYPE_CHECKING:
    from lumaai.ingestion import DirectorySummary, Progress
    from lumaai.ingestion.directory import Ingestible
    from lumaai.ingestion.manifest import Kept


@dataclass(frozen=True, slots=True)
class Write:
    """Documents on their way in.

    Attributes:
        mode: "add", "insert" or "patch".
        on_progress: told how many documents are in, and of how many.
    """

    mode: str
    batch: Batch
    options: WriteOptions
    on_progress: Callable[[int, int], None] | None = None

    def tell(self, done: int, total: int) -> None:
        """Say how far it is, to whoever wants to know."""
        if self.on_progress is not None:
            self.on_progress(done, total)


@dataclass(frozen=True, slots=True)
class Removal:
    """What is to be deleted: exactly one of `ids` and `filter` is given."""

    ids: list[str] | None
    filter: Filter | None
    dry_run: bool
    options: WriteOptions


class WritableCollection(ABC):
    """Writes of documents, and what all of them take.

    `if_version` maps ids to the version that each document must have now (0: it must not be there), `if_absent` says
    that none of the documents may be there, `if_matches` that the stored documents satisfy a filter. Where a condition
    does not hold nothing is written (PreconditionFailedError), or with `atomic=False` not the documents that it is of.

    `durability` says when a call returns: "sync" when the write is on disk (fsynced), "interval" and "none" before
    that: after a power cut the last writes may be missing. None is the database's own default, "sync" if not set.

    `idempotency_key`, 1 to 255 visible ASCII characters, makes repeating harmless: the same call with the same key does
    nothing for 24 hours and answers what the first one did. With another content it is refused. What is remembered for
    that is a write of its own: under a key, also a call that changes no document moves the database's sequence.
    """

    @abstractmethod
    def _write(self, write: Write) -> WriteResult:
        """Do it."""

    @abstractmethod
    def _remove(self, removal: Removal) -> DeleteResult:
        """Do it."""

    @abstractmethod
    def _manifest(self) -> Kept:
        """The collection that keeps which files were ingested into this one; made if it is missing."""

    def ingest(
        self,
        path: str | Path,
        *,
        include: Sequence[str] | None = None,
        exclude: Sequence[str] = (),
        gitignore: bool = True,
        hidden: bool = False,
        follow_symlinks: bool = False,
        prefix: str = "",
        sync: bool = False,
        force: bool = False,
        strict: bool = False,
        on_progress: Callable[[Progress], None] | None = None,
    ) -> DirectorySummary:
        """Add the documents of a directory's files, those in the directories below it included.

        What was ingested is remembered in the database. Running it again reads only files that are new or have
        changed, and removes the documents that changed files no longer give; a run that was stopped in the middle,
        however, is finished by the next one. Bad records and unreadable files are reported, and the others go in.

        Args:
            path: the directory, or one file.
            include: patterns as in .gitignore, such as `*.md`: only these files.
            exclude: patterns: not these files, nor anything below these directories.
            gitignore: leave out what .gitignore files in the directory leave out.
            hidden: take names that begin with a dot.
            follow_symlinks: go where symbolic links lead, each directory once.
            prefix: in front of every file's name, to tell the files of several directories apart.
            sync: also remove the documents of files that are gone, or are no longer selected.
            force: read all files, whether or not they have changed.
            strict: stop at the first bad record.
            on_progress: called after every batch and file.

        Raises:
            InvalidRequestError: there is no such path, a pattern is malformed, or (strict) the first bad record.
        """
        from lumaai.ingestion.directory import ingest_directory
        from lumaai.ingestion.walk import Selection

        selection = Selection(include, exclude, gitignore, hidden, follow_symlinks)
        return ingest_directory(
            cast("Ingestible", self), self._manifest(), path, selection, prefix=prefix, sync=sync, force=force,
            strict=strict, on_progress=on_progress,
        )  # fmt: skip

    def add(
        self,
        documents: Iterable[Mapping[str, Any]] | None = None,
        *,
        ids: Iterable[str] | None = None,
        vectors: ArrayLike | Mapping[str, ArrayLike] | None = None,
        fields: Mapping[str, Iterable[Any]] | None = None,
        atomic: bool = True,
        if_version: Mapping[str, int] | None = None,
        if_absent: bool = False,
        if_matches: Filter | None = None,
        durability: str | None = None,
        idempotency_key: str | None = None,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> WriteResult:
        """Add documents, or replace those that have their ids.

        What is stored already, exactly the same, is left as it is. All else is embedded, also where only fields that
        are not embedded have changed: `patch` keeps the vectors then.

        Args:
            documents: dicts, or a pyarrow.Table. A document may carry its vector under the vector field's name.
                Dates and times become ISO 8601 strings, decimals and NumPy's scalars numbers, UUIDs strings.
                Without an `id` it gets one. Of several with one id the last counts.
            ids: instead of documents, a column of ids,
            vectors: (n, dim) numbers, or such an array for each of several vector fields,
            fields: and columns of values by field name.
            atomic: all or nothing. Otherwise documents that are refused are left out and listed in the result's
                `errors`, and its `results` say what became of each.
            if_version: versions that documents must have, by id.
            if_absent: none of the documents may be there.
            if_matches: a filter that the stored documents must satisfy.
            durability: "sync", "interval" or "none".
            idempotency_key: makes repeating this call harmless.
            on_progress: called with how many documents are in and of how many: at the end, and of a batch that goes to
                a service in several requests after each.

        Raises:
            InvalidRequestError: the batch is empty, or (atomic) holds documents that are refused; its `errors`
                name each. Or the key was used for something else.
            TooLargeError: an id, a document or the batch is over its limit.
            PreconditionFailedError: a condition does not hold (atomic).
            ModelMismatchError: the collection was embedded with another model than is installed.
        """
        options = WriteOptions(atomic, if_version, if_absent, if_matches, durability, idempotency_key)
        batch = batch_of(documents, ids=ids, vectors=vectors, fields=fields)
        return self._checked("add", batch, options, on_progress)

    def insert(
        self,
        documents: Iterable[Mapping[str, Any]] | None = None,
        *,
        ids: Iterable[str] | None = None,
        vectors: ArrayLike | Mapping[str, ArrayLike] | None = None,
        fields: Mapping[str, Iterable[Any]] | None = None,
        atomic: bool = True,
        if_version: Mapping[str, int] | None = None,
        if_absent: bool = False,
        if_matches: Filter | None = None,
        durability: str | None = None,
        idempotency_key: str | None = None,
    ) -> WriteResult:
        """Add documents, none of which may be there already; takes what `add` takes.

        Raises:
            ConflictError: a document is there (code "document_exists"; atomic); `errors` name each.
            Others: as for `add`.
        """
        options = WriteOptions(atomic, if_version, if_absent, if_matches, durability, idempotency_key)
        return self._checked("insert", batch_of(documents, ids=ids, vectors=vectors, fields=fields), options)

    def patch(
        self,
        patches: Iterable[Mapping[str, Any]],
        *,
        atomic: bool = True,
        if_version: Mapping[str, int] | None = None,
        if_absent: bool = False,
        if_matches: Filter | None = None,
        durability: str | None = None,
        idempotency_key: str | None = None,
    ) -> WriteResult:
        """Change parts of documents: a JSON Merge Patch (RFC 7396) for each.

        A document is embedded again only where the text that is embedded has changed; vectors stay otherwise.

        Args:
            patches: each with the `id` of its document and the keys that change. Objects are merged, null removes a
                key, anything else replaces what was there.
            atomic: all or nothing; as for `add`.
            if_version: versions that documents must have, by id.
            if_absent: no patch can satisfy it: its documents must be there.
            if_matches: a filter that the stored documents must satisfy.
            durability: "sync", "interval" or "none".
            idempotency_key: makes repeating this call harmless.

        Raises:
            NotFoundError: a document is not there (code "document_not_found"; atomic); `errors` name each.
            Others: as for `add`.
        """
        options = WriteOptions(atomic, if_version, if_absent, if_matches, durability, idempotency_key)
        return self._checked("patch", batch_of(patches), options)

    def delete(
        self,
        *,
        ids: Sequence[str] | None = None,
        filter: Filter | None = None,  # noqa: A002 - the API's word
        dry_run: bool = False,
        if_version: Mapping[str, int] | None = None,
        if_matches: Filter | None = None,
        durability: str | None = None,
        idempotency_key: str | None = None,
    ) -> DeleteResult:
        """Delete documents by id, or all that match a filter.

        Args:
            ids: ids that are not there are passed over.
            filter: `{}` matches every document.
            dry_run: only count what would be deleted.
            if_version: versions that documents must have, by id.
            if_matches: a filter that all of the documents must satisfy, or none is deleted.
            durability: "sync", "interval" or "none".
            idempotency_key: makes repeating this call harmless.

        Raises:
            InvalidRequestError: not exactly one of ids and filter, or a bad filter.
            PreconditionFailedError: a condition does not hold.
        """
        if (ids is None) == (filter is None):
            raise InvalidRequestError("give either ids or filter")
        options = WriteOptions(True, if_version, False, if_matches, durability, idempotency_key)
        options.check()
        names = None if ids is None else check_strings("ids", ids)
        return self._remove(Removal(names, filter, dry_run, options))

    def _checked(
        self,
        mode: str,
        batch: Batch,
        options: WriteOptions,
        on_progress: Callable[[int, int], None] | None = None,
    ) -> WriteResult:
        options.check()
        return self._write(Write(mode, batch, options, on_progress))
