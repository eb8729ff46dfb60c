"""Questions in natural language."""

from __future__ import annotations

import msgspec
from starlette.responses import Response

from lumaai import wire
from lumaai.access import Verb
from lumaai.errors import NotSupportedError
from lumaai.routes.operation import Call, Operation, Reach, json_response


async def ask(call: Call) -> Response:
    """An answer with citations, in a lane of its own so that slow answers never starve searches."""
    body = await call.body(wire.AskRequest)
    if body.stream:
        raise NotSupportedError("this version does not stream answers: leave stream out")
    database = call.database
    answer = await call.service.asks.run(
        lambda: database.ask(body.question, collections=body.collections, planner=body.planner)
    )
    return json_response(msgspec.json.encode(answer.to_json()))


OPERATIONS = (
    Operation(
        id="ask",
        method="POST",
        path="/v1/ask",
        handler=ask,
        summary="Answer a question, with citations and the plan that ran",
        tag="questions",
        verb=Verb.ASK,
        reach=Reach.SOME,
        answers={200: wire.Answer},
        body=wire.AskRequest,
        errors=(404,),
    ),
)
