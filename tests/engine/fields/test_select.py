"""engine.fields.select and engine.fields.indexes: filters by bitmaps, against the same filters by columns."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyroaring import BitMap

from engine.arrays import Mask
from engine.fields import indexes
from engine.fields.columns import build_column, path_column
from engine.fields.evaluate import evaluate
from engine.fields.filter import And, Comparison, Filter, Not, Or
from engine.fields.index_cache import ASKED_AGAIN_MIN, ROWS_MIN, IndexCache
from engine.fields.indexes import FieldIndex, PostingsIndex, SortedIndex, build_index, range_of
from engine.fields.select import Steps, select
from engine.schema import JSON, Field, FieldType
from tests.engine.fields.test_evaluate import DOCUMENTS, FIELDS, FILTERS, given_by


class Fields:
    """A part of some documents, with an index of every field that can have one."""

    def __init__(self, documents: list[dict[str, Any]]) -> None:
        self.rows = len(documents)
        self._documents = documents
        self._kept: dict[str, BitMap] = {}
        self._indexes: dict[str, FieldIndex | None] = {}

    def column(self, name: str) -> tuple[Field, Any] | None:
        root, _, key = name.partition(".")
        if root not in FIELDS:
            return None
        column = build_column(FIELDS[root], [document.get(root) for document in self._documents])
        return path_column(column, [key]) if key else (FIELDS[root], column)

    def index(self, name: str) -> FieldIndex | None:
        if name not in self._indexes:
            found = self.column(name)
            self._indexes[name] = None if found is None else build_index(*found)
        return self._indexes[name]

    def kept(self, name: str, condition: str, make: Callable[[], BitMap]) -> BitMap:
        if name + condition not in self._kept:
            self._kept[name + condition] = make()
        return self._kept[name + condition]

    def candidates(self, name: str, op: str, value: JSON) -> BitMap | None:
        return None

    def nulls(self, name: str) -> Mask | None:
        return given_by(self._documents)[0](name)

    def scalars(self, name: str, places: Any) -> Mask:
        return given_by(self._documents)[1](name, places)


@settings(max_examples=500, deadline=None)
@given(st.lists(DOCUMENTS, max_size=6), FILTERS, st.booleans())
def test_indexes_find_what_columns_find(documents: list[dict[str, Any]], where: Filter, few: bool) -> None:
    """Every operator on every type, by postings and (where few values are one) by sorted places."""
    most = indexes.POSTINGS_VALUES_MAX
    indexes.POSTINGS_VALUES_MAX = 1 if few else most
    try:
        fields = Fields(documents)
        expected = evaluate(where, fields.column, fields.rows, fields.nulls, fields.scalars)
        assert list(select(where, fields)) == np.flatnonzero(expected).tolist()
        within = BitMap(range(0, len(documents), 2))
        assert list(select(where, fields, within)) == [place for place in within if expected[place]]
    finally:
        indexes.POSTINGS_VALUES_MAX = most


class Sole(Fields):
    """A part of one field."""

    def __init__(self, index: FieldIndex) -> None:
        super().__init__([])
        self._index = index

    def index(self, name: str) -> FieldIndex | None:
        return self._index


ROWS = 200_000


@pytest.mark.parametrize("missing", [0.0, 0.1])
@pytest.mark.parametrize("kind", ["year", "price"])
def test_ranges_over_many_rows(kind: str, missing: float) -> None:
    """Both kinds of index, at edges and between them, with and without nulls, alone and within others."""
    numbers = np.random.default_rng(7)
    absent = numbers.random(ROWS) < missing
    years = numbers.integers(1900, 2025, ROWS)
    values: Any = years if kind == "year" else np.round(numbers.normal(100, 30, ROWS), 3)
    column = pa.array(values, mask=absent)
    index = build_index(Field(FieldType.INTEGER if kind == "year" else FieldType.NUMBER), column)
    assert type(index) is (PostingsIndex if kind == "year" else SortedIndex)
    within = BitMap(np.flatnonzero(numbers.random(ROWS) < 0.1).tolist())
    inside = np.isin(np.arange(ROWS), np.array(within))
    for value in (values[0].item(), 1970, 2024.5, 99.5, -1e9, 1e9):
        for op, holds in (("$lt", values < value), ("$lte", values <= value), ("$gt", values > value),
                          ("$gte", values >= value), ("$eq", values == value), ("$ne", values != value)):  # fmt: skip
            expected = (holds & ~absent) if op != "$ne" else holds | absent
            assert index.find(op, value, None) == BitMap(np.flatnonzero(expected).tolist()), (op, value)
            assert index.find(op, value, within.copy(), mine=True) == BitMap(np.flatnonzero(expected & inside).tolist())
            assert index.find(op, value, within) == BitMap(np.flatnonzero(expected & inside).tolist()), (op, value)


@pytest.mark.parametrize("kind", ["year", "price"])
def test_two_bounds_are_one_range(kind: str) -> None:
    """Also where they leave nothing, or lie side by side."""
    numbers = np.random.default_rng(8)
    values: Any = numbers.integers(0, 130, ROWS) if kind == "year" else np.round(numbers.normal(65, 20, ROWS), 3)
    index = build_index(Field(FieldType.INTEGER if kind == "year" else FieldType.NUMBER), pa.array(values))
    assert index is not None
    within = BitMap(range(0, ROWS, 3))
    inside = np.isin(np.arange(ROWS), np.array(within))
    for low, high in ((10, 60), (64, 65), (65, 65), (66, 65), (120, 3), (-5, 500), (31.5, 99.99)):
        for above, below in itertools.product(("$gt", "$gte"), ("$lt", "$lte")):
            holds = (values > low if above == "$gt" else values >= low) & (
                values < high if below == "$lt" else values <= high
            )
            assert range_of(index, (above, low), (below, high)) == BitMap(np.flatnonzero(holds).tolist())
            asked = And((Comparison("n", above, low), Comparison("n", below, high)))
            for _ in range(2):  # the second time it is kept
                assert select(asked, Sole(index), within) == BitMap(np.flatnonzero(holds & inside).tolist())


class Part:
    """Enough of a part for the cache."""

    def __init__(self, rows: int = ROWS_MIN, *, lasts: bool = True) -> None:
        self.ordinals = np.arange(rows, dtype=np.uint32)
        self.lasts = lasts


def column_of(part: Part) -> Any:
    return pa.array(part.ordinals.astype(np.int64))


def asked(cache: IndexCache, part: Part, name: str, times: int = 1) -> FieldIndex | None:
    found = None
    for _ in range(times):
        found = cache.index(part, name, Field(FieldType.INTEGER), lambda *_: column_of(part))
    return found


def test_an_index_is_made_when_it_is_asked_for_again() -> None:
    """Not at the first time, not of what grows, and not of few documents; text has none."""
    cache, part = IndexCache(), Part()
    assert asked(cache, part, "n") is None
    made = asked(cache, part, "n")
    assert made is not None
    assert asked(cache, part, "n") is made
    assert cache.bytes == made.nbytes
    assert asked(cache, Part(lasts=False), "n", 5) is None
    assert asked(cache, Part(ROWS_MIN - 1), "n", 5) is None
    text = pa.array(["words"] * ROWS_MIN)
    assert [cache.index(part, "t", Field(FieldType.TEXT), lambda *_: text) for _ in range(3)] == [None] * 3


def test_indexes_stay_within_their_cap() -> None:
    """The least recently used makes room, and must be wanted often before it is made again."""
    part = Part()
    size = build_index(Field(FieldType.INTEGER), column_of(part)).nbytes  # type: ignore[union-attr]
    cache = IndexCache(2 * size + size // 2)
    for name in ("a", "b"):
        assert asked(cache, part, name, 2) is not None
    assert asked(cache, part, "a") is not None
    assert asked(cache, part, "c", 2) is not None
    assert cache.bytes == 2 * size
    assert asked(cache, part, "b", ASKED_AGAIN_MIN - 1) is None
    assert asked(cache, part, "b") is not None
    tiny = IndexCache(size - 1)
    assert asked(tiny, part, "a", 10) is None or tiny.bytes == 0


def test_what_ranges_find_is_kept_within_the_cap() -> None:
    """Made once, the least recently used forgotten first, and made again when it is asked for."""
    part, made = Part(), []

    def found(cache: IndexCache, condition: str) -> BitMap:
        def make() -> BitMap:
            made.append(condition)
            return BitMap(range(0, 4000, 2))

        return cache.bitmap(part, condition, Field(FieldType.INTEGER), make)

    cache = IndexCache()
    assert found(cache, "a") is found(cache, "a")
    size = cache.bytes
    small = IndexCache(2 * size)
    for condition in ("a", "b", "a", "c", "a", "b"):
        assert found(small, condition) == BitMap(range(0, 4000, 2))
    assert made == ["a", "a", "b", "c", "b"]
    assert small.bytes == 2 * size


def test_indexes_of_parts_that_are_gone_are_let_go() -> None:
    """As soon as the cache is told to look."""
    cache, part = IndexCache(), Part()
    asked(cache, part, "n", 2)
    assert cache.bytes
    del part
    cache.forget_dead()
    assert cache.bytes == 0


def test_steps_say_what_ran() -> None:
    """Postings first, then the range within them, then the comparison of what is left."""
    documents = [{"k": "a" if i % 10 else "b", "i": i % 7, "t": f"text {i}"} for i in range(1000)]
    where = And(
        (
            Comparison("t", "$contains", "text 7"),
            Comparison("i", "$gte", 5),
            Not(Comparison("i", "$eq", 6)),
            Comparison("k", "$eq", "b"),
        )
    )
    steps = Steps()
    found = select(where, Fields(documents), steps=steps)
    assert list(found) == [i for i in range(0, 1000, 10) if i % 7 == 5 and f"text {i}".startswith("text 7")]
    assert [(step["how"], step["rows"], step["found"]) for step in steps.steps] == [
        ("postings", 1000, 100),
        ("postings", 100, 28),
        ("postings", 28, 14),
        ("column scan", 14, len(found)),
    ]


def test_alternatives_are_compared_together() -> None:
    """One pass over columns for all that has no index; nothing given is nothing found."""
    documents = [{"t": f"text {i}", "k": "a" if i < 3 else "b"} for i in range(20)]
    texts = (Comparison("t", "$ends_with", "7"), Comparison("t", "$ends_with", "8"))
    steps = Steps()
    assert list(select(Or((*texts, Comparison("k", "$eq", "a"))), Fields(documents), steps=steps)) == [
        0,
        1,
        2,
        7,
        8,
        17,
        18,
    ]
    assert sorted(step["how"] for step in steps.steps) == ["column scan", "postings"]
    assert list(select(Or(()), Fields(documents))) == []
    assert list(select(And(()), Fields(documents))) == list(range(20))
