"""Figures of groups, by kernels over the numbers of groups. Nulls are left out of every figure but the row count."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from engine.errors import InvalidInputError
from engine.fields import kernels as pc
from engine.fields.columns import cast_to, without_negative_zero
from engine.fields.origin import Places
from engine.schema import Field, FieldType

AGGREGATES = (
    "count", "count_distinct", "sum", "avg", "min", "max", "median", "stddev", "percentile", "argmax", "argmin",
)  # fmt: skip
NUMERIC = (FieldType.INTEGER, FieldType.NUMBER)
ORDERED = (*NUMERIC, FieldType.DATETIME, FieldType.KEYWORD, FieldType.TEXT, FieldType.BOOLEAN)
_KERNELS = {"sum": "sum", "avg": "mean", "min": "min", "max": "max", "count": "count", "stddev": "stddev"}
_NUMBER, _INTEGER = Field(FieldType.NUMBER), Field(FieldType.INTEGER)
_INTEGER_LIMIT = 2.0**63


@dataclass(frozen=True, slots=True)
class Aggregate:
    """One figure a group.

    Attributes:
        fn: one of `AGGREGATES`. stddev is that of a sample; percentile interpolates between neighbours.
        field: what it is taken over; None for `count`, which then counts rows.
        alias: name of the column it makes.
        p: of percentile, 0 to 1.
        by: of argmax and argmin: `field` of the first row where `by` is greatest or least.
    """

    fn: str
    field: str | None
    alias: str
    p: float | None = None
    by: str | None = None


def type_name(field: Field) -> str:
    """A type in words."""
    return f"list of {field.type}" if field.many else field.type.value


def result_field(item: Aggregate, types: Mapping[str, Field]) -> Field:
    """The type of a figure.

    Raises:
        InvalidInputError: there is no such function or field, or they do not fit each other.
    """
    if item.fn not in AGGREGATES:
        raise InvalidInputError(f"unknown aggregate {item.fn!r}: expected one of {', '.join(AGGREGATES)}")
    if item.field is None:
        if item.fn != "count":
            raise InvalidInputError(f"aggregate {item.fn} needs a field")
        return _INTEGER
    field = _known(item.field, types)
    if item.fn in ("sum", "avg", "median", "stddev", "percentile") and (field.many or field.type not in NUMERIC):
        raise InvalidInputError(f"{item.fn} needs a number: field={item.field!r} type={type_name(field)}")
    if item.fn == "count_distinct" and field.type is FieldType.GEO:
        raise InvalidInputError(f"values of {item.field!r} cannot be told apart: type={type_name(field)}")
    if item.fn in ("min", "max") and (field.many or field.type not in ORDERED):
        raise InvalidInputError(f"field {item.field!r} has no order: type={type_name(field)}")
    if item.fn == "percentile" and (item.p is None or not 0 <= item.p <= 1):
        raise InvalidInputError(f"percentile needs p from 0 to 1: got={item.p}")
    if item.fn in ("argmax", "argmin"):
        by = _known(item.by or "", types)
        if by.many or by.type not in ORDERED:
            raise InvalidInputError(f"field {item.by!r} has no order: type={type_name(by)}")
        return field
    if item.fn in ("count", "count_distinct"):
        return _INTEGER
    return field if item.fn in ("sum", "min", "max") else _NUMBER


def _known(name: str, types: Mapping[str, Field]) -> Field:
    if name not in types:
        raise InvalidInputError(f"unknown field {name!r}: expected one of {', '.join(types)}")
    return types[name]


def figures(
    table: Any, types: Mapping[str, Field], aggregates: Sequence[Aggregate], groups: Places, count: int
) -> dict[str, Any]:
    """The columns of `aggregates`, one value a group, by alias.

    Args:
        table: the rows.
        types: of its columns.
        aggregates: checked by `result_field`.
        groups: the number of each row's group.
        count: how many groups there are.
    """
    plain = [item for item in aggregates if item.field is not None and item.fn in _KERNELS]
    made = _by_kernels(table, types, plain, groups, count)
    for item in aggregates:
        if item.alias not in made:
            made[item.alias] = _figure(item, table, types, groups, count)
    return {item.alias: made[item.alias] for item in aggregates}


def _by_kernels(
    table: Any, types: Mapping[str, Field], items: Sequence[Aggregate], groups: Places, count: int
) -> dict[str, Any]:
    """All that Arrow's grouping does, in one pass."""
    if not items:
        return {}
    fields = {item.field: f"v{place}" for place, item in enumerate(items)}
    columns = {alias: table[field] for field, alias in fields.items()}
    calls = [(fields[item.field], _KERNELS[item.fn], _options(item.fn)) for item in items]
    kinds = [result_field(item, types) for item in items]
    grouped = pa.table({"group": groups, **columns}).group_by("group", use_threads=False).aggregate(calls)
    places = np.full(count, -1, dtype=np.int64)
    places[grouped["group"].to_numpy()] = np.arange(grouped.num_rows)
    chosen = pa.array(places, mask=places < 0)
    made = {}
    for item, kind in zip(items, kinds, strict=True):
        values = grouped[f"{fields[item.field]}_{_KERNELS[item.fn]}"].take(chosen)
        if item.fn == "count":
            values = values.cast(pa.int64()).fill_null(0)
        elif item.fn == "sum" and kind.type is FieldType.INTEGER:
            values = _within_integers(values, table[item.field], groups, count)
        elif item.fn in ("avg", "stddev", "sum"):
            values = _finite(values)
        made[item.alias] = values
    return made


def _options(fn: str) -> Any:
    return pc.VarianceOptions(ddof=1, min_count=2) if fn == "stddev" else None


def _finite(values: Any) -> Any:
    return pc.if_else(pc.is_finite(values), values, pa.scalar(None, values.type))


def _within_integers(sums: Any, values: Any, groups: Places, count: int) -> Any:
    """Sums that exceed 64 bits are missing: Arrow would let them run over."""
    weights = values.combine_chunks().fill_null(0).to_numpy(zero_copy_only=False)
    around = np.abs(np.bincount(groups, weights=weights, minlength=count))
    if not (around >= _INTEGER_LIMIT * (1 - 1e-9)).any():
        return sums
    numbers = values.to_pylist()
    exact = [0] * count
    for group, number in zip(groups.tolist(), numbers, strict=True):
        exact[group] += number or 0
    wrong = pa.array([not -(2**63) <= total < 2**63 for total in exact])
    return pc.if_else(wrong, pa.scalar(None, pa.int64()), sums)


def _figure(item: Aggregate, table: Any, types: Mapping[str, Field], groups: Places, count: int) -> Any:
    if item.field is None:
        return pa.array(np.bincount(groups, minlength=count).astype(np.int64))
    values = table[item.field]
    if item.fn == "count_distinct":
        return _distinct(values, types[item.field], groups, count)
    if item.fn in ("median", "percentile"):
        return _percentile(values, groups, count, 0.5 if item.p is None else item.p)
    return _extreme(values, table[item.by], groups, count, descending=item.fn == "argmax")


def _distinct(values: Any, field: Field, groups: Places, count: int) -> Any:
    if field.many:
        column = values.combine_chunks()
        groups = groups[pc.list_parent_indices(column).to_numpy(zero_copy_only=False)]
        values = column.flatten()
    table = pa.table({"group": groups, "value": without_negative_zero(values)})
    grouped = table.group_by("group", use_threads=False).aggregate([("value", "count_distinct")])
    counts = np.zeros(count, dtype=np.int64)
    counts[grouped["group"].to_numpy()] = grouped["value_count_distinct"].to_numpy()
    return pa.array(counts)


def _percentile(values: Any, groups: Places, count: int, p: float) -> Any:
    """The value at p · (n − 1) of each group's sorted values, between neighbours in proportion."""
    column = values.combine_chunks()
    valid = column.is_valid().to_numpy(zero_copy_only=False)
    numbers = cast_to(column.drop_null(), pa.float64()).to_numpy()
    members = groups[valid]
    ordered = numbers[np.lexsort((numbers, members))]
    sizes = np.bincount(members, minlength=count)
    starts = np.cumsum(sizes) - sizes
    filled = sizes > 0
    place = p * (sizes[filled] - 1)
    low = np.floor(place).astype(np.int64)
    high = np.minimum(low + 1, sizes[filled] - 1)
    below, above = ordered[starts[filled] + low], ordered[starts[filled] + high]
    result = np.zeros(count)
    result[filled] = below + (above - below) * (place - low)
    return pa.array(result, mask=~filled)


def _extreme(values: Any, by: Any, groups: Places, count: int, *, descending: bool) -> Any:
    """The value of the first row of each group where `by` is greatest or least."""
    rows = np.flatnonzero(by.is_valid().to_numpy())
    keyed = pa.table({"group": groups[rows], "by": by.take(pa.array(rows)), "row": rows})
    keys = [("group", "ascending"), ("by", "descending" if descending else "ascending"), ("row", "ascending")]
    order = pc.sort_indices(keyed, sort_keys=keys).to_numpy()
    first = np.full(count, -1, dtype=np.int64)
    first[groups[rows][order][::-1]] = rows[order][::-1]  # what is written last stands
    return values.take(pa.array(first, mask=first < 0))
