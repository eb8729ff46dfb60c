"""A filter over columns: one flag a row, by Arrow's kernels."""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from engine.arrays import Mask
from engine.fields.filter import And, Comparison, Filter, Not, Or, in_integer_range
from engine.inference import parse_datetime
from engine.schema import JSON, Field, FieldType

ColumnOf = Callable[[str], tuple[Field, Any] | None]
_COMPARE = {"$gt": pc.greater, "$gte": pc.greater_equal, "$lt": pc.less, "$lte": pc.less_equal}


def evaluate(where: Filter, column_of: ColumnOf, rows: int) -> Mask:
    """Which rows satisfy `where`.

    Args:
        where: the filter.
        column_of: field name → its field and Arrow column of `rows` values; None for a field that no row has.
        rows: number of rows.

    Returns:
        (rows,) bool.
    """
    match where:
        case And(clauses):
            mask = np.ones(rows, dtype=bool)
            for clause in clauses:
                mask &= evaluate(clause, column_of, rows)
            return mask
        case Or(clauses):
            mask = np.zeros(rows, dtype=bool)
            for clause in clauses:
                mask |= evaluate(clause, column_of, rows)
            return mask
        case Not(clause):
            return ~evaluate(clause, column_of, rows)
        case Comparison(name, op, value):
            found = column_of(name)
            if found is None:
                return np.full(rows, _holds_for_missing(op, value), dtype=bool)
            return _compare(found[0], found[1], op, value)


def _holds_for_missing(op: str, value: JSON) -> bool:
    match op:
        case "$is_null":
            return bool(value)
        case "$exists":
            return not value
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
        case "$is_null" | "$exists":
            null = _mask(column.is_null())
            return null if value is (op == "$is_null") else ~null
        case "$ne":
            return ~_compare(field, column, "$eq", value)
        case "$nin":
            return ~_compare(field, column, "$in", value)
        case "$contains_all":
            masks = [_compare(field, column, "$contains", item) for item in value]
            return np.logical_and.reduce(masks) if masks else ~_mask(column.is_null())
        case "$contains_any" if not field.many:
            masks = [_compare(field, column, "$contains", item) for item in value]
            return np.logical_or.reduce(masks) if masks else np.zeros(len(column), dtype=bool)
        case "$eq" if value is None:
            return _mask(column.is_null())
    op = {"$contains_any": "$in"}.get(op, op)
    mask = _any_element(field, column, op, value) if field.many else _elements(field, column, op, value)
    if op == "$in" and None in value:
        mask |= _mask(column.is_null())
    return mask


def _any_element(field: Field, column: Any, op: str, value: JSON) -> Mask:
    """The rows of a list column with an element that satisfies `op`."""
    mask = np.zeros(len(column), dtype=bool)
    start = 0
    for chunk in column.chunks if isinstance(column, pa.ChunkedArray) else [column]:
        parents = pc.list_parent_indices(chunk).to_numpy(zero_copy_only=False)
        hits = _elements(field, chunk.flatten(), "$eq" if op == "$contains" else op, value)
        mask[start + parents[hits]] = True
        start += len(chunk)
    return mask


def _elements(field: Field, elements: Any, op: str, value: JSON) -> Mask:
    """Which single values satisfy `op`; null never does."""
    if field.type is FieldType.JSON or field.type is FieldType.GEO:
        return _elements_python(elements, op, value)
    match op:
        case "$eq":
            return _equal(field, elements, value)
        case "$in":
            mask = np.zeros(len(elements), dtype=bool)
            operands = [_operand(field, item) for item in value if item is not None]
            operands = [item for item in operands if item is not None]
            if operands:
                mask |= _is_in(elements, operands)
            return mask
        case "$contains":
            if pa.types.is_large_string(elements.type):
                return _mask(pc.match_substring(elements, str(value)))
            return _equal(field, elements, value)
        case "$starts_with" | "$ends_with":
            if not pa.types.is_large_string(elements.type):
                return np.zeros(len(elements), dtype=bool)
            kernel = pc.starts_with if op == "$starts_with" else pc.ends_with
            return _mask(kernel(elements, str(value)))
        case _:
            return _ordered(field, elements, op, value)


def _equal(field: Field, elements: Any, value: JSON) -> Mask:
    operand = _operand(field, value)
    if operand is None:
        return np.zeros(len(elements), dtype=bool)
    return _mask(pc.equal(elements, operand))


def _ordered(field: Field, elements: Any, op: str, value: JSON) -> Mask:
    if field.type is FieldType.INTEGER and isinstance(value, int | float) and not in_integer_range(value):
        bound = -1 if value < 0 else 1
        holds = bool(getattr(operator, {"$gt": "gt", "$gte": "ge", "$lt": "lt", "$lte": "le"}[op])(0, bound))
        return _mask(elements.is_valid()) & holds
    operand = _operand(field, value)
    if operand is None:
        return np.zeros(len(elements), dtype=bool)
    return _mask(_COMPARE[op](elements, operand))


def _is_in(elements: Any, operands: list[Any]) -> Mask:
    kinds = {operand.type for operand in operands}
    masks = []
    for kind in kinds:
        values = pa.array([operand.as_py() for operand in operands if operand.type == kind], type=kind)
        column = elements if kind == elements.type else elements.cast(kind)
        masks.append(_mask(pc.is_in(column, value_set=values)))
    found: Mask = np.logical_or.reduce(masks)
    return found


def _operand(field: Field, value: JSON) -> Any | None:
    """`value` as an Arrow scalar to compare with a column of `field`; None where nothing can equal it."""
    match field.type:
        case FieldType.BOOLEAN:
            return pa.scalar(value) if isinstance(value, bool) else None
        case FieldType.INTEGER | FieldType.NUMBER:
            if isinstance(value, bool) or not isinstance(value, int | float):
                return None
            if isinstance(value, float) or field.type is FieldType.NUMBER:
                return _number(field, float(value))
            return pa.scalar(value, pa.int64()) if in_integer_range(value) else None
        case FieldType.DATETIME:
            moment = parse_datetime(value) if isinstance(value, str) else None
            return None if moment is None else pa.scalar(moment, pa.timestamp("us", tz="UTC"))
        case _:
            return pa.scalar(value, pa.large_string()) if isinstance(value, str) else None


def _number(field: Field, value: float) -> Any:
    """A float operand; for an integer column as an integer where that is the same number, else as a float."""
    if field.type is FieldType.INTEGER and value.is_integer() and in_integer_range(value):
        return pa.scalar(int(value), pa.int64())
    return pa.scalar(value, pa.float64())


def _elements_python(elements: Any, op: str, value: JSON) -> Mask:
    """JSON and points, value by value."""
    import msgspec

    def holds(item: Any) -> bool:
        if item is None:
            return False
        if isinstance(item, str):
            item = msgspec.json.decode(item)
        try:
            return _holds(item, op, value)
        except TypeError:
            return False  # 3 < "a" has no answer: does not hold

    return np.fromiter((holds(item) for item in elements.to_pylist()), dtype=bool, count=len(elements))


def _holds(item: Any, op: str, value: Any) -> bool:
    items = item if isinstance(item, list) else [item]
    match op:
        case "$eq":
            return any(_same(part, value) for part in items)
        case "$in":
            return any(_same(part, each) for part in items for each in value)
        case "$contains":
            return any(_same(part, value) for part in items) or (isinstance(item, str) and value in item)
        case "$starts_with":
            return any(isinstance(part, str) and part.startswith(value) for part in items)
        case "$ends_with":
            return any(isinstance(part, str) and part.endswith(value) for part in items)
        case _:
            compare = getattr(operator, {"$gt": "gt", "$gte": "ge", "$lt": "lt", "$lte": "le"}[op])
            return any(not isinstance(part, bool) and compare(part, value) for part in items)


def _same(left: Any, right: Any) -> bool:
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


def _mask(array: Any) -> Mask:
    """An Arrow array of flags as numpy, null as false."""
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    mask: Mask = array.fill_null(False).to_numpy(zero_copy_only=False)
    return mask.astype(bool, copy=True)
