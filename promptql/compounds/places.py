"""Places behind the first: "second oldest", "the third highest price"; the first is asked for, with another place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from promptql.answer import Band
from promptql.compounds.figures import ignores
from promptql.errors import QuestionError
from promptql.expressions import Compare, FieldRef, Not, Operator, Value
from promptql.plan import Assumption, Plan, Support
from promptql.predicate import compare, missing
from promptql.rules.ordinals import ordinal_in
from promptql.steps import (
    AnswerStep,
    Filter,
    Function,
    Group,
    Limit,
    Order,
    Project,
    Sort,
    Step,
    Window,
    WindowFunction,
)

if TYPE_CHECKING:
    from promptql.compounds.planning import Asking
    from promptql.planned import Planned

PLACE = "place"
CONFIDENCE_MIN = 0.45  # of the reading of the first; a guess is none of the second
_ENDS = frozenset({Function.MAX, Function.MIN})


def plan_place(asking: Asking) -> Planned | None:
    """What has that place, all that are level on it; None where none is asked for, or the first is not understood."""
    ordinal = ordinal_in(asking.question)
    if ordinal is None:
        return None
    first = asking.question[: ordinal.start] + asking.question[ordinal.end :]
    if ordinal_in(first) is not None:
        return None
    try:
        planned = asking.read(first)
    except QuestionError:
        return None
    sure = planned.band in (Band.ANSWER, Band.ASSUMPTIONS) and planned.confidence >= CONFIDENCE_MIN
    steps = _placed(planned.plan, ordinal.place) if sure and not ignores(planned.plan) else None
    if steps is None:
        return None
    by = next(step.order[0].field for step in steps if isinstance(step, Window) and step.alias == PLACE)
    place = f"place {ordinal.place} by {by}"
    said = f"'{ordinal.said} {ordinal.superlative}' = {place}: those that are level share a place"
    several = any(isinstance(step, Limit) and step.n > 1 for step in planned.plan.steps)
    found = [*planned.plan.assumptions, Assumption(said, Support.FUZZY)]
    if several:  # "the two second oldest"
        found.append(Assumption("all on that place are given, however many they are", Support.INFERRED))
    plan = replace(planned.plan, question=asking.question, steps=steps, assumptions=tuple(found))
    return replace(planned, plan=plan, band=Band.ASSUMPTIONS if several else planned.band, alternatives=())


def place_of(plan: Plan) -> str:
    """As in "place 2 by age", where that is what a plan looks for; "" for other plans."""
    for step in plan.steps:
        placed = plan.by_id.get(step.input) if isinstance(step, Filter) else None
        if isinstance(placed, Window) and placed.alias == PLACE and placed.fn is WindowFunction.DENSE_RANK:
            assert isinstance(step, Filter)
            match step.where:
                case Compare(Operator.EQ, FieldRef(), Value(place)):
                    return f"place {place} by {placed.order[0].field}"
    return ""


def _placed(plan: Plan, place: int) -> tuple[Step, ...] | None:
    """The steps with that place instead of the first; None where nothing, or more than one thing, is first."""
    limits = [step for step in plan.steps if isinstance(step, Limit)]
    if limits:
        return _after_sort(plan, limits[0], place) if len(limits) == 1 else None
    ends = [step for step in plan.steps if isinstance(step, Group) and any(item.fn in _ENDS for item in step.aggs)]
    return _before_group(plan, ends[0], place) if len(ends) == 1 else None


def _after_sort(plan: Plan, limit: Limit, place: int) -> tuple[Step, ...] | None:
    """As in "the oldest": the rows of that place in the order, instead of the first of them."""
    sort = plan.by_id[limit.input]
    if not isinstance(sort, Sort) or limit.offset:
        return None
    chosen = _chosen(sort.id, limit.id, sort.by[0], (), place)
    readers = [step for step in plan.steps if limit.id in step.inputs]
    shown = _columns(plan, sort)
    if shown is not None and any(isinstance(step, AnswerStep) for step in readers):
        chosen = (
            *chosen[:-1],
            replace(chosen[-1], id=f"{limit.id}_chosen"),
            Project(limit.id, f"{limit.id}_chosen", shown),
        )
    return _with(plan, limit, chosen)


def _before_group(plan: Plan, group: Group, place: int) -> tuple[Step, ...] | None:
    """As in "the highest price", also of each group: of the rows that have that place in it."""
    (*others, item) = group.aggs
    if others or item.field is None or any(not isinstance(key, str) for key in group.by):
        return None
    order = Order(item.field, item.fn is Function.MAX)
    chosen = _chosen(group.input, f"{group.id}_chosen", order, group.names, place)
    return _with(plan, group, (*chosen, replace(group, input=f"{group.id}_chosen")))


def _chosen(source: str, last: str, order: Order, partition: tuple[str, ...], place: int) -> tuple[Step, ...]:
    known, placed = f"{last}_known", f"{last}_placed"
    return (
        Filter(known, source, Not(missing(order.field))),
        Window(placed, known, WindowFunction.DENSE_RANK, PLACE, None, partition, (order,)),
        Filter(last, placed, compare(PLACE, "=", place)),
    )


def _columns(plan: Plan, sort: Sort) -> tuple[str, ...] | None:
    """What is sorted, where it is groups."""
    step = plan.by_id[sort.input]
    return (*step.names, *(item.alias for item in step.aggs)) if isinstance(step, Group) else None


def _with(plan: Plan, old: Step, new: Sequence[Step]) -> tuple[Step, ...]:
    return tuple(item for step in plan.steps for item in (new if step is old else (step,)))
