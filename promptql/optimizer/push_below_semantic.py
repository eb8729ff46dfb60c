"""Conditions and limits move below steps that ask a language model, so that it is asked about fewer rows."""

from __future__ import annotations

from promptql.catalog import Catalog
from promptql.expressions import fields_of
from promptql.optimizer.rewiring import is_named, reading, replaced, sole_input
from promptql.plan import Plan
from promptql.steps import Filter, Limit, LlmClassify, LlmExtract, LlmFilter, LlmFused, LlmMap, RowStep, Sort, Step
from promptql.validation.semantic import made_columns


def push_below_semantic(plan: Plan, catalog: Catalog) -> Plan:  # noqa: ARG001  (every rule takes the catalog)
    """filter(llm(R)) = llm(filter(R)) where the condition uses no column that llm makes, as each row is judged alone.

    Likewise limit(sort(llm(R))) = llm(limit(sort(R))), and a limit alone, where llm keeps all rows.
    """
    for step in plan.steps:
        below = sole_input(plan, step)
        if isinstance(below, Sort) and isinstance(step, Limit):
            lowest = sole_input(plan, below)
            if _passes(below, lowest) and not is_named(plan, step) and not is_named(plan, below):
                assert lowest is not None
                return _lowered(plan, step, below, lowest)
        elif isinstance(step, Filter | Limit) and _passes(step, below) and not is_named(plan, step):
            assert below is not None
            return _lowered(plan, step, step, below)
    return plan


def _passes(step: Step, below: Step | None) -> bool:
    """Whether the two commute."""
    match step, below:
        case Filter(where=where), LlmFilter() | LlmClassify() | LlmExtract() | LlmMap() | LlmFused():
            return not fields_of(where) & made_by(below) and first_of(below) is None
        case Sort(by=keys), LlmClassify() | LlmExtract() | LlmMap() | LlmFused() if keeps_rows(below):
            return not {key.field for key in keys} & made_by(below)
        case Limit(ties=False), LlmClassify() | LlmExtract() | LlmMap() | LlmFused():
            return keeps_rows(below)
        case _:
            return False


def _lowered(plan: Plan, last: Step, first: Step, below: Step) -> Plan:
    """`below` exchanges places with what stands from `first` to `last` over it; ids stay with their steps."""
    exchanged = {reader.id: reading(reader, below.id, last.id) for reader in plan.consumers(last.id)}
    exchanged[first.id] = reading(first, below.inputs[0])
    exchanged[below.id] = reading(below, last.id)
    return replaced(plan, exchanged)


def made_by(step: RowStep | LlmFused) -> frozenset[str]:
    """The columns that a step makes."""
    steps = step.steps if isinstance(step, LlmFused) else (step,)
    return frozenset(name for item in steps for name in made_columns(item))


def first_of(step: RowStep | LlmFused) -> int | None:
    """How many rows are let through at most; None for all."""
    return step.first if isinstance(step, LlmFilter | LlmFused) else None


def keeps_rows(step: RowStep | LlmFused) -> bool:
    """Whether all rows come out again."""
    steps = step.steps if isinstance(step, LlmFused) else (step,)
    return not any(isinstance(item, LlmFilter) for item in steps)
