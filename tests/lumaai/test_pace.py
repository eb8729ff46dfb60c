"""lumaai.pace: which work is short, as the latest of its kind was."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lumaai.pace import CHARACTERS_MAX, KINDS_MAX, PEAK_SECONDS, SHORT_SECONDS, VALUES_MAX, Pace, is_plain, shape_of

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=40),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


def test_what_is_not_known_is_not_short() -> None:
    """The first of a kind may load an index."""
    pace = Pace()
    assert not pace.is_short("a")
    pace.took("a", SHORT_SECONDS / 10)
    assert pace.is_short("a")


def test_a_kind_that_has_become_long_is_found_out_soon_and_so_is_one_that_is_short_again() -> None:
    """One piece that met a busy machine changes nothing."""
    pace = Pace()
    pace.took("a", SHORT_SECONDS / 10)
    pace.took("a", 2 * SHORT_SECONDS)
    assert pace.is_short("a")
    for _ in range(5):
        pace.took("a", 2 * SHORT_SECONDS)
    assert not pace.is_short("a")
    for _ in range(10):
        pace.took("a", SHORT_SECONDS / 10)
    assert pace.is_short("a")


def test_a_kind_that_is_now_and_then_very_long_is_not_short() -> None:
    """However short the others are: that one holds up everybody."""
    pace = Pace()
    for _ in range(3):
        pace.took("a", 5 * PEAK_SECONDS)
        for _ in range(50):
            pace.took("a", SHORT_SECONDS / 10)
            assert not pace.is_short("a")
    for _ in range(100):
        pace.took("a", SHORT_SECONDS / 10)
    assert pace.is_short("a")


def test_kinds_are_forgotten() -> None:
    """No caller fills the memory by asking for ever new kinds."""
    pace = Pace()
    for kind in range(2 * KINDS_MAX):
        pace.took(kind, 0.0)
    assert not pace.is_short(0)
    assert pace.is_short(2 * KINDS_MAX - 1)
    assert len(pace._seconds) == KINDS_MAX


def test_work_is_timed_by_the_processor() -> None:
    """Not by the clock, which other processes move; and also where it fails."""
    pace = Pace()
    assert pace.timed("sleeps", time.sleep, 2 * SHORT_SECONDS) is None
    assert pace.is_short("sleeps")

    def long() -> int:
        last = time.thread_time() + 2 * SHORT_SECONDS
        while time.thread_time() < last:
            pass
        return 1

    assert pace.timed("works", long) == 1
    assert not pace.is_short("works")
    with pytest.raises(ZeroDivisionError):
        pace.timed("fails", lambda: 1 / 0)
    assert pace.is_short("fails")


@given(JSON)
def test_a_shape_is_hashable_and_the_same_for_the_same(value: object) -> None:
    """Whatever JSON a filter is."""
    assert hash(shape_of(value)) == hash(shape_of(value))


def test_a_shape_tells_fields_operators_and_sizes_but_no_values() -> None:
    """One kind for each way of asking."""
    assert shape_of({"a": 1}) == shape_of({"a": 2}) != shape_of({"b": 1})
    assert shape_of({"a": {"$in": [1, 2]}}) != shape_of({"a": {"$in": list(range(100))}})
    assert shape_of({"a": {"$gt": 1}}) != shape_of({"a": {"$lt": 1}})
    assert shape_of({"a": "x"}) != shape_of({"a": "x" * 1_000})


@pytest.mark.parametrize(
    "value",
    [
        None, {}, {"year": 1999}, {"year": {"$gte": 1, "$lt": 2}}, {"tag": {"$in": ["a", "b"]}}, {"$not": {"a": None}},
        {"$or": [{"a": 1}, {"$and": [{"b": 2.5}, {"c": {"$exists": True}}]}]}, {"a": "x" * CHARACTERS_MAX},
    ],
)  # fmt: skip
def test_small_filters_that_compare_are_plain(value: object) -> None:
    """Their shape says how much work they are."""
    assert is_plain(value)


@pytest.mark.parametrize(
    "value",
    [
        {"a": {"$regex": "x"}}, {"a": {"$like": "%x%"}}, {"a": {"$match": "x"}}, {"a": {"$contains": "x"}},
        {"$or": [{"a": 1}, {"$not": {"b": {"$ends_with": "x"}}}]}, {"a": {"$in": list(range(VALUES_MAX))}},
        {"a": "x" * (CHARACTERS_MAX + 1)}, {"x" * (CHARACTERS_MAX + 1): 1}, {f"k{i}": 1 for i in range(VALUES_MAX)},
        {"$or": [{"a": [1] * 20}] * 20},
    ],
)  # fmt: skip
def test_patterns_and_large_filters_are_not_plain(value: object) -> None:
    """Two patterns of one length may be worlds apart; and what is large is not kept with a kind."""
    assert not is_plain(value)


@given(JSON)
def test_whatever_is_plain_has_a_small_shape(value: object) -> None:
    """And no JSON value is too strange to be looked at."""
    if is_plain(value):
        assert len(repr(shape_of(value))) < VALUES_MAX * (CHARACTERS_MAX + 40)
