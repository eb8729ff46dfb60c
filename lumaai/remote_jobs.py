"""The jobs of a service, over HTTP."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from lumaai.errors import InvalidRequestError, NotFoundError
from lumaai.job import Job, JobKeeper, JobRequest, check_kind
from lumaai.remote_upkeep import SNAPSHOTS_PATH, model_of_the_service, snapshot_path
from lumaai.transport import IDEMPOTENCY_KEY, Transport, collection_path, new_key

JOBS_PATH = "/v1/jobs"
# Of each kind that a collection has, what comes behind the collection's path; of the others the path.
_OF_COLLECTION = {
    "optimize": "/optimize",
    "reembed": "/reembedding",
    "delete": "/documents:delete",
    "recall": "/search:recall",
}
_OF_DATABASE = {"check": "/v1/check", "compact": "/v1/compact", "purge": "/v1/purge", "snapshot": SNAPSHOTS_PATH}


class RemoteJobs(JobKeeper):
    """What `Database.jobs` is, of a service: what the key may see of it."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self) -> list[Job]:
        """All jobs; see `JobKeeper.list`."""
        return [Job.from_json(item, self) for item in self._transport.get(JOBS_PATH)["jobs"]]

    def get(self, id: str) -> Job:  # noqa: A002 - the API's word
        """A job as it is now; see `JobKeeper.get`."""
        return Job.from_json(self._transport.get(_job_path(id)), self)

    def cancel(self, id: str) -> Job:  # noqa: A002
        """Have a job stop; see `JobKeeper.cancel`."""
        return Job.from_json(self._transport.post(f"{_job_path(id)}:cancel", {}, safe=True), self)

    def start(self, request: JobRequest) -> Job:
        """Start what is asked for; see `JobKeeper.start`."""
        check_kind(request)
        if request.kind == "import":
            raise InvalidRequestError("an import is started by its upload: POST …/documents:bulk?background=true")
        path, body = _path_and_body(request)
        with model_of_the_service():
            answer = self._transport.send("POST", path, body=body, headers={IDEMPOTENCY_KEY: new_key()})
        return self.get(answer.headers["location"].rpartition("/")[2])


def _path_and_body(request: JobRequest) -> tuple[str, dict[str, Any]]:
    body = dict(request.arguments)
    if request.collection is not None:
        path = f"{collection_path(request.collection)}{_OF_COLLECTION[request.kind]}"
        return path, body if request.kind == "reembed" else {**body, "background": True}
    if request.kind == "restore":
        return f"{snapshot_path(body['name'])}:restore", {"background": True}
    return _OF_DATABASE[request.kind], {**body, "background": True}


def _job_path(id_: Any) -> str:
    if not isinstance(id_, str) or not id_.isalnum() or not id_.isascii():
        raise NotFoundError(f"there is no such job: {id_!r:.40}", code="job_not_found")
    return f"{JOBS_PATH}/{quote(id_, safe='')}"
