"""Feedback on answers, and the lessons that it becomes."""

from __future__ import annotations

import msgspec
from starlette.responses import Response

from lumaai import wire
from lumaai.access import Verb
from lumaai.routes.operation import Call, Operation, Reach, json_response


async def give_feedback(call: Call) -> Response:
    """What it teaches: words, and questions with their plans. All of it is `pending` until it is reviewed."""
    body = await call.body(wire.FeedbackRequest)
    plan, database = body.plan if body.plan is not None else str(body.plan_hash), call.database
    lessons = await call.service.asks.run(lambda: database.feedback(plan, body.verdict, body.correction))
    return _listed([lesson.to_json() for lesson in lessons])


async def list_lessons(call: Call) -> Response:
    """All lessons in whatever state, the oldest first."""
    lessons = await call.service.asks.run(call.database.lessons.list)
    return _listed([lesson.to_json() for lesson in lessons])


async def review_lessons(call: Call) -> Response:
    """Each pending lesson is tried on the questions, and becomes `live` if no fewer are answered rightly with it."""
    body, database = await call.body(wire.ReviewRequest), call.database
    done = await call.service.asks.run(lambda: database.lessons.review(body.questions))
    return json_response(msgspec.json.encode(done.to_json()))


async def delete_lesson(call: Call) -> Response:
    """Forget a lesson."""
    await call.service.writes.run(call.database.lessons.delete, call.path("lesson"))
    return Response(status_code=204)


def _listed(lessons: list[dict[str, object]]) -> Response:
    return json_response(msgspec.json.encode({"lessons": lessons}))


OPERATIONS = (
    Operation(
        id="give_feedback",
        method="POST",
        path="/v1/feedback",
        handler=give_feedback,
        summary="Say that an answer was right or wrong, and what were right",
        tag="questions",
        verb=Verb.ASK,
        reach=Reach.SOME,
        answers={200: wire.LessonList},
        body=wire.FeedbackRequest,
        errors=(404, 507),
        takes_key=True,
        keeps_answer=True,
    ),
    Operation(
        id="list_lessons",
        method="GET",
        path="/v1/lessons",
        handler=list_lessons,
        summary="List what feedback has taught",
        tag="questions",
        answers={200: wire.LessonList},
    ),
    Operation(
        id="review_lessons",
        method="POST",
        path="/v1/lessons/review",
        handler=review_lessons,
        summary="Try pending lessons on questions with known answers",
        tag="questions",
        answers={200: wire.LessonReview},
        body=wire.ReviewRequest,
        needs_body=False,
        errors=(404, 507),
        takes_key=True,
        keeps_answer=True,
    ),
    Operation(
        id="delete_lesson",
        method="DELETE",
        path="/v1/lessons/{lesson}",
        handler=delete_lesson,
        summary="Forget a lesson",
        tag="questions",
        answers={204: None},
        errors=(507,),
    ),
)
