"""Questions in natural language, and the plans that they become."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec
from starlette.responses import Response

from lumaai import wire
from lumaai.access import Verb
from lumaai.asked import Asked, Execution, Question
from lumaai.routes.events import EVENT_STREAM, EventStream
from lumaai.routes.leaving import run_while_wanted
from lumaai.routes.operation import Call, Operation, Reach, json_response
from lumaai.slow import answer_explained

if TYPE_CHECKING:
    from promptql import Answer, Tell


async def answered(call: Call, asked: Asked, *, stream: bool) -> Response:
    """An answer, whole or as it comes, in a lane of its own so that slow answers never starve searches."""
    work = answering(call, asked)
    if stream:
        return await EventStream.begun(call, work)
    answer = await run_while_wanted(call, call.service.asks, lambda gone: work(None, gone))
    return json_response(msgspec.json.encode(answer.to_json()))


def answering(call: Call, asked: Asked) -> Callable[[Tell | None, threading.Event], Answer]:
    """What answers, with spans of its steps where they are wanted, and says how it ran if that takes long."""
    database, spans = call.database, call.service.tracing.steps()

    def work(tell: Tell | None, gone: threading.Event) -> Answer:
        try:
            answer = database.answer_told(asked, tell if spans is None else spans.around(tell), gone)
        finally:
            if spans is not None:
                spans.close()
        call.explain(lambda: answer_explained(answer))
        return answer

    return work


async def ask(call: Call) -> Response:
    """An answer with citations.

    With `stream`, server-sent events: `plan`, `step_started`, `step_progress` and `step_finished` for each step,
    `warning`, `artifact`, `answer_delta` with the text in pieces, and at last `answer`; or `error`, with a problem.
    """
    body = await call.body(wire.AskRequest)
    question = Question.checked(body.question, body.collections, body.planner, body.conversation, body.time_zone)
    return await answered(call, question, stream=body.stream)


async def plan_question(call: Call) -> Response:
    """The plan of a question, not run: read it, change it, send it to `/v1/ask/execute`."""
    body = await call.body(wire.PlanRequest)
    database = call.database
    proposal = await call.service.asks.run(
        lambda: database.plan(
            body.question, collections=body.collections, planner=body.planner, time_zone=body.time_zone
        )
    )
    return json_response(msgspec.json.encode(proposal.to_json()))


async def validate_plan(call: Call) -> Response:
    """Whether a plan could run: with the columns of its steps, or where it is wrong and what would be right."""
    body = await call.body(wire.PlanBody)
    database = call.database
    check = await call.service.asks.run(lambda: database.validate(body.plan, collections=body.collections))
    return json_response(msgspec.json.encode(check.to_json()))


async def execute_plan(call: Call) -> Response:
    """The answer of a plan, edited or not; with `from_step`, what earlier steps gave is used again."""
    body = await call.body(wire.ExecuteRequest)
    execution = Execution.checked(body.plan, body.params, body.from_step, body.collections, partial=body.partial)
    return await answered(call, execution, stream=body.stream)


async def explain_plan(call: Call) -> Response:
    """What would run for a plan, and what the optimizer did to it."""
    body = await call.body(wire.PlanBody)
    database = call.database
    explanation = await call.service.asks.run(lambda: database.explain(body.plan, collections=body.collections))
    return json_response(msgspec.json.encode(explanation.to_json()))


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
        streams=EVENT_STREAM,
    ),
    Operation(
        id="plan_question",
        method="POST",
        path="/v1/ask/plan",
        handler=plan_question,
        summary="Plan a question without running the plan",
        tag="questions",
        verb=Verb.ASK,
        reach=Reach.SOME,
        answers={200: wire.Proposal},
        body=wire.PlanRequest,
        errors=(404,),
    ),
    Operation(
        id="validate_plan",
        method="POST",
        path="/v1/ask/validate",
        handler=validate_plan,
        summary="Say whether a plan could run",
        tag="questions",
        verb=Verb.ASK,
        reach=Reach.SOME,
        answers={200: wire.PlanCheck},
        body=wire.PlanBody,
        errors=(404,),
    ),
    Operation(
        id="execute_plan",
        method="POST",
        path="/v1/ask/execute",
        handler=execute_plan,
        summary="Run a plan",
        tag="questions",
        verb=Verb.ASK,
        reach=Reach.SOME,
        answers={200: wire.Answer},
        body=wire.ExecuteRequest,
        errors=(404,),
        streams=EVENT_STREAM,
    ),
    Operation(
        id="explain_plan",
        method="POST",
        path="/v1/ask/explain",
        handler=explain_plan,
        summary="Say what would run for a plan",
        tag="questions",
        verb=Verb.ASK,
        reach=Reach.SOME,
        answers={200: wire.Explanation},
        body=wire.PlanBody,
        errors=(404,),
    ),
)
