"""Columns that nothing reads are not asked of a language model."""

from __future__ import annotations

from dataclasses import replace

from promptql.catalog import Catalog
from promptql.optimizer.prune_fields import Pruning
from promptql.optimizer.push_below_semantic import keeps_rows
from promptql.optimizer.rewiring import is_named, removed, replaced
from promptql.plan import Plan
from promptql.steps import LlmClassify, LlmExtract, LlmFused, LlmMap
from promptql.validation import columns_of
from promptql.validation.semantic import made_columns


def drop_unread(plan: Plan, catalog: Catalog) -> Plan:
    """project(llm(R), f) = project(R, f), and likewise for groups and all that reads other columns than llm makes.

    Of an extraction whose columns are read in part, the others are left out of what is asked.
    """
    pruning = Pruning(plan, columns_of(plan, catalog))
    for step in plan.steps:
        if not isinstance(step, LlmClassify | LlmMap | LlmExtract | LlmFused) or is_named(plan, step):
            continue
        needed = pruning.needed(step)
        if needed is None:
            continue
        if isinstance(step, LlmFused):
            kept = tuple(item for item in step.steps if not keeps_rows(item) or needed & set(made_columns(item)))
            if len(kept) == len(step.steps):
                continue
            if len(kept) > 1:
                return replaced(plan, {step.id: replace(step, steps=kept)})
            return replaced(plan, {step.id: kept[0]}) if kept else removed(plan, step.id, step.input)
        if not needed & set(made_columns(step)):
            return removed(plan, step.id, step.input)
        if isinstance(step, LlmExtract):
            columns = tuple(column for column in step.columns if column.name in needed)
            if columns and len(columns) < len(step.columns):
                return replaced(plan, {step.id: replace(step, columns=columns)})
    return plan
