"""Values that neither Arrow nor Python holds as DuckDB has them."""

from __future__ import annotations

import math
from datetime import date, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import SqlEngine, SqlError
from engine.sql.exact import date_text, time_text, timestamp_text

HUGE = 2**127 - 1
VALUES: list[tuple[str, str, Any]] = [
    ("DATE '10000-01-01'", "date", "10000-01-01"),
    ("DATE '-1000-01-01'", "date", "-1000-01-01"),
    ("TIMESTAMP '20000-01-01'", "timestamp", "20000-01-01T00:00:00"),
    ("TIMESTAMPTZ '20000-01-01 00:00:00+00'", "datetime", "20000-01-01T00:00:00Z"),
    ("'infinity'::DATE", "date", "infinity"),
    ("'-infinity'::DATE", "date", "-infinity"),
    ("'infinity'::TIMESTAMP", "timestamp", "infinity"),
    ("'-infinity'::TIMESTAMPTZ", "datetime", "-infinity"),
    ("[DATE '10000-01-01', NULL]", "list", ["10000-01-01", None]),
    ("MAP{DATE '10000-01-01': 1}", "object", [["10000-01-01", 1]]),
    ("union_value(a := DATE '10000-01-01')", "object", "10000-01-01"),
    ("TIMESTAMP_NS '2020-01-01 00:00:00.123456789'", "timestamp", "2020-01-01T00:00:00.123456789"),
    ("TIME '24:00:00'", "time", "24:00:00"),
    ("[TIME '24:00:00']", "list", ["24:00:00"]),
    ("TIMETZ '10:00:00+02'", "time", "10:00:00+02"),
    ("{'a': TIMETZ '10:00:00+02'}", "object", {"a": "10:00:00+02"}),
    ("'0101'::BIT", "text", "0101"),
    (
        "'123456789012345678901234567890123456789012345'::BIGNUM",
        "text",
        "123456789012345678901234567890123456789012345",
    ),
    (f"[1::HUGEINT, {HUGE}::HUGEINT]", "list", [1, HUGE]),
    (f"{2**128 - 1}::UHUGEINT", "integer", 2**128 - 1),
    ("'{\"a\": [1]}'::JSON::VARIANT", "object", {"a": [1]}),
    ("'Infinity'::DOUBLE", "number", math.inf),
    ("['-Infinity'::DOUBLE]", "list", [-math.inf]),
    ("1.5::DECIMAL(10,2)", "number", 1.5),
]


@pytest.mark.parametrize(("expression", "type_", "value"), VALUES)
def test_values_are_as_they_are(sql: SqlEngine, expression: str, type_: str, value: Any) -> None:
    found = sql.run(f"SELECT {expression} AS a, 1 AS a, NULL::INTEGER AS b")
    assert found.rows() == [[value, 1, None]]
    assert [(column.name, column.type) for column in found.columns] == [
        ("a", type_),
        ("a", "integer"),
        ("b", "integer"),
    ]
    assert found.table.column_names == ["a", "a", "b"]


def test_order_and_parameters_survive_a_cast(sql: SqlEngine) -> None:
    found = sql.run("SELECT year::BIGNUM FROM films WHERE year > ? ORDER BY year DESC -- last", [1975])
    assert found.rows() == [["1995"], ["1979"]]
    assert sql.run("SELECT year::BIGNUM AS y FROM films ORDER BY year;", limit=1).truncated


@given(st.integers(-719_162, 2_932_896))
def test_days_are_pythons(days: int) -> None:
    assert date_text(days) == (date(1970, 1, 1) + timedelta(days)).isoformat()


def test_times_have_as_many_digits_as_they_need() -> None:
    assert time_text(1, "ns") == "00:00:00.000000001"
    assert time_text(1, "us") == "00:00:00.000001"
    assert timestamp_text(-1, "ms") == "1969-12-31T23:59:59.999000"


@pytest.mark.parametrize("value", [[1, "a"], [[1], ["a"]], [True, 1], {"a": [1, "b"]}, [{"a": 1}, {"a": "x"}]])
def test_lists_of_several_types_are_refused(sql: SqlEngine, value: Any) -> None:
    with pytest.raises(SqlError, match="one type") as caught:
        sql.run("SELECT ?", [value])
    assert caught.value.pointer == "/params/0"


def test_lists_of_one_type_are_bound(sql: SqlEngine) -> None:
    assert sql.run("SELECT ?, ?, ?", [[1, None, 2.5], [], [{"a": 1}, {"b": "x"}]]).rows() == [
        [[1.0, None, 2.5], [], [{"a": 1, "b": None}, {"a": None, "b": "x"}]]
    ]


def test_no_advice_that_cannot_be_followed(sql: SqlEngine) -> None:
    with pytest.raises(SqlError) as caught:
        sql.run("SELECT 7 % 0")
    assert "zero" in str(caught.value)
    assert "SET " not in str(caught.value)
