"""Readings that hold another one; expected rows worked out by hand."""

from __future__ import annotations

import pytest

from promptql.rules.nesting import comparisons
from promptql.rules.sketch import Sketch
from tests.promptql.rules.library import answers, readings


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("What are the last names of the writers who have no books?", [("Reed",)]),
        ("What are the titles of the books without loans?", [("Dunes",), ("Frost",)]),
        ("What are the first names of the writers who are older than the average?", [("Cleo",), ("Dora",)]),
        ("How many books have more pages than the average?", [(3,)]),
        ("What are the titles of the books with more pages than any poem?", []),
        ("Which countries have writers younger than 40 and writers older than 50?", [("France",)]),
        ("Which readers have loans of both Tides and Embers?", [("Ivo",)]),
        ("What is the average age of the writers who have books?", [(41.0,)]),
        ("How many loans are there of the book with the most pages?", [(1,)]),
        ("What are the titles of the novels that have no loans?", [("Dunes",)]),
    ],
)
def test_the_right_reading_is_among_those_that_are_made(question: str, expected: list[tuple[object, ...]]) -> None:
    """Whatever the weights, the expected rows are the answer of some reading."""
    if expected:
        assert expected in answers(question)


def test_more_than_any_is_read_both_ways() -> None:
    """English means "more than some" as well as "more than all" by "more than any"."""
    found = answers("What are the titles of the books with more pages than any novel?")
    assert [("Cliffs",), ("Embers",)] in found  # more than the shortest, 250
    rows = [candidate.sketch for candidate in readings("Which books have more pages than any novel?")]
    values = [test.value for sketch in rows for clause in sketch.where for test in clause]
    inner = {value.select[0].fn for value in values if isinstance(value, Sketch)}
    assert {"max", "min"} <= inner


def test_what_is_denied_already_is_not_denied_twice() -> None:
    """No reading leaves out what does not satisfy a condition that says "not" itself."""
    for candidate in readings("What are the titles of the books that have no loans and are not novels?"):
        for clause in candidate.sketch.where:
            for test in clause:
                if isinstance(test.value, Sketch) and test.op == "not in":
                    assert "!=" not in [inner.op for c in test.value.where for inner in c]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("older than the average", ("avg", ">")),
        ("with pages below the average", ("avg", "<")),
        ("larger than any other", ("any", ">")),
        ("less than the maximum", ("max", "<")),
    ],
)
def test_comparisons_with_figures(text: str, expected: tuple[str, str]) -> None:
    """The figure that is compared with, and which way."""
    found = comparisons(text.split())
    assert [(figure, op) for figure, _, op, _ in found] == [expected]


def test_a_figure_that_is_asked_for_is_no_comparison() -> None:
    """As in "the average age of …" compares nothing."""
    assert comparisons("what is the average age of the writers".split()) == []
