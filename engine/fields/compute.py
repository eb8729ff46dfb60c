"""Expressions over columns, by Arrow's kernels: a value a row, or for predicates a flag a row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from engine.arrays import Mask
from engine.errors import InvalidInputError
from engine.expressions import (
    And,
    Arithmetic,
    ArithmeticOperator,
    Call,
    Case,
    Compare,
    Expression,
    FieldRef,
    Not,
    Operator,
    Or,
    Predicate,
    Scalar,
    Value,
)
from engine.fields import kernels as pc
from engine.fields.columns import arrow_type, cast_to
from engine.fields.evaluate import elements_mask
from engine.fields.functions import call
from engine.schema import Field, FieldType

ColumnOf = Callable[[str], tuple[Field, Any]]
_STRINGS = (FieldType.TEXT, FieldType.KEYWORD)
_NUMBERS = (FieldType.INTEGER, FieldType.NUMBER)
_INTEGER, _NUMBER = Field(FieldType.INTEGER), Field(FieldType.NUMBER)
_ENGINE = {
    Operator.EQ: "$eq",
    Operator.LT: "$lt",
    Operator.LE: "$lte",
    Operator.GT: "$gt",
    Operator.GE: "$gte",
    Operator.IN: "$in",
    Operator.CONTAINS: "$contains",
    Operator.STARTS_WITH: "$starts_with",
    Operator.ENDS_WITH: "$ends_with",
    Operator.LIKE: "$like",
    Operator.MATCHES: "$regex",
}
_ORDER = {
    Operator.EQ: pc.equal,
    Operator.NE: pc.not_equal,
    Operator.LT: pc.less,
    Operator.LE: pc.less_equal,
    Operator.GT: pc.greater,
    Operator.GE: pc.greater_equal,
}
_CHECKED = {
    ArithmeticOperator.ADD: (pc.add, pc.add_checked, lambda left, right: left + right),
    ArithmeticOperator.SUBTRACT: (pc.subtract, pc.subtract_checked, lambda left, right: left - right),
    ArithmeticOperator.MULTIPLY: (pc.multiply, pc.multiply_checked, lambda left, right: left * right),
}
_STRING_TESTS: dict[Operator, Callable[[str, str], bool]] = {
    Operator.CONTAINS: lambda text, part: part in text,
    Operator.STARTS_WITH: str.startswith,
    Operator.ENDS_WITH: str.endswith,
}


@dataclass(frozen=True, slots=True)
class Computed:
    """Values by row, one Arrow array of the field's type."""

    field: Field
    values: Any


class Evaluation:
    """Expressions over the same rows.

    Args:
        column_of: name → its field and Arrow column.
        rows: how many there are.
    """

    def __init__(self, column_of: ColumnOf, rows: int) -> None:
        self._column_of = column_of
        self._rows = rows

    def column(self, expression: Expression) -> Computed:
        """The values of an expression; what is not finite is missing.

        Raises:
            InvalidInputError: a type does not fit, or something is not bound.
        """
        return _finite(self._value(expression))

    def mask(self, predicate: Predicate) -> Mask:
        """The rows for which a predicate holds, (rows,) bool.

        Raises:
            InvalidInputError: a type does not fit, or something is not bound.
        """
        match predicate:
            case And(items):
                mask = np.ones(self._rows, dtype=bool)
                for item in items:
                    mask &= self.mask(item)
                return mask
            case Or(items):
                mask = np.zeros(self._rows, dtype=bool)
                for item in items:
                    mask |= self.mask(item)
                return mask
            case Not(item):
                return ~self.mask(item)
            case Compare():
                return self._compare(predicate)
            case _:
                raise InvalidInputError(f"not bound: {type(predicate).__name__}")

    def _value(self, expression: Expression) -> Computed:
        match expression:
            case FieldRef(name):
                field, values = self._column_of(name)
                return Computed(field, _one(values))
            case Value(value):
                return self._constant(value)
            case Arithmetic(op, left, right):
                return _arithmetic(op, self._value(left), self._value(right))
            case Call(fn, args):
                return Computed(*call(fn, [self._argument(arg) for arg in args], self._rows))
            case Case():
                return self._case(expression)
            case _:
                raise InvalidInputError(f"not bound: {type(expression).__name__}")

    def _argument(self, expression: Expression) -> tuple[Field, Any] | Scalar:
        if isinstance(expression, Value) and not isinstance(expression.value, tuple):
            return expression.value
        found = self._value(expression)
        return found.field, found.values

    def _constant(self, value: Scalar | tuple[Scalar, ...]) -> Computed:
        match value:
            case bool():
                field = Field(FieldType.BOOLEAN)
            case int():
                field = _INTEGER
            case float() | None:
                field = _NUMBER
            case str():
                field = Field(FieldType.TEXT)
            case tuple():
                raise InvalidInputError("a list is no value of an expression")
        kind = arrow_type(field)
        if value is None:
            return Computed(field, pa.nulls(self._rows, kind))
        return Computed(field, pa.repeat(pa.scalar(value, kind), self._rows))

    def _case(self, case: Case) -> Computed:
        values = [self._value(branch.then) for branch in case.branches]
        otherwise = Computed(values[0].field, None) if case.otherwise is None else self._value(case.otherwise)
        known = [item for item, part in zip(values, case.branches, strict=True) if not _is_null(part.then)]
        if case.otherwise is not None and not _is_null(case.otherwise):
            known.append(otherwise)
        field = joint_field([item.field for item in known])
        result = pa.nulls(self._rows, arrow_type(field))
        if otherwise.values is not None and not _is_null(case.otherwise):
            result = _cast(otherwise, field)
        for branch, item in reversed(list(zip(case.branches, values, strict=True))):
            then = pa.nulls(self._rows, arrow_type(field)) if _is_null(branch.then) else _cast(item, field)
            result = pc.if_else(pa.array(self.mask(branch.when)), then, result)
        return Computed(field, result)

    def _compare(self, item: Compare) -> Mask:
        left = self.column(item.left)
        if item.op is Operator.IS_NULL:
            return ~_present(left)
        assert item.right is not None
        if isinstance(item.right, Value):
            return _against_constant(item.op, left, item.right.value)
        return _against_column(item.op, left, self.column(item.right))


def _one(values: Any) -> Any:
    """Several chunks as one array."""
    return values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values


def _is_null(expression: Expression | None) -> bool:
    return isinstance(expression, Value) and expression.value is None


def joint_field(fields: list[Field]) -> Field:
    """The type that holds values of all.

    Raises:
        InvalidInputError: there is none.
    """
    kinds = {field.type for field in fields}
    many = {field.many for field in fields}
    if len(many) == 1 and kinds:
        if len(kinds) == 1:
            return Field(kinds.pop(), many=many.pop())
        for group, wide in ((_NUMBERS, FieldType.NUMBER), (_STRINGS, FieldType.TEXT)):
            if kinds <= set(group):
                return Field(wide, many=many.pop())
    raise InvalidInputError(f"types do not fit each other: {', '.join(sorted(kind.value for kind in kinds))}")


def _cast(item: Computed, field: Field) -> Any:
    return cast_to(item.values, arrow_type(field))


def _finite(item: Computed) -> Computed:
    if item.field.many or item.field.type is not FieldType.NUMBER:
        return item
    wrong = pc.invert(pc.is_finite(item.values)).fill_null(False)
    if not pc.any(wrong).as_py():
        return item
    return replace(item, values=pc.if_else(wrong, pa.scalar(None, pa.float64()), item.values))


def _arithmetic(op: ArithmeticOperator, left: Computed, right: Computed) -> Computed:
    for side in (left, right):
        if side.field.many or side.field.type not in _NUMBERS:
            raise InvalidInputError(f"{op.value} takes numbers: got={side.field.type.value}")
    whole = left.field.type is right.field.type is FieldType.INTEGER and op is not ArithmeticOperator.DIVIDE
    field = _INTEGER if whole else _NUMBER
    ours, theirs = (_cast(side, field) for side in (left, right))
    if op in _CHECKED:
        plain, checked, exact = _CHECKED[op]
        return Computed(field, _whole(checked, exact, ours, theirs) if whole else plain(ours, theirs))
    zero = pa.scalar(0, arrow_type(field))
    theirs = pc.if_else(pc.equal(theirs, zero), pa.scalar(None, zero.type), theirs)
    if op is ArithmeticOperator.DIVIDE:
        return Computed(field, pc.divide(ours, theirs))
    return Computed(field, _remainder(ours, theirs))


def _whole(checked: Any, exact: Callable[[int, int], int], left: Any, right: Any) -> Any:
    """Arithmetic of integers; null where the result has more than 64 bits."""
    try:
        return checked(left, right)
    except pa.ArrowInvalid:
        pairs = zip(left.to_pylist(), right.to_pylist(), strict=True)
        results = (None if ours is None or theirs is None else exact(ours, theirs) for ours, theirs in pairs)
        return pa.array([r if r is not None and -(2**63) <= r < 2**63 else None for r in results], type=pa.int64())


def _remainder(left: Any, right: Any) -> Any:
    """The remainder with the sign of the left side; null where either is."""
    missing = pc.or_(left.is_null(), right.is_null()).to_numpy(zero_copy_only=False)
    ours = left.fill_null(0).to_numpy(zero_copy_only=False)
    theirs = right.fill_null(1).to_numpy(zero_copy_only=False)
    if ours.dtype == np.int64:
        theirs = np.where(theirs == -1, 1, theirs)  # the same remainder, and no overflow
    with np.errstate(invalid="ignore"):
        return pa.array(np.fmod(ours, theirs), mask=missing)


# ── comparisons ──────────────────────────────────────────────────────────────


def _present(item: Computed) -> Mask:
    """Rows with a value; a list, with an element."""
    if not item.field.many:
        return _flags(item.values.is_valid())
    mask = np.zeros(len(item.values), dtype=bool)
    elements = item.values.flatten()
    mask[_parents(item.values)[_flags(elements.is_valid())]] = True
    return mask


def _parents(values: Any) -> Any:
    return pc.list_parent_indices(values).to_numpy(zero_copy_only=False)


def _flags(array: Any) -> Mask:
    mask: Mask = array.fill_null(False).to_numpy(zero_copy_only=False).astype(bool)
    return mask


def _against_constant(op: Operator, left: Computed, value: Scalar | tuple[Scalar, ...]) -> Mask:
    if value is None or value == ():
        return np.zeros(len(left.values), dtype=bool)
    if op is Operator.NE:
        return _present(left) & ~_against_constant(Operator.EQ, left, value)
    given = [item for item in value if item is not None] if isinstance(value, tuple) else value
    if not left.field.many:
        return elements_mask(left.field, left.values, _ENGINE[op], given)
    mask = np.zeros(len(left.values), dtype=bool)
    hits = elements_mask(replace(left.field, many=False), left.values.flatten(), _ENGINE[op], given)
    mask[_parents(left.values)[hits]] = True
    return mask


def _against_column(op: Operator, left: Computed, right: Computed) -> Mask:
    if right.field.many:
        raise InvalidInputError("only the left side of a comparison may be a list")
    if not left.field.many:
        return _pairs(op, left, right)
    mask = np.zeros(len(left.values), dtype=bool)
    parents = _parents(left.values)
    flat = Computed(replace(left.field, many=False), left.values.flatten())
    over = Computed(right.field, right.values.take(pa.array(parents)))
    mask[parents[_pairs(Operator.EQ if op is Operator.NE else op, flat, over)]] = True
    if op is Operator.NE:
        return _present(left) & _flags(right.values.is_valid()) & ~mask
    return mask


def _pairs(op: Operator, left: Computed, right: Computed) -> Mask:
    field = joint_field([left.field, right.field])
    ours, theirs = _cast(left, field), _cast(right, field)
    if op in _ORDER:
        return _flags(_ORDER[op](ours, theirs))
    if op not in _STRING_TESTS or field.type not in _STRINGS:
        raise InvalidInputError(f"{op.value} takes a constant, or does not fit: type={field.type.value}")
    test = _STRING_TESTS[op]
    pairs = zip(ours.to_pylist(), theirs.to_pylist(), strict=True)
    flags = (text is not None and part is not None and test(text, part) for text, part in pairs)
    return np.fromiter(flags, dtype=bool, count=len(ours))
