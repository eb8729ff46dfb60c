"""The same forms over collections with text, one of which has a list in a field."""

from __future__ import annotations

from typing import Any

import pytest

from promptql import PromptQL

QUESTIONS: list[tuple[str, set[Any]]] = [
    ("highest number of parameters per module", {("json", 9), ("subprocess", 6), ("os", 4), ("asyncio", 2)}),
    ("lowest number of parameters in each module", {("json", 7), ("subprocess", 3), ("os", 0), ("asyncio", 1)}),
    ("How many parameters at most per module?", {("json", 9), ("subprocess", 6), ("os", 4), ("asyncio", 2)}),
    ("Which function has the second most parameters?", {"json.loads"}),
    ("What is the third oldest movie?", {"Ghost Town"}),
    (
        "movies rated higher than average",
        {"Inception", "The Matrix", "Alien", "Gladiator", "Memento", "Heat", "Blade Runner"},
    ),
    ("Which movies have a rating above the average of their director?", {"Inception", "Alien", "Gladiator"}),
    ("How many functions does each of json and os have?", {("json", 2), ("os", 4)}),
    ("How many classes does each of json and asyncio have?", {("json", 0), ("asyncio", 3)}),
    ("How many movies are in each of drama and horror?", {("drama", 3), ("horror", 2)}),
    ("ratio of functions to classes", {9 / 5}),
    ("functions outside the json module with no more than 1 parameter", {"os.getcwd", "os.listdir"}),
    ("movies between 1980 and 1990 but not 1988", {"Blade Runner"}),
    ("movies not older than 2000", {"Gladiator", "Memento", "Inception"}),
]


@pytest.mark.parametrize(("question", "values"), QUESTIONS)
def test_forms_are_read_beside_text(promptql: PromptQL, question: str, values: set[Any]) -> None:
    """Worked out by hand from the pieces of documentation and the films."""
    found = set(promptql.ask(question).values)
    assert found == values
