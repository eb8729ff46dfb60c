"""A filter over a union, an intersection or a difference moves below it, to both sides."""

from __future__ import annotations

from dataclasses import replace

from promptql.catalog import Catalog
from promptql.optimizer.rewiring import added, is_named, new_id, removed, renamed, replaced, sole_input
from promptql.plan import STEPS_MAX, Plan
from promptql.steps import Filter, SetOperation
from promptql.validation import columns_of


def push_into_sets(plan: Plan, catalog: Catalog) -> Plan:
    """filter(union(L, R)) = union(filter(L), filter(R)), and so on: the condition holds for equal rows alike.

    Only where the columns of both sides have the same types, as a condition may mean another thing for others.
    """
    for step in plan.steps:
        both = sole_input(plan, step)
        if not isinstance(step, Filter) or not isinstance(both, SetOperation) or len(plan.steps) + 1 > STEPS_MAX:
            continue
        if is_named(plan, step):
            continue
        columns = columns_of(plan, catalog)
        left, right = columns[both.left], columns[both.right]
        if [field.type for field in left.values()] != [field.type for field in right.values()]:
            continue
        names = dict(zip(left, right, strict=True))
        ours = Filter(new_id(plan, f"{step.id}_left"), both.left, step.where)
        theirs = Filter(new_id(plan, f"{step.id}_right"), both.right, renamed(step.where, names))
        changed = replaced(plan, {both.id: replace(both, left=ours.id, right=theirs.id)})
        return removed(added(changed, [ours, theirs]), step.id, both.id)
    return plan
