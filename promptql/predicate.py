"""The typed predicate tree of a plan: what a filter step, or the `where` of a scan or search, says.

JSON: ``{"op": ">=", "l": {"field": "year"}, "r": {"value": 1990}}`` (or ``{"param": "since"}``),
joined by ``{"and": [...]}``, ``{"or": [...]}`` and ``{"not": {...}}``. ``is_null`` has no right side.
Nothing in it is ever evaluated as code: it becomes the engine's filter.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

from promptql.errors import PlanError, nearest_name

Scalar: TypeAlias = bool | int | float | str | None

DEPTH_MAX = 16
ITEMS_MAX = 1_000


class Operator(StrEnum):
    """Comparison operators; ``==`` is read as ``=``."""

    EQ = "="
    NE = "!="
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="
    IN = "in"
    CONTAINS = "contains"
    STARTS_WITH = "starts_with"
    ENDS_WITH = "ends_with"
    IS_NULL = "is_null"


_ENGINE = {
    Operator.EQ: "$eq",
    Operator.NE: "$ne",
    Operator.LT: "$lt",
    Operator.LE: "$lte",
    Operator.GT: "$gt",
    Operator.GE: "$gte",
    Operator.IN: "$in",
    Operator.CONTAINS: "$contains",
    Operator.STARTS_WITH: "$starts_with",
    Operator.ENDS_WITH: "$ends_with",
    Operator.IS_NULL: "$is_null",
}


@dataclass(frozen=True, slots=True)
class Value:
    """A constant; a tuple for `in`."""

    value: Scalar | tuple[Scalar, ...]


@dataclass(frozen=True, slots=True)
class Param:
    """A parameter of the plan, by name."""

    name: str


@dataclass(frozen=True, slots=True)
class Compare:
    """`field op operand`; the operand is None for `is_null` only."""

    op: Operator
    field: str
    operand: Value | Param | None


@dataclass(frozen=True, slots=True)
class And:
    """All of the items hold."""

    items: tuple[Predicate, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """At least one of the items holds."""

    items: tuple[Predicate, ...]


@dataclass(frozen=True, slots=True)
class Not:
    """The item does not hold."""

    item: Predicate


Predicate: TypeAlias = Compare | And | Or | Not


def compare(field: str, op: Operator | str, value: Scalar | Sequence[Scalar]) -> Compare:
    """A comparison with a constant."""
    constant = value if isinstance(value, str) or not isinstance(value, Sequence) else tuple(value)
    return Compare(Operator(op), field, Value(constant))


def conjunction(*predicates: Predicate | None) -> Predicate | None:
    """All of the predicates as one flat `and`; None where there is none."""
    items = tuple(item for predicate in predicates for item in conjuncts(predicate))
    if not items:
        return None
    return items[0] if len(items) == 1 else And(items)


def conjuncts(predicate: Predicate | None) -> tuple[Predicate, ...]:
    """The parts of the top-level `and`."""
    if predicate is None:
        return ()
    if isinstance(predicate, And):
        return tuple(part for item in predicate.items for part in conjuncts(item))
    return (predicate,)


def comparisons(predicate: Predicate | None, pointer: str = "") -> Iterator[tuple[str, Compare]]:
    """Every comparison in the tree with its JSON Pointer."""
    match predicate:
        case None:
            return
        case Compare():
            yield pointer, predicate
        case Not(item):
            yield from comparisons(item, f"{pointer}/not")
        case And(items) | Or(items):
            key = "and" if isinstance(predicate, And) else "or"
            for index, item in enumerate(items):
                yield from comparisons(item, f"{pointer}/{key}/{index}")


def fields_of(predicate: Predicate | None) -> frozenset[str]:
    """Names of the fields that the predicate reads."""
    return frozenset(comparison.field for _, comparison in comparisons(predicate))


# ── JSON ─────────────────────────────────────────────────────────────────────


def predicate_from_json(data: object, pointer: str = "", depth: int = 0) -> Predicate:
    """Read a predicate.

    Raises:
        PlanError: it is not of the shape in the module's docstring.
    """
    if depth > DEPTH_MAX:
        raise PlanError(f"predicate is nested too deep: limit={DEPTH_MAX}", pointer=pointer)
    if not isinstance(data, Mapping):
        raise PlanError(f"predicate is not an object: got={type(data).__name__}", pointer=pointer)
    for key in ("and", "or"):
        if set(data) == {key}:
            items = _items(data[key], f"{pointer}/{key}", depth)
            return And(items) if key == "and" else Or(items)
    if set(data) == {"not"}:
        return Not(predicate_from_json(data["not"], f"{pointer}/not", depth + 1))
    if "op" not in data:
        keys = ", ".join(sorted(str(key) for key in data)[:5])
        raise PlanError(
            f"not a predicate: keys={keys or 'none'}",
            pointer=pointer,
            hint='{"op": "=", "l": {"field": …}, "r": {"value": …}}, or one of "and", "or", "not"',
        )
    return _comparison(data, pointer)


def _items(data: object, pointer: str, depth: int) -> tuple[Predicate, ...]:
    if not isinstance(data, list) or not data or len(data) > ITEMS_MAX:
        raise PlanError(f"expected a list of 1 to {ITEMS_MAX} predicates", pointer=pointer)
    return tuple(predicate_from_json(item, f"{pointer}/{index}", depth + 1) for index, item in enumerate(data))


def _comparison(data: Mapping[str, object], pointer: str) -> Compare:
    name = data["op"]
    if name == "==":
        name = "="
    if not isinstance(name, str) or name not in set(Operator):
        raise PlanError(f"unknown operator: {name!r}", pointer=f"{pointer}/op", hint=nearest_name(str(name), Operator))
    op = Operator(name)
    expected = {"op", "l"} if op is Operator.IS_NULL else {"op", "l", "r"}
    if set(data) != expected:
        raise PlanError(
            f"comparison has the wrong parts: expected={sorted(expected)} got={sorted(map(str, data))}",
            pointer=pointer,
        )
    left = data["l"]
    if not isinstance(left, Mapping) or set(left) != {"field"} or not isinstance(left["field"], str):
        raise PlanError("the left side of a comparison is a field", pointer=f"{pointer}/l", hint='{"field": "name"}')
    if op is Operator.IS_NULL:
        return Compare(op, left["field"], None)
    return Compare(op, left["field"], _operand(data["r"], op, f"{pointer}/r"))


def _operand(data: object, op: Operator, pointer: str) -> Value | Param:
    if isinstance(data, Mapping) and set(data) == {"param"} and isinstance(data["param"], str):
        return Param(data["param"])
    if not isinstance(data, Mapping) or set(data) != {"value"}:
        raise PlanError(
            "the right side of a comparison is a value or a parameter",
            pointer=pointer,
            hint='{"value": …} or {"param": "name"}',
        )
    return Value(check_constant(data["value"], op, f"{pointer}/value"))


def check_constant(value: object, op: Operator, pointer: str) -> Scalar | tuple[Scalar, ...]:
    """The constant, if it has the form that the operator takes.

    Raises:
        PlanError: a list where a scalar is due or the other way round, null, or not finite.
    """
    if op is Operator.IN:
        if not isinstance(value, (list, tuple)) or not 1 <= len(value) <= ITEMS_MAX:
            raise PlanError(f"`in` takes a list of 1 to {ITEMS_MAX} values", pointer=pointer)
        return tuple(_scalar(item, f"{pointer}/{index}") for index, item in enumerate(value))
    return _scalar(value, pointer)


def _scalar(value: object, pointer: str) -> Scalar:
    if value is None:
        raise PlanError("a comparison with null", pointer=pointer, hint="use is_null")
    if not isinstance(value, (bool, int, float, str)):
        raise PlanError(f"not a constant: got={type(value).__name__}", pointer=pointer)
    if isinstance(value, float) and not math.isfinite(value):
        raise PlanError("a constant must be finite", pointer=pointer)
    return value


def predicate_to_json(predicate: Predicate) -> dict[str, Any]:
    """The inverse of `predicate_from_json`."""
    match predicate:
        case And(items):
            return {"and": [predicate_to_json(item) for item in items]}
        case Or(items):
            return {"or": [predicate_to_json(item) for item in items]}
        case Not(item):
            return {"not": predicate_to_json(item)}
        case Compare(op, field, operand):
            data: dict[str, Any] = {"op": op.value, "l": {"field": field}}
            if isinstance(operand, Param):
                data["r"] = {"param": operand.name}
            elif operand is not None:
                constant = operand.value
                data["r"] = {"value": list(constant) if isinstance(constant, tuple) else constant}
            return data


# ── to the engine, and to words ──────────────────────────────────────────────


def engine_filter(
    predicate: Predicate, params: Mapping[str, Scalar], text_lists: frozenset[str] = frozenset()
) -> dict[str, Any]:
    """The predicate in the engine's filter language.

    `text_lists` are the fields whose values are lists of strings; an empty list is no value either, though to the
    engine it is not null.

    Raises:
        PlanError: a parameter has no value.
    """
    match predicate:
        case And(items):
            return {"$and": [engine_filter(item, params, text_lists) for item in items]}
        case Or(items):
            return {"$or": [engine_filter(item, params, text_lists) for item in items]}
        case Not(item):
            return {"$not": engine_filter(item, params, text_lists)}
        case Compare(Operator.IS_NULL, field, None) if field in text_lists:
            return {"$not": {field: {"$starts_with": ""}}}  # which any string does
        case Compare(op, field, operand):
            return {field: {_ENGINE[op]: _constant(operand, params)}}


def _constant(operand: Value | Param | None, params: Mapping[str, Scalar]) -> Any:
    match operand:
        case None:
            return True
        case Param(name):
            if params.get(name) is None:
                raise PlanError(f'parameter "{name}" has no value', pointer=f"/params/{name}")
            return params[name]
        case Value(value):
            return list(value) if isinstance(value, tuple) else value


_WORDS = {
    Operator.EQ: "is",
    Operator.NE: "is not",
    Operator.IN: "is one of",
    Operator.CONTAINS: "contains",
    Operator.STARTS_WITH: "starts with",
    Operator.ENDS_WITH: "ends with",
}


def describe(predicate: Predicate) -> str:
    """The predicate in words: ``kind is function and parameters > 3``."""
    match predicate:
        case Not(Compare(_, field, None)):
            return f"{field} is known"
        case And(items):
            return " and ".join(describe(item) for item in items)
        case Or(items):
            return "(" + " or ".join(describe(item) for item in items) + ")"
        case Not(item):
            return f"not ({describe(item)})"
        case Compare(_, field, None):
            return f"{field} is missing"
        case Compare(op, field, Param(name)):
            return f"{field} {_WORDS.get(op, op.value)} :{name}"
        case Compare(op, field, Value(value)):
            return f"{field} {_WORDS.get(op, op.value)} {_shown(value)}"
    raise AssertionError(predicate)


def _shown(value: Scalar | tuple[Scalar, ...]) -> str:
    if isinstance(value, tuple):
        return ", ".join(_shown(item) for item in value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
