"""Documents beside an average, over boats, members, recipes and animals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from promptql.answer import Answer, Band
from promptql.plan import ignored_words

Ask = Callable[[str, str], Answer]
Case = tuple[str, str, set[Any]]

# The averages: age 237 / 7, fee 45, price 77.5 (sloops 37.5), crew 27 / 8, minutes 395 / 7, ingredients 53 / 7.
OF_ALL: list[Case] = [
    ("members", "Which members are older than average?", {"Finn", "Cleo"}),
    ("members", "Which members pay more than the average fee?", {"Cleo", "Dirk", "Elin"}),
    ("members", "members whose fee is higher than average", {"Cleo", "Dirk", "Elin"}),
    ("members", "members above the average age", {"Finn", "Cleo"}),
    ("members", "How many members are younger than the average age?", {5}),
    ("boats", "boats with a price above average", {"Petrel", "Gannet", "Curlew", "Heron"}),
    ("boats", "boats with a below-average price", {"Plover", "Puffin", "Kestrel", "Osprey"}),
    ("boats", "boats more expensive than the median", {"Petrel", "Gannet", "Curlew", "Heron"}),
    ("boats", "How many boats have a crew larger than average?", {4}),
    ("boats", "sloops more expensive than the average sloop", {"Osprey", "Kestrel"}),
    ("boats", "boats built earlier than average", {"Gannet", "Curlew", "Heron"}),
    ("recipes", "recipes that take longer than average", {"Borscht", "Ribollita", "Varenyky", "Lahmacun"}),
    ("recipes", "Which recipes have more ingredients than average?", {"Borscht", "Ribollita", "Lahmacun"}),
    ("recipes", "recipes with an above-average number of ingredients", {"Borscht", "Ribollita", "Lahmacun"}),
    ("recipes", "What percentage of recipes take longer than average?", {57.14}),
    ("animals", "Which animals weigh more than the average animal?", {"Bruno", "Misha", "Shere", "Leo"}),
]
OF_EACH: list[Case] = [
    ("members", "members older than the average of their club", {"Bo", "Cleo", "Elin", "Finn"}),
    ("members", "Which members are younger than the average in their club?", {"Ada", "Dirk", "Gro"}),
    ("boats", "boats more expensive than the average of their kind", {"Gannet", "Curlew", "Osprey", "Kestrel"}),
    ("recipes", "recipes with more minutes than the average for their cuisine", {"Borscht", "Ribollita", "Lahmacun"}),
    ("animals", "animals older than the average of their keeper", {"Bruno", "Leo", "Shere"}),
    ("animals", "animals heavier than the average of their species", {"Bruno", "Leo"}),
]
OF_COUNTS: list[Case] = [
    ("boats", "harbours with more boats than average", {"Brest", "Turku"}),
    ("recipes", "Which cuisines have more recipes than the average?", {"Turkish"}),
    ("animals", "keepers with more animals than average", {"Jon"}),
]


@pytest.mark.parametrize(("domain", "question", "values"), [*OF_ALL, *OF_EACH, *OF_COUNTS])
def test_documents_are_compared_with_the_average(ask: Ask, domain: str, question: str, values: set[Any]) -> None:
    """Worked out by hand; every word is explained."""
    answer = ask(domain, question)
    assert set(answer.values) == values
    assert answer.band is Band.ANSWER
    assert not ignored_words(answer.assumptions)


def test_of_some_documents_the_average_may_be_that_of_all(ask: Ask) -> None:
    """With reserve, as that of the Turkish ones could be meant."""
    answer = ask("recipes", "Turkish recipes longer than average")
    assert answer.values == ("Lahmacun",)
    assert answer.band is Band.ASSUMPTIONS
    assert "the average is that of all recipes" in [item.text for item in answer.assumptions]


def test_what_is_named_stands_beside_the_average(ask: Ask) -> None:
    """As it is asked whether it is dearer, both are told."""
    assert ask("boats", "Is Heron more expensive than average?").values == (("Heron", 90, 77.5),)
    assert ask("members", "Is Bo older than average?").values == (("Bo", 31, 237 / 7),)


@pytest.mark.parametrize(
    ("domain", "question"),
    [
        ("boats", "average price of boats above average"),
        ("boats", "boats that are nicer than average"),
    ],
)
def test_an_average_that_is_not_read_is_told(ask: Ask, domain: str, question: str) -> None:
    """Nothing is answered as if the word were not there."""
    answer = ask(domain, question)
    told = answer.band is Band.CLARIFY or bool(ignored_words(answer.assumptions))
    assert told
