"""The bounds beside plain summation, and beside what is drawn."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from promptql.cascade.bounds import total_upper, unread_upper


def at_most(seen: int, of: int, rate: float) -> float:
    """The probability that coins of this rate pick at most `seen` of so many."""
    return math.fsum(math.comb(of, k) * rate**k * (1 - rate) ** (of - k) for k in range(seen + 1))


@given(seen=st.integers(0, 12), rate=st.floats(0.02, 0.95), delta=st.floats(0.01, 0.5))
@settings(max_examples=60, deadline=None)
def test_the_bound_is_the_largest_number_that_is_not_too_unlikely(seen: int, rate: float, delta: float) -> None:
    """One more unread row would make so few read ones no likelier than delta; as many as the bound would not."""
    bound = unread_upper(seen, rate, delta)
    assert at_most(seen, seen + bound + 1, rate) <= delta * (1 + 1e-9)
    assert bound == 0 or at_most(seen, seen + bound, rate) > delta * (1 - 1e-9)


def test_worked_out_by_hand() -> None:
    """Nothing seen at a rate of one half: four unread rows have a chance of 1/16 of that, three of 1/8."""
    assert unread_upper(0, 0.5, 0.1) == 3
    assert unread_upper(0, 1.0, 0.1) == 0
    assert unread_upper(0, 0.01, 0.1) == 229


@pytest.mark.parametrize(("rate", "delta"), [(0.0, 0.1), (1.5, 0.1), (0.5, 0.0), (0.5, 1.0)])
def test_rates_and_deltas_out_of_bounds_are_refused(rate: float, delta: float) -> None:
    """They would be divided by."""
    with pytest.raises(ValueError, match="must be in"):
        unread_upper(1, rate, delta)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_the_total_is_bounded_exactly(data: st.DataObject) -> None:
    """Beside summing the hypergeometric distribution."""
    rows = data.draw(st.integers(2, 60))
    read = data.draw(st.integers(1, rows))
    seen = data.draw(st.integers(0, read))
    bound = total_upper(rows, read, seen, 0.1)

    def chance(total: int) -> float:
        ways = [
            math.comb(total, k) * math.comb(rows - total, read - k) for k in range(min(seen, total) + 1) if k <= read
        ]
        return sum(ways) / math.comb(rows, read)

    assert seen <= bound <= rows - (read - seen)
    assert bound == seen or chance(bound) > 0.1 - 1e-9
    assert bound == rows - (read - seen) or chance(bound + 1) <= 0.1 + 1e-9


@pytest.mark.parametrize("rate", [0.1, 0.3])
@pytest.mark.parametrize("hidden", [20, 40, 60])
def test_the_first_cut_that_passes_misses_too_many_no_more_often_than_delta(rate: float, hidden: int) -> None:
    """20,000 audits of a list with its last `hidden` rows in the worst place, looked at after every single row.

    300 rows that belong are found first; then come the others one by one. It stops as soon as the bound allows, for a
    recall of 0.9: the most looks, and the best chances to be wrong, which sometimes come true.
    """
    runs, found, random = 20_000, 300, np.random.default_rng(1)
    drawn = random.random((runs, hidden)) < rate
    table = np.array([unread_upper(k, rate, 0.1) for k in range(hidden + 1)])
    stopped = np.zeros(runs, dtype=bool)
    wrong = np.zeros(runs, dtype=bool)
    for passed in range(hidden + 1):
        seen = drawn[:, passed:].sum(axis=1)
        missed = (hidden - passed) - seen
        known = found + passed + seen
        stops = ~stopped & (table[seen] <= known / 9)
        wrong |= stops & (known / (known + missed) < 0.9)
        stopped |= stops
    assert wrong.mean() <= 0.1 + 3 * math.sqrt(0.1 * 0.9 / runs)
    assert stopped.any()
    assert hidden < 40 or wrong.any()
