"""A planned part of a question that gives one number, so that it can be put beside others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from promptql.answer import Band
from promptql.expressions import Predicate
from promptql.plan import Assumption, Plan, Support, ignored_words
from promptql.planned import Planned
from promptql.predicate import conjuncts
from promptql.rules.concepts import LIGHT_VERBS
from promptql.steps import (
    Aggregation,
    AnswerStep,
    Filter,
    Function,
    Group,
    Join,
    Limit,
    Project,
    Scan,
    Search,
    Sort,
    Step,
    step_from_json,
    step_to_json,
)

_LINKS = ("id", "input", "left", "right")  # of a step, that name steps
_CALLED = {Function.SUM: "total", Function.AVG: "average"}  # as planners call the columns
_REFERENCES = ("lookup", "in_step")  # within expressions


@dataclass(frozen=True, slots=True)
class Figure:
    """The steps of a plan up to a row with one number.

    Attributes:
        last: the step that gives the row; column: where the number stands.
    """

    planned: Planned
    steps: tuple[Step, ...]
    last: str
    column: str

    @property
    def group(self) -> Group:
        """The step that computes the number."""
        step = next(step for step in self.steps if step.id == self.last)
        assert isinstance(step, Group)
        return step

    @property
    def collection(self) -> str:
        """What is scanned first."""
        return next(step.collection for step in self.steps if isinstance(step, (Scan, Search)))

    @property
    def joins(self) -> bool:
        """Whether it joins collections."""
        return any(isinstance(step, Join) for step in self.steps)

    @property
    def conditions(self) -> frozenset[Predicate]:
        """What narrows the rows before they are counted."""
        narrowing = (step.where for step in self.steps if isinstance(step, (Filter, Scan, Search)))
        return frozenset(part for where in narrowing for part in conjuncts(where))

    def changed(self, group: Group) -> Figure:
        """With another figure of the same rows."""
        steps = tuple(replace(group, id=self.last) if step.id == self.last else step for step in self.steps)
        return replace(self, steps=steps, column=group.aggs[0].alias)

    def renamed(self, prefix: str) -> Figure:
        """With other ids of its steps, so that two figures stand in one plan."""
        names = {step.id: f"{prefix}{step.id}" for step in self.steps}
        return replace(self, steps=renamed(self.steps, names), last=names[self.last])


def figure_of(planned: Planned, fn: Function | None = None) -> Figure | None:
    """The planned question as a figure; None where it gives none, or makes nothing of one of its words.

    Args:
        planned: the question.
        fn: what is computed where the plan only lists one field, as a reading may that finds one document.
    """
    plan = planned.plan
    if planned.band not in (Band.ANSWER, Band.ASSUMPTIONS) or ignores(plan):
        return None
    step: Step = plan.by_id[plan.output]
    while isinstance(step, (AnswerStep, Project)):
        step = plan.by_id[step.input]
    if isinstance(step, (Scan, Filter)) and fn is not None:
        return _listed(planned, step, fn)
    if not isinstance(step, Group) or step.by or len(step.aggs) != 1:
        return None
    needed = _above(plan, step.id)
    steps = tuple(item for item in plan.order() if item.id in needed)
    return Figure(planned, steps, step.id, step.aggs[0].alias)


def _listed(planned: Planned, step: Scan | Filter, fn: Function) -> Figure | None:
    """The figure of the one field that a plan lists."""
    plan = planned.plan
    answer = plan.by_id[plan.output]
    if not isinstance(answer, AnswerStep) or answer.fields is None or len(answer.fields) != 1:
        return None
    (field,) = answer.fields
    alias = f"{_CALLED.get(fn, fn.value)}_{field}"
    group = Group("figured", step.id, (), (Aggregation(fn, field, alias),))
    needed = _above(plan, step.id)
    steps = (*(item for item in plan.order() if item.id in needed), group)
    return Figure(planned, steps, group.id, alias)


def groups_of(planned: Planned) -> tuple[tuple[Step, ...], Group] | None:
    """The steps of a planned question up to its groups with one figure each; None where it has no such."""
    plan = planned.plan
    if planned.band not in (Band.ANSWER, Band.ASSUMPTIONS) or ignores(plan):
        return None
    step: Step = plan.by_id[plan.output]
    while isinstance(step, (AnswerStep, Project, Sort)):
        step = plan.by_id[step.input]
    if not isinstance(step, Group) or not step.by or len(step.aggs) != 1:
        return None
    needed = _above(plan, step.id)
    if any(isinstance(item, Limit) for item in plan.steps if item.id in needed):
        return None
    return tuple(item for item in plan.order() if item.id in needed), step


def together(question: str, figures: Sequence[Figure], steps: Sequence[Step], said: Sequence[Assumption]) -> Planned:
    """One plan of several figures and the steps that put them together, as sure as the least sure of them."""
    parts = [figure.planned for figure in figures]
    found = dict.fromkeys([*said, *(item for part in parts for item in part.plan.assumptions)])
    plan = Plan(question, tuple(steps), steps[-1].id, assumptions=tuple(found))
    sure = all(part.band is Band.ANSWER for part in parts)
    guessed = any(item.support in (Support.INFERRED, Support.DEFAULT) for item in found)
    band = Band.ANSWER if sure and not guessed else Band.ASSUMPTIONS
    return Planned(plan, min(part.confidence for part in parts), band)


def counting(figure: Figure) -> bool:
    """Whether the number counts something."""
    return figure.group.aggs[0].fn in (Function.COUNT, Function.COUNT_DISTINCT)


def renamed(steps: Sequence[Step], names: Mapping[str, str]) -> tuple[Step, ...]:
    """Steps under other ids, wherever they are named."""
    return tuple(step_from_json(_with_names(step_to_json(step), names), "") for step in steps)


def _with_names(data: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {
        key: names.get(value, value) if key in _LINKS and isinstance(value, str) else _inside(value, names)
        for key, value in data.items()
    }


def _inside(data: Any, names: Mapping[str, str]) -> Any:
    match data:
        case dict() if "value" in data:
            return data
        case dict():
            return {
                key: names.get(value, value) if key in _REFERENCES and isinstance(value, str) else _inside(value, names)
                for key, value in data.items()
            }
        case list():
            return [_inside(item, names) for item in data]
        case _:
            return data


def ignores(plan: Plan) -> bool:
    """Whether a word was left out that says something."""
    return bool(set(ignored_words(plan.assumptions)) - LIGHT_VERBS)


def _above(plan: Plan, name: str) -> set[str]:
    found, waiting = set[str](), [name]
    while waiting:
        step = plan.by_id[waiting.pop()]
        found.add(step.id)
        waiting += [item for item in (*step.inputs, *step.references) if item not in found]
    return found
