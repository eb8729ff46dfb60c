"""A limit over a limit becomes the smaller."""

from __future__ import annotations

from dataclasses import replace

from promptql.catalog import Catalog
from promptql.optimizer.rewiring import removed, replaced, sole_input
from promptql.plan import Plan
from promptql.steps import Limit


def merge_limits(plan: Plan, catalog: Catalog) -> Plan:  # noqa: ARG001  (every rule takes the catalog)
    """limit(limit(R, a), b) = limit(R, min(a, b)), where neither keeps ties."""
    for step in plan.steps:
        inner = sole_input(plan, step)
        if isinstance(step, Limit) and isinstance(inner, Limit) and not (step.ties or inner.ties):
            merged = replaced(plan, {inner.id: replace(inner, n=min(inner.n, step.n))})
            return removed(merged, step.id, inner.id)
    return plan
