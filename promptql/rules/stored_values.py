"""Stored values in the conditions and figures of steps: which are meant by a key, how text is told as numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from promptql.expressions import (
    And,
    Arithmetic,
    ArithmeticOperator,
    Branch,
    Call,
    Case,
    Compare,
    Expression,
    FieldRef,
    Operator,
    Predicate,
    Scalar,
    ScalarFunction,
    Value,
)
from promptql.rules.columns import Column

CASES_MAX = 180  # distinct values of a text column that are told as numbers one by one
LISTED_MAX = 180  # stored values that a condition lists
# What the function to_number reads; text in any other form is told as numbers value by value.
_READABLE = re.compile(r"\s*[+-]?(\d{1,3}(,\d{3})+|\d+)(\.\d+)?\s*")
OPERATORS = {
    "<": Operator.LT,
    "<=": Operator.LE,
    ">": Operator.GT,
    ">=": Operator.GE,
    "=": Operator.EQ,
    "!=": Operator.NE,
}


class CannotCompileError(Exception):
    """The steps have no way to say it within their limits."""


def stored(column: Column, keys: Iterable[str]) -> list[Scalar]:
    """The stored values that are compared as these keys."""
    found: dict[Scalar, None] = {}
    for key in sorted(keys):
        for row in column.rows_by_key.get(key, ()):
            cell = column.cells[row]
            if isinstance(cell, str | int | float | bool):
                found[cell] = None
    return list(found)


def numeric(column: Column, field: Expression, op: str, bound: float) -> Predicate:
    """The comparison of a column's numbers with a bound; dates are compared with a year by their year."""
    if column.kind == "date" and 1000 <= bound <= 2100:
        dated = Compare(Operator.GE, field, Value(10_000_000))
        year = Call(ScalarFunction.FLOOR, (Arithmetic(ArithmeticOperator.DIVIDE, field, Value(10_000)),))
        return And((dated, Compare(OPERATORS[op], year, Value(int(bound)))))
    return Compare(OPERATORS[op], field, Value(whole(bound)))


def any_of(name: str, cells: Sequence[object]) -> Predicate:
    """The field is one of these stored values."""
    values = tuple(dict.fromkeys(cell for cell in cells if isinstance(cell, str | int | float)))
    if len(values) > LISTED_MAX or not values:
        raise CannotCompileError("too many values, or none, satisfy the comparison")
    return (
        Compare(Operator.EQ, FieldRef(name), Value(values[0]))
        if len(values) == 1
        else Compare(Operator.IN, FieldRef(name), Value(values))
    )


def whole(number: float) -> int | float:
    """A number without a fraction as an integer."""
    return int(number) if float(number).is_integer() and abs(number) < 1e15 else number


def as_number(column: Column, name: str) -> Expression:
    """A text column as numbers: by to_number where that reads all of it, otherwise value by value."""
    texts = {cell: column.numbers[row] for row, cell in enumerate(column.cells) if isinstance(cell, str)}
    told = {text: number for text, number in texts.items() if number is not None}
    if (
        column.kind == "number"
        and all(_READABLE.fullmatch(text) for text in told)
        and len(told) == sum(bool(_READABLE.fullmatch(t)) for t in texts)
    ):
        return Call(ScalarFunction.TO_NUMBER, (FieldRef(name),))
    if len(told) > CASES_MAX:
        raise CannotCompileError(f"too many different values to be read as numbers: field={column.name}")
    by_number: dict[float, list[str]] = {}
    for text, number in told.items():
        by_number.setdefault(number, []).append(text)
    branches = tuple(
        Branch(Compare(Operator.IN, FieldRef(name), Value(tuple(texts))), Value(float(number)))
        for number, texts in by_number.items()
    )
    return Case(branches)
