"""Predicates in use: making them, taking them apart, the engine's filter of one, and its words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from engine import Field, FieldType
from promptql.errors import PlanError
from promptql.expressions import (
    And,
    Arithmetic,
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
    Value,
)

PATTERN_CHARACTERS_MAX = 500  # of a substring that becomes a pattern: escaped it may be twice as long
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
_ANY_ELEMENT: dict[FieldType, dict[str, Any]] = {  # what every element of a list of that type satisfies
    FieldType.TEXT: {"$starts_with": ""},
    FieldType.KEYWORD: {"$starts_with": ""},
    FieldType.INTEGER: {"$gte": float("-inf")},
    FieldType.NUMBER: {"$gte": float("-inf")},
    FieldType.DATETIME: {"$gte": "0001-01-01T00:00:00Z"},
    FieldType.BOOLEAN: {"$in": [True, False]},
}
_NEVER: dict[str, Any] = {"$or": []}


def compare(field: str, op: Operator | str, value: Scalar | Sequence[Scalar]) -> Compare:
    """A comparison of a field with a constant."""
    constant = value if isinstance(value, str) or not isinstance(value, Sequence) else tuple(value)
    return Compare(Operator(op), FieldRef(field), Value(constant))


def missing(field: str) -> Compare:
    """The field has no value."""
    return Compare(Operator.IS_NULL, FieldRef(field), None)


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
    """Every comparison in the tree with its JSON Pointer; those within expressions are left out."""
    match predicate:
        case Compare():
            yield pointer, predicate
        case Not(item):
            yield from comparisons(item, f"{pointer}/not")
        case And(items) | Or(items):
            key = "and" if isinstance(predicate, And) else "or"
            for index, item in enumerate(items):
                yield from comparisons(item, f"{pointer}/{key}/{index}")
        case _:
            return


# ── binding ──────────────────────────────────────────────────────────────────


def bind(predicate: Predicate, params: Mapping[str, Scalar], lookups: Mapping[str, Scalar] | None = None) -> Predicate:
    """The predicate with the values of parameters, and of the lookups that are known, in their places.

    Raises:
        PlanError: a parameter has no value.
    """
    match predicate:
        case And(items):
            return And(tuple(bind(item, params, lookups) for item in items))
        case Or(items):
            return Or(tuple(bind(item, params, lookups) for item in items))
        case Not(item):
            return Not(bind(item, params, lookups))
        case InStep(step, left, column):
            return InStep(step, bind_expression(left, params, lookups), column)
        case Compare(op, left, right):
            bound = None if right is None else bind_expression(right, params, lookups)
            return Compare(op, bind_expression(left, params, lookups), bound)


def bind_expression(
    expression: Expression, params: Mapping[str, Scalar], lookups: Mapping[str, Scalar] | None = None
) -> Expression:
    """`bind` for an expression.

    Raises:
        PlanError: a parameter has no value.
    """
    match expression:
        case Param(name):
            if params.get(name) is None:
                raise PlanError(f'parameter "{name}" has no value', pointer=f"/params/{name}")
            return Value(params[name])
        case Lookup(step) if lookups is not None and step in lookups:
            return Value(lookups[step])
        case Arithmetic(op, left, right):
            return Arithmetic(op, bind_expression(left, params, lookups), bind_expression(right, params, lookups))
        case Call(fn, args):
            return Call(fn, tuple(bind_expression(arg, params, lookups) for arg in args))
        case Case(branches, otherwise):
            bound = tuple(
                Branch(bind(branch.when, params, lookups), bind_expression(branch.then, params, lookups))
                for branch in branches
            )
            return Case(bound, None if otherwise is None else bind_expression(otherwise, params, lookups))
        case _:
            return expression


# ── to the engine, and to words ──────────────────────────────────────────────


def engine_filter(
    predicate: Predicate, params: Mapping[str, Scalar], types: Mapping[str, Field] | None = None
) -> dict[str, Any] | None:
    """The predicate in the engine's filter language; None where that cannot say it.

    Args:
        predicate: over documents.
        params: the values of the plan's parameters.
        types: the fields; those not named are taken for scalars.

    Raises:
        PlanError: a parameter has no value.
    """
    return _filter(bind(predicate, params), types or {})


def _filter(predicate: Predicate, types: Mapping[str, Field]) -> dict[str, Any] | None:
    match predicate:
        case And(items) | Or(items):
            parts = [_filter(item, types) for item in items]
            if any(part is None for part in parts):
                return None
            return {"$and" if isinstance(predicate, And) else "$or": parts}
        case Not(item):
            inner = _filter(item, types)
            return None if inner is None else {"$not": inner}
        case Compare(Operator.IS_NULL, FieldRef(name), None):
            present = _present(name, types)
            return None if present is None else {"$not": present}
        case Compare(op, FieldRef(name), Value(value)):
            return _comparison(op, name, value, types)
        case _:
            return None


def _present(name: str, types: Mapping[str, Field]) -> dict[str, Any] | None:
    """The field has a value; a list, at least one element."""
    field = types.get(name)
    if field is None or not field.many:
        return {name: {"$is_null": False}}
    return {name: _ANY_ELEMENT[field.type]} if field.type in _ANY_ELEMENT else None


def _comparison(
    op: Operator, name: str, value: Scalar | tuple[Scalar, ...], types: Mapping[str, Field]
) -> dict[str, Any] | None:
    many = name in types and types[name].many
    if value is None or value == ():
        return _NEVER
    if op is Operator.NE:
        present = _present(name, types)
        return None if present is None else {"$and": [{name: {"$ne": value}}, present]}
    if op is Operator.CONTAINS and many:  # an element that contains it; the engine's own means one that equals it
        if not isinstance(value, str) or len(value) > PATTERN_CHARACTERS_MAX:
            return None
        return {name: {"$like": f"%{_escaped(value)}%"}}
    return {name: {_ENGINE[op]: list(value) if isinstance(value, tuple) else value}}


def _escaped(text: str) -> str:
    """A pattern that stands for the text itself."""
    return text.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


_WORDS = {
    Operator.EQ: "is",
    Operator.NE: "is not",
    Operator.IN: "is one of",
    Operator.CONTAINS: "contains",
    Operator.STARTS_WITH: "starts with",
    Operator.ENDS_WITH: "ends with",
}


_INFIX_WORDS = {Operator.LIKE: "is like", Operator.MATCHES: "matches"}


def describe(predicate: Predicate) -> str:
    """The predicate in words: ``kind is function and parameters > 3``."""
    match predicate:
        case Not(Compare(Operator.IS_NULL, left, _)):
            return f"{describe_expression(left)} is known"
        case And(items):
            return " and ".join(describe(item) for item in items)
        case Or(items):
            return "(" + " or ".join(describe(item) for item in items) + ")"
        case Not(item):
            return f"not ({describe(item)})"
        case InStep(step, left, column):
            return f"{describe_expression(left)} is a {column} of {step}"
        case Compare(_, left, None):
            return f"{describe_expression(left)} is missing"
        case Compare(op, left, right):
            word = _WORDS.get(op) or _INFIX_WORDS.get(op, op.value)
            return f"{describe_expression(left)} {word} {describe_expression(right)}"
    raise AssertionError(predicate)


def describe_expression(expression: Expression | None) -> str:
    """The expression in words: ``price * 2``."""
    match expression:
        case FieldRef(name):
            return name
        case Value(value):
            return _shown(value)
        case Param(name):
            return f":{name}"
        case Lookup(step):
            return f"the value of {step}"
        case Arithmetic(op, left, right):
            return f"({describe_expression(left)} {op.value} {describe_expression(right)})"
        case Call(fn, args):
            return f"{fn.value}({', '.join(map(describe_expression, args))})"
        case Case():
            return "a case"
        case None:
            return "nothing"


def _shown(value: Scalar | tuple[Scalar, ...]) -> str:
    if isinstance(value, tuple):
        return ", ".join(_shown(item) for item in value)
    if isinstance(value, bool):
        return "true" if value else "false"
    return "nothing" if value is None else str(value)
