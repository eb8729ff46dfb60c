"""What the steps of a plan amount to: enough to find words for its answer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from promptql.expressions import InStep, Predicate, walk
from promptql.plan import Plan
from promptql.predicate import conjunction
from promptql.steps import (
    AnswerStep,
    AssertStep,
    Filter,
    Group,
    Limit,
    Project,
    Scan,
    Search,
    Sort,
    Source,
    Step,
    Visualize,
    input_of,
)

_PLAIN = (Scan, Search, Filter, Project, Group, Sort, Limit, AnswerStep, AssertStep, Visualize)


@dataclass(frozen=True, slots=True)
class Shape:
    """What the steps of a plan amount to; `where` is all that narrows the documents before any grouping."""

    source: Source
    where: Predicate | None
    having: Predicate | None
    group: Group | None
    sort: Sort | None
    limit: Limit | None


def shape_of(plan: Plan) -> Shape:
    """Read the shape off the path to the answer."""
    source: Source | None = None
    group: Group | None = None
    sort: Sort | None = None
    limit: Limit | None = None
    where: Predicate | None = None
    having: Predicate | None = None
    for step in plan.path():
        match step:
            case Scan() | Search():
                source, where = step, step.where
            case Filter() if group is None:
                where = conjunction(where, step.where)
            case Filter():
                having = conjunction(having, step.where)
            case Group():
                group, sort, limit = step, None, None
            case Sort():
                sort = step
            case Limit():
                limit = step
            case Project():
                pass
    assert source is not None
    return Shape(source, where, having, group, sort, limit)


def is_plain(plan: Plan) -> bool:
    """Whether the plan is a chain of few kinds of steps, so that its sentence can be told from its shape."""
    path = plan.path()
    groups = [place for place, step in enumerate(path) if isinstance(step, Group)]
    if not all(isinstance(step, _PLAIN) for step in path) or len(groups) > 1:
        return False
    where = [part for step in path if isinstance(step, (Scan, Search, Filter)) for part in walk(step.where)]
    if any(isinstance(part, InStep) for part in where):
        return False
    group = path[groups[0]] if groups else None
    return not isinstance(group, Group) or bool(group.aggs)


def upwards(plan: Plan, name: str) -> Iterator[Step]:
    """The step and those above it, along the first input of each."""
    at: str | None = name
    while at is not None:
        step = plan.by_id[at]
        yield step
        at = input_of(step)
