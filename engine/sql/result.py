"""What a query found: Arrow columns, and the same as JSON values."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import msgspec
import pyarrow as pa

from engine.schema import JSON
from engine.sql.exact import python_values

_INTEGERS = frozenset(
    ["TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT", "UINTEGER", "UBIGINT", "UHUGEINT"]
)
_TYPES = {
    "BIT": "text",
    "BLOB": "blob",
    "BOOLEAN": "boolean",
    "DATE": "date",
    "DOUBLE": "number",
    "FLOAT": "number",
    "INTERVAL": "interval",
    "JSON": "json",
    "TIME": "time",
    "UUID": "text",
    "VARCHAR": "text",
    '"NULL"': "null",
    "NULL": "null",
}
_ARROW: Mapping[str, Any] = {
    "integer": pa.int64(),
    "number": pa.float64(),
    "boolean": pa.bool_(),
    "datetime": pa.timestamp("us", tz="UTC"),
    "date": pa.date32(),
    "null": pa.null(),
}
_decode = msgspec.json.Decoder().decode
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class SqlColumn:
    """A column of an answer.

    Attributes:
        type: integer, number, boolean, text, datetime, timestamp (without time zone), date, time, interval, json, list,
            object, blob or null.
    """

    name: str
    type: str


@dataclass(frozen=True)
class SqlResult:
    """The answer to a query.

    Attributes:
        table: its rows as an Arrow table; columns may share a name.
        truncated: there were more rows than were asked for.
        sequence: of the last write that it saw in any of its collections; 0 where it read none.
        explain: what ran, where that was asked for.
    """

    columns: tuple[SqlColumn, ...]
    table: Any
    truncated: bool
    sequence: int
    milliseconds: float
    explain: Mapping[str, JSON] | None = None
    duckdb_types: tuple[str, ...] = field(default=(), repr=False)

    def __len__(self) -> int:
        rows: int = self.table.num_rows
        return rows

    def rows(self) -> list[list[JSON]]:
        """All rows as JSON values, but for numbers that are not finite: datetimes in ISO 8601, decimals as numbers.

        Dates that are infinite are "infinity" or "-infinity"; the years before 0001 are 0000, -0001 and so on.
        """
        columns = [
            _values(self.table.column(place), kind)
            for place, kind in enumerate(self.duckdb_types or [""] * len(self.columns))
        ]
        return [list(row) for row in zip(*columns, strict=True)]


def column_type(kind: str) -> str:
    """Our name for a type of DuckDB's."""
    if kind in _INTEGERS:
        return "integer"
    if kind.endswith("]"):
        return "list"
    if kind.startswith(("STRUCT", "MAP", "UNION", "VARIANT")):
        return "object"
    if kind.startswith("TIMESTAMP"):
        return "datetime" if "TIME ZONE" in kind else "timestamp"
    if kind.startswith("DECIMAL"):
        return "number"
    if kind.startswith("TIME"):
        return "time"
    return "text" if kind.startswith("ENUM") else _TYPES.get(kind, "text")


def arrow_of(columns: Sequence[SqlColumn], rows: Sequence[Sequence[JSON]]) -> Any:
    """An Arrow table of JSON rows, for who has only those; lists, objects and JSON become their text."""
    arrays = []
    for place, column in enumerate(columns):
        values = [row[place] for row in rows]
        kind = _ARROW.get(column.type, pa.string())
        if column.type in ("list", "object", "json"):
            values = [None if value is None else _encode(value).decode() for value in values]
        elif column.type in ("datetime", "date"):
            values, kind = _moments(values, column.type, kind)
        elif column.type == "number":
            values = [None if value is None else float(value) for value in values]
        elif column.type == "integer" and any(value is not None and not -(2**63) <= value < 2**63 for value in values):
            values, kind = [None if value is None else str(value) for value in values], pa.string()
        arrays.append(pa.array(values, type=kind))
    return pa.Table.from_arrays(arrays, names=[column.name for column in columns])


def _moments(values: list[Any], type_: str, kind: Any) -> tuple[list[Any], Any]:
    """Dates or datetimes of Python and the type of their column; the text as it is where one is outside of these."""
    read = datetime.fromisoformat if type_ == "datetime" else date.fromisoformat
    try:
        return [None if value is None else read(value) for value in values], kind
    except ValueError:
        return values, pa.string()


def _values(column: Any, kind: str) -> list[JSON]:
    values = python_values(column)
    if (kind in _INTEGERS and "HUGE" not in kind) or kind in ("VARCHAR", "BOOLEAN", "DOUBLE", "FLOAT"):
        return values
    convert = _converter(kind)
    return [None if value is None else convert(value) for value in values]


def _converter(kind: str) -> Callable[[Any], JSON]:
    if kind == "JSON":
        return _json
    if "JSON" in kind and not kind.startswith(("MAP", "STRUCT")):
        return lambda value: [None if item is None else _json(item) for item in value]
    if kind in {"HUGEINT", "UHUGEINT"}:
        return int
    return _plain


def _json(text: str) -> JSON:
    try:
        return _decode(text)
    except msgspec.DecodeError:
        return text


def _plain(value: Any) -> JSON:
    match value:
        case None | bool() | int() | float() | str():
            return value
        case Decimal():
            is_integer = value.as_tuple().exponent == 0 or (value == value.to_integral_value() and abs(value) >= 2**53)
            return int(value) if is_integer else float(value)
        case datetime():
            return value.isoformat().replace("+00:00", "Z")
        case date() | time():
            return value.isoformat()
        case timedelta():
            return str(value)
        case bytes():
            return base64.b64encode(value).decode()
        case dict():
            return {str(key): _plain(item) for key, item in value.items()}
        case pa.MonthDayNano():
            return _interval(value)
        case tuple() if len(value) == 2:
            return [_plain(value[0]), _plain(value[1])]
        case list() | tuple():
            return [_plain(item) for item in value]
        case _:
            return str(value)


def _interval(value: Any) -> str:
    """ISO 8601's duration."""
    seconds = value.nanoseconds / 1e9
    parts = [f"{value.months}M" if value.months else "", f"{value.days}D" if value.days else ""]
    clock = f"T{seconds:g}S" if seconds or not any(parts) else ""
    return f"P{''.join(parts)}{clock}"
