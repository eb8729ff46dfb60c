"""What a question lists."""

from __future__ import annotations

import pytest

from promptql.rules.lists import Lists
from promptql.rules.sketch import ROWS, Item
from tests.promptql.rules.library import column, reading


def lists(question: str) -> list[tuple[Item, ...]]:
    """The lists that are found, the likeliest first."""
    return [wanted.items for wanted in Lists(reading(question)).found()]


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("Show the first name, country and age of the writers", ("first_name", "country", "age")),
        ("Show the writers' first, last names and ages", ("first_name", "last_name", "age")),
        ("Give the age and the country of each writer", ("age", "country")),
    ],
)
def test_columns_are_listed_as_they_are_named(question: str, expected: tuple[str, ...]) -> None:
    """Names side by side are one list; a name within a longer one does not end it."""
    assert tuple(Item(column("writers", name)) for name in expected) in lists(question)


def test_a_name_is_laid_over_the_words_that_are_nearest_together() -> None:
    """In "writer id, first name, last name" the word name stands twice, and each column has its own."""
    wanted = tuple(Item(column("writers", name)) for name in ("writer_id", "first_name", "last_name"))
    assert wanted in lists("List the writer id, first name, last name of all writers")


def test_figures_before_a_column_are_all_of_it() -> None:
    """The average and maximum fee are two figures of one column."""
    fee = column("loans", "fee")
    assert (Item(fee, "avg"), Item(fee, "max")) in lists("What are the average and maximum fee of loans?")


def test_ids_and_names_are_those_of_the_collection_beside_them() -> None:
    """The ids of books are their keys, the key of another collection is not needed."""
    assert (Item(column("books", "book_id")),) in lists("What are the ids of the books that were lent?")


def test_documents_are_counted() -> None:
    """How many books: rows of that collection."""
    assert (Item(ROWS, "count"),) in lists("How many books are there?")


def test_all_information_is_every_column() -> None:
    """All columns of the collection that is named, and only its own."""
    expected = tuple(Item(column("loans", name)) for name in ("loan_id", "book_id", "reader", "fee"))
    assert expected in lists("Give me all the details about loans")
