"""Relational steps over rows: the same calls make columns of Arrow now, or a query of SQL for later."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from engine import Aggregate, Coverage, Relation, SortKey, SqlRelation, WindowCall
from promptql.operators.binding import bound, bound_expression
from promptql.operators.rows import Scope
from promptql.plan import Plan
from promptql.steps import (
    Compute,
    Distinct,
    Filter,
    Group,
    Join,
    JoinType,
    Limit,
    Project,
    Relational,
    SetOperation,
    Sort,
    Step,
    Window,
)
from promptql.validation.naming import joined_names

AnyRelation: TypeAlias = Relation | SqlRelation


def relate(
    step: Relational, inputs: Sequence[AnyRelation], plan: Plan, scope: Scope
) -> tuple[AnyRelation, Coverage | None]:
    """What a step makes of its inputs, which are of one kind; of a join over Arrow, also its coverage.

    Raises:
        InvalidInputError: types do not fit; a valid plan has none such.
        NotInSqlError: inputs are of SQL, and that cannot say it exactly.
        MemoryLimitError: a join would give too many rows.
    """
    match step, inputs:
        case Join(), [Relation() as left, Relation() as right]:
            return left.join(
                right, _keys(step), how=step.type.value, names=_names(step, left, right, plan), rows_max=scope.rows_max
            )
        case Join(), [SqlRelation() as left, SqlRelation() as right]:
            names = _names(step, left, right, plan)
            return left.join(right, _keys(step), how=step.type.value, names=names), None
        case SetOperation(), [Relation() as left, Relation() as right]:
            return left.combine(right, step.kind.value, keep_all=step.all), None
        case SetOperation(), [SqlRelation() as left, SqlRelation() as right]:
            return left.combine(right, step.kind.value, keep_all=step.all), None
        case _:
            return _of_one(step, inputs[0], plan, scope), None


def _of_one(step: Relational, rows: AnyRelation, plan: Plan, scope: Scope) -> AnyRelation:
    match step:
        case Filter(where=where):
            return rows.where(bound(where, scope))
        case Project(fields=fields):
            return rows.project(fields)
        case Compute(columns=columns):
            return rows.compute([(column.alias, bound_expression(column.expression, scope)) for column in columns])
        case Group(by=by, aggs=aggs):
            return rows.group(by, [Aggregate(item.fn.value, item.field, item.alias, item.p, item.by) for item in aggs])
        case Sort(by=keys):
            return rows.sort([SortKey(key.field, key.descending) for key in keys], _wanted(step, plan))
        case Limit(n=n, offset=offset):
            return rows.limit(n, offset)
        case Distinct(fields=fields):
            return rows.distinct(fields)
        case Window():
            order = tuple(SortKey(key.field, key.descending) for key in step.order)
            return rows.window(WindowCall(step.fn.value, step.alias, step.field, step.partition, order, step.n))
        case _:
            raise AssertionError(step)


def _wanted(step: Step, plan: Plan) -> int | None:
    """How many rows of a sort are read, where a limit is all that reads it."""
    match plan.consumers(step.id):
        case (Limit(n=n, offset=offset),):
            return n + offset
        case _:
            return None


def _keys(step: Join) -> list[tuple[str, str]]:
    return [(key.left, key.right) for key in step.keys]


def _names(step: Join, left: AnyRelation, right: AnyRelation, plan: Plan) -> dict[str, str]:
    if step.type in (JoinType.SEMI, JoinType.ANTI):
        return {}
    return joined_names(step, plan, left.types, right.types)
