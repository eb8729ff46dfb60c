"""Exact search among a few rows."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.vector.flat import _smallest


@given(st.lists(st.integers(0, 5), min_size=1, max_size=200), st.integers(1, 40))
def test_the_smallest_are_those_that_sorting_finds(values: list[int], k: int) -> None:
    """The same places in the same order, however many are equal."""
    array = np.array(values, dtype=np.float32)
    assert _smallest(array, k).tolist() == np.argsort(array, kind="stable")[:k].tolist()


@pytest.mark.parametrize("nans", [1, 3, 5])
def test_what_is_no_number_comes_last(nans: int) -> None:
    """Where there are fewer numbers than wanted too."""
    array = np.array([np.nan] * nans + [2.0, 1.0], dtype=np.float32)
    assert _smallest(array, 4).tolist() == np.argsort(array, kind="stable")[:4].tolist()
