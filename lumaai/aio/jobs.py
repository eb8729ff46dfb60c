"""Made from `lumaai/remote_jobs.py` by `make twins`: change that file, not this one."""

from __future__ import annotations

from lumaai.aio.job import AsyncJob, AsyncJobKeeper
from lumaai.aio.transport import AsyncTransport
from lumaai.errors import InvalidRequestError
from lumaai.job import JobRequest, check_kind
from lumaai.remote_jobs import JOBS_PATH, _job_path, _path_and_body
from lumaai.remote_upkeep import model_of_the_service
from lumaai.transport import IDEMPOTENCY_KEY, new_key


class AsyncJobs(AsyncJobKeeper):
    """What `Database.jobs` is, of a service: what the key may see of it."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def list(self) -> list[AsyncJob]:
        """All jobs; see `AsyncJobKeeper.list`."""
        return [AsyncJob.from_json(item, self) for item in (await self._transport.get(JOBS_PATH))["jobs"]]

    async def get(self, id: str) -> AsyncJob:  # noqa: A002 - the API's word
        """A job as it is now; see `AsyncJobKeeper.get`."""
        return AsyncJob.from_json(await self._transport.get(_job_path(id)), self)

    async def cancel(self, id: str) -> AsyncJob:  # noqa: A002
        """Have a job stop; see `AsyncJobKeeper.cancel`."""
        return AsyncJob.from_json(await self._transport.post(f"{_job_path(id)}:cancel", {}, safe=True), self)

    async def start(self, request: JobRequest) -> AsyncJob:
        """Start what is asked for; see `AsyncJobKeeper.start`."""
        check_kind(request)
        if request.kind == "import":
            raise InvalidRequestError("an import is started by its upload: POST …/documents:bulk?background=true")
        path, body = _path_and_body(request)
        with model_of_the_service():
            answer = await self._transport.send("POST", path, body=body, headers={IDEMPOTENCY_KEY: new_key()})
        return await self.get(answer.headers["location"].rpartition("/")[2])
