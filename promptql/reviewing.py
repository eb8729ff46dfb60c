"""Trying lessons: one becomes live only if no fewer questions of the user's own set are answered rightly with it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from promptql.errors import PromptQLError
from promptql.evaluation import evaluate
from promptql.evaluation.evaluate import Answered
from promptql.evaluation.questions import EvaluationQuestion
from promptql.lesson_store import Lesson, LessonState, judged, lessons_of
from promptql.lessons import Lessons

Ask = Callable[[EvaluationQuestion, Lessons], Answered]


@dataclass(frozen=True, slots=True)
class LessonReview:
    """What trying the pending lessons came to.

    Attributes:
        questions: of the set that they were tried on.
        right_before, right_after: how many are answered rightly.
        lessons: those that were pending, as they are now.
    """

    questions: int
    right_before: int
    right_after: int
    lessons: tuple[Lesson, ...]

    def to_json(self) -> dict[str, Any]:
        """``{"questions", "right_before", "right_after", "lessons"}``."""
        return {
            "questions": self.questions,
            "right_before": self.right_before,
            "right_after": self.right_after,
            "lessons": [lesson.to_json() for lesson in self.lessons],
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> LessonReview:
        """The inverse of `to_json`."""
        lessons = tuple(map(Lesson.from_json, data["lessons"]))
        return cls(data["questions"], data["right_before"], data["right_after"], lessons)


def review(
    lessons: Sequence[Lesson],
    questions: Sequence[EvaluationQuestion],
    ask: Ask,
    failures: tuple[type[Exception], ...] = (PromptQLError,),
) -> LessonReview:
    """Try each pending lesson after the other, beside those that are live.

    Args:
        lessons: all that there are.
        questions: with known answers.
        ask: answers a question with lessons in force.
        failures: what it raises where there is no answer.
    """
    kept = [lesson for lesson in lessons if lesson.state is LessonState.LIVE]

    def is_right(question: EvaluationQuestion, among: Sequence[Lesson]) -> bool:
        in_force = lessons_of(among)
        (outcome,) = evaluate([question], lambda item: (ask(item, in_force), 0.0), failures=failures).outcomes
        return outcome.right

    right = {index: is_right(question, kept) for index, question in enumerate(questions)}
    before = sum(right.values())
    tried = []
    for lesson in (item for item in lessons if item.state is LessonState.PENDING):
        candidate = [*kept, replace(lesson, state=LessonState.LIVE)]
        changed = [index for index, item in enumerate(questions) if _touches(lesson, item.question)]
        with_it = right | {index: is_right(questions[index], candidate) for index in changed}
        gain = sum(with_it.values()) - sum(right.values())
        state = LessonState.LIVE if gain >= 0 else LessonState.REJECTED
        tried.append(judged(lesson, state, f"{gain:+d} of {len(questions)} questions"))
        if state is LessonState.LIVE:
            right = with_it
            kept.append(tried[-1])
    return LessonReview(len(questions), before, sum(right.values()), tuple(tried))


def _touches(lesson: Lesson, question: str) -> bool:
    """Whether a question may be read otherwise because of a lesson."""
    return lessons_of([replace(lesson, state=LessonState.LIVE)]).concern(question)
