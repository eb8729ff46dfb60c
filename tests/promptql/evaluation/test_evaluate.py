"""Asking a set of questions."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from promptql import QuestionError
from promptql.evaluation import EvaluationQuestion, evaluate, read_evaluation_questions
from promptql.evaluation.report import Report


@dataclass(frozen=True)
class Said:
    """An answer."""

    values: tuple[Any, ...]
    band: str = "answer"
    confidence: float = 0.9
    usage: Mapping[str, Any] = field(default_factory=dict)


def test_questions_are_counted_by_category_and_band() -> None:
    """One right, one wrong, one empty, one refused; the expected rows of one come from SQL."""
    questions = list(
        read_evaluation_questions(
            [
                '{"question": "a", "answer": 1, "category": "count"}',
                "",
                '{"question": "b", "answer": ["x"], "category": "count"}',
                '{"question": "c", "sql": "select 7"}',
                '{"question": "d", "answer": ["y"]}',
            ]
        )
    )
    answers = {"a": Said((1,)), "b": Said((), "search"), "c": Said((8,))}

    def ask(question: EvaluationQuestion) -> tuple[Said, float]:
        if question.question not in answers:
            raise QuestionError("no", code="question_not_understood")
        return answers[question.question], 0.002

    report = evaluate(questions, ask, rows_of=lambda query: [7] if query == "select 7" else [])

    assert report.accuracy == 0.25
    assert report.by_category() == {"all": (2, 0.0), "count": (2, 0.5)}
    assert report.by_band() == {"answer": (0.5, 0.5), "none": (0.25, 0.0), "search": (0.25, 0.0)}
    assert report.confusion() == {"answer": {"right": 1, "wrong": 1}, "search": {"empty": 1}, "none": {"error": 1}}
    assert "| count | 2 | 50.0% |" in report.to_markdown()
    assert report.to_json()["categories"]["count"] == {"questions": 2, "accuracy": 0.5}


def test_planning_has_times_of_its_own() -> None:
    """Looking words up and planning, of the questions that tell it; nothing is said where none does."""
    questions = [EvaluationQuestion(text, (1,)) for text in "abc"]
    told = {"a": {"gather": 2.0, "plan": 3.0, "execute": 90.0}, "b": {"gather": 1.0, "plan": 6.0}, "c": {}}

    def ask(question: EvaluationQuestion) -> tuple[Said, float]:
        return Said((1,), usage={"milliseconds": told[question.question]}), 0.1

    report = evaluate(questions, ask)

    assert report.planning_milliseconds(0.0) == pytest.approx(5.0)
    assert report.to_json()["planning_milliseconds"] == {"p50": 7.0, "p99": 7.0}
    assert "| planning | 7.0 ms | 7.0 ms |\n| whole question | 100.0 ms | 100.0 ms |" in report.to_markdown()
    assert "planning_milliseconds" not in evaluate(questions[2:], ask).to_json()
    assert "processor" not in report.to_markdown()
    worked = [replace(outcome, processor_seconds=0.004) for outcome in report.outcomes]
    assert "| of processor time | 4.0 ms | 4.0 ms |" in Report(worked).to_markdown()


@pytest.mark.parametrize(
    "line",
    [
        "nonsense",
        "[]",
        '{"question": "a"}',
        '{"question": "a", "answer": 1, "sql": "x"}',
        '{"question": "a", "odd": 1}',
    ],
)
def test_a_bad_line_is_named(line: str) -> None:
    """The error says which line of the set it is."""
    with pytest.raises(QuestionError, match="line 2"):
        list(read_evaluation_questions(['{"question": "a", "answer": 1}', line]))
