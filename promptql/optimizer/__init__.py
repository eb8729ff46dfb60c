"""The optimizer: tuples of rewrites and a loop.

Each rewrite is a pure function (plan, catalog) → plan in a file of its own, gives back the same plan where it
has nothing to do, and leaves the result of every plan as it was; `resolve_values` alone finds more, and says so.
"""

from __future__ import annotations

from collections.abc import Callable

from promptql.answer import Rewrite
from promptql.catalog import Catalog
from promptql.optimizer.choose_join_method import choose_join_method
from promptql.optimizer.choose_mode import choose_mode
from promptql.optimizer.drop_unread import drop_unread
from promptql.optimizer.drop_unused import drop_unused
from promptql.optimizer.fuse_semantic import fuse_semantic
from promptql.optimizer.merge_filters import merge_filters
from promptql.optimizer.merge_limits import merge_limits
from promptql.optimizer.merge_steps import merge_steps
from promptql.optimizer.prune_fields import prune_fields
from promptql.optimizer.push_below_semantic import push_below_semantic
from promptql.optimizer.push_filters import push_filters
from promptql.optimizer.push_into_joins import push_into_joins
from promptql.optimizer.push_into_sets import push_into_sets
from promptql.optimizer.resolve_values import resolve_values
from promptql.optimizer.sink_filters import sink_filters
from promptql.optimizer.sink_limits import sink_limits
from promptql.optimizer.stop_early import stop_early
from promptql.plan import Plan

Rule = Callable[[Plan, Catalog], Plan]
RULES: tuple[Rule, ...] = (
    drop_unused,
    drop_unread,
    push_below_semantic,
    merge_filters,
    sink_filters,
    push_into_joins,
    push_into_sets,
    push_filters,
    sink_limits,
    merge_limits,
    prune_fields,
    choose_mode,
    choose_join_method,
    stop_early,
)
RESOLVING: tuple[Rule, ...] = (resolve_values,)  # once conditions stand where the fields are known
SHARING: tuple[Rule, ...] = (merge_steps, fuse_semantic)  # last: what two steps read can no longer be narrowed for one
PASSES_MAX = 8 * 64  # each pass moves or removes a step, and a plan has at most 64


def optimize(plan: Plan, catalog: Catalog) -> tuple[Plan, tuple[Rewrite, ...]]:
    """Apply the rules until none changes anything.

    Returns:
        The plan to run, and each change with the plan's hash before and after it.
    """
    log: list[Rewrite] = []
    for _ in range(PASSES_MAX):
        before = plan
        plan = _applied(RULES, plan, catalog, log)
        if plan is before:
            plan = _applied(RESOLVING, plan, catalog, log)
        if plan is before:
            plan = _applied(SHARING, plan, catalog, log)
        if plan is before:
            break
    return plan, tuple(log)


def _applied(rules: tuple[Rule, ...], plan: Plan, catalog: Catalog, log: list[Rewrite]) -> Plan:
    for rule in rules:
        rewritten = rule(plan, catalog)
        if rewritten is not plan:
            log.append(_told(rule.__name__, plan, rewritten))
            plan = rewritten
    return plan


def _told(rule: str, before: Plan, after: Plan) -> Rewrite:
    old, new = before.by_id, after.by_id
    return Rewrite(
        rule,
        before.hash,
        after.hash,
        changed=tuple(name for name in old if name in new and old[name] != new[name]),
        added=tuple(name for name in new if name not in old),
        removed=tuple(name for name in old if name not in new),
    )
