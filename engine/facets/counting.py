"""Facets over the parts of a snapshot: Arrow's kernels for values, numpy for steps and ranges."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from engine.arrays import Ordinals
from engine.errors import InvalidInputError, check_wanted
from engine.facets.specification import (
    Facet,
    FacetError,
    Figures,
    GroupCounts,
    Histogram,
    RangeCounts,
    ValueCounts,
    check_facet,
    parse_facets,
)
from engine.facets.steps import BUCKETS_MAX, count_steps
from engine.fields import kernels as pc
from engine.fields.aggregates import Aggregate
from engine.fields.columns import arrow_type, without_negative_zero
from engine.fields.filter import Filter
from engine.fields.order import SortKey
from engine.fields.values import json_value
from engine.filtering import chosen_places, column_of, field_of
from engine.schema import JSON, Field, FieldType
from engine.search.scope import Among
from engine.writes.inference import parse_datetime

if TYPE_CHECKING:
    from engine.snapshot import Snapshot

_COUNT = "$count"  # no field has such a name
_SPANS = {"year": "Y", "month": "M", "quarter": "M", "day": "D", "week": "D", "hour": "h", "minute": "m"}


@dataclass(frozen=True, slots=True)
class _Column:
    """The values of a field in the documents that are looked at.

    Attributes:
        values: without nulls; of lists each element, once a document.
        missing: documents without a value.
    """

    field: Field
    values: Any
    missing: int


def count_facets(
    snapshot: Snapshot,
    spec: JSON | Mapping[str, Facet],
    where: Filter | None = None,
    ordinals: Ordinals | None = None,
    *,
    cancelled: Callable[[], bool] | None = None,
) -> dict[str, JSON]:
    """Counts and figures by name, as JSON.

    Args:
        snapshot: whose documents are counted.
        spec: see `engine.facets.specification`; JSON, or what `parse_facets` has read.
        where: only documents that satisfy it;
        ordinals: and, where given, only these: what a search has found.
        cancelled: asked whether to stop, before every facet and every part of the columns that it reads.

    Raises:
        FacetError: with a JSON Pointer into `spec`.
        QueryCancelledError: it was cancelled.
    """
    asked = spec if isinstance(spec, dict) and all(isinstance(v, Facet) for v in spec.values()) else parse_facets(spec)
    columns: dict[str, _Column] = {}
    answers: dict[str, JSON] = {}
    for name, facet in asked.items():
        check_wanted(cancelled)
        pointer = "/" + name.replace("~", "~0").replace("/", "~1")
        if isinstance(facet, GroupCounts):
            answers[name] = _group_counts(snapshot, facet, where, ordinals, pointer)
            continue
        if facet.field not in columns:
            columns[facet.field] = _column(snapshot, facet.field, where, ordinals, pointer, cancelled)
        column = columns[facet.field]
        check_facet(facet, column.field, pointer)
        answers[name] = _answer(facet, column, pointer)
    return answers


def _group_counts(
    snapshot: Snapshot, facet: GroupCounts, where: Filter | None, ordinals: Ordinals | None, pointer: str
) -> JSON:
    """How many documents have each combination; one with a list stands once in each of its values' groups."""
    try:
        rows = snapshot.relation(facet.fields, where if ordinals is None else Among(np.unique(ordinals), where))
        groups = rows.group(facet.fields, [Aggregate("count", None, _COUNT)])
    except InvalidInputError as error:
        raise FacetError(str(error), pointer=f"{pointer}/by") from error
    best = groups.sort([SortKey(_COUNT, descending=True)]).limit(facet.limit)
    shown = [{"values": {name: row[name] for name in facet.fields}, "count": row[_COUNT]} for row in best.rows()]
    total = sum(groups.column(_COUNT))
    return {"groups": shown, "distinct": len(groups), "other": total - sum(item["count"] for item in shown)}


def _answer(facet: Facet, column: _Column, pointer: str) -> JSON:
    match facet:
        case ValueCounts():
            return {**_value_counts(facet, column), "missing": column.missing}
        case RangeCounts():
            return {"ranges": _range_counts(facet, column), "missing": column.missing}
        case Histogram():
            return {"buckets": _histogram(facet, column, pointer), "missing": column.missing}
        case Figures() | GroupCounts():
            return {**_figures(column), "missing": column.missing}


def _column(
    snapshot: Snapshot,
    name: str,
    where: Filter | None,
    ordinals: Ordinals | None,
    pointer: str,
    cancelled: Callable[[], bool] | None,
) -> _Column:
    """The values of a field over all parts."""
    try:
        field = field_of(snapshot, name)
    except InvalidInputError as error:
        raise FacetError(str(error), pointer=pointer) from error
    pieces, missing = [], 0
    for i in range(len(snapshot.parts)):
        check_wanted(cancelled)
        chosen = chosen_places(snapshot, i, where, ordinals)
        column = column_of(snapshot, i, name, field)
        if chosen is not None:
            column = column.filter(pa.array(chosen))
        values = _elements(field, column)
        missing += len(column) - values[1]
        pieces.append(values[0])
    element = replace(field, many=False)
    return _Column(field, pa.chunked_array(pieces, type=arrow_type(element)), missing)


def _elements(field: Field, column: Any) -> tuple[Any, int]:
    """Values without nulls, each once a document; and how many documents have any."""
    if not field.many:
        known = without_negative_zero(column.drop_null())
        return known, len(known)
    parents = pc.list_parent_indices(column).to_numpy(zero_copy_only=False)
    flat = column.flatten()
    known = flat.is_valid().to_numpy(zero_copy_only=False)
    flat, parents = without_negative_zero(flat.filter(pa.array(known))), parents[known]
    if field.type is FieldType.GEO or not len(flat):
        return flat, len(np.unique(parents))
    codes = flat.dictionary_encode().indices.to_numpy(zero_copy_only=False).astype(np.int64)
    _, first = np.unique(parents.astype(np.int64) * (int(codes.max()) + 1) + codes, return_index=True)
    return flat.take(pa.array(first)), len(np.unique(parents))


def _value_counts(facet: ValueCounts, column: _Column) -> dict[str, JSON]:
    values = column.values
    if facet.prefix is not None:
        values = values.filter(pc.starts_with(values, facet.prefix))
    counts = pc.value_counts(values)
    if isinstance(counts, pa.ChunkedArray):
        counts = counts.combine_chunks()
    table = pa.table({"value": counts.field("values"), "count": counts.field("counts")})
    by_value = ("value", "ascending")
    keys = [by_value] if facet.sort == "value" else [("count", "descending"), by_value]
    order = pc.select_k_unstable(table, facet.limit, sort_keys=keys) if len(table) else pa.array([], pa.uint64())
    best = table.take(order)
    shown = [
        {"value": json_value(column.field, value), "count": count}
        for value, count in zip(best["value"].to_pylist(), best["count"].to_pylist(), strict=True)
    ]
    total = len(values)
    return {"values": shown, "distinct": len(table), "other": total - sum(item["count"] for item in shown)}


def _numbers(column: _Column) -> npt.NDArray[Any]:
    """Values as numbers; moments as microseconds."""
    values = column.values.cast(pa.int64()) if column.field.type is FieldType.DATETIME else column.values
    found: npt.NDArray[Any] = values.to_numpy()
    return found


def _range_counts(facet: RangeCounts, column: _Column) -> list[JSON]:
    """How many values lie within each; a document with a list counts once for each of its values there."""
    ordered = np.sort(_numbers(column))
    counts = []
    for low, high in facet.ranges:
        begin = 0 if low is None else _place(ordered, low, column)
        end = len(ordered) if high is None else _place(ordered, high, column)
        bounds = {key: bound for key, bound in (("from", low), ("to", high)) if bound is not None}
        counts.append({**bounds, "count": max(0, end - begin)})
    return counts


def _place(ordered: npt.NDArray[Any], bound: JSON, column: _Column) -> int:
    """How many values are below a bound."""
    if column.field.type is FieldType.DATETIME:
        moment = parse_datetime(bound)
        assert moment is not None
        bound = int(np.datetime64(moment.replace(tzinfo=None), "us").astype(np.int64))
    return int(np.searchsorted(ordered, bound, side="left"))


def _histogram(facet: Histogram, column: _Column, pointer: str) -> list[JSON]:
    numbers = _numbers(column)
    if not len(numbers):
        return []
    shown: list[JSON]
    if isinstance(facet.interval, str):
        starts, counts = np.unique(_spans(numbers, facet.interval), return_counts=True)
        shown = [f"{start}Z" for start in np.datetime_as_string(starts.astype("datetime64[s]")).tolist()]
    else:
        shown, counts = count_steps(numbers, facet.interval)
    if len(counts) > BUCKETS_MAX:
        message = f"interval makes too many steps: maximum={BUCKETS_MAX} got={len(counts)}"
        raise FacetError(message, pointer=f"{pointer}/interval")
    return [{"start": start, "count": count} for start, count in zip(shown, counts.tolist(), strict=True)]


def _spans(microseconds: npt.NDArray[np.int64], interval: str) -> npt.NDArray[Any]:
    """The beginning of the span of time in which each moment falls."""
    begins = microseconds.astype("datetime64[us]").astype(f"datetime64[{_SPANS[interval]}]")
    if interval == "quarter":
        months = begins.astype(np.int64)
        return (months - months % 3).astype("datetime64[M]")
    if interval == "week":
        days = begins.astype(np.int64)
        return (days - (days + 3) % 7).astype("datetime64[D]")  # day 0 was a Thursday
    return begins


def _figures(column: _Column) -> dict[str, JSON]:
    """Null where there are no values."""
    values = column.values
    bounds = pc.min_max(values)
    known = {
        "count": len(values),
        "min": json_value(column.field, bounds["min"].as_py()),
        "max": json_value(column.field, bounds["max"].as_py()),
    }
    if column.field.type is FieldType.DATETIME:
        return known
    total = pc.sum(values.cast(pa.float64())).as_py()
    return {**known, "avg": total / len(values) if len(values) else None, "sum": total}
