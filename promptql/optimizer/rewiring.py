"""Replacing and removing steps of a plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from promptql.plan import Plan
from promptql.steps import Clarify, CompareStep, Join, Scan, Search, SetOperation, Step


def replaced(plan: Plan, steps: Mapping[str, Step]) -> Plan:
    """The plan with some steps exchanged for others of the same id."""
    return replace(plan, steps=tuple(steps.get(step.id, step) for step in plan.steps))


def removed(plan: Plan, step_id: str, successor: str) -> Plan:
    """The plan without a step; those that read it read `successor` instead."""
    kept = []
    for step in plan.steps:
        if step.id == step_id:
            continue
        kept.append(reading(step, successor) if step_id in step.inputs else step)
    return replace(plan, steps=tuple(kept))


def reading(step: Step, input_id: str) -> Step:
    """The step, reading another."""
    assert not isinstance(step, (Scan, Search, Join, SetOperation, CompareStep, Clarify)), "it reads one step"
    return replace(step, input=input_id)


def sole_input(plan: Plan, step: Step) -> Step | None:
    """The step that this one reads, if nothing else reads it."""
    if len(step.inputs) != 1:
        return None
    return plan.by_id[step.inputs[0]] if len(plan.consumers(step.inputs[0])) == 1 else None
