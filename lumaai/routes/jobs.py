"""Jobs: start what takes long, look how far it is, stop it."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import msgspec
from starlette.responses import Response

from lumaai import wire
from lumaai.job import Job, JobRequest
from lumaai.routes.operation import Call, Operation, Reach, json_response

PATH = "/v1/jobs"
JOB = f"{PATH}/{{job}}"


async def started(
    call: Call, kind: str, collection: str | None = None, arguments: Mapping[str, Any] | None = None
) -> Response:
    """The answer to a request whose work goes on in the background: 202, the job, and where it is.

    Args:
        call: the request.
        kind: of job.
        collection: that it is done to.
        arguments: that say something.
    """
    given = {name: value for name, value in (arguments or {}).items() if value is not None}
    request = JobRequest(kind, collection, given)
    job = await call.service.writes.run(functools.partial(call.database.jobs.start, request))
    return accepted(job, msgspec.json.encode(job.to_json()))


def accepted(job: Job, content: bytes) -> Response:
    """202, and where the job is."""
    response = json_response(content, 202)
    response.headers["Location"] = f"{PATH}/{job.id}"
    return response


async def list_jobs(call: Call) -> Response:
    """The newest first: those under way, and the last 1,000 that have ended.

    A key sees the jobs that were started with it, and those of the collections that it administers.
    """
    jobs = await call.service.searches.run(call.database.jobs.list)
    return json_response(msgspec.json.encode({"jobs": [job.to_json() for job in jobs]}))


async def get_job(call: Call) -> Response:
    """How far it is, or how it ended. What was going on when the service ended is `interrupted`, or goes on."""
    job = await call.service.searches.run(call.database.jobs.get, call.path("job"))
    return json_response(msgspec.json.encode(job.to_json()))


async def cancel_job(call: Call) -> Response:
    """One that waits ends at once, one that runs at its next step; doing it twice does no harm.

    `delete`, `optimize` and `recall` have no steps: once begun they are done to their end.
    """
    job = await call.service.writes.run(call.database.jobs.cancel, call.path("job"))
    call.note_act("cancel_job", job.collection or "")
    return json_response(msgspec.json.encode(job.to_json()))


OPERATIONS = (
    Operation(
        id="list_jobs",
        method="GET",
        path=PATH,
        handler=list_jobs,
        summary="List the work that goes on in the background, and how it ended",
        tag="jobs",
        reach=Reach.KNOWN,
        answers={200: wire.JobList},
    ),
    # Before the job itself, whose id could else take in the verb.
    Operation(
        id="cancel_job",
        method="POST",
        path=f"{JOB}:cancel",
        handler=cancel_job,
        summary="Have a job stop",
        tag="jobs",
        reach=Reach.KNOWN,
        answers={200: wire.Job},
        errors=(404,),
    ),
    Operation(
        id="get_job",
        method="GET",
        path=JOB,
        handler=get_job,
        summary="How far a job is, or how it ended",
        tag="jobs",
        reach=Reach.KNOWN,
        answers={200: wire.Job},
        errors=(404,),
    ),
)
