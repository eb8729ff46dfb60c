"""A limit moves below a projection or computed columns, so that less is computed."""

from __future__ import annotations

from promptql.catalog import Catalog
from promptql.optimizer.rewiring import is_named, reading, replaced, sole_input
from promptql.plan import Plan
from promptql.steps import Compute, Limit, Project


def sink_limits(plan: Plan, catalog: Catalog) -> Plan:  # noqa: ARG001  (every rule takes the catalog)
    """limit(project(R)) = project(limit(R)), and likewise for computed columns; ties need the sort before them."""
    for step in plan.steps:
        below = sole_input(plan, step)
        if not isinstance(step, Limit) or step.ties or not isinstance(below, (Project, Compute)):
            continue
        if is_named(plan, step):
            continue
        exchanged = {reader.id: reading(reader, below.id, step.id) for reader in plan.consumers(step.id)}
        exchanged[step.id] = reading(step, below.inputs[0])
        exchanged[below.id] = reading(below, step.id)
        return replaced(plan, exchanged)
    return plan
