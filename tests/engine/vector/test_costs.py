"""engine.vector.costs: measured on the machine."""

from __future__ import annotations

from engine.vector.costs import distance_nanoseconds


def test_a_comparison_costs_nanoseconds_and_more_in_more_dimensions() -> None:
    """Measured once for a dimension; 3,072 components cost more than 32."""
    short, long = distance_nanoseconds(32), distance_nanoseconds(3_072)
    assert 1 <= short < long < 1_000_000
    assert distance_nanoseconds(3_072) == long
