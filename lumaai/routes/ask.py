"""Questions in natural language."""

from __future__ import annotations

import msgspec
from starlette.responses import Response

from lumaai import wire
from lumaai.askable import Question
from lumaai.routes.events import EVENT_STREAM, EventStream
from lumaai.routes.operation import Call, Operation, json_response


async def ask(call: Call) -> Response:
    """An answer with citations, in a lane of its own so that slow answers never starve searches.

    With `stream`, server-sent events: `plan`, `step_started`, `step_progress` and `step_finished` for each step,
    `warning`, `artifact`, `answer_delta` with the text in pieces, and at last `answer`; or `error`, with a problem.
    """
    body = await call.body(wire.AskRequest)
    question = Question.checked(body.question, body.collections, body.planner, body.conversation)
    database = call.service.database
    if body.stream:
        return await EventStream.begun(call, lambda tell: database.answer_told(question, tell))
    answer = await call.service.asks.run(lambda: database.answer_told(question))
    return json_response(msgspec.json.encode(answer.to_json()))


OPERATIONS = (
    Operation(
        id="ask",
        method="POST",
        path="/v1/ask",
        handler=ask,
        summary="Answer a question, with citations and the plan that ran",
        tag="questions",
        answers={200: wire.Answer},
        body=wire.AskRequest,
        errors=(404,),
        streams=EVENT_STREAM,
    ),
)
