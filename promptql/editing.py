"""A plain plan taken apart, so that single parts of it can be changed, and put together again."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import count

from promptql.catalog import CollectionInfo
from promptql.comparing import is_number
from promptql.expressions import Compare, Not, Predicate, Value, fields_of
from promptql.ground import Base, base_of, says_what
from promptql.plan import Plan
from promptql.predicate import conjunction, conjuncts, missing
from promptql.shape import is_plain, shape_of
from promptql.steps import (
    Aggregation,
    AnswerStep,
    Filter,
    Function,
    Group,
    GroupKey,
    Limit,
    Order,
    Project,
    Scan,
    Search,
    Sort,
    Step,
    Visualize,
)

COUNT_ALIAS = "n"


@dataclass(frozen=True, slots=True)
class Parts:
    """What a plain plan consists of; each part may be changed by itself.

    Attributes:
        where: conditions on the documents; `having`: on groups.
        shown: columns of the table; None for all.
        values: columns that are the answer's values; None for all that are shown.
        chart: drawn from the rows, where one is wanted.
        counted: the rows are counted at last.
    """

    source: Scan | Search | Base
    where: tuple[Predicate, ...]
    group: Group | None
    having: tuple[Predicate, ...]
    order: tuple[Order, ...]
    limit: Limit | None
    shown: tuple[str, ...] | None
    values: tuple[str, ...] | None
    chart: Visualize | None = None
    counted: bool = False

    def with_condition(self, condition: Predicate, *, instead: bool) -> Parts:
        """With one more condition; `instead` of those that say what the same fields are, where there are such."""
        fields = fields_of(condition)
        if isinstance(self.source, Base) and instead and self.source.mentions(fields):
            base = self.source.with_condition(condition)
            return self if base is None else replace(self, source=base)
        kept = [part for part in self.where if not (instead and fields_of(part) == fields and says_what(part))]
        return replace(self, where=tuple(dict.fromkeys((*kept, condition))))

    def grouped(self, by: tuple[GroupKey, ...]) -> Parts:
        """By other keys, with the same figures, or a count where there was none; the greatest first."""
        aggs = self.group.aggs if self.group is not None else (Aggregation(Function.COUNT, None, COUNT_ALIAS),)
        group = Group("", "", by, aggs)
        order = (Order(aggs[0].alias, descending=True), *(Order(name) for name in group.names))
        return replace(self, group=group, having=(), order=order, limit=None, shown=None, values=None)

    def aggregated(self, aggregation: Aggregation) -> Parts:
        """One figure of the documents; their order and number go."""
        group = Group("", "", (), (aggregation,))
        return replace(self, group=group, having=(), order=(), limit=None, shown=None, values=None)

    def measured(self, fn: Function, field: str, info: CollectionInfo) -> Parts:
        """With one figure of another field, or another one of the same, of the same documents and groups."""
        assert self.group is not None
        (before,) = self.group.aggs
        alias = f"{fn.value}_{field}"
        old, new = Not(missing(before.field or "")), info.fields[field]
        where = tuple(part for part in self.where if part != old)
        if new.filled is not None and new.filled < info.rows:
            where = (*where, Not(missing(field)))
        order = tuple(replace(key, field=alias) if key.field == before.alias else key for key in self.order)
        group = replace(self.group, aggs=(Aggregation(fn, field, alias),))
        return replace(self, where=where, group=group, having=(), order=order, shown=None, values=None)

    def showing(self, names: tuple[str, ...], *, asked: bool = True) -> Parts:
        """With more columns, where they are asked for also in the values; a table of groups stays as it is."""
        if self.group is not None:
            return self
        shown = None if self.shown is None else tuple(dict.fromkeys((*self.shown, *names)))
        values = None if self.values is None else tuple(dict.fromkeys((*self.values, *names)))
        return replace(self, shown=shown, values=values if asked else self.values)

    def with_number(self, number: float) -> Parts:
        """With another number in the last condition that says what a number is."""
        for place in reversed(range(len(self.where))):
            part = self.where[place]
            if isinstance(part, Compare) and isinstance(part.right, Value) and is_number(part.right.value):
                changed = replace(part, right=Value(number))
                return replace(self, where=(*self.where[:place], changed, *self.where[place + 1 :]))
        return self

    def steps(self) -> tuple[Step, ...]:
        """The parts as steps."""
        chain = _Chain()
        where = conjunction(*self.where)
        if isinstance(self.source, Base):
            chain.begin(self.source)
            if where is not None:
                chain.add(Filter(chain.next, chain.last, where))
        elif isinstance(self.source, Search):
            chain.add(replace(self.source, id=chain.next, where=where))
        else:
            chain.add(replace(self.source, id=chain.next, where=None))
            if where is not None:
                chain.add(Filter(chain.next, chain.last, where))
        if self.group is not None:
            chain.add(replace(self.group, id=chain.next, input=chain.last))
        having = conjunction(*self.having)
        if having is not None:
            chain.add(Filter(chain.next, chain.last, having))
        if self.order:
            chain.add(Sort(chain.next, chain.last, self.order))
        if self.limit is not None:
            chain.add(replace(self.limit, id=chain.next, input=chain.last))
        return self._ended(chain)

    def _ended(self, chain: _Chain) -> tuple[Step, ...]:
        values = self.values
        if self.counted:
            chain.add(Group(chain.next, chain.last, (), (Aggregation(Function.COUNT, None, COUNT_ALIAS),)))
            values = None
        elif self.shown is not None:
            chain.add(Project(chain.next, chain.last, self.shown))
        if self.chart is not None:
            chain.add(replace(self.chart, id=chain.next, input=chain.last))
        chain.add(AnswerStep(chain.next, chain.last, values))
        return tuple(chain.steps)


class _Chain:
    """Steps that each read the one before."""

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self._last = ""

    def begin(self, base: Base) -> None:
        """Stand on a base."""
        self.steps, self._last = list(base.steps), base.last

    @property
    def next(self) -> str:
        """The id of the next step."""
        taken = {step.id for step in self.steps}
        return next(name for number in count(len(self.steps) + 1) if (name := f"s{number}") not in taken)

    @property
    def last(self) -> str:
        """The id of the last step."""
        return self._last

    def add(self, step: Step) -> None:
        """Append a step."""
        self.steps.append(step)
        self._last = step.id


def parts_over(plan: Plan) -> Parts | None:
    """The parts of a plan whose last steps are a plain chain over joins and the like; None where they are not."""
    found = base_of(plan)
    if found is None:
        return None
    base, chain = found
    parts = Parts(base, (), None, (), (), None, None, None)
    for step in chain:
        match step:
            case Filter() if parts.group is None:
                parts = replace(parts, where=(*parts.where, *conjuncts(step.where)))
            case Filter():
                parts = replace(parts, having=(*parts.having, *conjuncts(step.where)))
            case Group():
                parts = replace(parts, group=step, order=(), limit=None, shown=None)
            case Sort():
                parts = replace(parts, order=step.by)
            case Limit():
                parts = replace(parts, limit=step)
            case Project():
                parts = replace(parts, shown=step.fields)
            case Visualize():
                parts = replace(parts, chart=step)
            case AnswerStep():
                parts = replace(parts, values=step.fields)
    return parts


def parts_of(plan: Plan) -> Parts | None:
    """The parts of a plain plan; None where it is another one."""
    if not is_plain(plan) or len(plan.path()) < len(plan.steps):
        return None
    shape = shape_of(plan)
    output = plan.by_id[plan.output]
    assert isinstance(output, AnswerStep)
    shown = [step.fields for step in plan.path() if isinstance(step, Project)]
    charts = [step for step in plan.path() if isinstance(step, Visualize)]
    return Parts(
        source=shape.source,
        where=conjuncts(shape.where),
        group=shape.group,
        having=conjuncts(shape.having),
        order=shape.sort.by if shape.sort is not None else (),
        limit=shape.limit,
        shown=shown[-1] if shown else None,
        values=output.fields,
        chart=charts[-1] if charts else None,
    )
