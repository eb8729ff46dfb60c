"""Values of fields as Arrow columns: one type for each field type, nulls where a document lacks the field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec
import pyarrow as pa

from engine.fields import kernels as pc
from engine.schema import ID, JSON, Field, FieldType, Schema
from engine.writes.inference import infer_field, is_untyped, parse_datetime, some_contradict

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
MISSING: Any = object()  # no key, which is not null
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


def cast_to(values: Any, kind: Any) -> Any:
    """Arrow values as another type; whole numbers beyond 2**53 become the nearest float64, as they do in DuckDB."""
    return values.cast(kind, safe=not pa.types.is_floating(kind))


def without_negative_zero(values: Any) -> Any:
    """Numbers as they are compared: Arrow's kernels that gather equal values tell -0.0 from 0.0."""
    return pc.add(values, 0.0) if pa.types.is_floating(values.type) else values


def null_column(field: Field, length: int) -> Any:
    """A column of nothing."""
    return pa.nulls(length, type=arrow_type(field))


def path_column(json_column: Any, path: Sequence[str]) -> tuple[Field, Any]:
    """The values at `path` within a JSON column, with the type that they imply (strings are never dates).

    Where a list of objects stands on the way, the values of all of them, as a list.
    """
    return path_columns(json_column, [path])[0]


def path_columns(json_column: Any, paths: Sequence[Sequence[str]]) -> list[tuple[Field, Any]]:
    """As `path_column`, of several paths: the values are read once."""
    found: list[list[JSON]] = [[] for _ in paths]
    for text in json_column.to_pylist():
        value = MISSING if text is None else decoded(text)
        for path, values in zip(paths, found, strict=True):
            at = _follow(value, path)
            values.append(None if at is MISSING else at)
    return [_typed_column(path[-1], values) for path, values in zip(paths, found, strict=True)]


def _typed_column(name: str, values: Sequence[JSON]) -> tuple[Field, Any]:
    field = infer_field(name, values) or Field(FieldType.JSON)
    if field.type is FieldType.DATETIME:  # the next part may hold strings that are not
        field = replace(field, type=FieldType.KEYWORD)
    if is_untyped(field) or some_contradict(field, values):  # no value may be left out
        field = Field(FieldType.JSON)
    return field, build_column(field, values)


def path_values(json_column: Any, path: Sequence[str]) -> list[JSON]:
    """The value at `path` in each row, `MISSING` where there is none."""
    return [MISSING if text is None else _follow(decoded(text), path) for text in json_column.to_pylist()]


def value_at(document: Mapping[str, JSON], name: str) -> JSON:
    """What a document has in a field, or at a path within an object; None where there is nothing."""
    if name in document:
        return document[name]
    found = _follow(document, name.split("."))
    return None if found is MISSING else found


def decoded(text: str | list[str | None]) -> JSON:
    """The value that a JSON column has as text; a list of them, where it has lists."""
    if isinstance(text, str):
        return msgspec.json.decode(text)
    return [None if item is None else msgspec.json.decode(item) for item in text]


def _follow(value: JSON, path: Sequence[str]) -> JSON:
    for place, key in enumerate(path):
        if isinstance(value, list):
            return _follow_all(value, path[place:])
        if not isinstance(value, dict) or key not in value:
            return MISSING
        value = value[key]
    return value


def _follow_all(items: Sequence[JSON], path: Sequence[str]) -> JSON:
    """What each object of a list has at `path`, in one list; missing where none has it."""
    found: list[JSON] = []
    reached = False
    for item in items:
        value = _follow(item, path) if isinstance(item, dict) else MISSING
        if value is not MISSING:
            reached = True
            found.extend(value if isinstance(value, list) else [value])
    return found if reached else MISSING


def _each(value: JSON, function: Any) -> Any:
    if value is None:
        return None
    return [None if item is None else function(item) for item in value] if isinstance(value, list) else function(value)
