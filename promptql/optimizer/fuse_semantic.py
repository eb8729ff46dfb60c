"""Steps that ask a language model about the same rows become one, so that one call answers several."""

from __future__ import annotations

from dataclasses import replace

from promptql.catalog import Catalog
from promptql.optimizer.push_below_semantic import first_of, keeps_rows, made_by
from promptql.optimizer.rewiring import is_named, reading, removed, replaced, sole_input
from promptql.plan import Plan
from promptql.steps import LlmClassify, LlmExtract, LlmFilter, LlmFused, LlmMap, RowStep, Step
from promptql.steps.semantic_relations import FUSED_MAX

_ROW_STEPS = (LlmFilter, LlmClassify, LlmExtract, LlmMap)


def fuse_semantic(plan: Plan, catalog: Catalog) -> Plan:  # noqa: ARG001  (every rule takes the catalog)
    """b(a(R)) = fused(R; a, b) where b reads no column that a makes.

    Worth it where both read the same columns for the same model, as one call then asks both; and where both are
    filters, as the fused step runs that one first which leaves fewest rows for its cost.
    """
    for step in plan.steps:
        below = sole_input(plan, step)
        if not isinstance(step, (*_ROW_STEPS, LlmFused)) or not isinstance(below, (*_ROW_STEPS, LlmFused)):
            continue
        steps = (*_parts(below), *_parts(step))
        if len(steps) > FUSED_MAX or is_named(plan, step) or is_named(plan, below) or not _fit(below, step):
            continue
        inner = tuple(_reading(item, below.input) for item in steps)
        fused = LlmFused(step.id, below.input, inner, first_of(step))
        return removed(replaced(plan, {step.id: fused}), below.id, below.input)
    return plan


def _fit(below: RowStep | LlmFused, step: RowStep | LlmFused) -> bool:
    made = made_by(below)
    if first_of(below) is not None:  # of what it lets through the other lets fewer through
        return False
    if any(set(item.fields) & made for item in _parts(step)):
        return False
    ours = {(item.fields, item.model) for item in _parts(below)}
    theirs = {(item.fields, item.model) for item in _parts(step)}
    return bool(ours & theirs) or not (keeps_rows(below) or keeps_rows(step))


def _parts(step: RowStep | LlmFused) -> tuple[RowStep, ...]:
    return step.steps if isinstance(step, LlmFused) else (step,)


def _reading(step: RowStep, input_id: str) -> RowStep:
    changed: Step = reading(step, input_id)
    assert isinstance(changed, _ROW_STEPS)
    return replace(changed, first=None) if isinstance(changed, LlmFilter) else changed
