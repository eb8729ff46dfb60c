"""The question as it was asked, checked once at the door."""

from __future__ import annotations

from dataclasses import dataclass

from promptql.errors import QuestionError

QUESTION_CHARACTERS_MAX = 2_000


@dataclass(frozen=True, slots=True)
class Question:
    """A question that may be asked: not empty, at most 2,000 characters, text."""

    text: str


def read_question(text: object) -> Question:
    """The question, stripped.

    Raises:
        QuestionError: it is not a string, empty, longer than 2,000 characters, or holds characters
            that are no text (NUL, half of a surrogate pair).
    """
    if not isinstance(text, str):
        raise QuestionError(f"question is not text: got={type(text).__name__}", code="question_not_text")
    stripped = text.strip()
    if not stripped:
        raise QuestionError("question is empty", code="question_empty")
    if len(stripped) > QUESTION_CHARACTERS_MAX:
        raise QuestionError(
            f"question is too long: characters={len(stripped)} limit={QUESTION_CHARACTERS_MAX}",
            code="question_too_long",
        )
    if "\0" in stripped or any("\ud800" <= character <= "\udfff" for character in stripped):
        raise QuestionError(
            "question holds characters that are no text (NUL or half a surrogate pair)",
            code="question_not_text",
        )
    return Question(stripped)
