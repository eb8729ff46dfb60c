"""engine.vector.choice: the cheapest way that is right."""

from __future__ import annotations

import pytest

from engine.vector.calibration import Level
from engine.vector.choice import Costs, Way, choose_for_graph, choose_for_lists, cost_a_candidate, rows_to_fetch
from engine.vector.parameters import Effort

COSTS = Costs(comparison=0.1, candidate=3.0, all_lists=300.0)


def test_more_rows_are_asked_for_than_should_be_needed() -> None:
    """Half as many again: for ten of which one in a hundred is allowed, 1,500."""
    assert rows_to_fetch(10, 0.01) == 1_500
    assert rows_to_fetch(10, 1.0) == 15


@pytest.mark.parametrize(
    ("allowed", "way"),
    [
        (90_000, Way.NEAREST),  # 17 rows asked for, ef 64: 192 µs against 9,000
        (10_000, Way.NEAREST),  # 150, ef 225: 675 µs against 1,000
        (5_000, Way.EXACT),  # 300, ef 450: 1,350 µs against 500
        (10, Way.EXACT),
    ],
)
def test_a_graph_is_walked_while_that_is_cheaper(allowed: int, way: Way) -> None:
    """Of 100,000 rows, ten wanted: the graph's cost grows as the filter narrows, that of comparing falls."""
    assert choose_for_graph(10, allowed, 100_000, 64, COSTS) is way


def test_a_search_that_keeps_more_candidates_costs_more() -> None:
    """With ef 4,096 it takes 12 ms; comparing with 90,000 rows takes 9."""
    assert choose_for_graph(10, 90_000, 100_000, 4_096, COSTS) is Way.EXACT


@pytest.mark.parametrize(("allowed", "way"), [(3_001, Way.LISTS), (3_000, Way.EXACT), (1, Way.EXACT)])
def test_lists_are_searched_while_all_of_them_are_cheaper(allowed: int, way: Way) -> None:
    """At worst all lists are looked through: 300 µs, or 3,000 comparisons."""
    assert choose_for_lists(allowed, COSTS) is way


def test_a_candidate_costs_what_calibration_measured() -> None:
    """The dearest of the levels, and something where there are none."""
    levels = [Level(Effort(ef_search=16), 0.9, 80.0), Level(Effort(ef_search=64), 0.99, 256.0)]
    assert cost_a_candidate(levels) == 5.0
    assert cost_a_candidate([]) == 1.0
