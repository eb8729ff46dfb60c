"""Expressions and predicates as JSON, and back: exact inverses, every complaint with its JSON Pointer."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, TypeVar

from promptql.errors import PlanError, nearest_name
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
    InStep,
    Lookup,
    Not,
    Operator,
    Or,
    Param,
    Predicate,
    Scalar,
    ScalarFunction,
    Value,
)

DEPTH_MAX = 16
ITEMS_MAX = 1_000
ARGUMENTS_MAX = 32
EXPRESSION_HINT = (
    '{"field": …}, {"value": …}, {"param": …}, {"lookup": …}, {"op", "l", "r"}, {"fn", "args"} or {"case"}'
)
PREDICATE_HINT = '{"op": "=", "l": {"field": …}, "r": {"value": …}}, or one of "and", "or", "not", "in_step"'
_NAMED: dict[str, Callable[[str], Expression]] = {"field": FieldRef, "param": Param, "lookup": Lookup}
E = TypeVar("E", bound=StrEnum)


def expression_from_json(data: object, pointer: str = "", depth: int = 0) -> Expression:
    """Read an expression.

    Raises:
        PlanError: it is of no shape that `promptql.expressions` tells of.
    """
    if depth > DEPTH_MAX:
        raise PlanError(f"expression is nested too deep: limit={DEPTH_MAX}", pointer=pointer)
    if not isinstance(data, Mapping):
        raise PlanError(
            f"expression is not an object: got={type(data).__name__}", pointer=pointer, hint=EXPRESSION_HINT
        )
    keys = set(data)
    for key, make in _NAMED.items():
        if keys == {key}:
            return make(_name(data[key], f"{pointer}/{key}"))
    if keys == {"value"}:
        return Value(_constant(data["value"], f"{pointer}/value"))
    if keys == {"op", "l", "r"}:
        op = _member(ArithmeticOperator, data["op"], "operator", f"{pointer}/op")
        left = expression_from_json(data["l"], f"{pointer}/l", depth + 1)
        return Arithmetic(op, left, expression_from_json(data["r"], f"{pointer}/r", depth + 1))
    if keys == {"fn", "args"}:
        return _call(data, pointer, depth)
    if keys in ({"case"}, {"case", "else"}):
        return _case(data, pointer, depth)
    shown = ", ".join(sorted(map(str, keys))[:5])
    raise PlanError(f"not an expression: keys={shown or 'none'}", pointer=pointer, hint=EXPRESSION_HINT)


def _call(data: Mapping[str, object], pointer: str, depth: int) -> Call:
    fn = _member(ScalarFunction, data["fn"], "function", f"{pointer}/fn")
    args = _list(data["args"], f"{pointer}/args", ARGUMENTS_MAX, "arguments")
    return Call(fn, tuple(expression_from_json(arg, f"{pointer}/args/{i}", depth + 1) for i, arg in enumerate(args)))


def _case(data: Mapping[str, object], pointer: str, depth: int) -> Case:
    branches = []
    for index, item in enumerate(_list(data["case"], f"{pointer}/case", ARGUMENTS_MAX, "branches")):
        place = f"{pointer}/case/{index}"
        if not isinstance(item, Mapping) or set(item) != {"when", "then"}:
            raise PlanError('a branch of a case has "when" and "then"', pointer=place)
        when = predicate_from_json(item["when"], f"{place}/when", depth + 1)
        branches.append(Branch(when, expression_from_json(item["then"], f"{place}/then", depth + 1)))
    otherwise = data.get("else")
    if otherwise is None:
        return Case(tuple(branches))
    return Case(tuple(branches), expression_from_json(otherwise, f"{pointer}/else", depth + 1))


def predicate_from_json(data: object, pointer: str = "", depth: int = 0) -> Predicate:
    """Read a predicate.

    Raises:
        PlanError: it is of no shape that `promptql.expressions` tells of.
    """
    if depth > DEPTH_MAX:
        raise PlanError(f"predicate is nested too deep: limit={DEPTH_MAX}", pointer=pointer)
    if not isinstance(data, Mapping):
        raise PlanError(f"predicate is not an object: got={type(data).__name__}", pointer=pointer)
    for key in ("and", "or"):
        if set(data) == {key}:
            items = _list(data[key], f"{pointer}/{key}", ITEMS_MAX, "predicates")
            parts = tuple(predicate_from_json(item, f"{pointer}/{key}/{i}", depth + 1) for i, item in enumerate(items))
            return And(parts) if key == "and" else Or(parts)
    if set(data) == {"not"}:
        return Not(predicate_from_json(data["not"], f"{pointer}/not", depth + 1))
    if "in_step" in data:
        return _in_step(data, pointer, depth)
    if "op" not in data:
        keys = ", ".join(sorted(str(key) for key in data)[:5])
        raise PlanError(f"not a predicate: keys={keys or 'none'}", pointer=pointer, hint=PREDICATE_HINT)
    return _comparison(data, pointer, depth)


def _in_step(data: Mapping[str, object], pointer: str, depth: int) -> InStep:
    if set(data) != {"in_step", "field", "column"}:
        raise PlanError('membership in a step has "in_step", "field" and "column"', pointer=pointer)
    left = data["field"]
    if isinstance(left, str):
        left = {"field": left}
    step = _name(data["in_step"], f"{pointer}/in_step")
    return InStep(
        step,
        expression_from_json(left, f"{pointer}/field", depth + 1),
        _name(data["column"], f"{pointer}/column"),
    )


def _comparison(data: Mapping[str, object], pointer: str, depth: int) -> Compare:
    name = "=" if data["op"] == "==" else data["op"]
    op = _member(Operator, name, "operator", f"{pointer}/op")
    expected = {"op", "l"} if op is Operator.IS_NULL else {"op", "l", "r"}
    if set(data) != expected:
        raise PlanError(
            f"comparison has the wrong parts: expected={sorted(expected)} got={sorted(map(str, data))}",
            pointer=pointer,
        )
    left = expression_from_json(data["l"], f"{pointer}/l", depth + 1)
    if op is Operator.IS_NULL:
        return Compare(op, left, None)
    right = expression_from_json(data["r"], f"{pointer}/r", depth + 1)
    if isinstance(right, Value):
        right = Value(check_constant(right.value, op, f"{pointer}/r/value"))
    return Compare(op, left, right)


def check_constant(value: object, op: Operator, pointer: str) -> Scalar | tuple[Scalar, ...]:
    """The constant, if it has the form that the operator takes.

    Raises:
        PlanError: a list where a scalar is due or the other way round, null, or not finite.
    """
    if op is Operator.IN:
        if not isinstance(value, (list, tuple)) or not 1 <= len(value) <= ITEMS_MAX:
            raise PlanError(f"`in` takes a list of 1 to {ITEMS_MAX} values", pointer=pointer)
        return tuple(_compared(item, f"{pointer}/{index}") for index, item in enumerate(value))
    if isinstance(value, (list, tuple)):
        raise PlanError(f"{op.value} takes one value, not a list", pointer=pointer, hint="use in")
    return _compared(value, pointer)


def _compared(value: object, pointer: str) -> Scalar:
    if value is None:
        raise PlanError("a comparison with null", pointer=pointer, hint="use is_null")
    return _scalar(value, pointer)


def _constant(value: object, pointer: str) -> Scalar | tuple[Scalar, ...]:
    if isinstance(value, (list, tuple)):
        if len(value) > ITEMS_MAX:
            raise PlanError(f"too many values: got={len(value)} limit={ITEMS_MAX}", pointer=pointer)
        return tuple(_scalar(item, f"{pointer}/{index}") for index, item in enumerate(value))
    return _scalar(value, pointer)


def _scalar(value: object, pointer: str) -> Scalar:
    if value is not None and not isinstance(value, (bool, int, float, str)):
        raise PlanError(f"not a constant: got={type(value).__name__}", pointer=pointer)
    if isinstance(value, float) and not math.isfinite(value):
        raise PlanError("a constant must be finite", pointer=pointer)
    return value


def _name(value: object, pointer: str) -> str:
    if not isinstance(value, str) or not value:
        raise PlanError(f"expected a name: got={value!r:.60}", pointer=pointer)
    return value


def _member(kind: type[E], name: object, noun: str, pointer: str) -> E:
    if not isinstance(name, str) or name not in set(kind):
        raise PlanError(f"unknown {noun}: {name!r:.60}", pointer=pointer, hint=nearest_name(str(name), kind))
    return kind(name)


def _list(data: object, pointer: str, most: int, noun: str) -> list[Any]:
    if not isinstance(data, list) or not data or len(data) > most:
        raise PlanError(f"expected a list of 1 to {most} {noun}", pointer=pointer)
    return data


def expression_to_json(expression: Expression) -> dict[str, Any]:
    """The inverse of `expression_from_json`."""
    match expression:
        case FieldRef(name):
            return {"field": name}
        case Param(name):
            return {"param": name}
        case Lookup(step):
            return {"lookup": step}
        case Value(value):
            return {"value": list(value) if isinstance(value, tuple) else value}
        case Arithmetic(op, left, right):
            return {"op": op.value, "l": expression_to_json(left), "r": expression_to_json(right)}
        case Call(fn, args):
            return {"fn": fn.value, "args": [expression_to_json(arg) for arg in args]}
        case Case(branches, otherwise):
            cases = [{"when": predicate_to_json(b.when), "then": expression_to_json(b.then)} for b in branches]
            return {"case": cases} | ({} if otherwise is None else {"else": expression_to_json(otherwise)})


def predicate_to_json(predicate: Predicate) -> dict[str, Any]:
    """The inverse of `predicate_from_json`."""
    match predicate:
        case And(items):
            return {"and": [predicate_to_json(item) for item in items]}
        case Or(items):
            return {"or": [predicate_to_json(item) for item in items]}
        case Not(item):
            return {"not": predicate_to_json(item)}
        case InStep(step, left, column):
            return {"in_step": step, "field": expression_to_json(left), "column": column}
        case Compare(op, left, right):
            data = {"op": op.value, "l": expression_to_json(left)}
            return data if right is None else data | {"r": expression_to_json(right)}
