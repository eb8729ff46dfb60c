"""Question sets: JSON lines of a question and what its answer should be."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from promptql.errors import QuestionError

KEYS = ("question", "answer", "sql", "collections", "category")


@dataclass(frozen=True, slots=True)
class EvaluationQuestion:
    """A question with its right answer.

    Attributes:
        answer: the expected values, or rows of values; None where `sql` gives them.
        sql: a query whose rows are the answer.
        collections: what it may be asked of; None: everything.
        category: what it is counted under in the report.
    """

    question: str
    answer: tuple[Any, ...] | None = None
    sql: str | None = None
    collections: tuple[str, ...] | None = None
    category: str = "all"


def read_questions(lines: Iterable[str]) -> Iterator[EvaluationQuestion]:
    """The questions of a file of JSON lines; empty lines are skipped.

    Raises:
        QuestionError: a line is no object with a question and an answer; the message names the line.
    """
    for number, line in enumerate(lines, 1):
        if line.strip():
            yield _read(line, number)


def _read(line: str, number: int) -> EvaluationQuestion:
    try:
        data = json.loads(line)
    except ValueError as error:
        raise _wrong(number, f"not JSON: {error}") from error
    if not isinstance(data, dict) or not isinstance(data.get("question"), str):
        raise _wrong(number, 'expected {"question": "…", "answer": […] or "sql": "…"}')
    unknown = set(data) - set(KEYS)
    if unknown:
        raise _wrong(number, f"unknown key: {min(unknown)}")
    answer, sql = data.get("answer"), data.get("sql")
    if (answer is None) == (sql is None):
        raise _wrong(number, 'give "answer" or "sql", one of them')
    collections = data.get("collections")
    return EvaluationQuestion(
        data["question"],
        None if answer is None else tuple(answer if isinstance(answer, list) else [answer]),
        sql,
        None if collections is None else tuple(map(str, collections)),
        str(data.get("category", "all")),
    )


def _wrong(number: int, what: str) -> QuestionError:
    return QuestionError(f"line {number} of the question set: {what}", code="question_set_invalid")
