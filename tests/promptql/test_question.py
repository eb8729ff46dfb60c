from __future__ import annotations

import pytest

from promptql.errors import QuestionError
from promptql.question import QUESTION_CHARACTERS_MAX, read_question


def test_white_space_around_a_question_is_dropped() -> None:
    """Only the words count."""
    assert read_question("  how many? \n").text == "how many?"


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("", "question_empty"),
        (" \n\t", "question_empty"),
        ("a" * 3_000, "question_too_long"),
        ("how\0many", "question_not_text"),
        ("half \ud800 a pair", "question_not_text"),
        (None, "question_not_text"),
        (17, "question_not_text"),
        (["how many"], "question_not_text"),
    ],
)
def test_what_is_no_question_is_refused_with_its_reason(text: object, code: str) -> None:
    """Each kind of unusable input has a code of its own."""
    with pytest.raises(QuestionError) as caught:
        read_question(text)
    assert caught.value.code == code


def test_the_longest_question_is_accepted() -> None:
    """2,000 characters are a question, 2,001 are not."""
    assert len(read_question("a" * QUESTION_CHARACTERS_MAX).text) == 2_000
    with pytest.raises(QuestionError, match="characters=2001 limit=2000"):
        read_question("a" * 2_001)
