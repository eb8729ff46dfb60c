"""A filter over columns: one flag a row, by Arrow's kernels."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import msgspec
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from engine.arrays import Mask
from engine.fields import kernels as pc
from engine.fields.columns import without_negative_zero
from engine.fields.filter import And, Comparison, Filter, Not, Or, in_integer_range
from engine.fields.geo import match_point, match_points
from engine.fields.patterns import match_strings
from engine.schema import JSON, Field, FieldType
from engine.writes.inference import parse_datetime

ColumnOf = Callable[[str], tuple[Field, Any] | None]
NullsOf = Callable[[str], Mask | None]
ScalarsOf = Callable[[str, npt.NDArray[np.int64]], Mask]
_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "$gt": operator.gt,
    "$gte": operator.ge,
    "$lt": operator.lt,
    "$lte": operator.le,
}
_PATTERNS = ("$like", "$regex", "$match", "$phrase")
CONTAINS = frozenset({"$contains", "$contains_any", "$contains_all"})
_POINTS = ("$geo_radius", "$geo_box")
_STRINGS = (FieldType.TEXT, FieldType.KEYWORD)
_TEXT_KERNELS = {"$contains": "match_substring", "$starts_with": "starts_with", "$ends_with": "ends_with"}
_COMPARE = {"$gt": "greater", "$gte": "greater_equal", "$lt": "less", "$lte": "less_equal"}


def _none_given(_: str) -> Mask | None:
    return None


def _none_scalar(_: str, places: npt.NDArray[np.int64]) -> Mask:
    return np.zeros(len(places), dtype=bool)


def evaluate(
    where: Filter,
    column_of: ColumnOf,
    rows: int,
    nulls_of: NullsOf = _none_given,
    scalars_of: ScalarsOf = _none_scalar,
) -> Mask:
    """Which rows satisfy `where`.

    Args:
        where: the filter.
        column_of: field name → its field and Arrow column of `rows` values; None for a field that no row has.
        rows: number of rows.
        nulls_of: field name → the rows that have the field, and null in it; None for none.
        scalars_of: name of a field whose column holds lists, and places with lists of one → at which of them the
            document has the value itself, which a string contains where a list would not.

    Returns:
        (rows,) bool.
    """
    match where:
        case And(clauses):
            mask = np.ones(rows, dtype=bool)
            for clause in clauses:
                mask &= evaluate(clause, column_of, rows, nulls_of, scalars_of)
            return mask
        case Or(clauses):
            mask = np.zeros(rows, dtype=bool)
            for clause in clauses:
                mask |= evaluate(clause, column_of, rows, nulls_of, scalars_of)
            return mask
        case Not(clause):
            return ~evaluate(clause, column_of, rows, nulls_of, scalars_of)
        case Comparison(name, "$exists", value):
            return _exists(column_of(name), nulls_of(name), rows, wanted=value)
        case Comparison(name, op, value):
            found = column_of(name)
            if found is None:
                return np.full(rows, _holds_for_missing(op, value), dtype=bool)
            mask = _compare(found[0], found[1], op, value)
            if found[0].many and op in CONTAINS:
                places = _lone_places(found[0], found[1], op, value, mask)
                mask[places] = scalars_of(name, places) if len(places) else False
            return mask


def _lone_places(field: Field, column: Any, op: str, value: JSON, mask: Mask) -> npt.NDArray[np.int64]:
    """Where a list of one does not satisfy `op` (`mask`), but its element, were it not in a list, would."""
    lengths = pc.fill_null(pc.list_value_length(column), 0).to_numpy()
    lone = np.flatnonzero((lengths == 1) & ~mask)
    if not len(lone) or field.type not in (*_STRINGS, FieldType.JSON):
        return lone[:0]
    elements = pc.list_flatten(column.take(pa.array(lone)))
    return lone[contains_mask(field, elements, op, value)]


def contains_mask(field: Field, elements: Any, op: str, value: JSON) -> Mask:
    """Which elements of lists, were they not in lists, would satisfy one of `CONTAINS`."""
    return _compare(replace(field, many=False), elements, op, value)


def _exists(found: tuple[Field, Any] | None, nulls: Mask | None, rows: int, *, wanted: bool) -> Mask:
    """The rows that have a field, be it with null in it; or those that have not."""
    present = np.zeros(rows, dtype=bool) if found is None else ~_mask(found[1].is_null())
    if nulls is not None:
        present |= nulls
    return present if wanted else ~present


def _holds_for_missing(op: str, value: JSON) -> bool:
    match op:
        case "$is_null":
            return bool(value)
        case "$eq":
            return value is None
        case "$ne":
            return value is not None
        case "$in":
            return None in value
        case "$nin":
            return None not in value
        case _:
            return False


def _compare(field: Field, column: Any, op: str, value: JSON) -> Mask:
    match op:
        case "$is_null":
            null = _mask(column.is_null())
            return null if value else ~null
        case "$ne":
            return ~_compare(field, column, "$eq", value)
        case "$nin":
            return ~_compare(field, column, "$in", value)
        case "$contains_all":
            all_of = ~_mask(column.is_null())
            for item in value:
                all_of &= _compare(field, column, "$contains", item)
            return all_of
        case "$contains_any" if not field.many:
            any_of = np.zeros(len(column), dtype=bool)
            for item in value:
                any_of |= _compare(field, column, "$contains", item)
            return any_of
        case "$eq" if value is None:
            return _mask(column.is_null())
    within = "$in" if op == "$contains_any" else op
    mask = _any_element(field, column, within, value) if field.many else elements_mask(field, column, within, value)
    if op == "$in" and None in value:
        mask |= _mask(column.is_null())
    return mask


def _any_element(field: Field, column: Any, op: str, value: JSON) -> Mask:
    """The rows of a list column with an element that satisfies `op`."""
    mask = np.zeros(len(column), dtype=bool)
    start = 0
    for chunk in column.chunks if isinstance(column, pa.ChunkedArray) else [column]:
        parents = pc.list_parent_indices(chunk).to_numpy(zero_copy_only=False)
        hits = elements_mask(field, chunk.flatten(), "$eq" if op == "$contains" else op, value)
        mask[start + parents[hits]] = True
        start += len(chunk)
    return mask


def elements_mask(field: Field, elements: Any, op: str, value: JSON) -> Mask:
    """Which single values satisfy `op`; null never does."""
    if op in _PATTERNS:
        return _matching(field, elements, op, value)
    if op in _POINTS and field.type is FieldType.GEO:
        return match_points(elements, op, value)
    if field.type is FieldType.JSON or field.type is FieldType.GEO:
        return _elements_python(elements, op, value)
    match op:
        case "$eq":
            return _equal(field, elements, value)
        case "$in":
            operands = [operand for item in value if (operand := _operand(field, item)) is not None]
            value_set = pa.array([operand.as_py() for operand in operands], type=elements.type)
            return _mask(pc.is_in(without_negative_zero(elements), value_set=without_negative_zero(value_set)))
        case "$contains" if field.type not in _STRINGS:
            return _equal(field, elements, value)
        case "$contains" | "$starts_with" | "$ends_with":
            if field.type not in _STRINGS or not isinstance(value, str):
                return np.zeros(len(elements), dtype=bool)
            return _mask(getattr(pc, _TEXT_KERNELS[op])(elements, value))
        case "$geo_radius" | "$geo_box":
            return np.zeros(len(elements), dtype=bool)
        case _:
            return _ordered(field, elements, op, value)


def _matching(field: Field, elements: Any, op: str, value: str) -> Mask:
    """The strings that satisfy an operator on strings; in JSON, also those in lists."""
    if field.type in _STRINGS:
        return match_strings(elements, op, value, field.language)
    mask = np.zeros(len(elements), dtype=bool)
    if field.type is not FieldType.JSON:
        return mask
    rows: list[int] = []
    strings: list[str] = []
    for row, item in enumerate(elements.to_pylist()):
        decoded = None if item is None else msgspec.json.decode(item)
        for part in decoded if isinstance(decoded, list) else [decoded]:
            if isinstance(part, str):
                rows.append(row)
                strings.append(part)
    hits = match_strings(pa.array(strings, type=pa.large_string()), op, value, None)
    mask[np.array(rows, dtype=np.int64)[hits]] = True
    return mask


def _equal(field: Field, elements: Any, value: JSON) -> Mask:
    operand = _operand(field, value)
    if operand is None:
        return np.zeros(len(elements), dtype=bool)
    return _mask(pc.equal(elements, operand))


def _ordered(field: Field, elements: Any, op: str, value: JSON) -> Mask:
    if field.type is FieldType.INTEGER and isinstance(value, int | float):
        if not in_integer_range(value):
            return _mask(elements.is_valid()) & _ORDER[op](0, -1 if value < 0 else 1)
        # x > 1.5 is x > 1, and x >= 1.5 is x >= 2: Arrow would compare as floats, which big integers are not.
        value = math.floor(value) if op in ("$gt", "$lte") else math.ceil(value)
    operand = _operand(field, value)
    if operand is None:
        return np.zeros(len(elements), dtype=bool)
    return _mask(getattr(pc, _COMPARE[op])(elements, operand))


def _operand(field: Field, value: JSON) -> Any | None:
    """`value` as an Arrow scalar to compare with a column of `field`; None where nothing can equal it."""
    match field.type:
        case FieldType.BOOLEAN:
            return pa.scalar(value) if isinstance(value, bool) else None
        case FieldType.INTEGER | FieldType.NUMBER:
            if isinstance(value, bool) or not isinstance(value, int | float):
                return None
            return _number(field, value)
        case FieldType.DATETIME:
            moment = parse_datetime(value) if isinstance(value, str) else None
            return None if moment is None else pa.scalar(moment, pa.timestamp("us", tz="UTC"))
        case _:
            return pa.scalar(value, pa.large_string()) if isinstance(value, str) else None


def _number(field: Field, value: float) -> Any | None:
    """A number as the column's own type; for integers None where it is none of 64 bits."""
    if field.type is FieldType.INTEGER:
        return pa.scalar(int(value), pa.int64()) if in_integer_range(value) and value == int(value) else None
    try:
        return pa.scalar(float(value), pa.float64())
    except OverflowError:  # an integer beyond every float: larger than all, or smaller
        return pa.scalar(math.inf if value > 0 else -math.inf, pa.float64())


def _elements_python(elements: Any, op: str, value: JSON) -> Mask:
    """JSON and points, value by value."""
    known = _Values(value) if op == "$in" else value

    def holds(item: Any) -> bool:
        if item is None:
            return False
        return _holds(msgspec.json.decode(item) if isinstance(item, str) else item, op, known)

    return np.fromiter((holds(item) for item in elements.to_pylist()), dtype=bool, count=len(elements))


def _holds(item: Any, op: str, value: Any) -> bool:
    items = item if isinstance(item, list) else [item]
    match op:
        case "$eq":
            return any(_same(part, value) for part in items)
        case "$in":
            return any(part in value for part in items)
        case "$contains":
            substring = isinstance(item, str) and isinstance(value, str) and value in item
            return substring or any(_same(part, value) for part in items)
        case "$starts_with":
            return any(isinstance(part, str) and part.startswith(value) for part in items)
        case "$ends_with":
            return any(isinstance(part, str) and part.endswith(value) for part in items)
        case "$geo_radius" | "$geo_box":
            return any(match_point(part, op, value) for part in items)
        case _:
            return any(_precedes(part, op, value) for part in items)


class _Values:
    """Single values to look others up in, by the rule of `_same`."""

    def __init__(self, values: Iterable[Any]) -> None:
        self._values = {(isinstance(value, bool), value) for value in values}

    def __contains__(self, value: Any) -> bool:
        return not isinstance(value, list | dict) and (isinstance(value, bool), value) in self._values


def _precedes(left: Any, op: str, right: Any) -> bool:
    """Whether two numbers or two strings stand in that order; 3 < "a" has no answer and does not hold."""
    if isinstance(left, bool) or isinstance(right, bool):
        return False
    comparable = isinstance(left, str) if isinstance(right, str) else isinstance(left, int | float)
    return comparable and bool(_ORDER[op](left, right))


def _same(left: Any, right: Any) -> bool:
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


def _mask(array: Any) -> Mask:
    """An Arrow array of flags as numpy, null as false."""
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    mask: Mask = array.fill_null(False).to_numpy(zero_copy_only=False)
    return mask.astype(bool, copy=True)
