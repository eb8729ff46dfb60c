"""engine.vector.choice: the graph or every allowed row."""

from __future__ import annotations

import pytest

from engine.vector.choice import EF_SEARCH_MAX, choose


@pytest.mark.parametrize(
    ("rows", "allowed", "dim", "exact", "ef_search"),
    [
        (60_000, 60_000, 784, False, 64),  # no filter
        (60_000, 600, 784, True, 64),  # 1.9 MB of vectors
        (1_000_000, 10_000, 784, True, 64),  # 1 %: the graph would miss
        (60_000, 30_000, 784, False, 128),  # half: twice the candidates
        (60_000, 3_600, 784, False, 1024),  # 6 %, bounded
    ],
)
def test_narrow_filters_are_exact_and_wide_ones_keep_more_candidates(
    rows: int, allowed: int, dim: int, exact: bool, ef_search: int
) -> None:
    """By bytes of allowed vectors and by share; a search asked to keep more keeps it."""
    choice = choose(rows, allowed, dim, 64)
    assert choice.exact is exact
    if not exact:
        assert choice.ef_search == ef_search
        assert choose(rows, allowed, dim, 2 * EF_SEARCH_MAX).ef_search == 2 * EF_SEARCH_MAX
