"""A limit over a limit becomes one."""

from __future__ import annotations

from dataclasses import replace

from promptql.catalog import Catalog
from promptql.optimizer.rewiring import is_named, removed, replaced, sole_input
from promptql.plan import Plan
from promptql.steps import Limit


def merge_limits(plan: Plan, catalog: Catalog) -> Plan:  # noqa: ARG001  (every rule takes the catalog)
    """limit(limit(R, a from i), b from j) = limit(R, min(a − j, b) from i + j), where neither keeps ties.

    Not where j passes over all a rows: no limit gives nothing.
    """
    for step in plan.steps:
        inner = sole_input(plan, step)
        if not isinstance(step, Limit) or not isinstance(inner, Limit) or step.ties or inner.ties:
            continue
        left = inner.n - step.offset
        if left < 1 or is_named(plan, step):
            continue
        merged = replace(inner, n=min(left, step.n), offset=inner.offset + step.offset)
        return removed(replaced(plan, {inner.id: merged}), step.id, inner.id)
    return plan
