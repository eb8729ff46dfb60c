"""Readings over several collections: the right one is among those that are made; expected rows worked out by hand."""

from __future__ import annotations

import pytest

from tests.promptql.rules.library import answers, readings

QUESTIONS: list[tuple[str, list[tuple[object, ...]]]] = [
    # lists of several columns
    ("List the first name, country and age of all writers.",
     [("Ada", "France", 30), ("Bruno", "Norway", 41), ("Cleo", "France", 52), ("Dora", "Peru", 65)]),
    ("What are the first and last names of the writers from Norway?", [("Bruno", "Reed")]),
    ("What are the titles of the books and the first names of their authors?", []),
    ("What are the average, minimum and maximum age of the writers?", [(47.0, 30, 65)]),
    ("Show all information about loans.", [(1, 1, "Ivo", 2), (2, 2, "Ivo", 3), (3, 2, "Una", 5), (4, 5, "Una", 1)]),
    # groups
    ("Show each genre and the number of books.", [("essay", 1), ("novel", 3), ("poem", 1)]),
    ("Which genre has the most books?", [("novel",)]),
    ("Which genres have at least 2 books?", [("novel",)]),
    ("What are the titles of the books with more than one loan?", [("Embers",)]),
    ("Which reader paid the highest total fee?", [("Una",)]),
    ("Which readers have an average fee of more than 2?", []),
    ("What is the title of the book with the most pages?", [("Cliffs",)]),
    ("Give the maximum pages and the title of the novels.", [("Cliffs", 400)]),
    # orders
    ("What are the first names of the writers, sorted from the oldest to the youngest?",
     [("Dora",), ("Cleo",), ("Bruno",), ("Ada",)]),
    ("List the genres in descending order of the number of books.", []),
    # counted once
    ("How many books have been lent in loans?", [(3,)]),
    # flags
    ("What are the titles of the books that are printed?", [("Dunes",), ("Frost",), ("Tides",)]),
    ("What are the titles of the books that are not printed?", [("Cliffs",), ("Embers",)]),
    # other forms of values
    ("How many French writers are there?", [(2,)]),
    ("How many essays are there?", [(1,)]),
]  # fmt: skip


@pytest.mark.parametrize(("question", "expected"), [pair for pair in QUESTIONS if pair[1]])
def test_the_right_reading_is_among_those_that_are_made(question: str, expected: list[tuple[object, ...]]) -> None:
    """Whatever the weights, the expected rows are the answer of some reading; columns may stand in another order."""
    found = [{frozenset(row) for row in answer} for answer in answers(question) if len(answer) == len(expected)]
    assert {frozenset(row) for row in expected} in found


def test_a_list_is_in_the_order_that_is_asked_for() -> None:
    """As in "from the oldest to the youngest" begins with the oldest."""
    question = "What are the first names of the writers, sorted from the oldest to the youngest?"
    assert [("Dora",), ("Cleo",), ("Bruno",), ("Ada",)] in answers(question)


def test_groups_are_ordered_by_how_many_they_hold() -> None:
    """As in "in descending order of the number of books" shows the genre alone, the largest first."""
    found = answers("List the genres in descending order of the number of books.")
    assert any(answer[0] == ("novel",) and len(answer) == 3 for answer in found)


def test_both_relationships_of_two_collections_are_tried() -> None:
    """A book has an author and an editor: both joins are among the readings of "books of the writer Bruno"."""
    found = answers("What are the titles of the books of the writer Bruno?")
    assert [("Dunes",)] in found
    assert [("Tides",)] in found


def test_the_number_of_readings_is_bounded() -> None:
    """However many words a question has, no more than some tens of readings are kept."""
    many = "What are the first name, last name, country, age, title, genre and pages of " + "writers and books " * 20
    assert 0 < len(readings(many)) <= 100
