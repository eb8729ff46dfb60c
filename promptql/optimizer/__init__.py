"""The optimizer: a tuple of rewrites and a loop.

Each rewrite is a pure function (plan, catalog) → plan in a file of its own, gives back the same plan where it
has nothing to do, and leaves the result of every plan as it was.
"""

from __future__ import annotations

from collections.abc import Callable

from promptql.answer import Rewrite
from promptql.catalog import Catalog
from promptql.optimizer.merge_filters import merge_filters
from promptql.optimizer.merge_limits import merge_limits
from promptql.optimizer.prune_fields import prune_fields
from promptql.optimizer.push_filters import push_filters
from promptql.optimizer.sink_filters import sink_filters
from promptql.plan import Plan

Rule = Callable[[Plan, Catalog], Plan]
RULES: tuple[Rule, ...] = (merge_filters, sink_filters, push_filters, merge_limits, prune_fields)
PASSES_MAX = 2 * 64  # each pass moves or removes a step, and a plan has at most 64


def optimize(plan: Plan, catalog: Catalog) -> tuple[Plan, tuple[Rewrite, ...]]:
    """Apply the rules until none changes anything.

    Returns:
        The plan to run, and each change with the plan's hash before and after it.
    """
    log: list[Rewrite] = []
    for _ in range(PASSES_MAX):
        before = plan
        for rule in RULES:
            rewritten = rule(plan, catalog)
            if rewritten is not plan:
                log.append(Rewrite(rule.__name__, plan.hash, rewritten.hash))
                plan = rewritten
        if plan is before:
            break
    return plan, tuple(log)
