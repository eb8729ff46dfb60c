"""Conditions on one side of a join move below it, so that fewer rows are joined."""

from __future__ import annotations

from dataclasses import replace

from promptql.catalog import Catalog
from promptql.expressions import Predicate, fields_of
from promptql.optimizer.rewiring import added, is_named, new_id, removed, renamed, replaced, sole_input
from promptql.plan import STEPS_MAX, Plan
from promptql.predicate import conjunction, conjuncts
from promptql.steps import Filter, Join, JoinType, SemJoin, Step
from promptql.validation import columns_of
from promptql.validation.naming import joined_names


def push_into_joins(plan: Plan, catalog: Catalog) -> Plan:
    """filter(join(L, R), a and b) = join(filter(L, a), filter(R, b)), a over columns of L and b over those of R.

    Below the right side only of an inner join: a left join would keep the left rows that b leaves alone. A semantic
    join is an inner one.
    """
    for step in plan.steps:
        join = sole_input(plan, step)
        if not isinstance(step, Filter) or not isinstance(join, Join | SemJoin) or len(plan.steps) + 2 > STEPS_MAX:
            continue
        if is_named(plan, step):
            continue
        sides = _sides(plan, step, join, catalog)
        if sides is not None:
            return _rewritten(plan, step, join, *sides)
    return plan


def _sides(
    plan: Plan, step: Filter, join: Join | SemJoin, catalog: Catalog
) -> tuple[Predicate | None, Predicate | None, Predicate | None] | None:
    """What the left side takes, what the right side takes, and what stays; None where all stays."""
    columns = columns_of(plan, catalog)
    left = set(columns[join.left])
    names = {given: name for name, given in joined_names(join, plan, left, columns[join.right]).items()}
    parts: dict[str, list[Predicate]] = {"left": [], "right": [], "stay": []}
    for part in conjuncts(step.where):
        used = fields_of(part)
        if used and used <= left:
            parts["left"].append(part)
        elif used and used <= set(names) and (isinstance(join, SemJoin) or join.type is JoinType.INNER):
            parts["right"].append(renamed(part, names))
        else:
            parts["stay"].append(part)
    if not parts["left"] and not parts["right"]:
        return None
    return conjunction(*parts["left"]), conjunction(*parts["right"]), conjunction(*parts["stay"])


def _rewritten(
    plan: Plan,
    step: Filter,
    join: Join | SemJoin,
    left: Predicate | None,
    right: Predicate | None,
    stay: Predicate | None,
) -> Plan:
    new: list[Step] = []
    links: dict[str, str] = {}
    for side, where in (("left", left), ("right", right)):
        if where is not None:
            name = new_id(plan, f"{step.id}_{side}")
            new.append(Filter(name, getattr(join, side), where))
            links[side] = name
    narrowed = replace(join, left=links.get("left", join.left), right=links.get("right", join.right))
    made = added(replaced(plan, {join.id: narrowed}), new)  # a filter keeps what the prefix comes from
    if stay is None:
        return removed(made, step.id, join.id)
    return replaced(made, {step.id: replace(step, where=stay)})
