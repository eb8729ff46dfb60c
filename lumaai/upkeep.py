"""What is done to a database directory as a whole: changes, snapshots, checks, and giving disk and memory back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import engine
from lumaai.access import ANYBODY, Caller, Verb
from lumaai.aliases import Aliases
from lumaai.errors import ConflictError, InvalidRequestError, StorageFullError
from lumaai.ingestion.manifest import is_manifest
from lumaai.opened import Opened
from lumaai.reports import (
    CHANGES_LIMIT,
    Change,
    Changes,
    CheckProblem,
    CheckReport,
    Progress,
    Reembedding,
    SnapshotInfo,
    check_changes,
    check_flag,
    in_steps,
)
from lumaai.snapshots import SnapshotDirectory, TarOfSnapshot, new_snapshot_name, write_file
from lumaai.translation import NO_ROOM, translated

T = TypeVar("T")


class Upkeep:
    """The part of a `Database` that looks after its directory."""

    _opened: Opened
    _snapshots: SnapshotDirectory
    _aliases: Aliases
    _caller: Caller = ANYBODY

    @translated
    def resolve(self, name: str) -> str:
        """The collection that a name means: where it is an alias, the one that it leads to."""
        return self._aliases.resolve(name)

    @translated
    def changes(self, after: int = 0, *, collection: str | None = None, limit: int = CHANGES_LIMIT) -> Changes:
        """The writes after a sequence, in their order; call again with `next` to follow.

        A document that was written several times comes with the last of its changes. The log goes back at least
        10,000 writes.

        Args:
            after: 0 for all, or `next` of the call before.
            collection: only its changes.
            limit: changes at most, up to 10,000; fewer where their documents are large.

        Raises:
            ChangesGoneError: the log no longer holds them; `errors[0].expected` is from where on it does.
            NotFoundError: there is no such collection.
        """
        rows = check_changes(after, limit)
        may = self._caller.may
        if collection is not None:
            said, collection = collection, self.resolve(collection)
            self._caller.check(Verb.READ, collection, said)

        # What is noted of ingested files is no document of anybody's; who names a manifest may follow it.
        def passed_over(name: str) -> bool:
            return is_manifest(name) or not may(Verb.READ, name)

        found = self._opened.native.changes(after, collection=collection, limit=rows, passed_over=passed_over)
        return Changes(tuple(map(_change, found.changes)), found.next)

    @translated
    def refresh(self) -> int:
        """Show what has been written since, where the directory was opened with `read_only`; the sequence shown.

        A writer always shows everything.
        """
        sequence = self._opened.native.refresh()
        self._opened.renew()
        return sequence

    @translated
    def create_snapshot(self, name: str | None = None, *, progress: Progress | None = None) -> SnapshotInfo:
        """Keep the whole database as it is now. Quick, and small at first: files are linked, not copied.

        Args:
            name: letters, digits, `_`, `.` and `-`; made from the time if not given.
            progress: called with a stage and a fraction 0..1.

        Raises:
            ConflictError: there is a snapshot of that name.
            StorageFullError: there is no room for it; nothing is left behind.
        """
        wanted = new_snapshot_name() if name is None else name
        with self._snapshots.place_for(wanted) as place:
            self._opened.native.archive(place, progress=in_steps(progress))
            return self._snapshots.info(wanted)

    @translated
    def snapshots(self) -> list[SnapshotInfo]:
        """All snapshots, by name."""
        return self._snapshots.infos()

    @translated
    def export_snapshot(self, name: str, target: str | Path) -> Path:
        """Write a snapshot into one tar file, to be kept elsewhere; `lumaai restore` takes it.

        Raises:
            NotFoundError: there is no such snapshot.
            ConflictError: the target is there already.
        """
        path = Path(target).expanduser()
        write_file(self._snapshots.tar(name).pieces(), path)
        return path

    @translated
    def snapshot_tar(self, name: str) -> TarOfSnapshot:
        """A snapshot as a tar that is made while it is read: the way of the HTTP service.

        Raises:
            NotFoundError: there is no such snapshot.
        """
        return self._snapshots.tar(name)

    @translated
    def restore_snapshot(self, name: str, *, progress: Progress | None = None) -> SnapshotInfo:
        """Go back to a snapshot: everything written since is gone, and scrolls under way end.

        The snapshot is checked as a whole first; until then, and where it is damaged, the database goes on as it is.

        Raises:
            NotFoundError: there is no such snapshot.
            InvalidRequestError: it is damaged (code "archive_invalid").
        """
        with self._snapshots.reading(name) as source:
            info = self._snapshots.info(name)
            self._opened.replace(lambda native: native.restore(source, progress=in_steps(progress)))
        return info

    @translated
    def delete_snapshot(self, name: str) -> None:
        """Delete a snapshot; what it shares with the database or other snapshots stays.

        Raises:
            NotFoundError: there is no such snapshot.
            ConflictError: it is being saved, downloaded or restored (code "snapshot_in_use").
        """
        self._snapshots.delete(name)

    @translated
    def check(self, *, repair: bool = True, progress: Progress | None = None) -> CheckReport:
        """Read everything and compare it with its checksums and with the store.

        Args:
            repair: make again, from the store, what is derived from it and is damaged.
            progress: called with a stage and a fraction 0..1.
        """
        report = self._opened.native.check(repair=check_flag("repair", repair), progress=in_steps(progress))
        problems = tuple(
            CheckProblem(found.file, found.collection, found.what, found.repaired, tuple(found.ids))
            for found in report.problems
        )
        return CheckReport(report.files, report.documents, report.rows, problems)

    @translated
    def compact(self, *, progress: Progress | None = None) -> dict[str, Any]:
        """Give disk back that deleted and replaced documents take. Reads and writes go on meanwhile.

        Returns:
            What it did, such as the bytes before and after, and under "snapshots" the names of those there are: they
            keep what they hold.
        """
        return self._with_snapshots(self._opened.native.compact(progress=in_steps(progress)))

    @translated
    def purge(self, *, progress: Progress | None = None) -> dict[str, Any]:
        """As `compact`, and leave nothing of what was deleted in any file. Scrolls under way end.

        The vectors of texts that were embedded before are forgotten as well. Snapshots are not touched: delete those
        that hold what must go.

        Returns:
            What it did, such as the bytes before and after, and under "snapshots" the names of those there are.

        Raises:
            ConflictError: for a minute somebody has gone on reading what is to vanish (code "documents_in_use").
            ModelUnavailableError: all that is done, but a cache of embeddings could not be emptied (code
                "cache_unavailable"); try again.
        """
        self._opened.cursors.clear()  # they would go on reading what is to vanish
        self._snapshots.sweep()
        self._opened.reembeddings.before_purge()
        try:
            figures = self._opened.native.purge(progress=in_steps(progress))
        except engine.EngineError as error:
            if type(error) is not engine.EngineError:
                raise
            raise ConflictError(str(error), code="documents_in_use") from error
        self._opened.embedders.forget_all()
        return self._with_snapshots(figures)

    @translated
    def reembed(
        self,
        collection: str,
        model: str,
        *,
        field: str | None = None,
        wait: bool = True,
        progress: Progress | None = None,
    ) -> Reembedding:
        """Embed a collection anew, with another model, while it is read and written.

        Searches go on with the old model until the new one has embedded everything; then it takes over at once, for
        all. Documents keep their versions. A process that ends before that changes nothing: the same call goes on.

        Args:
            collection: its name.
            model: the new model's name.
            field: the vector field; needed where several are embedded.
            wait: return when it is done; else it goes on in the background: see `reembedding`.
            progress: called with a stage and a fraction 0..1, while it is waited for.

        Raises:
            NotFoundError: there is no such collection.
            InvalidRequestError: it embeds no text.
            ConflictError: it is being embedded anew with another model (code "reembedding").
            ModelUnavailableError: the model cannot be had.
        """
        works = self._opened.reembeddings
        collection = self.resolve(collection)
        state = works.start(collection, model, field)
        return works.wait(collection, progress) if check_flag("wait", wait) else state

    @translated
    def reembedding(self, collection: str) -> Reembedding | None:
        """How far a collection is on its way to another model, or how that ended; None where there is none."""
        return self._opened.reembeddings.state(self.resolve(collection))

    @translated
    def cancel_reembedding(self, collection: str) -> None:
        """Stay with the old model; doing it twice does no harm.

        Raises:
            NotFoundError: there is no such collection.
        """
        self._opened.reembeddings.cancel(self.resolve(collection))

    def _with_snapshots(self, figures: dict[str, Any]) -> dict[str, Any]:
        return {**figures, "snapshots": self._snapshots.names()}


@translated
def restore_directory(
    source: str | Path, target: str | Path, *, replace: bool = False, progress: Progress | None = None
) -> SnapshotInfo:
    """See `lumaai.restore`."""
    found = engine.restore_archive(Path(source), Path(target), replace=replace, progress=in_steps(progress))
    return SnapshotInfo(found.name, found.sequence, found.bytes, found.files)


def open_engine(path: Path, open_it: Callable[[], T]) -> T:
    """What `open_it` gives; a directory that the system refuses is an error of the request.

    Raises:
        InvalidRequestError: it cannot be made or used.
    """
    try:
        return open_it()
    except OSError as error:
        if error.errno in NO_ROOM:
            raise StorageFullError(f"no room to open a database in {path}: {error.strerror}") from error
        raise InvalidRequestError(
            f"cannot open a database in {path}: {error.strerror or error}", code="directory_unusable"
        ) from error


def _change(record: engine.ChangeRecord) -> Change:
    return Change(record.sequence, record.collection, list(record.documents), list(record.deleted))
