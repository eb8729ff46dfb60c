"""Where an embedded database keeps lessons."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lumaai.asked import Feedback
from lumaai.questions import Questions, Scope
from lumaai.translation import translated

if TYPE_CHECKING:
    from promptql import Lesson, LessonReview

RowsOf = Callable[[str], Sequence[Any]]


class EmbeddedTeacher:
    """The lessons of a database.

    Args:
        questions: what answers questions over it.
        scope: who gives feedback, and of what they may speak.
        rows_of: runs the SQL of questions whose answers are given so.
    """

    def __init__(self, questions: Questions, scope: Callable[[], Scope], rows_of: RowsOf) -> None:
        self._questions = questions
        self._scope = scope
        self._rows_of = rows_of

    @translated
    def give_feedback(self, feedback: Feedback) -> list[Lesson]:
        """What it teaches; pending."""
        scope = self._scope()
        return self._questions.running().learning.feedback(
            feedback.plan,
            right=feedback.verdict == "right",
            correction=feedback.correction,
            collections=scope.collections,
            asker=scope.asker,
        )

    @translated
    def list_lessons(self) -> list[Lesson]:
        """All lessons, the oldest first."""
        return self._questions.running().learning.all()

    @translated
    def review_lessons(self, questions: Sequence[Mapping[str, Any]] | None) -> LessonReview:
        """Try the pending ones."""
        from promptql import EvaluationQuestion

        read = None if questions is None else [EvaluationQuestion.from_json(q, n) for n, q in enumerate(questions, 1)]
        return self._questions.running().learning.review(read, self._rows_of)

    @translated
    def delete_lesson(self, lesson_id: str) -> None:
        """Forget one."""
        self._questions.running().learning.delete(lesson_id)
