"""Figures of each of several things, and ratios of two, over boats, members, recipes and animals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from promptql.answer import Answer, Band
from promptql.plan import ignored_words

Ask = Callable[[str, str], Answer]

EACH: list[tuple[str, str, list[list[Any]]]] = [
    ("recipes", "How many recipes does each of Tuscan and Turkish have?", [["Tuscan", 2], ["Turkish", 3]]),
    (
        "recipes",
        "average minutes for each of Tuscan, Turkish and Ukrainian",
        [["Tuscan", 55.0], ["Turkish", 30.0], ["Ukrainian", 97.5]],
    ),
    ("recipes", "number of recipes of Tuscan and of Turkish", [["Tuscan", 2], ["Turkish", 3]]),
    ("boats", "average price of Brest and of Cork", [["Brest", 185 / 3], ["Cork", 77.5]]),
    ("boats", "highest price in each of Brest and Cork", [["Brest", 90], ["Cork", 120]]),
    ("boats", "total crew for each of ketch and sloop", [["ketch", 13], ["sloop", 8]]),
    ("boats", "number of ketches in Brest, in Cork and in Turku", [["Brest", 1], ["Cork", 1], ["Turku", 1]]),
    ("loaves", "total quantity in 2024 and in 2025", [["2024", 54], ["2025", 18]]),
    ("loaves", "highest price for each of rye and spelt", [["rye", 4.4], ["spelt", 5.6]]),
    ("members", "How many members do chess and rowing each have?", [["chess", 2], ["rowing", 3]]),
    ("animals", "How many animals does each of Ines and Kaja have?", [["Ines", 1], ["Kaja", 2]]),
]
RATIOS: list[tuple[str, str, float]] = [
    ("boats", "What is the ratio of ketches to sloops?", 3 / 4),
    ("boats", "ratio of boats in Brest to boats in Cork", 3 / 2),
    ("boats", "ratio of the price of Heron to the price of Puffin", 90 / 35),
    ("boats", "ratio of sloops to ketches in Brest", 2 / 1),
    ("boats", "How many times as many sloops as ketches are there?", 4 / 3),
    ("boats", "How many times as expensive as Puffin is Heron?", 90 / 35),
    ("loaves", "ratio of loaves in 2024 to loaves in 2025", 5 / 2),
    ("loaves", "How many times as much quantity does Sud have as Nord?", 25 / 20),
    ("members", "ratio of chess to rowing", 2 / 3),
    ("members", "How many times as many members does rowing have as chess?", 3 / 2),
    ("members", "How many times older is Finn than Ada?", 62 / 25),
    ("recipes", "ratio of Turkish to Tuscan recipes", 3 / 2),
    ("recipes", "How many times as many Turkish as Tuscan recipes are there?", 3 / 2),
    ("recipes", "ratio of ingredients to minutes", 53 / 395),
    ("animals", "ratio of the weight of Bruno to the weight of Nala", 310 / 130),
    ("animals", "How many times as many animals does Jon have as Kaja?", 3 / 2),
]


@pytest.mark.parametrize(("domain", "question", "rows"), EACH)
def test_each_that_is_named_has_a_row(ask: Ask, domain: str, question: str, rows: list[list[Any]]) -> None:
    """In the order in which they are named, and not all together."""
    answer = ask(domain, question)
    assert [list(row) for row in answer.values] == rows
    assert answer.band in (Band.ANSWER, Band.ASSUMPTIONS)
    assert not ignored_words(answer.assumptions)


@pytest.mark.parametrize(
    ("domain", "question", "rows"),
    [
        ("boats", "How many cutters does each of Brest and Turku have?", [["Brest", 0], ["Turku", 1]]),
        ("animals", "How many lions does each of Ines and Jon have?", [["Ines", 0], ["Jon", 2]]),
    ],
)
def test_one_that_has_none_has_a_row_too(ask: Ask, domain: str, question: str, rows: list[list[Any]]) -> None:
    """Nothing is counted, and that is told."""
    assert [list(row) for row in ask(domain, question).values] == rows


def test_what_no_document_has_is_counted_as_nothing(ask: Ask) -> None:
    """The kind is not left out for the harbour's sake."""
    answer = ask("boats", "How many cutters are there in Brest?")
    assert answer.values == (0,)
    assert not ignored_words(answer.assumptions)


def test_without_each_they_are_counted_together(ask: Ask) -> None:
    """As "Tuscan and Turkish recipes" are all of both."""
    assert ask("recipes", "How many Tuscan and Turkish recipes are there?").values == (5,)


@pytest.mark.parametrize(("domain", "question", "ratio"), RATIOS)
def test_a_ratio_is_one_figure_by_another(ask: Ask, domain: str, question: str, ratio: float) -> None:
    """Both of them stand beside it."""
    answer = ask(domain, question)
    assert answer.values == (pytest.approx(ratio),)
    assert not ignored_words(answer.assumptions)
    (artifact,) = answer.artifacts
    assert len(artifact.rows[0]) == 3


def test_of_a_price_and_a_number_the_averages_are_compared(ask: Ask) -> None:
    """With reserve, as that of each boat may be meant."""
    answer = ask("boats", "ratio of price to crew")
    assert answer.values == (pytest.approx(620 / 27),)
    assert answer.band is Band.ASSUMPTIONS


def test_a_ratio_that_is_not_read_is_told(ask: Ask) -> None:
    """Of one side nothing is known."""
    answer = ask("boats", "ratio of submarines to sloops")
    assert answer.band is Band.CLARIFY or "ratio" in ignored_words(answer.assumptions)
