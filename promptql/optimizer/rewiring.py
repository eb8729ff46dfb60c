"""Replacing, removing and adding steps of a plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from promptql.expressions import (
    And,
    Arithmetic,
    Branch,
    Call,
    Case,
    Compare,
    Expression,
    FieldRef,
    InStep,
    Not,
    Or,
    Predicate,
)
from promptql.plan import Plan
from promptql.steps import Step

_LINKS = ("input", "left", "right")


def replaced(plan: Plan, steps: Mapping[str, Step]) -> Plan:
    """The plan with some steps exchanged for others of the same id."""
    return replace(plan, steps=tuple(steps.get(step.id, step) for step in plan.steps))


def removed(plan: Plan, step_id: str, successor: str) -> Plan:
    """The plan without a step; those that read it read `successor` instead."""
    kept = [reading(step, successor, step_id) for step in plan.steps if step.id != step_id]
    return replace(plan, steps=tuple(kept))


def added(plan: Plan, steps: Sequence[Step]) -> Plan:
    """The plan with more steps, before all others: what they read may come after."""
    return replace(plan, steps=(*steps, *plan.steps))


def reading(step: Step, input_id: str, instead_of: str | None = None) -> Step:
    """The step, reading another; in place of `instead_of`, or of the only one that it reads."""
    links = {
        name: input_id
        for name in _LINKS
        if hasattr(step, name) and (instead_of is None or getattr(step, name) == instead_of)
    }
    make: Any = replace  # each step has the links that are named
    changed: Step = make(step, **links) if links else step
    return changed


def sole_input(plan: Plan, step: Step) -> Step | None:
    """The step that this one reads, if nothing else reads it."""
    if len(step.inputs) != 1:
        return None
    return plan.by_id[step.inputs[0]] if len(plan.consumers(step.inputs[0])) == 1 else None


def is_named(plan: Plan, step: Step) -> bool:
    """Whether an expression names the step: those are left where they are."""
    return any(step.id in reader.references for reader in plan.steps)


def new_id(plan: Plan, stem: str) -> str:
    """An id that no step has."""
    number = 1
    while f"{stem}_{number}" in plan.by_id:
        number += 1
    return f"{stem}_{number}"


def renamed(predicate: Predicate, names: Mapping[str, str]) -> Predicate:
    """The predicate over columns of other names: name here → name there."""
    match predicate:
        case And(items):
            return And(tuple(renamed(item, names) for item in items))
        case Or(items):
            return Or(tuple(renamed(item, names) for item in items))
        case Not(item):
            return Not(renamed(item, names))
        case InStep(step, left, column):
            return InStep(step, _renamed(left, names), column)
        case Compare(op, left, right):
            return Compare(op, _renamed(left, names), None if right is None else _renamed(right, names))


def _renamed(expression: Expression, names: Mapping[str, str]) -> Expression:
    match expression:
        case FieldRef(name):
            return FieldRef(names.get(name, name))
        case Arithmetic(op, left, right):
            return Arithmetic(op, _renamed(left, names), _renamed(right, names))
        case Call(fn, args):
            return Call(fn, tuple(_renamed(arg, names) for arg in args))
        case Case(branches, otherwise):
            changed = tuple(Branch(renamed(b.when, names), _renamed(b.then, names)) for b in branches)
            return Case(changed, None if otherwise is None else _renamed(otherwise, names))
        case _:
            return expression
