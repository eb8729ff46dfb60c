"""Where a service keeps lessons."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lumaai.asked import Feedback
from lumaai.transport import Transport

if TYPE_CHECKING:
    from promptql import Lesson, LessonReview


class RemoteTeacher:
    """The lessons of a service, over HTTP."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def give_feedback(self, feedback: Feedback) -> list[Lesson]:
        """What it teaches; pending."""
        from promptql import Lesson

        answer = self._transport.post("/v1/feedback", feedback.to_body(), safe=True)
        return [Lesson.from_json(item) for item in answer["lessons"]]

    def list_lessons(self) -> list[Lesson]:
        """All lessons, the oldest first."""
        from promptql import Lesson

        return [Lesson.from_json(item) for item in self._transport.get("/v1/lessons")["lessons"]]

    def review_lessons(self, questions: Sequence[Mapping[str, Any]] | None) -> LessonReview:
        """Try the pending ones."""
        from promptql import LessonReview

        body = {} if questions is None else {"questions": list(questions)}
        return LessonReview.from_json(self._transport.post("/v1/lessons/review", body, safe=True))

    def delete_lesson(self, lesson_id: str) -> None:
        """Forget one."""
        self._transport.send("DELETE", f"/v1/lessons/{lesson_id}", safe=False)
