"""A source reads only the fields that later steps use."""

from __future__ import annotations

from dataclasses import replace

from promptql.catalog import ID, Catalog
from promptql.expressions import fields_of
from promptql.optimizer.rewiring import replaced
from promptql.plan import Plan
from promptql.steps import AnswerStep, Filter, Group, Limit, Project, Scan, Search, Sort, Step
from promptql.validation import SCORE


def prune_fields(plan: Plan, catalog: Catalog) -> Plan:
    """Name the fields of each scan and search whose later steps end in a projection or a group."""
    for source in plan.steps:
        if not isinstance(source, (Scan, Search)):
            continue
        needed = _needed(plan, source)
        if needed is None:
            continue
        known = source.fields
        if known is None:
            known = tuple(catalog.collections[source.collection].fields)
        fields = tuple(name for name in known if name in needed and name != ID) or (ID,)
        if fields != source.fields:
            return replaced(plan, {source.id: replace(source, fields=fields)})
    return plan


def _needed(plan: Plan, step: Step) -> frozenset[str] | None:
    """The columns of `step` that those after it use; None for all of them."""
    needed: frozenset[str] = frozenset()
    for reader in plan.consumers(step.id):
        used = _used(plan, reader)
        if used is None:
            return None
        needed |= used
    return needed - {SCORE}


def _used(plan: Plan, reader: Step) -> frozenset[str] | None:
    """The columns of its input that `reader` uses itself or hands on."""
    match reader:
        case Project(fields=fields):
            return frozenset(fields)
        case Group(aggs=aggs):
            figures = {name for item in aggs for name in (item.field, item.by) if name is not None}
            return frozenset(reader.fields) | figures
        case Filter(where=where):
            return _with(_needed(plan, reader), fields_of(where))
        case Sort(by=keys):
            return _with(_needed(plan, reader), frozenset(key.field for key in keys))
        case Limit():
            return _needed(plan, reader)
        case AnswerStep() | Scan() | Search():
            return None
    raise AssertionError(reader)


def _with(handed_on: frozenset[str] | None, own: frozenset[str]) -> frozenset[str] | None:
    return None if handed_on is None else handed_on | own
