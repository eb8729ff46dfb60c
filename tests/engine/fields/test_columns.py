"""engine.fields.columns: values as Arrow columns."""

from __future__ import annotations

from datetime import UTC, datetime

import pyarrow as pa

from engine.fields.columns import build_column, build_columns, null_column, path_column
from engine.schema import Field, FieldType, Schema


def test_missing_values_are_null_and_bare_values_lists_of_one() -> None:
    """A list field takes single values; None stays null and an empty list stays empty."""
    column = build_column(Field(FieldType.KEYWORD, many=True), ["a", ["b", None], [], None])
    assert column.to_pylist() == [["a"], ["b", None], [], None]


def test_numbers_take_integers_that_floats_cannot_hold() -> None:
    """2**53 + 1 in a number column is rounded, not an error."""
    assert build_column(Field(FieldType.NUMBER), [2**53 + 1, 1.5, None]).to_pylist() == [2.0**53, 1.5, None]
    assert build_column(Field(FieldType.NUMBER, many=True), [[2**62 + 1]]).to_pylist() == [[2.0**62]]


def test_dates_are_moments() -> None:
    """Strings become microseconds in UTC."""
    column = build_column(Field(FieldType.DATETIME), ["2020-01-01T01:00+01:00"])
    assert column.to_pylist() == [datetime(2020, 1, 1, tzinfo=UTC)]


def test_json_is_kept_as_text() -> None:
    """Also element by element in a list field."""
    assert build_column(Field(FieldType.JSON), [{"a": 1}, None]).to_pylist() == ['{"a":1}', None]
    assert build_column(Field(FieldType.JSON, many=True), [[{"a": 1}, 2], []]).to_pylist() == [['{"a":1}', "2"], []]


def test_columns_of_documents_have_the_id_first() -> None:
    """One column a field, null where a document lacks it."""
    columns = build_columns(Schema({"a": Field(FieldType.INTEGER)}), [{"id": "1", "a": 5}, {"id": "2"}])
    assert {name: column.to_pylist() for name, column in columns.items()} == {"id": ["1", "2"], "a": [5, None]}
    assert null_column(Field(FieldType.INTEGER), 2).to_pylist() == [None, None]


def test_paths_read_within_json() -> None:
    """Values at a path imply a type of their own; strings stay strings even if they are dates."""
    column = pa.array(['{"a":{"b":3}}', '{"a":5}', None])
    field, values = path_column(column, ["a", "b"])
    assert (field, values.to_pylist()) == (Field(FieldType.INTEGER), [3, None, None])
    field, values = path_column(pa.array(['{"a":"2020-01-01"}']), ["a"])
    assert (field, values.to_pylist()) == (Field(FieldType.KEYWORD), ["2020-01-01"])
