"""Rows with named columns that remember which documents they came from."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.errors import InvalidInputError
from engine.fields.columns import ID_FIELD, without_negative_zero
from engine.fields.evaluate import evaluate
from engine.fields.filter import Filter
from engine.fields.order import SortKey
from engine.schema import ID, JSON, Field, FieldType

ORIGIN = "_engine_origin"  # hidden column: the ordinals behind each row, nested as deep as the grouping
AGGREGATES = ("count", "count_distinct", "sum", "avg", "min", "max", "median")
_NUMERIC = (FieldType.INTEGER, FieldType.NUMBER)
_ORDERED = (*_NUMERIC, FieldType.DATETIME, FieldType.KEYWORD, FieldType.TEXT, FieldType.BOOLEAN)


@dataclass(frozen=True, slots=True)
class Aggregate:
    """One figure a group.

    Attributes:
        fn: count, count_distinct, sum, avg, min, max or median.
        field: what it is taken over; None for `count`, which then counts rows.
        alias: name of the column it makes.
    """

    fn: str
    field: str | None
    alias: str


class Relation:
    """An immutable table of typed columns; every operation gives a new one.

    Args:
        table: the Arrow columns of `types`, and `ORIGIN`.
        types: the field of each column, in order.
        ids_of: ordinals → ids of documents, as of the snapshot that the rows came from.
    """

    def __init__(self, table: Any, types: Mapping[str, Field], ids_of: Callable[[Any], list[str]]) -> None:
        self._table = table
        self.types = dict(types)
        self._ids_of = ids_of

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(self.types)

    def __len__(self) -> int:
        rows: int = self._table.num_rows
        return rows

    def filter(self, where: Filter) -> Relation:
        """The rows that satisfy `where`."""

        def column_of(name: str) -> tuple[Field, Any] | None:
            return (self.types[name], self._table[name]) if name in self.types else None

        mask = evaluate(where, column_of, len(self))
        return self._with(self._table.filter(pa.array(mask)))

    def project(self, fields: Sequence[str]) -> Relation:
        """Only these columns, in this order.

        Raises:
            InvalidInputError: one does not exist.
        """
        types = {name: self._type(name) for name in fields}
        return Relation(self._table.select([*types, ORIGIN]), types, self._ids_of)

    def sort(self, keys: Sequence[SortKey]) -> Relation:
        """Rows in order of `keys`; nulls last, ties as they stood.

        Raises:
            InvalidInputError: a column does not exist or has no order (lists, JSON, points).
        """
        for key in keys:
            field = self._type(key.field)
            if field.many or field.type not in _ORDERED:
                raise InvalidInputError(f"field {key.field!r} has no order: type={_type_name(field)}")
        place = pa.array(np.arange(len(self)))
        table = self._table.append_column("_engine_place", place)
        order = [(k.field, "descending" if k.descending else "ascending") for k in keys]
        indices = pc.sort_indices(table, sort_keys=[*order, ("_engine_place", "ascending")])
        return self._with(self._table.take(indices))

    def limit(self, n: int) -> Relation:
        """The first `n` rows.

        Raises:
            InvalidInputError: `n` is negative.
        """
        if n < 0:
            raise InvalidInputError(f"limit must be at least 0: got={n}")
        return self._with(self._table.slice(0, n))

    def skip(self, n: int) -> Relation:
        """All rows but the first `n`."""
        return self._with(self._table.slice(n))

    def rename(self, columns: Mapping[str, str]) -> Relation:
        """Some columns under new names: name → column.

        Raises:
            InvalidInputError: one does not exist.
        """
        types = {name: self._type(column) for name, column in columns.items()}
        table = self._table.select([*columns.values(), ORIGIN]).rename_columns([*columns, ORIGIN])
        return Relation(table, types, self._ids_of)

    def group(self, by: Sequence[str], aggregates: Sequence[Aggregate]) -> Relation:
        """One row for each combination of values of `by`, in order of first appearance, with its aggregates.

        A list column in `by` counts a row once for each of its elements. Without `by`, one row in all, also when
        there are no rows (counts are 0, other figures null). Nulls form a group of their own and are left out of
        every aggregate but the row count.

        Raises:
            InvalidInputError: a column does not exist, holds points, or is named twice; an aggregate does not fit.
        """
        table, types = self._table, self.types
        names = [*by, *(aggregate.alias for aggregate in aggregates)]
        if len(set(names)) < len(names):
            raise InvalidInputError(f"columns of a group must have different names: got={', '.join(names)}")
        for name in by:
            if self._type(name).type is FieldType.GEO:
                raise InvalidInputError(f"field {name!r} cannot be grouped by: type={_type_name(types[name])}")
            if self._type(name).many:
                table, types = _unnest(table, types, name)
        for aggregate in aggregates:
            self._check(aggregate)
        columns, result_types = _aggregate(table, types, by, aggregates)
        return Relation(pa.table(columns), result_types, self._ids_of)

    def column(self, name: str) -> list[JSON]:
        """The values of a column, as JSON values.

        Raises:
            InvalidInputError: it does not exist.
        """
        return self.to_json(name, self.arrow(name))

    def arrow(self, name: str) -> Any:
        """A column as Arrow array.

        Raises:
            InvalidInputError: it does not exist.
        """
        self._type(name)
        return self._table[name]

    def to_json(self, name: str, values: Any) -> list[JSON]:
        """Arrow values of column `name` as JSON values."""
        return [json_value(self.types[name], value) for value in values.to_pylist()]

    def rows(self) -> list[dict[str, JSON]]:
        """All rows, as JSON values by column."""
        columns = [self.column(name) for name in self.types]
        return [dict(zip(self.types, values, strict=True)) for values in zip(*columns, strict=True)]

    def sources(self, row: int, limit: int = 20) -> tuple[list[str], int]:
        """Ids of at most `limit` documents behind a row, and how many there are in all."""
        ordinals = np.unique(np.array(_flat(self._table[ORIGIN][row].as_py()), dtype=np.uint32))
        return self._ids_of(ordinals[:limit]), len(ordinals)

    def _with(self, table: Any) -> Relation:
        return Relation(table, self.types, self._ids_of)

    def _type(self, name: str) -> Field:
        if name not in self.types:
            raise InvalidInputError(f"unknown field {name!r}: expected one of {', '.join(self.types)}")
        return self.types[name]

    def _check(self, aggregate: Aggregate) -> None:
        if aggregate.fn not in AGGREGATES:
            raise InvalidInputError(f"unknown aggregate {aggregate.fn!r}: expected one of {', '.join(AGGREGATES)}")
        if aggregate.field is None:
            if aggregate.fn != "count":
                raise InvalidInputError(f"aggregate {aggregate.fn} needs a field")
            return
        field = self._type(aggregate.field)
        if aggregate.fn in ("sum", "avg", "median") and (field.many or field.type not in _NUMERIC):
            name = _type_name(field)
            raise InvalidInputError(f"{aggregate.fn} needs a number: field={aggregate.field!r} type={name}")
        if aggregate.fn == "count_distinct" and field.type is FieldType.GEO:
            raise InvalidInputError(f"values of {aggregate.field!r} cannot be told apart: type={_type_name(field)}")
        if aggregate.fn in ("min", "max") and (field.many or field.type not in _ORDERED):
            raise InvalidInputError(f"field {aggregate.field!r} has no order: type={_type_name(field)}")


def _aggregate(
    table: Any, types: Mapping[str, Field], by: Sequence[str], aggregates: Sequence[Aggregate]
) -> tuple[dict[str, Any], dict[str, Field]]:
    """Group numbers first, then each figure by one kernel over them."""
    groups, count = _group_numbers(table, by)
    first = np.full(count, -1, dtype=np.int64)
    if len(groups):
        numbers, places = np.unique(groups, return_index=True)
        first[numbers] = places
    columns: dict[str, Any] = {}
    result: dict[str, Field] = {}
    for name in by:
        columns[name] = table[name].take(pa.array(first))
        result[name] = types[name]
    for aggregate in aggregates:
        field = None if aggregate.field is None else types[aggregate.field]
        values = None if aggregate.field is None else table[aggregate.field]
        columns[aggregate.alias], result[aggregate.alias] = _figure(aggregate.fn, field, values, groups, count)
    columns[ORIGIN] = _gather(table[ORIGIN], groups, count)
    return columns, result


def _group_numbers(table: Any, by: Sequence[str]) -> tuple[Any, int]:
    """For each row the number of its group, counted from 0 in order of first appearance."""
    rows = table.num_rows
    if not by:
        return np.zeros(rows, dtype=np.int64), 1
    combined = np.zeros(rows, dtype=np.int64)
    for name in by:
        encoded = without_negative_zero(table[name].combine_chunks()).dictionary_encode(null_encoding="encode")
        combined = combined * max(1, len(encoded.dictionary)) + encoded.indices.to_numpy(zero_copy_only=False)
        combined = np.unique(combined, return_inverse=True)[1]  # many columns must not overflow 64 bits
    _, first, inverse = np.unique(combined, return_index=True, return_inverse=True)
    rank = np.empty(len(first), dtype=np.int64)
    rank[np.argsort(first, kind="stable")] = np.arange(len(first))
    return rank[inverse], len(first)


def _figure(fn: str, field: Field | None, values: Any, groups: Any, count: int) -> tuple[Any, Field]:
    integer, number = Field(FieldType.INTEGER), Field(FieldType.NUMBER)
    if field is None:
        return pa.array(np.bincount(groups, minlength=count)), integer
    if fn == "count_distinct" and not field.many:
        values = without_negative_zero(values)
    if fn == "median":
        return _median(values, groups, count), number
    if field.many and fn == "count_distinct":
        values, groups = _flatten_values(values, groups)
        values = without_negative_zero(values)
    kernel = {"avg": "mean"}.get(fn, fn)
    table = pa.table({"group": groups, "value": values})
    if not table.num_rows:
        if fn.startswith("count"):
            return pa.array([0] * count, type=pa.int64()), integer
        return (pa.nulls(count, pa.float64()), number) if fn == "avg" else (pa.nulls(count, values.type), field)
    grouped = table.group_by("group", use_threads=False).aggregate([("value", kernel)])
    places = np.full(count, -1, dtype=np.int64)
    places[grouped["group"].to_numpy()] = np.arange(grouped.num_rows)
    figures = grouped[f"value_{kernel}"].take(pa.array(places, mask=places < 0))
    if fn in ("count", "count_distinct"):
        return figures.cast(pa.int64()).fill_null(0), integer
    return figures, number if fn == "avg" else field


def _median(values: Any, groups: Any, count: int) -> Any:
    valid = values.is_valid().to_numpy()
    numbers = values.drop_null().cast(pa.float64()).to_numpy()
    order = np.argsort(groups[valid], kind="stable")
    bounds = np.searchsorted(groups[valid][order], np.arange(count + 1))
    parts = [numbers[order][bounds[i] : bounds[i + 1]] for i in range(count)]
    return pa.array([float(np.median(part)) if len(part) else None for part in parts], type=pa.float64())


def _gather(column: Any, groups: Any, count: int) -> Any:
    """The values of `column` of each group, as lists."""
    order = np.argsort(groups, kind="stable")
    offsets = np.searchsorted(groups[order], np.arange(count + 1)).astype(np.int64)
    values = column.combine_chunks().take(pa.array(order))
    if isinstance(values, pa.ChunkedArray):
        values = values.combine_chunks()
    return pa.LargeListArray.from_arrays(pa.array(offsets), values)


def _unnest(table: Any, types: Mapping[str, Field], name: str) -> tuple[Any, dict[str, Field]]:
    """One row for each element of a list column; rows with null or an empty list keep one row with null."""
    column = pc.if_else(pc.equal(pc.list_value_length(table[name]), 0), None, table[name]).combine_chunks()
    parents = pc.list_parent_indices(column).to_numpy(zero_copy_only=False)
    missing = np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))
    rows = np.concatenate([parents, missing])
    order = np.argsort(rows, kind="stable")
    elements = pa.concat_arrays([column.flatten(), pa.nulls(len(missing), column.type.value_type)])
    unnested = table.take(pa.array(rows[order]))
    place = unnested.column_names.index(name)
    return unnested.set_column(place, name, elements.take(pa.array(order))), {**types, name: Field(types[name].type)}


def _flatten_values(values: Any, groups: Any) -> tuple[Any, Any]:
    column = values.combine_chunks()
    parents = pc.list_parent_indices(column).to_numpy(zero_copy_only=False)
    return column.flatten(), groups[parents]


def _flat(value: Any) -> list[int]:
    return [item for part in value for item in _flat(part)] if isinstance(value, list) else [value]


def json_value(field: Field, value: Any) -> JSON:
    """An Arrow value as the JSON value that it stands for."""
    if value is None:
        return None
    if isinstance(value, list):
        return [json_value(field, item) for item in value]
    if field.type is FieldType.JSON:
        return msgspec.json.decode(value)
    return value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else value


def _type_name(field: Field) -> str:
    return f"list of {field.type}" if field.many else field.type.value


def relation_types(schema_fields: Mapping[str, Field], names: Sequence[str] | None) -> dict[str, Field]:
    """The columns of a relation over documents: `id`, then the fields asked for (all if None).

    Raises:
        InvalidInputError: one does not exist.
    """
    types = {ID: ID_FIELD}
    for name in schema_fields if names is None else names:
        if name == ID:
            continue
        if name not in schema_fields:
            raise InvalidInputError(f"unknown field {name!r}: expected one of {', '.join([ID, *schema_fields])}")
        types[name] = schema_fields[name]
    return types
