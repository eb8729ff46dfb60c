"""The question as it was asked, checked once at the door."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from promptql.errors import QuestionError

QUESTION_CHARACTERS_MAX = 2_000


@dataclass(frozen=True, slots=True)
class Question:
    """A question that may be asked: not empty, at most 2,000 characters, text.

    `asked_at` is when, in the asker's time zone.
    """

    text: str
    asked_at: datetime = field(default_factory=lambda: datetime.now(UTC))


def read_question(text: object, time_zone: str | None = None) -> Question:
    """The question, stripped; asked now, in a time zone of the IANA database, such as Europe/Paris (None: UTC).

    Raises:
        QuestionError: it is not a string, empty, longer than 2,000 characters, or holds characters
            that are no text (NUL, half of a surrogate pair); or the time zone is unknown.
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
    return Question(stripped, datetime.now(_zone(time_zone)))


def _zone(name: str | None) -> tzinfo:
    if name is None:
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:  # a path, a directory
        raise QuestionError(f"unknown time zone: {name!r:.80}", code="time_zone_unknown") from error
