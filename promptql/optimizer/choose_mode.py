"""A search says how it searches, and asks for no more documents than there are."""

from __future__ import annotations

from dataclasses import replace

from promptql.catalog import Catalog
from promptql.optimizer.rewiring import replaced
from promptql.plan import Plan
from promptql.steps import Search, SearchMode


def choose_mode(plan: Plan, catalog: Catalog) -> Plan:
    """By meaning where the collection has embedded text, else by words; k is at most the number of documents.

    Whether the vectors of all documents that a filter leaves are compared, or the index is asked, the engine decides
    from how many those are.
    """
    for step in plan.steps:
        if not isinstance(step, Search):
            continue
        info = catalog.collections[step.collection]
        mode = step.mode or (SearchMode.SEMANTIC if info.searchable else SearchMode.KEYWORD)
        k = max(1, min(step.k, info.rows))
        if mode is not step.mode or k != step.k:
            return replaced(plan, {step.id: replace(step, mode=mode, k=k)})
    return plan
