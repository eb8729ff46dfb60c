"""Feedback on answers, and what it teaches: the same for a directory and for a service."""

from __future__ import annotations

import builtins
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from lumaai.asked import plan_json
from lumaai.errors import ErrorDetail, InvalidRequestError

if TYPE_CHECKING:
    from promptql import Lesson, LessonReview

VERDICTS = ("right", "wrong")


@dataclass(frozen=True, slots=True)
class Feedback:
    """What somebody says of an answer.

    Attributes:
        plan: the answer's, as JSON, or its hash.
        correction: what were right; None where nobody says.
    """

    plan: Mapping[str, Any] | str
    verdict: str
    correction: Mapping[str, Any] | None

    @classmethod
    def checked(cls, plan: object, verdict: object, correction: object) -> Feedback:
        """The feedback, if its parts are of the right types; what they say is checked where it is learned.

        Raises:
            InvalidRequestError: they are not.
        """
        if verdict not in VERDICTS:
            raise _wrong("/verdict", f"verdict must be 'right' or 'wrong': got={verdict!r:.40}")
        if correction is not None and not isinstance(correction, Mapping):
            raise _wrong("/correction", f"correction must be an object: got={type(correction).__name__}")
        return cls(plan if isinstance(plan, str) else plan_json(plan), str(verdict), correction)

    def to_body(self) -> dict[str, Any]:
        """The body of the request."""
        body: dict[str, Any] = {"plan_hash" if isinstance(self.plan, str) else "plan": self.plan}
        body["verdict"] = self.verdict
        return body if self.correction is None else body | {"correction": self.correction}


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
        if questions is not None:
            _check_objects(questions)
        return self._teacher.review_lessons(questions)

    def delete(self, lesson_id: str) -> None:
        """Forget a lesson.

        Raises:
            NotFoundError: there is none of that id.
        """
        if not str(lesson_id).isalnum():
            raise _wrong("/lesson", f"the id of a lesson is letters and digits: got={lesson_id!r:.40}")
        self._teacher.delete_lesson(lesson_id)


def _check_objects(questions: object) -> None:
    if not isinstance(questions, Sequence) or not all(isinstance(item, Mapping) for item in questions):
        raise _wrong("/questions", "questions must be a list of objects")


def _wrong(pointer: str, message: str) -> InvalidRequestError:
    return InvalidRequestError(message, code="invalid_value", errors=[ErrorDetail(pointer, "invalid_value", message)])
