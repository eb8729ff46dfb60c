"""A semantic join says how it finds pairs, where the number of right rows is known beforehand."""

from __future__ import annotations

from dataclasses import replace

from promptql.catalog import Catalog
from promptql.optimizer.rewiring import replaced
from promptql.plan import Plan
from promptql.steps import JoinMethod, Limit, Scan, Search, SemJoin
from promptql.steps.semantic_relations import CLASSES_MAX


def choose_join_method(plan: Plan, catalog: Catalog) -> Plan:
    """sem_join(L, R) classifies L by the rows of R where these are few at most, instead of comparing nearest pairs.

    Every pair is then judged, by as many questions as L has different texts. Where it cannot be known beforehand, the
    step itself decides by the same rule.
    """
    for step in plan.steps:
        if not isinstance(step, SemJoin) or step.method is not None or step.blocking is not None:
            continue
        rows = _at_most(plan, step.right, catalog)
        if rows is not None and rows <= CLASSES_MAX:
            return replaced(plan, {step.id: replace(step, method=JoinMethod.CLASSES)})
    return plan


def _at_most(plan: Plan, name: str, catalog: Catalog) -> int | None:
    """Rows that a step can give; None where that is not known."""
    match plan.by_id[name]:
        case Scan(collection=collection):
            return catalog.collections[collection].rows
        case Search(collection=collection, k=k):
            return min(k, catalog.collections[collection].rows)
        case Limit(n=n, ties=False):
            return n
        case _:
            return None
