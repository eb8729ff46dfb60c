"""Values that rows get by their place in a partition."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa

from engine.errors import InvalidInputError
from engine.fields import kernels as pc
from engine.fields.aggregates import NUMERIC, type_name
from engine.fields.columns import cast_to
from engine.fields.encoding import encode_rows
from engine.fields.order import SortKey
from engine.fields.origin import Places
from engine.schema import Field, FieldType

_INTEGER_LIMIT = 2.0**62  # a sum of magnitudes below this fits into 64 bits, rounding included
WINDOWS = ("row_number", "rank", "dense_rank", "lag", "lead", "running_sum", "share")


@dataclass(frozen=True, slots=True)
class WindowCall:
    """One function over partitions.

    Attributes:
        fn: one of `WINDOWS`. `rank` has gaps after ties, `dense_rank` has none; `running_sum` adds up to and with the
            row; `share` is the row's part of its partition's sum.
        alias: the column it makes.
        field: of lag, lead, running_sum and share.
        partition: columns; none for all rows together.
        order: within a partition; none for that of the rows. Ties keep the order of the rows.
        n: of lag and lead: how many rows away.
    """

    fn: str
    alias: str
    field: str | None = None
    partition: tuple[str, ...] = ()
    order: tuple[SortKey, ...] = ()
    n: int = 1


def window_field(item: WindowCall, types: Mapping[str, Field]) -> Field:
    """The type of the column.

    Raises:
        InvalidInputError: there is no such function, or its field is missing or does not fit.
    """
    if item.fn not in WINDOWS:
        raise InvalidInputError(f"unknown window function {item.fn!r}: expected one of {', '.join(WINDOWS)}")
    if item.fn in ("row_number", "rank", "dense_rank"):
        return Field(FieldType.INTEGER)
    if item.field is None or item.field not in types:
        raise InvalidInputError(f"{item.fn} needs a field: got={item.field!r}")
    field = types[item.field]
    if item.fn in ("lag", "lead"):
        return field
    if field.many or field.type not in NUMERIC:
        raise InvalidInputError(f"{item.fn} needs a number: field={item.field!r} type={type_name(field)}")
    return Field(field.type) if item.fn == "running_sum" else Field(FieldType.NUMBER)


def window_values(table: Any, item: WindowCall) -> Any:
    """The values of the new column, in the order of the rows."""
    groups, count = encode_rows([table[name] for name in item.partition], table.num_rows)
    order = _order(table, groups, item.order)
    sizes = np.bincount(groups, minlength=count)
    members = groups[order]
    starts = (np.cumsum(sizes) - sizes)[members]
    place = np.arange(len(order)) - starts
    match item.fn:
        case "row_number":
            values = pa.array(place + 1)
        case "rank" | "dense_rank":
            values = pa.array(_rank(table, item, groups, order, starts))
        case "lag" | "lead":
            values = _shifted(table[item.field], item, order, place, sizes[members])
        case "running_sum":
            values = _running(table[item.field].take(pa.array(order)), np.flatnonzero(place == 0))
        case _:
            values = _share(table[item.field].take(pa.array(order)), members, count)
    back = np.empty(len(order), dtype=np.int64)
    back[order] = np.arange(len(order))
    return values.take(pa.array(back))


def _order(table: Any, groups: Places, keys: Sequence[SortKey]) -> Places:
    """Rows by partition, then by `keys`, then as they stand."""
    if not keys:
        return np.argsort(groups, kind="stable")
    columns = {f"k{place}": table[key.field] for place, key in enumerate(keys)}
    keyed = pa.table({"group": groups, **columns, "row": np.arange(table.num_rows)})
    named = [(f"k{place}", "descending" if key.descending else "ascending") for place, key in enumerate(keys)]
    order: Places = pc.sort_indices(
        keyed, sort_keys=[("group", "ascending"), *named, ("row", "ascending")]
    ).to_numpy().astype(np.int64)  # fmt: skip
    return order


def _rank(table: Any, item: WindowCall, groups: Places, order: Places, starts: Places) -> Places:
    if not len(order):
        return np.empty(0, dtype=np.int64)
    keys, _ = encode_rows([pa.chunked_array([groups]), *(table[key.field] for key in item.order)], table.num_rows)
    ordered = keys[order]
    new = np.concatenate([[True], ordered[1:] != ordered[:-1]])
    if item.fn == "dense_rank":
        seen = np.cumsum(new)
        ranks: Places = seen - seen[starts] + 1
        return ranks
    first = np.maximum.accumulate(np.where(new, np.arange(len(order)), 0))
    rank: Places = first - starts + 1
    return rank


def _shifted(column: Any, item: WindowCall, order: Places, place: Places, sizes: Places) -> Any:
    shift = -item.n if item.fn == "lag" else item.n
    there = (place + shift >= 0) & (place + shift < sizes)
    source = np.where(there, np.arange(len(order)) + shift, 0)
    rows = order[source] if len(order) else source
    return column.take(pa.array(rows, mask=~there))


def _running(column: Any, starts: Places) -> Any:
    """Sums of what is there so far; nothing before the first number of a partition."""
    values = column.combine_chunks()
    numbers = values.fill_null(0).to_numpy(zero_copy_only=False)
    known = values.is_valid().to_numpy(zero_copy_only=False)
    if numbers.dtype == np.int64 and np.abs(numbers.astype(np.float64)).sum() >= _INTEGER_LIMIT:
        return _running_exact(numbers, known, starts)
    sums = np.zeros_like(numbers)
    missing = np.zeros(len(numbers), dtype=bool)
    for first, last in pairwise([*starts.tolist(), len(numbers)]):  # each apart: floats would lose digits
        np.cumsum(numbers[first:last], out=sums[first:last])
        missing[first:last] = ~np.logical_or.accumulate(known[first:last])
    return pa.array(sums, mask=missing)


def _running_exact(numbers: Places, known: Any, starts: Places) -> Any:
    """Sums of integers where some may exceed 64 bits: those are missing."""
    sums: list[int | None] = []
    begins = set(starts.tolist())
    total, seen = 0, False
    for place, number in enumerate(numbers.tolist()):
        if place in begins:
            total, seen = 0, False
        total, seen = total + number, seen or bool(known[place])
        sums.append(total if seen and -(2**63) <= total < 2**63 else None)
    return pa.array(sums, type=pa.int64())


def _share(column: Any, members: Places, count: int) -> Any:
    values = cast_to(column.combine_chunks(), pa.float64())
    totals = np.bincount(members, weights=values.fill_null(0.0).to_numpy(zero_copy_only=False), minlength=count)
    over = totals[members]
    missing = values.is_null().to_numpy(zero_copy_only=False) | (over == 0)
    shares = values.fill_null(0.0).to_numpy(zero_copy_only=False) / np.where(over == 0, 1.0, over)
    return pa.array(shares, mask=missing)
