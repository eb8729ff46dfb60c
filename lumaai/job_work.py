"""What each kind of job does, what can be said against it beforehand, and what is told while it goes on."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lumaai.errors import OverloadedError
from lumaai.job import JobRequest, check_kind

if TYPE_CHECKING:
    from lumaai.collection import Collection
    from lumaai.database import Database
    from lumaai.ingestion import Progress
    from lumaai.opened import Opened
    from lumaai.reports import Reembedding

# Begun again, these go on where they stopped.
RESUMABLE = frozenset({"reembed", "import"})
# Where uploads wait for the jobs that take them in, in the database's directory.
IMPORTS = "imports"
ERRORS_KEPT_MAX = 100
TOLD_SECONDS = 0.2  # between two times that figures are shown

_AGAIN = "it changed nothing that is not whole: start it again"
ADVICE: Mapping[str, str] = {
    "purge": "parts of what was deleted may still be in files: start it again",
    "restore": "the database is as it was, or as the snapshot: its sequence and documents tell; start it again if not",
    "delete": "either all documents that match are gone, or none: count them, and start it again if they are there",
    "import": "what was taken in stays; a service goes on with it, else upload it again: nothing comes twice",
    "snapshot": "nothing is left of it: start it again",
    "reembed": "the old model goes on, and what the new one has embedded is kept: start it again to go on",
}

Figures = Mapping[str, Any]


class JobStoppedError(Exception):
    """A job was told to stop, and does."""


class Told:
    """Told by the work how far it is; raises where the job is to stop.

    Args:
        show: takes what has changed of the job.
        is_cancelled: whether somebody wants it to stop.
        is_closing: whether the database is being closed.
    """

    def __init__(
        self, show: Callable[[Figures], None], is_cancelled: Callable[[], bool], is_closing: Callable[[], bool]
    ) -> None:
        self._show = show
        self._is_cancelled = is_cancelled
        self._is_closing = is_closing
        self._began = time.monotonic()
        self._shown = -TOLD_SECONDS
        self._stage = ""

    @property
    def is_cancelled(self) -> bool:
        """Whether somebody wants it to stop, rather than the process."""
        return self._is_cancelled()

    def at(self, stage: str, fraction: float) -> None:
        """Where the work is: the engine's progress.

        Raises:
            JobStoppedError: it is to go no further.
        """
        self._check_wanted()
        now = time.monotonic()
        if stage != self._stage or now - self._shown >= TOLD_SECONDS:
            self._stage, self._shown = stage, now
            self._show({"stage": stage, "progress": fraction, "eta_seconds": self._eta(fraction, now)})

    def counted(self, stage: str, documents: int, total: int, *, before: int) -> None:
        """Where the work is, counted in documents, `before` of them done when it began.

        Raises:
            JobStoppedError: as for `at`.
        """
        self._check_wanted()
        self.all_counted(stage, documents, total, before=before)

    def read(self, stage: str, documents: int, fraction: float) -> None:
        """Where the work is: documents of a source whose length is known in bytes alone.

        Raises:
            JobStoppedError: as for `at`.
        """
        self._check_wanted()
        now = time.monotonic()
        rate = documents / max(now - self._began, 1e-9)
        figures = {"stage": stage, "progress": min(1.0, fraction), "documents": documents, "rate": round(rate, 1)}
        self._show({**figures, "eta_seconds": self._eta(fraction, now)})

    def all_counted(self, stage: str, documents: int, total: int, *, before: int) -> None:
        """As `counted`, at the end."""
        now, fraction = time.monotonic(), documents / max(total, 1)
        seconds = now - self._began
        rate = (documents - before) / seconds if seconds > 0 else 0.0
        eta = (total - documents) / rate if rate > 0 else None
        figures = {"stage": stage, "progress": min(1.0, fraction), "documents": documents, "total": total}
        self._show({**figures, "rate": round(rate, 1), "eta_seconds": None if eta is None else round(eta, 1)})

    def _check_wanted(self) -> None:
        if self._is_cancelled() or self._is_closing():
            raise JobStoppedError

    def _eta(self, fraction: float, now: float) -> float | None:
        if not 0.0 < fraction < 1.0:
            return None
        return round((now - self._began) * (1.0 - fraction) / fraction, 1)


def advice_for(kind: str, state: str, *, begun: bool = True) -> str | None:
    """What to do about a job that did not come to its end."""
    if state not in {"interrupted", "cancelled"}:
        return None
    if not begun:
        return "it had not begun: a service goes on with it, else start it again"
    return ADVICE.get(kind, _AGAIN)


def check_request(database: Database, opened: Opened, request: JobRequest) -> JobRequest:
    """The request with its collection's own name, once what can be known beforehand has been found right.

    Embedding anew begins here: whether it may is known when its model is there.

    Raises:
        NotFoundError: there is no such collection or snapshot.
        InvalidRequestError: it cannot be done so.
    """
    check_kind(request)
    given = request.arguments
    if request.collection is not None:
        collection = database.collection(request.collection)
        request = replace(request, collection=collection.name)
        if given.get("filter") is not None:
            collection.count(given["filter"])
    if request.kind == "reembed":
        opened.reembeddings.start(str(request.collection), given["model"], given.get("field"))
    elif request.kind == "restore":
        database.snapshot_tar(given["name"])
    return request


def perform(database: Database, opened: Opened, request: JobRequest, told: Told, *, is_resumed: bool) -> Any:
    """Do it: what the call that does it at once answers, as JSON.

    Args:
        database: to do it to.
        opened: the same, further in.
        request: what is to be done; it was checked.
        told: how far it is.
        is_resumed: by a later process than the one that it was asked for.

    Raises:
        JobStoppedError: it was told to stop, and has.
        LumaError: what the call raises.
    """
    given, name = request.arguments, request.collection
    match request.kind:
        case "check":
            return database.check(repair=given.get("repair", True), progress=told.at).to_json()
        case "compact":
            return database.compact(progress=told.at)
        case "purge":
            return database.purge(progress=told.at)
        case "snapshot":
            return database.create_snapshot(given.get("name"), progress=told.at).to_json()
        case "restore":
            return database.restore_snapshot(given["name"], progress=told.at).to_json()
        case "reembed":
            if is_resumed:
                opened.reembeddings.start(str(name), given["model"], given.get("field"))
            return _reembed(opened, str(name), told).to_json()
    collection = database.collection(str(name))
    match request.kind:
        case "optimize":
            return collection.optimize(wait=True)
        case "delete":
            return collection.delete(**given).to_json()
        case "import":
            return _import(collection, upload_of(database, given), told)
        case _:
            return collection.recall_told(told.at, **given).to_json()


def upload_of(database: Database, arguments: Figures) -> Path:
    """The file of an import: a name in a directory of its own, whatever the arguments say."""
    return database.path / IMPORTS / Path(str(arguments.get("file"))).name


def _import(collection: Collection, file: Path, told: Told) -> dict[str, Any]:
    """Take in a file. What was taken in before a restart is there already: records without ids get them by content."""
    from lumaai.ingestion import ingest

    def tell(progress: Progress) -> None:
        told.read("importing", progress.documents, progress.fraction)

    summary = ingest(collection, [file], on_progress=tell)
    errors = [
        {"line": failure.position, "message": failure.reason.replace(str(file), "the upload")}
        for failure in summary.failed[:ERRORS_KEPT_MAX]
    ]
    counts = {"added": summary.added, "replaced": summary.replaced, "skipped": summary.skipped}
    return {**counts, "failed": summary.failures, "errors": errors}


def _reembed(opened: Opened, name: str, told: Told) -> Reembedding:
    """Wait for what is under way; told to stop for good, stay with the old model."""
    works = opened.reembeddings
    begun = works.state(name)
    before = 0 if begun is None else begun.documents

    def tell(stage: str, _: float) -> None:
        state = works.state(name)
        if state is not None:
            told.counted(stage, state.documents, state.total, before=before)

    try:
        done = works.wait(name, tell)
    except (JobStoppedError, OverloadedError) as error:
        if isinstance(error, OverloadedError) and error.code != "cancelled":
            raise
        if told.is_cancelled:
            works.cancel(name)
        # Else by its own call, because a snapshot takes the database's place, or because the database is closed.
        raise JobStoppedError from error
    told.all_counted("embedding anew", done.documents, done.total, before=before)
    return done
