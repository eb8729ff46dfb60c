"""engine.writes.inference: types from values."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from engine.schema import Field, FieldType
from engine.writes.inference import (
    UNTYPED,
    contradicts,
    fits,
    grow_field,
    infer_field,
    natural_type,
    parse_datetime,
    widen,
)

T = FieldType


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2020-01-02", datetime(2020, 1, 2, tzinfo=UTC)),
        ("2020-01-02T03:04:05.5+01:00", datetime(2020, 1, 2, 2, 4, 5, 500_000, tzinfo=UTC)),
        ("2020-01-02T03:04Z", datetime(2020, 1, 2, 3, 4, tzinfo=UTC)),
        ("2020-01-02T03:04:05.123456789Z", datetime(2020, 1, 2, 3, 4, 5, 123_456, tzinfo=UTC)),
        ("2020-01-02T03:04:05.1234567891Z", None),
        ("2020-13-02", None),
        ("0001-01-01T00:00+05:00", None),
        ("9999-12-31T23:59-05:00", None),
        ("٢٠٢٠-٠١-٠٢", None),
        ("20200102", None),
    ],
)
def test_datetimes_are_read_as_moments_in_utc(text: str, expected: datetime | None) -> None:
    """ISO 8601 only; a moment outside the years 1 to 9999 is none, not a crash."""
    assert parse_datetime(text) == expected


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        (True, T.BOOLEAN),
        (2**63 - 1, T.INTEGER),
        (2**63, T.JSON),
        (1.0, T.NUMBER),
        ("x", T.KEYWORD),
        ("x" * 201, T.TEXT),
        ("2020-01-01", T.DATETIME),
        ({"lat": 1, "lon": 2}, T.GEO),
        ({"lat": 91, "lon": 2}, T.JSON),
        ({"a": 1}, T.JSON),
    ],
)
def test_one_value_has_one_natural_type(value: Any, expected: FieldType | None) -> None:
    """The narrowest type that holds it."""
    assert natural_type(value) == expected


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("year", [1, 2, None], Field(T.INTEGER)),
        ("year", [1, 2.5], Field(T.NUMBER)),
        ("tags", [["a"], "b"], Field(T.KEYWORD, many=True)),
        ("title", ["a"], Field(T.TEXT)),
        ("main_title", ["a"], Field(T.TEXT)),
        ("x", ["one two three four five six"], Field(T.TEXT)),
        ("x", [1, "a"], Field(T.JSON)),
        ("x", [[[1]]], Field(T.JSON)),
        ("x", ["2020-01-01", "soon"], Field(T.KEYWORD)),
        ("x", [None], None),
        ("x", [[]], UNTYPED),
        ("x", [[], [3]], Field(T.INTEGER, many=True)),
    ],
)
def test_a_first_batch_implies_the_field(name: str, values: list[Any], expected: Field | None) -> None:
    """Type and plurality come from all values together."""
    assert infer_field(name, values) == expected


POINT = {"lat": 1, "lon": 2}


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([*range(19), "soon"], Field(T.INTEGER)),
        ([*range(18), 0.5, "soon"], Field(T.NUMBER)),
        ([*range(19), True], Field(T.INTEGER)),
        ([*range(19), {"a": 1}], Field(T.INTEGER)),
        ([*range(19), [[1]]], Field(T.INTEGER)),
        ([*range(19), 2**63], Field(T.INTEGER)),
        ([*range(18), [1, 2], "soon"], Field(T.INTEGER, many=True)),
        (["2020-01-01"] * 18 + ["soon", 7], Field(T.KEYWORD)),
        ([POINT] * 19 + ["here"], Field(T.GEO)),
        ([*range(18), "soon", "later"], Field(T.JSON)),
        ([*range(18), "soon"], Field(T.JSON)),
        ([*range(18), "soon", None, []], Field(T.JSON)),
        ([POINT] * 98 + [{"lat": 91, "lon": 2}, "here"], Field(T.JSON)),
        ([{"a": 1}] * 30 + [5], Field(T.JSON)),
        (["2020-01-01"] * 30 + ["soon"], Field(T.KEYWORD)),
    ],
)
def test_what_nearly_all_agree_on_is_the_type(values: list[Any], expected: Field) -> None:
    """95 % of 20 values or more; widening is agreement, null and empty lists have no say."""
    assert infer_field("x", values) == expected


def test_those_that_contradict_the_majority_are_told() -> None:
    """What widens to the field's type fits, as do null and lists of it."""
    field = Field(T.NUMBER)
    fitting: list[Any] = [1, 0.5, None, [], [1, None]]
    others: list[Any] = ["1", True, [1, "2"], {}, [[1]]]
    assert [contradicts(field, value) for value in fitting] == [False] * 5
    assert [contradicts(field, value) for value in others] == [True] * 5
    assert not contradicts(UNTYPED, [[1]])


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (T.INTEGER, T.NUMBER, T.NUMBER),
        (T.DATETIME, T.KEYWORD, T.KEYWORD),
        (T.KEYWORD, T.TEXT, T.TEXT),
        (T.TEXT, T.DATETIME, T.TEXT),
        (T.GEO, T.JSON, T.JSON),
        (T.INTEGER, T.KEYWORD, None),
        (T.BOOLEAN, T.INTEGER, None),
    ],
)
def test_types_widen_only_where_nothing_is_lost(old: FieldType, new: FieldType, expected: FieldType | None) -> None:
    """A contradiction is None."""
    assert widen(old, new) == expected


def test_growing_keeps_declared_types() -> None:
    """A declared field refuses what an inferred one would widen for, but may turn into a list."""
    assert grow_field(Field(T.INTEGER), 1.5) == Field(T.NUMBER)
    assert grow_field(Field(T.INTEGER, declared=True), 1.5) is None
    assert grow_field(Field(T.INTEGER, declared=True), [1]) == Field(T.INTEGER, many=True, declared=True)
    assert grow_field(Field(T.KEYWORD), "x" * 201) == Field(T.TEXT)
    assert grow_field(Field(T.INTEGER), "a") is None


def test_booleans_are_no_numbers() -> None:
    """True fits neither integer nor number."""
    assert not fits(T.INTEGER, True)
    assert not fits(T.NUMBER, True)
