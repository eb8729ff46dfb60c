"""A filter that asks a language model stops when as many rows have passed as a limit takes."""

from __future__ import annotations

from dataclasses import replace

from promptql.catalog import Catalog
from promptql.optimizer.push_below_semantic import keeps_rows
from promptql.optimizer.rewiring import is_named, replaced, sole_input
from promptql.plan import Plan
from promptql.steps import Limit, LlmFilter, LlmFused


def stop_early(plan: Plan, catalog: Catalog) -> Plan:  # noqa: ARG001  (every rule takes the catalog)
    """limit(llm_filter(R), n from i) = limit(llm_filter(R, first n + i), n from i): rows are judged in their order."""
    for step in plan.steps:
        below = sole_input(plan, step)
        if not isinstance(step, Limit) or step.ties or not isinstance(below, LlmFilter | LlmFused):
            continue
        if below.first is None and not keeps_rows(below) and not is_named(plan, below):
            return replaced(plan, {below.id: replace(below, first=step.n + step.offset)})
    return plan
