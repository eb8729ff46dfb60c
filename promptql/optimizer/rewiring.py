"""Replacing and removing steps of a plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from promptql.plan import Plan
from promptql.steps import Scan, Search, Step


def replaced(plan: Plan, steps: Mapping[str, Step]) -> Plan:
    """The plan with some steps exchanged for others of the same id."""
    return replace(plan, steps=tuple(steps.get(step.id, step) for step in plan.steps))


def removed(plan: Plan, step_id: str, successor: str) -> Plan:
    """The plan without a step; those that read it read `successor` instead."""
    kept = []
    for step in plan.steps:
        if step.id == step_id:
            continue
        reads = not isinstance(step, (Scan, Search)) and step.input == step_id
        kept.append(reading(step, successor) if reads else step)
    return replace(plan, steps=tuple(kept))


def reading(step: Step, input_id: str) -> Step:
    """The step, reading another."""
    assert not isinstance(step, (Scan, Search)), "a source reads no step"
    return replace(step, input=input_id)


def sole_input(plan: Plan, step: Step) -> Step | None:
    """The step that this one reads, if nothing else reads it."""
    if isinstance(step, (Scan, Search)):
        return None
    return plan.by_id[step.input] if len(plan.consumers(step.input)) == 1 else None
