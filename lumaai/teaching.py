"""Feedback on answers, and what it teaches: the same for a directory and for a service."""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from lumaai.asked import Feedback, lesson_name, question_set

if TYPE_CHECKING:
    from promptql import Lesson, LessonReview


class Teacher(Protocol):
    """Where lessons are kept."""

    def give_feedback(self, feedback: Feedback) -> list[Lesson]:
        """What it teaches."""

    def list_lessons(self) -> list[Lesson]:
        """All lessons, the oldest first."""

    def review_lessons(self, questions: Sequence[Mapping[str, Any]] | None) -> LessonReview:
        """Try the pending ones."""

    def delete_lesson(self, lesson_id: str) -> None:
        """Forget one."""


class LearnedLessons:
    """What feedback has taught: words of your own, and questions with their plans. Kept in the database.

    A lesson is `pending` until `review` has tried it on questions with known answers; it is `live` only if no fewer of
    them are answered rightly with it.
    """

    def __init__(self, teacher: Teacher) -> None:
        self._teacher = teacher

    def list(self) -> builtins.list[Lesson]:
        """All lessons in whatever state, the oldest first."""
        return self._teacher.list_lessons()

    def review(self, questions: Sequence[Mapping[str, Any]] | None = None) -> LessonReview:
        """Try the pending lessons one after the other, with the rules planner.

        Args:
            questions: ``{"question", "answer": […] or "sql": "…", "collections"?, "category"?}`` each, as `lumaai eval`
                reads them; kept for the next time. None: those of the last time.

        Raises:
            InvalidRequestError: there are none, or one of them is malformed.
        """
        return self._teacher.review_lessons(question_set(questions))

    def delete(self, lesson_id: str) -> None:
        """Forget a lesson.

        Raises:
            NotFoundError: there is none of that id.
        """
        self._teacher.delete_lesson(lesson_name(lesson_id))
