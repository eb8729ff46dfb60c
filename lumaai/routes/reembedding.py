"""Embedding a collection anew, with another model: begin, look, give up."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response

from lumaai import wire
from lumaai.access import Verb
from lumaai.job import Job
from lumaai.reports import Reembedding
from lumaai.routes.collections import check_model, model_of_the_caller
from lumaai.routes.jobs import accepted
from lumaai.routes.operation import Call, Operation, json_response

PATH = "/v1/collections/{c}/reembedding"


async def start_reembedding(call: Call) -> Response:
    """202: it goes on in the background, as a job; what is under way already is that same job."""
    body = await call.body(wire.Reembed)
    name, database = call.path("c"), call.service.database
    check_model("/model", body.model, call.service.settings.model)
    jobs = call.database.jobs

    def start() -> tuple[Job, Reembedding | None]:
        job = jobs.reembed(name, body.model, field=body.field)
        return job, database.reembedding(name)

    with model_of_the_caller():  # in the lane of writes that embed: the model may have to be loaded
        job, state = await call.service.embeds.run(start)
    assert state is not None  # since the job has begun it
    return accepted(job, msgspec.json.encode(state.to_json()))


async def get_reembedding(call: Call) -> Response:
    """How far it is, or how it ended."""
    name, database = call.path("c"), call.service.database
    state = await call.service.searches.run(lambda: database.reembedding(name))
    content: dict[str, Any] = {"reembedding": None if state is None else state.to_json()}
    return json_response(msgspec.json.encode(content))


async def cancel_reembedding(call: Call) -> Response:
    """Stay with the old model."""
    name, database = call.path("c"), call.service.database
    await call.service.writes.run(lambda: database.cancel_reembedding(name))
    return Response(status_code=204)


OPERATIONS = (
    Operation(
        id="start_reembedding",
        method="POST",
        path=PATH,
        handler=start_reembedding,
        summary="Embed a collection anew, with another model, in the background",
        tag="collections",
        answers={202: wire.Reembedding},
        body=wire.Reembed,
        errors=(404, 409, 429, 507),
        takes_key=True,
        keeps_answer=True,
    ),
    Operation(
        id="get_reembedding",
        method="GET",
        path=PATH,
        handler=get_reembedding,
        summary="How far a collection is on its way to another model",
        tag="collections",
        verb=Verb.READ,
        answers={200: wire.ReembeddingState},
        errors=(404,),
    ),
    Operation(
        id="cancel_reembedding",
        method="DELETE",
        path=PATH,
        handler=cancel_reembedding,
        summary="Stay with the old model",
        tag="collections",
        answers={204: None},
        errors=(404, 507),
    ),
)
