"""Question sets: JSON lines of a question and what its answer should be."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
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

    def to_json(self) -> dict[str, Any]:
        """As a line of a question set, without what it has not."""
        data = {"question": self.question, "answer": self.answer, "sql": self.sql, "collections": self.collections}
        written = {key: list(value) if isinstance(value, tuple) else value for key, value in data.items()}
        return {key: value for key, value in written.items() if value is not None} | {"category": self.category}

    @classmethod
    def from_json(cls, data: Mapping[str, Any], number: int = 1) -> EvaluationQuestion:
        """The inverse of `to_json`; `number` is named where something is wrong.

        Raises:
            QuestionError: it is no question with an answer.
        """
        return _question(data, number)


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
    return _question(data, number)


def _question(data: object, number: int) -> EvaluationQuestion:
    if not isinstance(data, Mapping) or not isinstance(data.get("question"), str):
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
