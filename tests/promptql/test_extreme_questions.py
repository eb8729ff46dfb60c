"""The extreme, average or bound of each group, and who is the oldest, over boats, members and recipes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from promptql.answer import Answer, Band
from promptql.plan import ignored_words

Ask = Callable[[str, str], Answer]
Groups = set[tuple[str, float]]

MOST_INGREDIENTS: Groups = {("Ukrainian", 12), ("Tuscan", 11), ("Turkish", 9)}
LARGEST_CREW: Groups = {("Turku", 6), ("Cork", 5), ("Brest", 4)}
OLDEST: Groups = {("choir", 62), ("rowing", 40), ("chess", 31)}
EACH: list[tuple[str, str, Groups]] = [
    ("recipes", "highest number of ingredients per cuisine", MOST_INGREDIENTS),
    ("recipes", "What is the biggest number of ingredients in each cuisine?", MOST_INGREDIENTS),
    ("recipes", "How many ingredients at most per cuisine?", MOST_INGREDIENTS),
    ("recipes", "maximum number of ingredients by cuisine", MOST_INGREDIENTS),
    ("recipes", "lowest number of ingredients per cuisine", {("Turkish", 3), ("Ukrainian", 5), ("Tuscan", 7)}),
    ("recipes", "average number of ingredients per cuisine", {("Tuscan", 9), ("Ukrainian", 8.5), ("Turkish", 6)}),
    ("recipes", "number of ingredients per cuisine", {("Tuscan", 18), ("Ukrainian", 17), ("Turkish", 18)}),
    ("boats", "largest number of crew per harbour", LARGEST_CREW),
    ("boats", "How many crew at most per harbour?", LARGEST_CREW),
    ("members", "How old is the oldest member of each club?", OLDEST),
    ("members", "oldest member per club", OLDEST),
    ("animals", "heaviest animal per keeper", {("Kaja", 310), ("Jon", 220), ("Ines", 1)}),
    ("animals", "How old is the youngest animal of each keeper?", {("Jon", 6), ("Kaja", 7), ("Ines", 30)}),
    ("members", "age of the youngest member of each club", {("rowing", 18), ("chess", 25), ("choir", 30)}),
]


@pytest.mark.parametrize(("domain", "question", "groups"), EACH)
def test_of_each_group_the_figure_that_is_said(ask: Ask, domain: str, question: str, groups: Groups) -> None:
    """A number that is called like what is counted is no total where an extreme is asked for."""
    answer = ask(domain, question)
    assert {tuple(row) for row in answer.values} == groups
    assert answer.band is Band.ANSWER


@pytest.mark.parametrize(
    ("domain", "question", "values"),
    [
        ("members", "Who is the oldest member?", ("Finn",)),
        ("members", "How old is the oldest member?", (62,)),
        ("members", "Who is the youngest member?", ("Dirk",)),
        ("boats", "Which boats are the oldest?", ("Gannet", "Curlew")),
        ("recipes", "Which cuisine has the most ingredients?", ("Turkish", "Tuscan")),
    ],
)
def test_the_first_of_all(ask: Ask, domain: str, question: str, values: tuple[Any, ...]) -> None:
    """The old have a greater age, or were built earlier; who has the most has the greatest total."""
    assert ask(domain, question).values == values


@pytest.mark.parametrize(
    ("domain", "question", "totals"),
    [
        ("boats", "most crew per harbour", [["Turku", 11], ["Brest", 9], ["Cork", 7]]),
        ("recipes", "fewest ingredients per cuisine", [["Ukrainian", 17], ["Turkish", 18], ["Tuscan", 18]]),
    ],
)
def test_the_most_of_each_may_be_a_total_and_is_told_so(
    ask: Ask, domain: str, question: str, totals: list[list[Any]]
) -> None:
    """With reserve, as the greatest of each could be meant."""
    answer = ask(domain, question)
    assert [list(row) for row in answer.values] == totals
    assert answer.band is Band.ASSUMPTIONS
    assert any("total" in item.text for item in answer.assumptions)
    assert not ignored_words(answer.assumptions)


def test_the_most_of_what_does_not_add_up_is_an_average(ask: Ask) -> None:
    """Over two collections, and told as such."""
    answer = ask("animals", "most weight per keeper")
    assert answer.values == (("Kaja", 295.0), ("Jon", 180.0), ("Ines", 1.0))
    assert answer.band is Band.ASSUMPTIONS
    assert "'most' of each = the order of the average weight" in [item.text for item in answer.assumptions]


def test_an_extreme_of_each_that_is_not_read_is_told(ask: Ask) -> None:
    """Nobody knows who is nice, and the nicest of all is none of each."""
    assert "nicest" in ignored_words(ask("animals", "nicest animal per keeper").assumptions)
