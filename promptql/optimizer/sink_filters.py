"""A filter moves below a sort, a projection, computed columns or distinct rows, towards the source."""

from __future__ import annotations

from promptql.catalog import Catalog
from promptql.expressions import fields_of
from promptql.optimizer.rewiring import is_named, reading, replaced, sole_input
from promptql.plan import Plan
from promptql.steps import Compute, Distinct, Filter, Project, Sort, Step


def sink_filters(plan: Plan, catalog: Catalog) -> Plan:  # noqa: ARG001  (every rule takes the catalog)
    """filter(sort(R)) = sort(filter(R)), as sorting is stable; filter(project(R)) = project(filter(R)).

    Below computed columns where it uses none of them; below distinct rows where it uses only columns that equal rows
    have in common, as it then keeps or drops all of them together.
    """
    for step in plan.steps:
        below = sole_input(plan, step)
        if isinstance(step, Filter) and below is not None and _commute(step, below) and not is_named(plan, step):
            # The two exchange places and ids stay with their steps; those that read the filter read the other.
            exchanged = {reader.id: reading(reader, below.id, step.id) for reader in plan.consumers(step.id)}
            exchanged[step.id] = reading(step, below.inputs[0])
            exchanged[below.id] = reading(below, step.id)
            return replaced(plan, exchanged)
    return plan


def _commute(step: Filter, below: Step) -> bool:
    match below:
        case Sort() | Project():
            return True
        case Compute(columns=columns):
            return not fields_of(step.where) & {column.alias for column in columns}
        case Distinct(fields=fields):
            return fields is None or fields_of(step.where) <= set(fields)
        case _:
            return False
