"""Made from `lumaai/remote_teaching.py` by `make twins`: change that file, not this one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lumaai.aio.transport import AsyncTransport
from lumaai.asked import Feedback

if TYPE_CHECKING:
    from promptql import Lesson, LessonReview


class AsyncLessonKeeper:
    """The lessons of a service, over HTTP."""

    def __init__(self, transport: AsyncTransport) -> None:
        self._transport = transport

    async def give_feedback(self, feedback: Feedback) -> list[Lesson]:
        """What it teaches; pending."""
        from promptql import Lesson

        answer = await self._transport.post("/v1/feedback", feedback.to_body(), safe=True)
        return [Lesson.from_json(item) for item in answer["lessons"]]

    async def list_lessons(self) -> list[Lesson]:
        """All lessons, the oldest first."""
        from promptql import Lesson

        return [Lesson.from_json(item) for item in (await self._transport.get("/v1/lessons"))["lessons"]]

    async def review_lessons(self, questions: Sequence[Mapping[str, Any]] | None) -> LessonReview:
        """Try the pending ones."""
        from promptql import LessonReview

        body = {} if questions is None else {"questions": list(questions)}
        return LessonReview.from_json(await self._transport.post("/v1/lessons/review", body, safe=True))

    async def delete_lesson(self, lesson_id: str) -> None:
        """Forget one."""
        await self._transport.send("DELETE", f"/v1/lessons/{lesson_id}", safe=False)
