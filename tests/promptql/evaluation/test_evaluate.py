"""Asking a set of questions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest

from promptql import QuestionError
from promptql.evaluation import EvaluationQuestion, evaluate, read_evaluation_questions


@dataclass(frozen=True)
class Said:
    """An answer."""

    values: tuple[Any, ...]
    band: str = "answer"
    confidence: float = 0.9


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
