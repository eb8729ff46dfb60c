"""When answers are right."""

from __future__ import annotations

from typing import Any

import pytest

from promptql.evaluation.scoring import same_denotation, same_rows, same_values


@pytest.mark.parametrize(
    ("expected", "values", "right"),
    [
        (["Katie O'Brien"], ["katie o'brien"], True),
        ([125.0], [125], True),
        (["1,234"], [1234], True),
        (["a", "a"], ["a"], False),
        (["a", "b"], ["b", "a"], True),
        ([["a", 1]], [("A", 1.0)], True),
        ([], ["a"], False),
    ],
)
def test_values_are_compared_without_case_order_and_punctuation(
    expected: list[Any], values: list[Any], right: bool
) -> None:
    """Numbers as numbers, and as often as they occur."""
    assert same_values(expected, values) is right


@pytest.mark.parametrize(
    ("expected", "values", "right"),
    [
        (["Melbourne"], ["Melbourne[4]"], True),
        (["Ja."], ["ja"], True),
        (['"Home"'], ["“Home” (live)"], True),
        (["3"], [3.0], True),
        (["3"], ["3", "3"], True),
        (["3"], ["3", "4"], False),
        (["3 km"], [3.0], False),
        (["2001-05-xx"], ["2001-5-XX"], True),
        (["Zürich", "Bern"], ["bern", "zurich"], True),
    ],
)
def test_denotations_are_compared_by_the_official_rule(expected: list[Any], values: list[Any], right: bool) -> None:
    """Sets of normalized strings, numbers and dates."""
    assert same_denotation(expected, values) is right


def test_rows_may_have_their_columns_in_another_order() -> None:
    """Order of rows counts only where the gold query orders."""
    gold = [("a", 1), ("b", 2)]
    assert same_rows(gold, [(2, "b"), (1, "a")])
    assert not same_rows(gold, [(2, "b"), (1, "a")], ordered=True)
    assert same_rows(gold, [(1.0, "a"), (2.0, "b")], ordered=True)
    assert not same_rows(gold, [("a", 2), ("b", 1)])
    assert not same_rows(gold, [("a",), ("b",)])
    assert same_rows([], [])
