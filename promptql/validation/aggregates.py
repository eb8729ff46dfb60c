"""The columns of groups, windows and comparisons."""

from __future__ import annotations

from engine import Field, FieldType
from promptql.errors import PlanError
from promptql.steps import Aggregation, Bucket, CompareStep, Function, Group, Window, WindowFunction
from promptql.validation.columns import (
    NUMBERS,
    OPAQUE,
    Columns,
    added,
    alike,
    comparable,
    field_named,
    joint,
    numeric,
    numeric_hint,
    shown,
    sortable,
)
from promptql.validation.naming import compared_names

_COUNTS = (Function.COUNT, Function.COUNT_DISTINCT)
_MEASURES = (Function.AVG, Function.MEDIAN, Function.STDDEV, Function.PERCENTILE)


def group_columns(step: Group, columns: Columns, pointer: str) -> Columns:
    """The keys, then the figures.

    Raises:
        PlanError: a key or a figure does not fit its column.
    """
    result: Columns = {}
    single = {key: Field(columns[key].type) for key in step.by if isinstance(key, str) and key in columns}
    for index, key in enumerate(step.by):
        place = f"{pointer}/by/{index}"
        if isinstance(key, Bucket):
            result = added(result, key.name, _bucket_field(key, columns, place), place)
            continue
        field = field_named(key, columns, place)
        if field.type in OPAQUE:
            raise PlanError(f"rows cannot be grouped by a {field.type.value} field", pointer=place)
        result = added(result, key, Field(field.type), place)
    for index, item in enumerate(step.aggs):
        place = f"{pointer}/aggs/{index}"
        result = added(result, item.alias, _figure(item, {**columns, **single}, place), f"{place}/as")
    return result


def _bucket_field(key: Bucket, columns: Columns, pointer: str) -> Field:
    field = field_named(key.field, columns, f"{pointer}/field")
    if key.unit is not None:
        if field.type is not FieldType.DATETIME or field.many:
            raise PlanError(f'"{key.field}" is no date: type={shown(field)}', pointer=f"{pointer}/bucket")
        return Field(FieldType.DATETIME)
    numeric(key.field, columns, f"{pointer}/field", "a width")
    return Field(FieldType.NUMBER)


def _figure(item: Aggregation, columns: Columns, pointer: str) -> Field:
    if item.field is None:
        return Field(FieldType.INTEGER)
    field = field_named(item.field, columns, f"{pointer}/field")
    single = not field.many and field.type not in OPAQUE
    is_number = single and field.type in NUMBERS
    if item.fn in _COUNTS and field.type not in OPAQUE:
        return Field(FieldType.INTEGER)
    if item.fn in _MEASURES and is_number:
        return Field(FieldType.NUMBER)
    if (item.fn is Function.SUM and is_number) or (item.fn in (Function.MIN, Function.MAX) and single):
        return Field(field.type)
    if item.fn in (Function.ARGMAX, Function.ARGMIN):
        assert item.by is not None
        sortable(item.by, columns, f"{pointer}/by")
        return Field(field.type, many=field.many)
    raise PlanError(
        f'{item.fn.value} does not fit "{item.field}": type={shown(field)}',
        pointer=f"{pointer}/field",
        hint=numeric_hint(columns),
    )


def window_columns(step: Window, columns: Columns, pointer: str) -> Columns:
    """The columns, and the new one.

    Raises:
        PlanError: the partition, the order or the field does not fit.
    """
    for index, name in enumerate(step.partition):
        comparable(name, columns, f"{pointer}/partition/{index}")
    for index, key in enumerate(step.order):
        sortable(key.field, columns, f"{pointer}/order/{index}/field")
    result = Field(FieldType.INTEGER)
    if step.fn in (WindowFunction.LAG, WindowFunction.LEAD):
        field = field_named(step.field or "", columns, f"{pointer}/field")
        result = Field(field.type, many=field.many)
    elif step.fn is WindowFunction.RUNNING_SUM:
        result = Field(numeric(step.field or "", columns, f"{pointer}/field", "running_sum").type)
    elif step.fn is WindowFunction.SHARE:
        numeric(step.field or "", columns, f"{pointer}/field", "share")
        result = Field(FieldType.NUMBER)
    return added(columns, step.alias, result, f"{pointer}/as")


def compared_field(step: CompareStep, left: Columns, right: Columns, pointer: str = "") -> str:
    """The column that is compared: what was said, else the only number that both sides have.

    Raises:
        PlanError: it is not clear which.
    """
    if step.field is not None:
        for columns in (left, right):
            numeric(step.field, columns, f"{pointer}/field", step.comparison.value)
        return step.field
    shared = [
        name
        for name, field in left.items()
        if name in right and name not in step.keys and not field.many
        and field.type in NUMBERS and right[name].type in NUMBERS and not right[name].many
    ]  # fmt: skip
    if len(shared) != 1:
        raise PlanError(
            f"which number is compared? both sides have {len(shared)}",
            pointer=f"{pointer}/field",
            hint=numeric_hint(left),
        )
    return shared[0]


def compare_columns(step: CompareStep, left: Columns, right: Columns, pointer: str) -> Columns:
    """The keys, both numbers, and the result.

    Raises:
        PlanError: the keys or the numbers do not fit each other.
    """
    result: Columns = {}
    for index, name in enumerate(step.keys):
        place = f"{pointer}/keys/{index}"
        ours, theirs = comparable(name, left, place), comparable(name, right, place)
        if ours.many or not alike(ours, theirs):
            raise PlanError(f'keys "{name}" differ in type: {shown(ours)} and {shown(theirs)}', pointer=place)
        result = added(result, name, joint(ours, theirs), place)
    field = compared_field(step, left, right, pointer)
    names = compared_names(step, field)
    for name, kind in zip(names, (left[field].type, right[field].type, FieldType.NUMBER), strict=True):
        result = added(result, name, Field(kind), f"{pointer}/as")
    return result
