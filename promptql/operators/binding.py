"""Parameters, looked-up values and members of other steps put in their places."""

from __future__ import annotations

from promptql.errors import PlanError
from promptql.expressions import And, Compare, Expression, InStep, Not, Operator, Or, Predicate, Scalar, Value
from promptql.operators.rows import Scope
from promptql.predicate import bind, bind_expression

_TURNED = {
    Operator.EQ: Operator.EQ,
    Operator.NE: Operator.NE,
    Operator.LT: Operator.GT,
    Operator.LE: Operator.GE,
    Operator.GT: Operator.LT,
    Operator.GE: Operator.LE,
}
MEMBERS_MAX = 100_000  # values of another step's column that a condition may hold


def bound(predicate: Predicate, scope: Scope) -> Predicate:
    """A predicate of constants and columns only.

    Raises:
        PlanError: a parameter has no value, or a step gives too many members.
    """
    return _members(bind(predicate, scope.params, scope.lookups), scope)


def bound_expression(expression: Expression, scope: Scope) -> Expression:
    """An expression of constants and columns only.

    Raises:
        PlanError: a parameter has no value.
    """
    return bind_expression(expression, scope.params, scope.lookups)


def _members(predicate: Predicate, scope: Scope) -> Predicate:
    match predicate:
        case And(items):
            return And(tuple(_members(item, scope) for item in items))
        case Or(items):
            return Or(tuple(_members(item, scope) for item in items))
        case Not(item):
            return Not(_members(item, scope))
        case InStep(step, left, column):
            return Compare(Operator.IN, left, Value(_values(step, column, scope)))
        case Compare(op, Value() as left, right) if op in _TURNED and right is not None:
            return Compare(_TURNED[op], right, left)  # a constant takes the type of the other side
        case _:
            return predicate


def _values(step: str, column: str, scope: Scope) -> tuple[Scalar, ...]:
    relation = scope.done[step].relation.project([column]).distinct()
    if len(relation) > MEMBERS_MAX:
        raise PlanError(
            f"step {step} gives too many values for a condition: got={len(relation)} limit={MEMBERS_MAX}",
            hint="use a join of type semi",
        )
    values: list[Scalar] = []
    for value in relation.column(column):
        values += value if isinstance(value, list) else [value]
    return tuple(dict.fromkeys(value for value in values if value is not None))
