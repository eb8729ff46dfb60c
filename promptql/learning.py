"""Learning from feedback: what answers that were right or wrong teach, tried on the user's own questions first."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from engine import Database
from promptql.answer import Answer
from promptql.catalog import Catalog
from promptql.errors import FeedbackError
from promptql.evaluation.evaluate import with_answer
from promptql.evaluation.questions import EvaluationQuestion
from promptql.feedback import plan_of, teachings_of
from promptql.lesson_store import QUESTIONS_MAX, Lesson, LessonStore
from promptql.lessons import Lessons
from promptql.recent import RecentPlans
from promptql.reviewing import LessonReview, review

CatalogOf: TypeAlias = Callable[[str, Sequence[str] | None], Catalog]
AskWith: TypeAlias = Callable[[EvaluationQuestion, Lessons], Answer]


class Learning:
    """What a database was taught, and how it is taught more.

    Args:
        database: keeps the lessons.
        catalog_of: a question, and the collections that may be spoken of → what there is.
        ask: answers a question with lessons in force, by the rules.
    """

    def __init__(self, database: Database, catalog_of: CatalogOf, ask: AskWith) -> None:
        self._store = LessonStore(database)
        self._recent = RecentPlans()
        self._catalog_of = catalog_of
        self._ask = ask

    def active(self) -> Lessons:
        """The lessons in force."""
        return self._store.active()

    def all(self) -> list[Lesson]:
        """All lessons, in whatever state, the oldest first."""
        return self._store.all()

    def delete(self, lesson_id: str) -> None:
        """Forget a lesson.

        Raises:
            LessonNotFoundError: there is none.
        """
        self._store.delete(lesson_id)

    def remember(self, answer: Answer, asker: str) -> None:
        """Let feedback name the answer by the hash of its plan."""
        self._recent.put(asker, answer.plan_hash, answer.plan)

    def feedback(
        self,
        plan: object,
        *,
        right: bool,
        correction: Mapping[str, Any] | None = None,
        collections: Sequence[str] | None = None,
        asker: str = "",
    ) -> list[Lesson]:
        """Learn from an answer that was right, or wrong; what is learned is pending until it is reviewed.

        Args:
            plan: the plan of the answer, as JSON, or the hash of one that was answered lately, by the same asker.
            right: whether the answer was.
            correction: what were right, see `teachings_of`.
            collections: what may be spoken of; None for all.
            asker: whose answer it was.

        Raises:
            FeedbackError: nothing can be learned from it, or the hash is unknown.
            PlanError: the right plan is not valid.
            CollectionNotFoundError: a name in `collections` is unknown.
        """
        read = plan_of(self._recent.get(asker, plan) if isinstance(plan, str) else plan)
        catalog = self._catalog_of(read.question, collections)
        teachings = teachings_of(read, right=right, correction=correction, catalog=catalog)
        return self._store.add(teachings) if teachings else []

    def review(
        self,
        questions: Sequence[EvaluationQuestion] | None = None,
        rows_of: Callable[[str], Sequence[Any]] | None = None,
    ) -> LessonReview:
        """Try pending lessons on questions with known answers: live is what makes no fewer of them right.

        Args:
            questions: kept for the next time; None: those of the last time.
            rows_of: runs the SQL of questions that have SQL in place of an answer.

        Raises:
            FeedbackError: there are no questions, or too many.
        """
        if questions is None:
            questions = self._store.questions()
        if not 1 <= len(questions) <= QUESTIONS_MAX:
            raise FeedbackError(
                f"lessons are tried on 1 to {QUESTIONS_MAX} questions: got={len(questions)}", code="questions_needed"
            )
        done = review(self._store.all(), [with_answer(item, rows_of) for item in questions], self._ask)
        self._store.keep_questions(questions)
        self._store.update(done.lessons)
        return done
