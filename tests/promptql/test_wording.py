from __future__ import annotations

import pytest

from promptql import PromptQL
from promptql.rendering import markdown_table, shown


@pytest.mark.parametrize(
    ("question", "sentence"),
    [
        ("how many movies were made after 1990", "There are 5 movies where year > 1990."),
        ("How many classes are deprecated?", "There is 1 class where deprecated is true."),
        ("how many genres are there", "There are 4 different genres among 8 movies."),
        ("which director made the most movies", "The director with the most movies is Ridley Scott: 3."),
        ("best rated movie", "The movie with the highest rating is Inception: 8.8."),
        ("oldest movie", "The movie with the earliest year is Alien: 1979."),
        ("What year was The Matrix made?", "The Matrix: year is 1999."),
        ("average rating of horror movies", "The average of rating over 2 movies where genre is horror is 6.7."),
        (
            "which module has the fewest classes",
            "2 share the fewest classes (1 each): os, subprocess.",
        ),
        (
            "average rating by genre",
            (
                "Average rating of movies by genre, 4 in all: action (8.53), science fiction (8.5), "
                "drama (8.3), horror (6.7)."
            ),
        ),
    ],
)
def test_figures_are_said_in_a_sentence(promptql: PromptQL, question: str, sentence: str) -> None:
    """The first line of the answer."""
    assert promptql.ask(question).text.splitlines()[0] == sentence


def test_tables_are_markdown_with_what_is_left_out() -> None:
    """Twenty rows, bars escaped, and the number of the rest."""
    rows = [{"name": f"a|{index}", "n": None} for index in range(25)]
    lines = markdown_table(("name", "n"), rows, 25).splitlines()
    assert lines[:3] == ["| name | n |", "| --- | --- |", "| a\\|0 | – |"]
    assert len(lines) == 2 + 20 + 2
    assert lines[-1] == "… and 5 more."


def test_values_are_shown_for_reading() -> None:
    """Floats to two places, white space folded, long text cut."""
    assert [shown(value) for value in (8.525, 8.0, 3, True, None, ["a", "b"])] == [
        "8.53",
        "8",
        "3",
        "true",
        "–",
        "a, b",
    ]
    assert shown("a\n b") == "a b"
    assert len(shown("x" * 500)) == 80
