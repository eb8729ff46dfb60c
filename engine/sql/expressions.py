"""Expressions and predicates as SQL of DuckDB's, with the same meaning as over Arrow columns; constants are bound."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from engine.errors import InvalidInputError
from engine.expressions import (
    And,
    Arithmetic,
    ArithmeticOperator,
    Call,
    Case,
    Compare,
    DateUnit,
    Expression,
    FieldRef,
    Not,
    Operator,
    Or,
    Predicate,
    Scalar,
    ScalarFunction,
    Value,
)
from engine.fields.compute import joint_field
from engine.fields.filter import in_integer_range
from engine.fields.patterns import like_regex
from engine.schema import Field, FieldType
from engine.writes.inference import parse_datetime

TYPES = {
    FieldType.TEXT: "VARCHAR",
    FieldType.KEYWORD: "VARCHAR",
    FieldType.INTEGER: "BIGINT",
    FieldType.NUMBER: "DOUBLE",
    FieldType.BOOLEAN: "BOOLEAN",
    FieldType.DATETIME: "TIMESTAMPTZ",
}
_INTEGER, _NUMBER, _TEXT = Field(FieldType.INTEGER), Field(FieldType.NUMBER), Field(FieldType.TEXT)
_BOOLEAN, _DATETIME = Field(FieldType.BOOLEAN), Field(FieldType.DATETIME)
_STRINGS = (FieldType.TEXT, FieldType.KEYWORD)
_F = ScalarFunction
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_INFIX = {Operator.EQ: "=", Operator.NE: "<>", Operator.LT: "<", Operator.LE: "<=", Operator.GT: ">", Operator.GE: ">="}
_TESTS = {Operator.CONTAINS: "contains", Operator.STARTS_WITH: "starts_with", Operator.ENDS_WITH: "suffix"}


_numbers = itertools.count()  # names are unique in a process, so that two queries can become one


class NotInSqlError(Exception):
    """SQL has no exact counterpart: whoever asks takes the way over Arrow."""


@dataclass(slots=True)
class Bindings:
    """The constants of a query, by the names that stand for them."""

    values: dict[str, Any] = field(default_factory=dict)

    def bind(self, value: Any, kind: str) -> str:
        """A constant, as the query names it."""
        name = f"p{next(_numbers)}"
        self.values[name] = value
        return f"CAST(${name} AS {kind})"


@dataclass(frozen=True, slots=True)
class Sql:
    """SQL of one value, and its type; None: null, which fits every type."""

    text: str
    field: Field | None
    plain: bool = False  # a column as it is, which holds nothing that is not finite


class Compiler:
    """Expressions over the same columns.

    Args:
        columns: name → its SQL and field.
        bindings: takes the constants.
    """

    def __init__(self, columns: Mapping[str, tuple[str, Field]], bindings: Bindings) -> None:
        self._columns = columns
        self._bindings = bindings

    def value(self, expression: Expression) -> tuple[str, Field]:
        """A column's SQL; what is not finite is null.

        Raises:
            NotInSqlError: there is no counterpart.
        """
        found = self._value(expression)
        if found.field is None:
            raise NotInSqlError("a null of no type")
        return _finite(found), found.field

    def condition(self, predicate: Predicate) -> str:
        """A predicate's SQL, never null.

        Raises:
            NotInSqlError: there is no counterpart.
        """
        match predicate:
            case And(items):
                return "(" + (" AND ".join(self.condition(item) for item in items) or "TRUE") + ")"
            case Or(items):
                return "(" + (" OR ".join(self.condition(item) for item in items) or "FALSE") + ")"
            case Not(item):
                return f"(NOT {self.condition(item)})"
            case Compare():
                return self._compare(predicate)
            case _:
                raise NotInSqlError(type(predicate).__name__)

    def constant(self, value: Scalar, field: Field) -> str:
        """A bound constant of a type."""
        if field.type is FieldType.DATETIME:
            moment = parse_datetime(value) if isinstance(value, str) else None
            if moment is None:
                raise InvalidInputError(f"not a date: got={value!r:.60}")
            microseconds = (moment - _EPOCH) // timedelta(microseconds=1)
            return f"CAST(make_timestamp({self._bindings.bind(microseconds, 'BIGINT')}) AS TIMESTAMPTZ)"
        if field.type is FieldType.NUMBER and isinstance(value, int):
            try:
                value = float(value)
            except OverflowError:
                value = math.inf if value > 0 else -math.inf
        return self._bindings.bind(value, TYPES[field.type])

    # ── values ──

    def _value(self, expression: Expression) -> Sql:
        match expression:
            case FieldRef(name):
                if name not in self._columns:
                    raise InvalidInputError(f"unknown field {name!r}: expected one of {', '.join(self._columns)}")
                return Sql(*self._columns[name], plain=True)
            case Value(value):
                return self._literal(value)
            case Arithmetic():
                return self._arithmetic(expression)
            case Call():
                return self._call(expression)
            case Case():
                return self._case(expression)
            case _:
                raise NotInSqlError(type(expression).__name__)

    def _literal(self, value: Scalar | tuple[Scalar, ...]) -> Sql:
        match value:
            case None:
                return Sql("NULL", None)
            case bool():
                found = _BOOLEAN
            case int():
                found = _INTEGER
            case float():
                found = _NUMBER
            case str():
                found = _TEXT
            case tuple():
                raise InvalidInputError("a list is no value of an expression")
        return Sql(self.constant(value, found), found, plain=True)

    def _arithmetic(self, expression: Arithmetic) -> Sql:
        left, right = self._value(expression.left), self._value(expression.right)
        for side in (left, right):
            if side.field is None or side.field.many or side.field.type not in (FieldType.INTEGER, FieldType.NUMBER):
                raise InvalidInputError(f"{expression.op.value} takes numbers")
        whole = left.field == right.field == _INTEGER and expression.op is not ArithmeticOperator.DIVIDE
        result = _INTEGER if whole else _NUMBER
        ours, theirs = (f"CAST({side.text} AS {TYPES[result.type]})" for side in (left, right))
        if expression.op in (ArithmeticOperator.DIVIDE, ArithmeticOperator.REMAINDER):
            theirs = f"nullif({theirs}, 0)"
        text = f"({ours} {expression.op.value} {theirs})"
        return Sql(f"TRY{text}" if whole else text, result)

    def _case(self, case: Case) -> Sql:
        thens = [self._value(branch.then) for branch in case.branches]
        otherwise = Sql("NULL", None) if case.otherwise is None else self._value(case.otherwise)
        result = joint_field([part.field for part in (*thens, otherwise) if part.field is not None])
        whens = [
            f"WHEN {self.condition(branch.when)} THEN {_cast(then, result)}"
            for branch, then in zip(case.branches, thens, strict=True)
        ]
        return Sql(f"(CASE {' '.join(whens)} ELSE {_cast(otherwise, result)} END)", result)

    def _call(self, call: Call) -> Sql:
        if call.fn is _F.COALESCE:
            parts = [part for part in map(self._value, call.args) if part.field is not None]
            result = joint_field([part.field for part in parts if part.field is not None])
            return Sql(f"coalesce({', '.join(_cast(part, result) for part in parts)})", result)
        if any(isinstance(arg, Value) and arg.value is None for arg in call.args):
            raise NotInSqlError("a null argument")
        if call.fn in (_F.DATE_TRUNC, _F.DATE_DIFF):
            return self._of_dates(call)
        parts = [self._value(arg) for arg in call.args]
        if call.fn in (_F.YEAR, _F.MONTH, _F.DAY, _F.WEEKDAY):
            name = "isodow" if call.fn is _F.WEEKDAY else call.fn.value
            return Sql(f"CAST({name}({self._moment(call.args[0])}) AS BIGINT)", _INTEGER)
        return _function(call.fn, parts)

    def _moment(self, expression: Expression) -> str:
        """A date without its time zone, which is UTC."""
        if isinstance(expression, Value) and isinstance(expression.value, str):
            return f"make_timestamp(epoch_us({self.constant(expression.value, _DATETIME)}))"
        found = self._value(expression)
        if found.field is None or found.field.many or found.field.type is not FieldType.DATETIME:
            raise InvalidInputError("expected a date")
        return f"make_timestamp(epoch_us({found.text}))"

    def _of_dates(self, call: Call) -> Sql:
        unit, *dates = call.args
        if not isinstance(unit, Value):
            raise InvalidInputError("a unit is a constant")
        name = self._bindings.bind(str(unit.value), "VARCHAR")
        moments = [self._moment(date) for date in dates]
        if call.fn is _F.DATE_DIFF:
            if unit.value == DateUnit.WEEK.value:  # DuckDB's own counts a week less from Mondays and Tuesdays backwards
                moments = [f"date_trunc({name}, {moment})" for moment in moments]
            return Sql(f"date_diff({name}, {', '.join(moments)})", _INTEGER)
        return Sql(f"CAST(CAST(date_trunc({name}, {moments[0]}) AS TIMESTAMP) AS TIMESTAMPTZ)", _DATETIME)

    # ── conditions ──

    def _compare(self, item: Compare) -> str:
        left = self._value(item.left)
        if left.field is None:
            raise NotInSqlError("a null of no type")
        text = _finite(left)
        if left.field.many:
            return self._compare_any(item, text, replace(left.field, many=False))
        if item.op is Operator.IS_NULL:
            return f"({text} IS NULL)"
        return f"ifnull({self._test(item.op, text, left.field, item.right)}, FALSE)"

    def _compare_any(self, item: Compare, text: str, element: Field) -> str:
        present = _any(text, "e IS NOT NULL")
        if item.op is Operator.IS_NULL:
            return f"(NOT {present})"
        op = Operator.EQ if item.op is Operator.NE else item.op
        found = _any(text, f"ifnull({self._test(op, 'e', element, item.right)}, FALSE)")
        if item.op is not Operator.NE:
            return found
        known = present
        if not isinstance(item.right, Value):
            assert item.right is not None
            known = f"{present} AND ({_finite(self._value(item.right))}) IS NOT NULL"
        return f"({known} AND NOT {found})"

    def _test(self, op: Operator, text: str, kind: Field, right: Expression | None) -> str:
        if isinstance(right, Value):
            return self._test_constant(op, text, kind, right.value)
        assert right is not None
        other = self._value(right)
        if other.field is None or other.field.many:
            raise InvalidInputError("only the left side of a comparison may be a list")
        joint = joint_field([kind, other.field])
        ours, theirs = _cast(Sql(text, kind), joint), _cast(Sql(_finite(other), other.field), joint)
        if op in _INFIX:
            return f"({ours} {_INFIX[op]} {theirs})"
        if op not in _TESTS:
            raise InvalidInputError(f"{op.value} takes a constant")
        return f"{_TESTS[op]}({ours}, {theirs})"

    def _test_constant(self, op: Operator, text: str, kind: Field, value: Scalar | tuple[Scalar, ...]) -> str:
        if kind.type not in TYPES:
            raise NotInSqlError(kind.type.value)
        if isinstance(value, tuple):
            fitting = [item for item in value if item is not None and _fits(item, kind)]
            items = ", ".join(self.constant(_exact(item, kind), kind) for item in fitting)
            return f"({text} IN ({items}))" if items else "FALSE"
        if value is None:
            return "FALSE"
        if op in _TESTS:
            return f"{_TESTS[op]}({text}, {self._bindings.bind(value, 'VARCHAR')})"
        if op in (Operator.LIKE, Operator.MATCHES):
            pattern = like_regex(str(value)) if op is Operator.LIKE else str(value)
            return f"regexp_matches({text}, {self._bindings.bind(pattern, 'VARCHAR')})"
        if kind.type is FieldType.INTEGER and isinstance(value, int | float) and not isinstance(value, bool):
            return self._whole_constant(op, text, value)
        return f"({text} {_INFIX[op]} {self.constant(value, kind)})"

    def _whole_constant(self, op: Operator, text: str, value: float) -> str:
        """Integers compared with a number exactly: x < 1.5 is x < 2."""
        if not in_integer_range(value):
            holds = op is Operator.NE or op in ((Operator.LT, Operator.LE) if value > 0 else (Operator.GT, Operator.GE))
            return f"({text} IS NOT NULL)" if holds else "FALSE"
        if op in (Operator.EQ, Operator.NE) and value != int(value):
            return f"({text} IS NOT NULL)" if op is Operator.NE else "FALSE"
        whole = math.floor(value) if op in (Operator.GT, Operator.LE) else math.ceil(value)
        return f"({text} {_INFIX[op]} {self._bindings.bind(whole, 'BIGINT')})"


def _fits(value: Scalar, kind: Field) -> bool:
    """Whether a constant can equal a value of the type."""
    match kind.type:
        case FieldType.INTEGER:
            number = isinstance(value, int | float) and not isinstance(value, bool)
            return number and in_integer_range(value) and value == int(value)  # type: ignore[arg-type]
        case FieldType.NUMBER:
            return isinstance(value, int | float) and not isinstance(value, bool)
        case FieldType.BOOLEAN:
            return isinstance(value, bool)
        case _:
            return isinstance(value, str)


def _exact(value: Scalar, kind: Field) -> Scalar:
    return int(value) if kind.type is FieldType.INTEGER and value is not None else value


def _any(text: str, condition: str) -> str:
    return f"ifnull(len(list_filter({text}, lambda e: {condition})) > 0, FALSE)"


def _finite(found: Sql) -> str:
    if found.plain or found.field is None or found.field.many or found.field.type is not FieldType.NUMBER:
        return found.text
    return f"(CASE WHEN isfinite({found.text}) THEN {found.text} END)"


def _cast(found: Sql, kind: Field) -> str:
    if found.field is not None and found.field.type is kind.type:
        return found.text
    many = "[]" if kind.many else ""
    if kind.type not in TYPES:
        raise NotInSqlError(kind.type.value)
    return f"CAST({found.text} AS {TYPES[kind.type]}{many})"


def _function(fn: ScalarFunction, parts: Sequence[Sql]) -> Sql:
    first = parts[0].field
    assert first is not None
    if first.many and fn is not _F.LENGTH:
        raise InvalidInputError(f"{fn.value} takes no list")
    texts = [part.text for part in parts]
    if first.type is FieldType.INTEGER and fn in (_F.ROUND, _F.FLOOR, _F.CEIL):
        return parts[0]
    if fn not in _FUNCTIONS or (fn in (_F.TO_NUMBER, _F.TO_TEXT) and not _exact_text(fn, first)):
        raise NotInSqlError(fn.value)
    make, result = _FUNCTIONS[fn]
    return Sql(make(texts), first if result is None else result)


def _exact_text(fn: ScalarFunction, given: Field) -> bool:
    """Whether both ways read and write a type alike."""
    if fn is _F.TO_NUMBER:
        return given.type in (FieldType.INTEGER, FieldType.NUMBER, FieldType.BOOLEAN)
    return given.type in (FieldType.INTEGER, FieldType.BOOLEAN, *_STRINGS)


def _named(name: str) -> Callable[[Sequence[str]], str]:
    return lambda texts: f"{name}({', '.join(texts)})"


_FUNCTIONS: dict[ScalarFunction, tuple[Callable[[Sequence[str]], str], Field | None]] = {
    _F.ABS: (lambda texts: f"TRY(abs({texts[0]}))", None),
    _F.ROUND: (lambda texts: f"round({texts[0]}, CAST({texts[1] if len(texts) > 1 else 0} AS INTEGER))", None),
    _F.FLOOR: (_named("floor"), None),
    _F.CEIL: (_named("ceil"), None),
    _F.LOWER: (_named("lower"), _TEXT),
    _F.UPPER: (_named("upper"), _TEXT),
    _F.LENGTH: (_named("len"), _INTEGER),
    _F.SUBSTRING: (_named("substring"), _TEXT),
    _F.CONCAT: (lambda texts: "(" + " || ".join(texts) + ")", _TEXT),
    _F.TO_NUMBER: (lambda texts: f"CAST({texts[0]} AS DOUBLE)", _NUMBER),
    _F.TO_TEXT: (lambda texts: f"CAST({texts[0]} AS VARCHAR)", _TEXT),
    _F.CONTAINS: (_named("contains"), _BOOLEAN),
    _F.STARTS_WITH: (_named("starts_with"), _BOOLEAN),
    _F.SAME_TEXT: (lambda texts: f"(lower({texts[0]}) = lower({texts[1]}))", _BOOLEAN),
}
