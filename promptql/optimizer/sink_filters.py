"""A filter moves below a sort or a projection, towards the source."""

from __future__ import annotations

from promptql.catalog import Catalog
from promptql.optimizer.rewiring import reading, replaced, sole_input
from promptql.plan import Plan
from promptql.steps import Filter, Project, Sort


def sink_filters(plan: Plan, catalog: Catalog) -> Plan:  # noqa: ARG001  (every rule takes the catalog)
    """filter(sort(R)) = sort(filter(R)), as sorting is stable; filter(project(R)) = project(filter(R))."""
    for step in plan.steps:
        below = sole_input(plan, step)
        if isinstance(step, Filter) and isinstance(below, (Sort, Project)):
            # The two exchange places and ids stay with their steps; those that read the filter read the other.
            exchanged = {reader.id: reading(reader, below.id) for reader in plan.consumers(step.id)}
            exchanged[step.id] = reading(step, below.input)
            exchanged[below.id] = reading(below, step.id)
            return replaced(plan, exchanged)
    return plan
