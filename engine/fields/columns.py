"""Values of fields as Arrow columns: one type for each field type, nulls where a document lacks the field."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec
import pyarrow as pa

from engine.schema import ID, JSON, Field, FieldType, Schema
from engine.writes.inference import infer_field, parse_datetime

_TYPES: dict[FieldType, Any] = {
    FieldType.TEXT: pa.large_string(),
    FieldType.KEYWORD: pa.large_string(),
    FieldType.INTEGER: pa.int64(),
    FieldType.NUMBER: pa.float64(),
    FieldType.BOOLEAN: pa.bool_(),
    FieldType.DATETIME: pa.timestamp("us", tz="UTC"),
    FieldType.GEO: pa.struct([("lat", pa.float64()), ("lon", pa.float64())]),
    FieldType.JSON: pa.large_string(),
}
ID_FIELD = Field(FieldType.KEYWORD, declared=True)
_encode = msgspec.json.Encoder().encode


def arrow_type(field: Field) -> Any:
    """The Arrow type of a field's column; JSON is kept as its text."""
    kind = _TYPES[field.type]
    return pa.large_list(kind) if field.many else kind


def build_column(field: Field, values: Sequence[JSON]) -> Any:
    """One Arrow array from values that fit `field`, None for missing ones."""
    match field.type:
        case FieldType.NUMBER:  # integers beyond 2**53, which Arrow does not round by itself
            values = [value if type(value) is float else _each(value, float) for value in values]
        case FieldType.DATETIME:
            values = [_each(value, parse_datetime) for value in values]
        case FieldType.JSON if field.many:
            values = [_each(value, _json_text) for value in values]
        case FieldType.JSON:
            values = [None if value is None else _json_text(value) for value in values]
        case _:
            pass
    if field.many:
        values = [[value] if value is not None and not isinstance(value, list) else value for value in values]
    return pa.array(values, type=arrow_type(field))


def _json_text(value: JSON) -> str:
    return _encode(value).decode()


def build_columns(schema: Schema, documents: Sequence[dict[str, JSON]]) -> dict[str, Any]:
    """The columns of all fields of `schema` and of the id, by name."""
    columns = {ID: pa.array([document[ID] for document in documents], type=pa.large_string())}
    for name, field in schema.fields.items():
        columns[name] = build_column(field, [document.get(name) for document in documents])
    return columns


def null_column(field: Field, length: int) -> Any:
    """A column of nothing."""
    return pa.nulls(length, type=arrow_type(field))


def path_column(json_column: Any, path: Sequence[str]) -> tuple[Field, Any]:
    """The values at `path` within a JSON column, with the type that they imply (strings are never dates)."""
    values = [
        _follow(msgspec.json.decode(text), path) if text is not None else None for text in json_column.to_pylist()
    ]
    field = infer_field(path[-1], values) or Field(FieldType.JSON)
    if field.type is FieldType.DATETIME:  # the next part may hold strings that are not
        field = replace(field, type=FieldType.KEYWORD)
    return field, build_column(field, values)


def _follow(value: JSON, path: Sequence[str]) -> JSON:
    for key in path:
        if not isinstance(value, dict):
            return None
        value = value.get(key)
    return value


def _each(value: JSON, function: Any) -> Any:
    if value is None:
        return None
    return [None if item is None else function(item) for item in value] if isinstance(value, list) else function(value)
