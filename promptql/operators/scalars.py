"""lookup and compare: single values, and two results side by side."""

from __future__ import annotations

from dataclasses import replace

from promptql.errors import PlanError
from promptql.expressions import Arithmetic, ArithmeticOperator, Expression, FieldRef, Scalar, Value
from promptql.operators.rows import Rows
from promptql.steps import CompareStep, Comparison, LookupStep
from promptql.validation.aggregates import compared_field
from promptql.validation.naming import compared_names

_ONE = "_one"  # joins the only row of each side


def run_lookup(step: LookupStep, rows: Rows) -> tuple[Rows, Scalar]:
    """The one value, and the row that it stands in.

    Raises:
        PlanError: there are several rows.
    """
    if len(rows.relation) > 1:
        raise PlanError(
            f"step {step.id} looks up one value, but there are several rows: got={len(rows.relation)}",
            hint="group, filter or limit them first",
        )
    found = rows.relation.project([step.field])
    values = found.column(step.field)
    return rows.over(found), values[0] if values else None


def run_compare(step: CompareStep, left: Rows, right: Rows) -> tuple[Rows, Scalar]:
    """Both numbers and what comes of them, by key; without keys also the single value.

    Raises:
        PlanError: a side without keys has several rows.
    """
    for side, rows in (("left", left), ("right", right)):
        if not step.keys and len(rows.relation) > 1:
            raise PlanError(f"the {side} side of step {step.id} has several rows and no keys: got={len(rows.relation)}")
    field = compared_field(step, left.relation.types, right.relation.types)
    ours, theirs, result = compared_names(step, field)
    keys = list(step.keys)
    left_side, right_side = left.relation.project([*keys, field]), right.relation.project([*keys, field])
    if not keys:
        left_side, right_side = (side.compute([(_ONE, Value(1))]) for side in (left_side, right_side))
    pairs = [(name, name) for name in keys or [_ONE]]
    joined, coverage = left_side.join(right_side, pairs, names={field: theirs})
    made = joined.compute([(result, _formula(step.comparison, FieldRef(ours), FieldRef(theirs)))])
    made = made.project([*keys, ours, theirs, result])
    value = None if keys or not len(made) else made.column(result)[0]
    return replace(left.over(made), passages=None, grouped=True, coverage=coverage if keys else None), value


def _formula(comparison: Comparison, left: Expression, right: Expression) -> Expression:
    times, minus, over = ArithmeticOperator.MULTIPLY, ArithmeticOperator.SUBTRACT, ArithmeticOperator.DIVIDE
    whole = Arithmetic(times, Value(1.0), Arithmetic(minus, left, right))
    match comparison:
        case Comparison.DIFFERENCE:
            return whole
        case Comparison.RATIO:
            return Arithmetic(over, left, right)
        case Comparison.PERCENT_CHANGE:
            return Arithmetic(over, Arithmetic(times, Value(100), whole), right)
