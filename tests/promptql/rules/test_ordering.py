"""What a question orders by, and which way."""

from __future__ import annotations

import pytest

from promptql.rules.lists import Lists
from promptql.rules.ordering import Ordering
from tests.promptql.rules.library import library, reading


def ordering(question: str) -> Ordering:
    """The orders of a question over the library."""
    read = reading(question)
    return Ordering(read, Lists(read))


@pytest.mark.parametrize(
    ("question", "down"),
    [
        ("List the books ordered by pages", False),
        ("List the books in descending order of pages", True),
        ("List the writers from the oldest to the youngest", True),
        ("List the writers from the youngest to the oldest", False),
        ("List the fees from high to low", True),
        ("List the titles in reversed alphabetical order", True),
    ],
)
def test_the_direction_of_a_list(question: str, down: bool) -> None:
    """Upwards unless words say otherwise."""
    found = ordering(question).order
    assert found is not None
    assert found[0] is down


def test_nothing_is_ordered_where_no_word_says_so() -> None:
    """A plain list has no order."""
    assert ordering("List the titles of all books").order is None


def test_an_adjective_looks_for_what_it_measures() -> None:
    """The oldest writer is the one of the greatest age, though nobody says age."""
    found = ordering("Who is the oldest writer?")
    (_, mask), *_ = found.directions
    view = library()[0]
    assert view.columns[found.ordered(mask)[0].column].name == "age"


def test_what_only_numbers_things_is_no_order() -> None:
    """Ids are not what "the largest" means."""
    found = ordering("Which writer is the largest?")
    (_, mask), *_ = found.directions
    view = library()[0]
    assert not any(view.columns[key.column].name.endswith("_id") for key in found.keys(mask))


def test_how_many_are_wanted() -> None:
    """The three oldest are three, the oldest is one."""
    assert ordering("Who are the three oldest writers?").top == 3
    assert ordering("Who is the oldest writer?").top == 1
