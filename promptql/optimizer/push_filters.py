"""A filter over a scan, or over a search that reaches every document, becomes the source's own."""

from __future__ import annotations

from dataclasses import replace

from promptql.catalog import Catalog
from promptql.expressions import fields_of
from promptql.optimizer.rewiring import is_named, removed, replaced, sole_input
from promptql.plan import Plan
from promptql.predicate import conjunction
from promptql.steps import Filter, Scan, Search
from promptql.validation import SCORE


def push_filters(plan: Plan, catalog: Catalog) -> Plan:
    """filter(scan(C, a), b) = scan(C, a and b); for a search only where its k cuts nothing off.

    Among the k nearest, a filter leaves fewer; pushed down, it would fill up to k with others. Both are the
    same only if k is at least the number of documents.
    """
    for step in plan.steps:
        source = sole_input(plan, step)
        if not isinstance(step, Filter) or not isinstance(source, (Scan, Search)) or is_named(plan, step):
            continue
        if isinstance(source, Search) and not _reaches_all(source, step, catalog):
            continue
        lowered = replace(source, where=conjunction(source.where, step.where))
        return removed(replaced(plan, {source.id: lowered}), step.id, source.id)
    return plan


def _reaches_all(source: Search, step: Filter, catalog: Catalog) -> bool:
    return SCORE not in fields_of(step.where) and source.k >= catalog.collections[source.collection].rows
