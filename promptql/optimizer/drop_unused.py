"""Steps that nothing reads are left out."""

from __future__ import annotations

from dataclasses import replace

from promptql.catalog import Catalog
from promptql.plan import Plan


def drop_unused(plan: Plan, catalog: Catalog) -> Plan:  # noqa: ARG001  (every rule takes the catalog)
    """Keep what the answer, charts and asserts read."""
    needed = {step.id for step in plan.needed()}
    if len(needed) == len(plan.steps):
        return plan
    return replace(plan, steps=tuple(step for step in plan.steps if step.id in needed))
