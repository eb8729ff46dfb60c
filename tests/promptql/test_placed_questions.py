"""Places behind the first, over boats, members, recipes and animals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from promptql.answer import Answer, Band
from promptql.plan import ignored_words
from promptql.rules.ordinals import ordinal_in

Ask = Callable[[str, str], Answer]

PLACES: list[tuple[str, str, tuple[Any, ...]]] = [
    ("members", "Who is the second oldest member?", ("Cleo",)),
    ("members", "third youngest member", ("Gro",)),
    ("members", "How old is the second oldest member?", (40,)),
    ("members", "youngest member but one", ("Ada",)),
    ("boats", "third most expensive boat", ("Curlew",)),
    ("boats", "the 2nd cheapest boat", ("Puffin",)),
    ("boats", "Which boat has the third highest price?", ("Curlew",)),
    ("boats", "second oldest boat in Brest", ("Kestrel",)),
    ("boats", "Which harbour has the second most boats?", ("Cork",)),
    ("loaves", "second most expensive bread", ("brioche",)),
    ("loaves", "Which bread has the second highest average price?", ("spelt",)),
    ("recipes", "second longest recipe", ("Ribollita",)),
    ("recipes", "Which recipe has the third most ingredients?", ("Lahmacun",)),
    ("animals", "third oldest animal", ("Shere",)),
    ("animals", "Which keeper has the second most animals?", ("Kaja",)),
]
# Two fees of 80 share the first place, two boats of 1987 that of the oldest; two members are 31.
LEVEL: list[tuple[str, str, tuple[Any, ...]]] = [
    ("members", "What is the second highest fee?", (50,)),
    ("members", "third oldest member", ("Bo", "Elin")),
    ("boats", "second oldest boat", ("Heron",)),
    ("boats", "Which harbour has the most boats?", ("Brest", "Turku")),
    ("recipes", "Which cuisine has the second most recipes?", ("Tuscan", "Ukrainian")),
]


@pytest.mark.parametrize(("domain", "question", "values"), [*PLACES, *LEVEL])
def test_a_place_is_counted_by_different_values(ask: Ask, domain: str, question: str, values: tuple[Any, ...]) -> None:
    """Those that are level share a place, and all of them are given."""
    answer = ask(domain, question)
    assert answer.values == values
    assert not ignored_words(answer.assumptions)


def test_it_is_told_how_places_are_counted(ask: Ask) -> None:
    """A reader who counts documents sees why the third row is the second place."""
    answer = ask("boats", "second oldest boat")
    assert answer.band in (Band.ANSWER, Band.ASSUMPTIONS)
    assert answer.text == "The answer: name is Heron (place 2 by built; those that are level share a place)."
    assert "'second oldest' = place 2 by built: those that are level share a place" in [
        item.text for item in answer.assumptions
    ]


def test_a_place_within_each_group(ask: Ask) -> None:
    """The second highest of each, which is none where there is but one value."""
    answer = ask("boats", "second highest price per harbour")
    assert {tuple(row) for row in answer.values} == {("Turku", 110), ("Brest", 55), ("Cork", 35)}


def test_the_number_of_those_on_a_place_is_what_it_is(ask: Ask) -> None:
    """Two are asked for, and one is there."""
    answer = ask("members", "the two second oldest members")
    assert answer.values == ("Cleo",)
    assert answer.band is Band.ASSUMPTIONS


def test_figures_of_the_first_are_those_of_the_place(ask: Ask) -> None:
    """The average price of those that come second, as of those that come first."""
    assert ask("boats", "average price of the oldest boats").values == (115.0,)
    assert ask("boats", "average price of the second oldest boats").values == (90.0,)
    assert ask("boats", "average price of the 3 oldest boats").values == ((120 + 110 + 90) / 3,)


def test_a_place_that_is_not_read_is_told(ask: Ask) -> None:
    """No field says who is nice, or what a boat weighs."""
    assert "nicest" in ignored_words(ask("members", "What is the fee of the second nicest member?").assumptions)
    answer = ask("boats", "second heaviest boat")
    assert answer.band is Band.CLARIFY or {"second", "heaviest"} & set(ignored_words(answer.assumptions))


@pytest.mark.parametrize(
    ("question", "place", "said"),
    [
        ("the second-oldest boat", 2, "second"),
        ("12th highest price", 12, "12th"),
        ("tenth most expensive", 10, "tenth"),
    ],
)
def test_ordinals_are_found_before_superlatives(question: str, place: int, said: str) -> None:
    """In words and in digits."""
    found = ordinal_in(question)
    assert found is not None
    assert (found.place, found.said) == (place, said)


@pytest.mark.parametrize(
    "question", ["the second boat", "orders of the second quarter", "the 1st oldest", "oldest boat"]
)
def test_other_ordinals_are_none(question: str) -> None:
    """What comes first needs no place, and a quarter is no rank."""
    assert ordinal_in(question) is None
