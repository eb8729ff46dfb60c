"""Jobs of a database: threads that work, the table of what they do, and what is written down of it.

A job is a lasting record of the database (`engine.Records`): it is there after a restart, and after going back to a
snapshot. Its state is written when it changes; how far it is, is known in memory only. What a process leaves unfinished
is found "interrupted" by the next one; a service then goes on with what had not begun, and with embedding anew.
"""

from __future__ import annotations

import functools
import logging
import secrets
import threading
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from lumaai.access import Caller, Verb
from lumaai.errors import LumaError, NotFoundError, OverloadedError
from lumaai.job import Job, JobKeeper, JobRequest
from lumaai.job_work import IMPORTS, RESUMABLE, JobStoppedError, Told, advice_for, check_request, perform, upload_of
from lumaai.translation import translate, translated

if TYPE_CHECKING:
    from engine import Records
    from lumaai.database import Database
    from lumaai.opened import Opened

log = logging.getLogger("lumaai")

KEPT_MAX = 1_000  # jobs that have ended
WAITING_MAX = 64
WAITING_OF_ONE_MAX = 32  # who starts many leaves room for others
ATTEMPTS_MAX = 3  # a job that takes its process down with it is not begun for ever
RESULT_BYTES_MAX = 256 << 10
CLOSE_SECONDS_MAX = 10.0
# Work on all files excludes other such work in the engine; the rest goes on beside it.
FILE_THREADS, OTHER_THREADS = 1, 4
OF_FILES = frozenset({"check", "compact", "purge", "snapshot", "restore"})
INTERRUPTED_CODE = "interrupted"


class JobTable:
    """All jobs of one database. Safe for many threads; the lock guards the table and what is written of it.

    Args:
        database: that they work on; opened as a whole.
        opened: the same, further in.
    """

    def __init__(self, database: Database, opened: Opened) -> None:
        self._database = database
        self._opened = opened
        self._lock = threading.RLock()
        self._jobs: dict[str, Job] = {}  # in the order in which they were made
        self._cancelled: set[str] = set()
        self._futures: dict[str, Future[None]] = {}
        self._stopping = threading.Event()
        self._pools: dict[bool, ThreadPoolExecutor] = {}
        self._read()

    def jobs(self) -> list[Job]:
        """All jobs, the newest first."""
        with self._lock:
            return list(reversed(self._jobs.values()))

    def get(self, id_: str) -> Job | None:
        """A job, if there is one of that id."""
        return self._jobs.get(id_)

    def start(self, request: JobRequest, owner: str) -> Job:
        """Write down what is to be done, and begin when there is a thread for it.

        Raises:
            LumaError: it cannot be done so.
            OverloadedError: too many are waiting.
        """
        request = check_request(self._database, self._opened, request)
        now = _now()
        with self._lock:
            same = self._same(request)
            if same is not None:
                return same
            self._check_room(owner)
            job = Job(
                secrets.token_hex(8), request.kind, request.collection, dict(request.arguments), "queued", now, owner
            )
            self._keep(job)
            self._submit(job, is_resumed=False)
        return job

    def cancel(self, job: Job) -> Job:
        """Have a job stop: at once if it waits, at its next step if it runs. A reembedding is told now."""
        with self._lock:
            job = self._jobs[job.id]
            if job.has_ended:
                return job
            self._cancelled.add(job.id)
            if job.kind == "reembed" and job.collection is not None:
                self._opened.reembeddings.tell_to_stop(job.collection)  # which began before its job had a thread
            if job.state == "queued" and self._futures[job.id].cancel():
                return self._end(job, "cancelled")
            job = self._jobs[job.id] = replace(job, cancelling=True)
            return job

    def resume(self) -> list[Job]:
        """Go on with what an earlier process left: what had not begun, and what can be gone on with."""
        resumed = []
        with self._lock:
            for job in reversed(self.jobs()):
                may = job.attempts == 0 or (job.kind in RESUMABLE and job.attempts < ATTEMPTS_MAX)
                if job.state == "interrupted" and may and not job.cancelling:
                    job = replace(job, state="queued", ended=None, advice=None)  # noqa: PLW2901 - the same, later
                    self._keep(job)
                    self._submit(job, is_resumed=True)
                    resumed.append(job)
        if resumed:
            log.info("jobs.resumed", extra={"jobs": len(resumed)})
        return resumed

    def sweep(self) -> None:
        """Remove uploads that no job will take in any more."""
        wanted = {upload_of(self._database, job.arguments) for job in self.jobs() if job.state == "interrupted"}
        place = self._database.path / IMPORTS
        for file in list(place.iterdir()) if place.is_dir() else []:
            if file not in wanted:
                file.unlink(missing_ok=True)

    def stop(self) -> None:
        """Tell all work to end at its next step; what waits is not begun. The database may still be used."""
        self._stopping.set()
        for pool in self._pools.values():
            pool.shutdown(wait=False, cancel_futures=True)

    def join(self) -> None:
        """Wait for the threads, a while at most: what has no steps ends with its database."""
        last = time.monotonic() + CLOSE_SECONDS_MAX
        while any(future.running() for future in self._futures.values()) and time.monotonic() < last:
            time.sleep(0.01)

    def _check_room(self, owner: str) -> None:
        waiting = [job.owner for job in self._jobs.values() if job.state == "queued"]
        if waiting.count(owner) >= WAITING_OF_ONE_MAX:
            message = f"too many jobs of yours are waiting: maximum={WAITING_OF_ONE_MAX}"
        elif len(waiting) >= WAITING_MAX:
            message = f"too many jobs are waiting: maximum={WAITING_MAX}"
        else:
            return
        raise OverloadedError(message, code="too_many_jobs", status=429, retry_after=10.0)

    def _same(self, request: JobRequest) -> Job | None:
        """The job that embeds a collection anew already: asking for it twice does nothing."""
        if request.kind != "reembed":
            return None
        under_way = (job for job in self._jobs.values() if not job.has_ended and job.kind == "reembed")
        return next((job for job in under_way if job.collection == request.collection), None)

    @property
    def _records(self) -> Records:
        return self._opened.native.records("job", lasting=True)

    def _submit(self, job: Job, *, is_resumed: bool) -> None:
        of_files = job.kind in OF_FILES
        pool = self._pools.get(of_files)
        if pool is None:
            threads = FILE_THREADS if of_files else OTHER_THREADS
            pool = self._pools[of_files] = ThreadPoolExecutor(threads, thread_name_prefix="lumaai-job")
        try:
            self._futures[job.id] = pool.submit(functools.partial(self._run, job.id, is_resumed=is_resumed))
        except RuntimeError as error:
            raise OverloadedError("the database is being closed", code="shutting_down") from error

    def _run(self, id_: str, *, is_resumed: bool) -> None:
        with self._lock:
            job = self._jobs[id_]
            job = replace(job, state="running", started=job.started or _now(), attempts=job.attempts + 1)
            self._keep(job)
        request = JobRequest(job.kind, job.collection, job.arguments)
        told = Told(lambda figures: self._show(id_, figures), lambda: id_ in self._cancelled, self._stopping.is_set)
        try:
            result = perform(self._database, self._opened, request, told, is_resumed=is_resumed)
        except JobStoppedError:
            self._ended(id_, "cancelled" if id_ in self._cancelled else "interrupted")
        except Exception as error:  # noqa: BLE001 - told to whoever asks
            self._failed(id_, error)
        else:
            self._ended(id_, "done", result=_bounded(result), progress=1.0, eta_seconds=None)

    def _failed(self, id_: str, error: Exception) -> None:
        if self._stopping.is_set():  # the database was closed under it
            self._ended(id_, "interrupted")
            return
        found = translate(error) or (error if isinstance(error, LumaError) else None)
        if found is None:
            log.error("job.failed", extra={"job": id_, "error": type(error).__name__}, exc_info=error)
            found = LumaError("something went wrong in the database: its log has more under this job's id")
        self._ended(id_, "failed", error=found.to_problem())

    def _ended(self, id_: str, state: str, **more: Any) -> None:
        with self._lock:
            job = self._end(self._jobs[id_], state, **more)
        seconds = None if job.started is None else _seconds_since(job.started)
        facts = {"job": id_, "kind": job.kind, "state": job.state, "seconds": seconds}
        log.info("job.ended", extra=facts)

    def _end(self, job: Job, state: str, **more: Any) -> Job:
        """Write down how a job ended; a closed database takes nothing more, and its next opening finds that out."""
        job = replace(job, state=state, ended=_now(), advice=advice_for(job.kind, state), **more)
        self._cancelled.discard(job.id)
        if job.kind == "import" and state != INTERRUPTED_CODE:
            upload_of(self._database, job.arguments).unlink(missing_ok=True)
        self._futures.pop(job.id, None)
        try:
            self._keep(job)
        except Exception as error:  # noqa: BLE001 - a full disk as well: the job is over in any case
            self._jobs[job.id] = job
            log.warning("job.not_written", extra={"job": job.id, "error": type(error).__name__})
        return job

    def _show(self, id_: str, figures: Mapping[str, Any]) -> None:
        with self._lock:
            self._jobs[id_] = replace(self._jobs[id_], **figures)

    def _keep(self, job: Job) -> None:
        """Put a job into the table and the records, and let go of the oldest that have ended."""
        ended = [each for each in reversed(self.jobs()) if each.has_ended and each.id != job.id]
        gone = [each.id for each in ended[: max(0, len(ended) - KEPT_MAX + 1)]]
        self._records.write({job.id: msgspec.json.encode(job.to_json()), **dict.fromkeys(gone)})
        self._jobs[job.id] = job
        for id_ in gone:
            del self._jobs[id_]

    def _read(self) -> None:
        found = [Job.from_json(msgspec.json.decode(value)) for value in self._records.items().values()]
        for job in sorted(found, key=lambda job: job.made):
            if not job.has_ended:
                advice = advice_for(job.kind, "interrupted", begun=job.attempts > 0)
                job = replace(job, state="interrupted", advice=advice, eta_seconds=None, rate=None)  # noqa: PLW2901
            self._jobs[job.id] = job


class Jobs(JobKeeper):
    """The jobs of an open database, as its caller may see them: their own, and those of what they administer."""

    def __init__(self, table: JobTable, caller: Caller) -> None:
        self._table = table
        self._caller = caller

    @translated
    def list(self) -> list[Job]:
        """All jobs; see `JobKeeper.list`."""
        return [replace(job, keeper=self) for job in self._table.jobs() if self._may(job)]

    @translated
    def get(self, id: str) -> Job:  # noqa: A002 - the API's word
        """A job as it is now; see `JobKeeper.get`."""
        job = self._table.get(id)
        if job is None or not self._may(job):
            raise NotFoundError(f"there is no such job: {id!r:.40}", code="job_not_found")
        return replace(job, keeper=self)

    @translated
    def cancel(self, id: str) -> Job:  # noqa: A002
        """Have a job stop; see `JobKeeper.cancel`."""
        return replace(self._table.cancel(self.get(id)), keeper=self)

    @translated
    def start(self, request: JobRequest) -> Job:
        """Start what is asked for; see `JobKeeper.start`."""
        return replace(self._table.start(request, self._caller.id), keeper=self)

    @translated
    def resume(self) -> Iterable[Job]:
        """Go on with what an earlier process left; a service does so when it starts."""
        return [replace(job, keeper=self) for job in self._table.resume()]

    def _may(self, job: Job) -> bool:
        if job.owner == self._caller.id or self._caller.may_everywhere(Verb.ADMIN):
            return True
        return job.collection is not None and self._caller.may(Verb.ADMIN, job.collection)


def _bounded(result: Any) -> Any:
    """The result, unless it is larger than a record should be: then that it is."""
    size = len(msgspec.json.encode(result))
    return result if size <= RESULT_BYTES_MAX else {"too_large": True, "bytes": size}


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="microseconds")


def _seconds_since(moment: str) -> float:
    return round((datetime.now(UTC) - datetime.fromisoformat(moment)).total_seconds(), 3)
