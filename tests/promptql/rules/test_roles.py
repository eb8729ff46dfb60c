"""Which of two fields alike a preposition means."""

from __future__ import annotations

import pytest

from promptql.rules.roles import role_before
from promptql.rules.words import tokenize


@pytest.mark.parametrize(
    ("text", "word", "role"),
    [
        ("flights from Oslo", "oslo", "from"),
        ("letters to the mayor", "mayor", "to"),
        ("trains leaving York", "york", "from"),
        ("Oslo flights", "oslo", None),
        ("flights in Oslo", "oslo", None),
        ("flights from old Oslo", "oslo", None),
    ],
)
def test_role_before(text: str, word: str, role: str | None) -> None:
    """The word right before the value decides, with an article between at most."""
    tokens = tokenize(text)
    start = next(index for index, token in enumerate(tokens) if token.folded == word)
    assert role_before(tokens, start) == role
