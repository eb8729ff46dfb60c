"""How questions ask for the first few."""

from __future__ import annotations

import pytest

from promptql.rules.asked import take_apart
from promptql.rules.ranked import grouped_in, ranked_in


def _said(question: str, span: tuple[int, int]) -> str:
    return " ".join(take_apart(question).words[span[0] : span[1]])


@pytest.mark.parametrize(
    ("question", "n", "descending", "noun", "measure", "counted"),
    [
        ("Top 3 customers by total spending", 3, True, "customers", "total spending", False),
        ("the bottom 2 shops by number of visitors", 2, False, "shops", "visitors", True),
        ("Show me the top five towns from Spain by area", 5, True, "towns", "area", False),
        ("4 authors with the fewest books", 4, False, "authors", "books", False),
        ("Which author has the most books?", 1, True, "author", "books", False),
        ("Which shop has the lowest average price?", 1, False, "shop", "average price", False),
    ],
)
def test_number_direction_noun_and_measure_are_found(
    question: str, n: int, descending: bool, noun: str, measure: str, counted: bool
) -> None:
    """The measure without the words that say how it is meant."""
    found = ranked_in(take_apart(question))
    assert found is not None
    assert found.measure is not None
    assert (found.n, found.descending, found.counted) == (n, descending, counted)
    assert _said(question, found.noun) == noun
    assert _said(question, found.measure) == measure


def test_an_adjective_says_what_it_measures() -> None:
    """Dear things have a price, and no measure is named."""
    found = ranked_in(take_apart("the five most expensive orders"))
    assert found is not None
    assert (found.n, found.descending, found.measure) == (5, True, None)
    assert "price" in found.measures


@pytest.mark.parametrize(
    "question",
    [
        "How many orders are there?",
        "the top of the list",
        "Which author wrote Low Water?",
        "oldest customer",
        "3 customers",
    ],
)
def test_other_questions_are_of_no_such_form(question: str) -> None:
    """A number or a superlative alone is not enough."""
    assert ranked_in(take_apart(question)) is None


def test_measures_of_each_are_found() -> None:
    """As in "total revenue by country"; an actor behind "by" has no figure before it."""
    question = "total revenue by country in 2024"
    found = grouped_in(take_apart(question))
    assert found is not None
    assert found.measure is not None
    assert (_said(question, found.noun), _said(question, found.measure)) == ("country", "total revenue")
    counted = grouped_in(take_apart("How many orders per customer?"))
    assert counted is not None
    assert counted.counted
    assert grouped_in(take_apart("revenue in 2024")) is None
