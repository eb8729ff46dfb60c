"""A filter over a filter becomes one."""

from __future__ import annotations

from dataclasses import replace

from promptql.catalog import Catalog
from promptql.optimizer.rewiring import is_named, removed, replaced, sole_input
from promptql.plan import Plan
from promptql.predicate import conjunction
from promptql.steps import Filter


def merge_filters(plan: Plan, catalog: Catalog) -> Plan:  # noqa: ARG001  (every rule takes the catalog)
    """filter(filter(R, a), b) = filter(R, a and b)."""
    for step in plan.steps:
        inner = sole_input(plan, step)
        if isinstance(step, Filter) and isinstance(inner, Filter) and not is_named(plan, step):
            where = conjunction(inner.where, step.where)
            assert where is not None
            merged = replaced(plan, {inner.id: replace(inner, where=where)})
            return removed(merged, step.id, inner.id)
    return plan
