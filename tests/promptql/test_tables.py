"""Sentences above tables, end to end over the films and the library."""

from __future__ import annotations

from promptql import PromptQL


def test_two_groups_are_compared(promptql: PromptQL) -> None:
    """Of 19 pieces of the library 17 are current and 2 deprecated."""
    answer = promptql.ask("How many entries are there per deprecated?", collections=["stdlib"])
    assert "false has 17, true 2: 15 more, 750 %." in answer.text


def test_figures_over_time_have_a_direction(promptql: PromptQL) -> None:
    """One film each year but 2000, with two."""
    answer = promptql.ask("How many movies per year?", collections=["movies"])
    assert "It was the same, 1, in 1979 and 2010, highest 2 in 2000." in answer.text


def test_a_value_that_nothing_has_is_answered_by_those_like_it(promptql: PromptQL) -> None:
    """The honest answer names what the data does say."""
    plan = {
        "question": "films by Ridly Scot",
        "steps": [
            {"id": "s1", "op": "scan", "collection": "movies"},
            {
                "id": "s2", "op": "filter", "input": "s1",
                "where": {"op": "=", "l": {"field": "director"}, "r": {"value": "Ridly Scot"}},
            },
            {"id": "s3", "op": "answer", "input": "s2"},
        ],
        "output": "s3",
    }  # fmt: skip
    answer = promptql.execute(plan)
    assert answer.values == ()
    assert answer.text.startswith("No document matches: there are no movies where director is Ridly Scot.")
    assert "director has Ridley Scott" in answer.text
