"""Asking every question of a set, and comparing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

from promptql.errors import PromptQLError
from promptql.evaluation.questions import EvaluationQuestion
from promptql.evaluation.report import UNANSWERED, Outcome, Report, planning_seconds
from promptql.evaluation.scoring import Rule, same_values


class Answered(Protocol):
    """What is looked at of an answer."""

    @property
    def values(self) -> Sequence[Any]:
        """Its values."""

    @property
    def band(self) -> str:
        """How far it commits itself."""

    @property
    def confidence(self) -> float:
        """How sure it is."""

    @property
    def usage(self) -> Mapping[str, Any]:
        """What it took, as an answer's."""


Ask = Callable[[EvaluationQuestion], tuple[Answered, float]]  # the answer, and the seconds that are reported


def evaluate(
    questions: Iterable[EvaluationQuestion],
    ask: Ask,
    rows_of: Callable[[str], Sequence[Any]] | None = None,
    rule: Rule = same_values,
    *,
    failures: tuple[type[Exception], ...] = (PromptQLError,),
) -> Report:
    """Ask each question and compare its answer with the expected one.

    Args:
        questions: what is asked.
        ask: gives the answer, and the seconds to be reported.
        rows_of: runs a question's SQL; needed where a question has SQL in place of an answer.
        rule: when values are right.
        failures: what `ask` raises where there is no answer.
    """
    outcomes = []
    for question in questions:
        expected = with_answer(question, rows_of).answer
        assert expected is not None
        outcomes.append(_outcome(question, expected, ask, rule, failures))
    return Report(outcomes)


def with_answer(question: EvaluationQuestion, rows_of: Callable[[str], Sequence[Any]] | None) -> EvaluationQuestion:
    """The question with the rows of its SQL for an answer, where it has SQL.

    Raises:
        ValueError: there is nothing to run it.
    """
    if question.answer is not None:
        return question
    assert question.sql is not None
    if rows_of is None:
        raise ValueError("the question set has SQL, and nothing to run it")
    return replace(question, answer=tuple(rows_of(question.sql)), sql=None)


def _outcome(
    question: EvaluationQuestion, expected: Sequence[Any], ask: Ask, rule: Rule, failures: tuple[type[Exception], ...]
) -> Outcome:
    started = time.perf_counter()
    try:
        answer, seconds = ask(question)
    except failures:
        seconds = time.perf_counter() - started
        return Outcome(question.category, False, UNANSWERED, 0.0, seconds, "error", question.question)
    right = rule(expected, answer.values)
    kind = "right" if right else "wrong" if len(answer.values) else "empty"
    return Outcome(
        question.category,
        right,
        str(answer.band),
        answer.confidence,
        seconds,
        kind,
        question.question,
        planning_seconds(answer.usage),
    )
