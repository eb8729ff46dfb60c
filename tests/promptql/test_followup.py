"""Follow-ups, end to end: what each makes of the answer before, over the films."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from promptql import Answer, PromptQL
from promptql.conversation import Conversations
from promptql.planned import Planned
from promptql.rules.planning import plan_by_rules
from tests.promptql.vega_lite import faults

_NAMES = (f"c{number}" for number in itertools.count())
ALL = "movies after 1980"  # The Matrix, Gladiator, Blade Runner, Memento, Inception, Heat, Ghost Town


def told(promptql: PromptQL, *questions: str) -> Answer:
    """The last answer of a conversation of its own."""
    name = next(_NAMES)
    answers = [promptql.ask(question, collections=["movies"], conversation=name) for question in questions]
    assert answers[-1].conversation == name
    return answers[-1]


@pytest.mark.parametrize(
    ("questions", "values"),
    [
        ((ALL, "only those by Ridley Scott"), ("Gladiator", "Blade Runner")),
        ((ALL, "just the ones with a rating above 8.5"), ("The Matrix", "Inception")),
        ((ALL, "only those by Ridley Scott", "and by Christopher Nolan?"), ("Memento", "Inception")),
        ((ALL, "without drama"), ("The Matrix", "Blade Runner", "Inception", "Ghost Town")),
        (("movies in 2000", "and in 1999?"), ("The Matrix",)),
        (("how many movies in 2000", "what about 1999?"), (1,)),
        (("how many horror movies", "what about action?"), (4,)),
        ((ALL, "how many are there?"), (7,)),
        ((ALL, "what is their average rating?"), (pytest.approx((8.7 + 8.4 + 8.0 + 8.3 + 8.8 + 8.2 + 4.9) / 7),)),
        ((ALL, "which of those is the oldest?"), ("Blade Runner",)),
        ((ALL, "sort them by rating in descending order", "the first two"), ("Inception", "The Matrix")),
        ((ALL, "sort them by year", "the first two", "the next two"), ("Heat", "The Matrix")),
        ((ALL, "sort them by year", "only the last two of those"), ("Inception", "Gladiator")),
        ((ALL, "sort them by year", "now in descending order", "only the first"), ("Inception",)),
        (
            ("average rating by genre", "the first two"),
            (("action", pytest.approx(8.525)), ("science fiction", pytest.approx(8.5))),
        ),
        (("how many movies per genre", "how many are there?"), (4,)),
    ],
)
def test_a_follow_up_changes_the_plan_before(
    promptql: PromptQL, questions: tuple[str, ...], values: tuple[Any, ...]
) -> None:
    """Conditions narrow or take each other's place; order, number and figures change; worked out by hand."""
    assert told(promptql, *questions).values == values


def test_columns_and_groups_are_added(promptql: PromptQL) -> None:
    """More columns beside the label; the same documents by another key."""
    shown = told(promptql, "movies in 2000", "show their directors too")
    assert shown.values == (("Gladiator", "Ridley Scott"), ("Memento", "Christopher Nolan"))
    grouped = told(promptql, ALL, "per director")
    assert dict(grouped.values)["Christopher Nolan"] == 2


def test_a_chart_is_drawn_when_it_is_asked_for(promptql: PromptQL) -> None:
    """A step before the answer; the answer has a valid specification."""
    drawn = told(promptql, "how many movies per genre", "as a bar chart")
    assert [step["op"] for step in drawn.plan["steps"]][-2:] == ["visualize", "answer"]
    (chart,) = drawn.charts
    assert faults(chart.spec) == []
    assert chart.spec["encoding"]["x"]["field"] == "genre"


def test_a_question_of_its_own_begins_anew(promptql: PromptQL) -> None:
    """It names what it is about; the condition before is gone."""
    assert told(promptql, "movies in 2000", "how many movies are there?").values == (8,)
    assert told(promptql, "movies in 2000", "how many horror movies").values == (2,)


def test_a_follow_up_without_a_question_is_read_by_itself(promptql: PromptQL) -> None:
    """Nothing to go on from: the words alone count, as without a conversation."""
    assert told(promptql, "and in 1999?").values == promptql.ask("and in 1999?", collections=["movies"]).values


def test_what_it_goes_on_from_is_said(promptql: PromptQL) -> None:
    """An assumption names the question before, and those that still hold are kept; words left out are named."""
    answer = told(promptql, "horror movies", "only those after 1980 in Bordeaux")
    texts = [assumption.text for assumption in answer.assumptions]
    assert "'only those after 1980 in Bordeaux' goes on from 'horror movies'" in texts
    assert "'horror' = genre is horror" in texts
    assert "ignored: 'bordeaux'" in texts
    assert answer.values == ("Ghost Town",)


def test_a_conversation_stays_within_its_collections(promptql: PromptQL) -> None:
    """A plan about a collection that may no longer be asked about is not gone on from."""
    promptql.ask("movies in 2000", conversation="bounded")
    answer = promptql.ask("only those by Ridley Scott", collections=["stdlib"], conversation="bounded")
    assert all(step.get("collection") != "movies" for step in answer.plan["steps"])


def test_conversations_are_forgotten(promptql: PromptQL) -> None:
    """After their time, and the one unused longest where they are too many."""
    now = [0.0]
    planned = Planned(plan_by_rules("movies in 2000", _catalog(promptql)).plan, 1.0, told(promptql, ALL).band)
    kept = Conversations(conversations_max=2, seconds_max=10.0, clock=lambda: now[0])
    kept.keep("a", planned)
    kept.keep("b", planned)
    kept.keep("a", planned)
    kept.keep("c", planned)
    assert (kept.last("a"), kept.last("b"), len(kept)) == (planned, None, 2)
    now[0] = 10.5
    assert (kept.last("a"), kept.last("c"), len(kept)) == (None, None, 0)


def _catalog(promptql: PromptQL) -> Any:
    return promptql._reader.read(promptql._database.snapshot(["movies"]))
