"""Made from `lumaai/job.py` by `make twins`: change that file, not this one."""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any, Self

from lumaai.errors import OverloadedError, from_problem
from lumaai.job import ENDED, POLL_SECONDS, POLL_SECONDS_MAX, Filter, JobRequest, _given

if TYPE_CHECKING:
    from lumaai.reports import Progress


@dataclass(frozen=True, slots=True)
class AsyncJob:
    """Work that was started, as it was when this was looked up; `refresh` looks again.

    Attributes:
        id: 16 hexadecimal digits.
        kind: one of `KINDS`.
        collection: that it is done to; None for the whole database.
        arguments: that it was started with.
        state: "queued", "running", "done", "failed", "cancelled", or "interrupted": by the end of a process.
        made: when it was asked for, in UTC (ISO 8601); `started` and `ended` likewise.
        owner: who asked for it.
        stage: what it is doing.
        progress: 0 to 1.
        documents: done so far, where documents are counted.
        total: documents in all, likewise.
        rate: documents a second, likewise.
        eta_seconds: how long it will go on at this pace.
        cancelling: it was told to stop, and does at its next step; what has no steps is done to its end.
        result: what the call answers that does it at once.
        error: why it failed: problem details.
        advice: what to do about it, where something is to be done.
        attempts: how often it was begun: once more after each restart that it outlived.
    """

    id: str
    kind: str
    collection: str | None
    arguments: Mapping[str, Any]
    state: str
    made: str
    owner: str
    started: str | None = None
    ended: str | None = None
    stage: str | None = None
    progress: float = 0.0
    documents: int | None = None
    total: int | None = None
    rate: float | None = None
    eta_seconds: float | None = None
    cancelling: bool = False
    result: Any = None
    error: Mapping[str, Any] | None = None
    advice: str | None = None
    attempts: int = 0
    keeper: AsyncJobKeeper | None = field(default=None, compare=False, repr=False)

    @property
    def has_ended(self) -> bool:
        """Whether nothing more happens by itself."""
        return self.state in ENDED

    def to_json(self) -> dict[str, Any]:
        """The job in the shape of the HTTP API."""
        data = asdict(replace(self, keeper=None))
        del data["keeper"]
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any], keeper: AsyncJobKeeper | None = None) -> Self:
        """Read what `to_json` wrote; keys that are not known are left out."""
        known = {name for name in cls.__dataclass_fields__ if name != "keeper"}
        return cls(**{name: value for name, value in data.items() if name in known}, keeper=keeper)

    async def refresh(self) -> AsyncJob:
        """The job as it is now."""
        return await self._kept_by.get(self.id)

    async def cancel(self) -> AsyncJob:
        """Have it stop; see `Jobs.cancel`."""
        return await self._kept_by.cancel(self.id)

    async def wait(self, *, timeout_seconds: float | None = None, progress: Progress | None = None) -> AsyncJob:
        """Until it is done; see `Jobs.wait`."""
        return await self._kept_by.wait(self.id, timeout_seconds=timeout_seconds, progress=progress)

    def raise_unless_done(self) -> AsyncJob:
        """The job, where it is done.

        Raises:
            LumaError: what it failed with; that it was cancelled or interrupted (with that as its code).
        """
        if self.state == "failed":
            raise from_problem(self.error or {})
        if self.state in {"cancelled", "interrupted"}:
            advice = f": {self.advice}" if self.advice else ""
            raise OverloadedError(f"job {self.id} was {self.state}{advice}", code=self.state, retryable=False)
        return self

    @property
    def _kept_by(self) -> AsyncJobKeeper:
        assert self.keeper is not None, "a job that was read from JSON by itself"
        return self.keeper


class AsyncJobKeeper(ABC):
    """The jobs of a database, as its caller may see them: `Database.jobs` and `Client.jobs`.

    Each method that starts one answers at once; what the call itself would answer becomes the job's `result`.
    """

    @abstractmethod
    async def list(self) -> list[AsyncJob]:
        """All jobs that are known, the newest first: those under way and the last 1,000 that have ended."""

    @abstractmethod
    async def get(self, id: str) -> AsyncJob:  # noqa: A002 - the API's word
        """A job as it is now.

        Raises:
            NotFoundError: there is none of that id.
        """

    @abstractmethod
    async def cancel(self, id: str) -> AsyncJob:  # noqa: A002
        """Have a job stop; doing it twice, or to one that has ended, does no harm.

        One that waits ends at once, one that runs at its next step; `delete`, `optimize` and `recall` have none and are
        done to their end. Nothing is half done: what has been done stays as each kind says.

        Raises:
            NotFoundError: there is none of that id.
        """

    @abstractmethod
    async def start(self, request: JobRequest) -> AsyncJob:
        """Start what is asked for; the methods below say what there is.

        Raises:
            NotFoundError: there is no such collection or snapshot.
            InvalidRequestError: it cannot be done so.
            OverloadedError: too many jobs are waiting: 32 of one caller, or 64 of all.
        """

    async def wait(
        self,
        id: str,  # noqa: A002
        *,
        timeout_seconds: float | None = None,
        progress: Progress | None = None,
    ) -> AsyncJob:
        """Until a job is done.

        Args:
            id: of the job.
            timeout_seconds: how long at most; None: as long as it takes.
            progress: called with a stage and a fraction 0..1.

        Raises:
            LumaError: what it failed with, or that it was cancelled or interrupted.
            OverloadedError: it goes on (code "job_running").
            NotFoundError: there is none of that id.
        """
        last = None if timeout_seconds is None else time.monotonic() + timeout_seconds
        pause = POLL_SECONDS
        while not (job := await self.get(id)).has_ended:
            if progress is not None:
                progress(job.stage or job.kind, job.progress)
            if last is not None and time.monotonic() >= last:
                raise OverloadedError(f"job {id} goes on: waited={timeout_seconds:g} seconds", code="job_running")
            await asyncio.sleep(pause)
            pause = min(1.5 * pause, POLL_SECONDS_MAX)
        if progress is not None and job.state == "done":
            progress(job.stage or job.kind, 1.0)
        return job.raise_unless_done()

    async def check(self, *, repair: bool = True) -> AsyncJob:
        """Check all files in the background; see `Database.check`."""
        return await self.start(JobRequest("check", None, {"repair": repair}))

    async def compact(self) -> AsyncJob:
        """Give disk back in the background; see `Database.compact`."""
        return await self.start(JobRequest("compact"))

    async def purge(self) -> AsyncJob:
        """Leave nothing of what was deleted in any file, in the background; see `Database.purge`."""
        return await self.start(JobRequest("purge"))

    async def snapshot(self, name: str | None = None) -> AsyncJob:
        """Keep the database as it is now, in the background; see `Database.create_snapshot`."""
        return await self.start(JobRequest("snapshot", None, _given({"name": name})))

    async def restore(self, name: str) -> AsyncJob:
        """Go back to a snapshot in the background; see `Database.restore_snapshot`."""
        return await self.start(JobRequest("restore", None, {"name": name}))

    async def optimize(self, collection: str) -> AsyncJob:
        """Merge the segments of a collection in the background; see `Collection.optimize`."""
        return await self.start(JobRequest("optimize", collection))

    async def reembed(self, collection: str, model: str, *, field: str | None = None) -> AsyncJob:
        """Embed a collection anew in the background; see `Database.reembed`. Goes on after a restart of a service."""
        return await self.start(JobRequest("reembed", collection, _given({"model": model, "field": field})))

    async def delete(self, collection: str, filter: Filter) -> AsyncJob:  # noqa: A002
        """Delete all documents that match, in one write, in the background; see `Collection.delete`."""
        return await self.start(JobRequest("delete", collection, {"filter": filter}))

    async def recall(
        self,
        collection: str,
        *,
        queries: int = 100,
        limit: int = 10,
        vector_field: str | None = None,
        filter: Filter | None = None,  # noqa: A002
    ) -> AsyncJob:
        """Measure what searches find, in the background; see `Collection.recall`."""
        arguments = {"queries": queries, "limit": limit, "vector_field": vector_field, "filter": filter}
        return await self.start(JobRequest("recall", collection, _given(arguments)))
