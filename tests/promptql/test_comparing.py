from __future__ import annotations

from typing import Any

import pytest

from promptql.comparing import compared_sentence, pair_sentence, side_names, trend_sentence
from promptql.plan import Plan
from promptql.steps import CompareStep


@pytest.mark.parametrize(
    ("first", "second", "sentence"),
    [
        (("A", 12), ("B", 7), "A has 12, B 7: 5 more, 71.4 %."),
        (("A", 7), ("B", 12), "A has 7, B 12: 5 less, 41.7 %."),
        (("A", 3), ("B", 0), "A has 3, B 0: 3 more."),
        (("A", 3), ("B", 3.0), "A and B have 3 each."),
        (("A", 1.5), ("B", -3.0), "A has 1.5, B -3: 4.5 more, 150 %."),
        (("A", None), ("B", 3), ""),
        (("A", True), ("B", 3), ""),
    ],
)
def test_two_figures_are_compared(first: tuple[str, Any], second: tuple[str, Any], sentence: str) -> None:
    """By how many, and by how much of the second."""
    assert pair_sentence(first, second) == sentence


@pytest.mark.parametrize(
    ("points", "sentence"),
    [
        ([(1990, 3), (2000, 12), (1997, 14)], "It rose from 3 in 1990 to 12 in 2000, highest 14 in 1997."),
        ([(1, 5), (2, 1), (3, 4)], "It fell from 5 in 1 to 4 in 3, lowest 1 in 2."),
        ([(1, 5), (2, 5), (3, 5)], "It was the same, 5, in 1 and 3."),
        (
            [("2000-01-01T00:00:00Z", 1), ("2001-01-01T00:00:00Z", 2), ("2002-01-01T00:00:00Z", 3)],
            "It rose from 1 in 2000-01-01 to 3 in 2002-01-01.",
        ),
        ([(1990, 3), (None, 9), (2000, 12), (2001, None)], ""),
    ],
)
def test_figures_over_time_have_a_direction_and_extremes(points: list[tuple[Any, Any]], sentence: str) -> None:
    """From the first to the last; extremes only where they are neither."""
    assert trend_sentence(points) == sentence


def plan_of(left: str, right: str, comparison: str = "difference", keys: list[str] | None = None) -> Plan:
    """The number of films of one genre against another's."""
    steps: list[dict[str, Any]] = []
    for number, genre in enumerate((left, right)):
        where = {"op": "=", "l": {"field": "genre"}, "r": {"value": genre}}
        group = {"by": keys or [], "aggs": [{"fn": "count", "as": "n"}]}
        steps += [
            {"id": f"s{number}", "op": "scan", "collection": "films", "where": where},
            {"id": f"g{number}", "op": "group", "input": f"s{number}", **group},
        ]
    compare = {"id": "c", "op": "compare", "left": "g0", "right": "g1", "comparison": comparison, "as": "d"}
    steps += [{**compare, "keys": keys or []}, {"id": "a", "op": "answer", "input": "c"}]
    return Plan.from_json({"question": "?", "steps": steps, "output": "a"})


def step_of(plan: Plan) -> CompareStep:
    step = plan.by_id["c"]
    assert isinstance(step, CompareStep)
    return step


def test_sides_are_called_by_what_tells_them_apart() -> None:
    """The value where one field differs; else by their order."""
    plan = plan_of("drama", "comedy")
    assert side_names(plan, step_of(plan)) == ("drama", "comedy")
    same = plan_of("drama", "drama")
    assert side_names(same, step_of(same)) == ("the first", "the second")


def test_a_comparison_is_a_sentence() -> None:
    """Difference, ratio, and what is missing."""
    plan = plan_of("drama", "comedy")
    row = {"n": 12, "right_n": 6, "d": 6}
    assert compared_sentence(plan, step_of(plan), [row]) == "drama has 12, comedy 6: 6 more, 100 %."
    ratio = plan_of("drama", "comedy", "ratio")
    said = compared_sentence(ratio, step_of(ratio), [{**row, "d": 2.0}])
    assert said == "drama has 12, comedy 6: 6 more, 100 %; drama has 2 times what comedy has."
    missing = compared_sentence(plan, step_of(plan), [{"n": 12, "right_n": None, "d": None}])
    assert missing == "The data does not say: comedy has no value of n."


def test_keyed_comparisons_name_the_extremes() -> None:
    """Both ends, with the figures of both sides."""
    plan = plan_of("drama", "comedy", keys=["year"])
    rows = [{"year": 1999, "n": 5, "right_n": 1, "d": 4}, {"year": 2000, "n": 2, "right_n": 3, "d": -1}]
    assert compared_sentence(plan, step_of(plan), rows) == (
        "2 compared; the difference is greatest for 1999: 4 (5 against 1), least for 2000: -1 (2 against 3)."
    )
