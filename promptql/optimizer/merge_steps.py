"""Steps that do the same to the same rows become one: scans and searches of a collection before all."""

from __future__ import annotations

from dataclasses import replace

from promptql.catalog import Catalog
from promptql.optimizer.rewiring import is_named, removed
from promptql.plan import Plan
from promptql.steps import AnswerStep, AssertStep, Clarify, Step, Visualize, is_named_by_id, step_to_json


def merge_steps(plan: Plan, catalog: Catalog) -> Plan:  # noqa: ARG001  (every rule takes the catalog)
    """Let the readers of the later of two equal steps read the earlier.

    Two searches are equal only with the same k: the best five of ten need not be the best five of an index.
    """
    seen: dict[str, Step] = {}
    for step in plan.order():
        if isinstance(step, AnswerStep | AssertStep | Clarify | Visualize):
            continue
        key = repr(step_to_json(step if is_named_by_id(step) else replace(step, id="")))
        first = seen.setdefault(key, step)
        if first is not step and not is_named(plan, step):
            return removed(plan, step.id, first.id)
    return plan
