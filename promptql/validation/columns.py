"""Typed columns: what a step gives."""

from __future__ import annotations

from typing import TypeAlias

from engine import Field, FieldType
from promptql.catalog import ID, CollectionInfo
from promptql.errors import PlanError, nearest_name

SCORE = "_score"
Columns: TypeAlias = dict[str, Field]
NUMBERS = frozenset({FieldType.INTEGER, FieldType.NUMBER})
STRINGS = frozenset({FieldType.TEXT, FieldType.KEYWORD})
OPAQUE = frozenset({FieldType.GEO, FieldType.JSON})  # without equality and order here
COLUMNS_MAX = 1_000


def stored_columns(info: CollectionInfo) -> Columns:
    """The columns of a scan of all fields: the id first."""
    return {ID: Field(FieldType.KEYWORD)} | {
        name: Field(field.type, many=field.many) for name, field in info.fields.items()
    }


def field_named(name: str, columns: Columns, pointer: str) -> Field:
    """The column's type.

    Raises:
        PlanError: there is none of that name; the hint has the nearest.
    """
    if name not in columns:
        raise PlanError(f'unknown field "{name}"', pointer=pointer, hint=nearest_name(name, columns))
    return columns[name]


def sortable(name: str, columns: Columns, pointer: str) -> Field:
    """The column's type, which has an order.

    Raises:
        PlanError: there is no such column, or it has none.
    """
    field = field_named(name, columns, pointer)
    if field.many or field.type in OPAQUE:
        raise PlanError(f'"{name}" has no order: type={shown(field)}', pointer=pointer)
    return field


def comparable(name: str, columns: Columns, pointer: str) -> Field:
    """The column's type, whose values can be told apart: a scalar, or a list of scalars.

    Raises:
        PlanError: there is no such column, or they cannot.
    """
    field = field_named(name, columns, pointer)
    if field.type in OPAQUE:
        raise PlanError(f'values of "{name}" cannot be told apart: type={shown(field)}', pointer=pointer)
    return field


def numeric(name: str, columns: Columns, pointer: str, purpose: str) -> Field:
    """The column's type, a number.

    Raises:
        PlanError: there is no such column, or it is none.
    """
    field = field_named(name, columns, pointer)
    if field.many or field.type not in NUMBERS:
        raise PlanError(
            f'{purpose} does not fit "{name}": type={shown(field)}', pointer=pointer, hint=numeric_hint(columns)
        )
    return field


def textual(name: str, columns: Columns, pointer: str, purpose: str) -> Field:
    """The column's type, a string.

    Raises:
        PlanError: there is no such column, or it is none.
    """
    field = field_named(name, columns, pointer)
    if field.many or field.type not in STRINGS:
        raise PlanError(f'{purpose} needs text: "{name}" has type={shown(field)}', pointer=pointer)
    return field


def added(columns: Columns, name: str, field: Field, pointer: str) -> Columns:
    """The columns with one more.

    Raises:
        PlanError: the name is taken, or hidden names begin so.
    """
    if name in columns:
        raise PlanError(f'there is a column "{name}" already', pointer=pointer)
    if name.startswith("_engine"):
        raise PlanError(f'a column may not be called "{name}"', pointer=pointer)
    if len(columns) >= COLUMNS_MAX:
        raise PlanError(f"too many columns: limit={COLUMNS_MAX}", pointer=pointer)
    return {**columns, name: field}


def numeric_hint(columns: Columns) -> str:
    """Which columns are numbers."""
    names = [name for name, field in columns.items() if field.type in NUMBERS and not field.many]
    return f"number fields: {', '.join(names[:20])}" if names else "there is no number field"


def shown(field: Field) -> str:
    """A type in words."""
    return f"list of {field.type.value}" if field.many else field.type.value


def alike(left: Field, right: Field) -> bool:
    """Whether values of the two can be compared: of one type, but that integers and numbers mix, and strings."""
    if left.many != right.many or left.type in OPAQUE or right.type in OPAQUE:
        return False
    return any({left.type, right.type} <= kinds for kinds in (NUMBERS, STRINGS, {left.type}))


def joint(left: Field, right: Field) -> Field:
    """The type of a column that holds values of both, which are `alike`."""
    if left.type is right.type:
        return Field(left.type, many=left.many)
    return Field(FieldType.NUMBER if left.type in NUMBERS else FieldType.TEXT, many=left.many)
