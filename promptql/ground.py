"""What a chain of steps stands on: one collection, or the rows of joins and the like, as if they were one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from promptql.catalog import ID, Catalog, CollectionInfo, FieldInfo
from promptql.expressions import Compare, FieldRef, Predicate, Value, fields_of
from promptql.plan import Plan
from promptql.predicate import conjunction, conjuncts
from promptql.steps import (
    AnswerStep,
    Filter,
    Group,
    Join,
    Limit,
    Project,
    Scan,
    Search,
    Sort,
    Step,
    Visualize,
    dependencies_of,
    input_of,
)
from promptql.validation import Columns, columns_of
from promptql.validation.naming import joined_names

CHAIN = (Filter, Project, Group, Sort, Limit, AnswerStep, Visualize)  # that may stand on any rows


@dataclass(frozen=True, slots=True)
class Base:
    """Steps that a chain reads the last one of; what is in them stays, but for conditions that are replaced."""

    steps: tuple[Step, ...]
    last: str

    def with_condition(self, condition: Predicate) -> Base | None:
        """With a condition in the place of one that says what the same field is.

        Returns:
            None where there is no such one, or it is not clear which.
        """
        places = [
            (index, part)
            for index, step in enumerate(self.steps)
            if isinstance(step, (Filter, Scan, Search))
            for part in conjuncts(step.where)
            if fields_of(part) == fields_of(condition) and says_what(part)
        ]
        if len(places) != 1:
            return None
        index, part = places[0]
        step = self.steps[index]
        assert isinstance(step, (Filter, Scan, Search))
        where = conjunction(*(condition if item == part else item for item in conjuncts(step.where)))
        assert where is not None
        return replace(self, steps=(*self.steps[:index], replace(step, where=where), *self.steps[index + 1 :]))

    def mentions(self, names: frozenset[str]) -> bool:
        """Whether a condition in it is about one of these fields."""
        found = (step.where for step in self.steps if isinstance(step, (Filter, Scan, Search)))
        return any(fields_of(where) & names for where in found if where is not None)


def says_what(part: Predicate) -> bool:
    """Whether a condition compares a field with constants, rather than asking for any value."""
    return isinstance(part, Compare) and isinstance(part.left, FieldRef) and isinstance(part.right, Value)


def base_of(plan: Plan) -> tuple[Base, tuple[Step, ...]] | None:
    """What the last steps of a plan stand on, and those steps, in order; None where they are no plain chain."""
    chain: list[Step] = []
    step: Step = plan.by_id[plan.output]
    while isinstance(step, CHAIN):
        chain.append(step)
        name = input_of(step)
        assert name is not None
        step = plan.by_id[name]
    groups = [item for item in chain if isinstance(item, Group)]
    if not chain or isinstance(step, (Scan, Search)) or len(groups) > 1 or any(item.references for item in chain):
        return None
    cut = next((place for place, item in enumerate(reversed(chain)) if isinstance(item, Limit)), len(chain))
    if any(isinstance(item, (Filter, Group)) for item in list(reversed(chain))[cut:]):
        return None  # what is said of the first few is not said of all
    below = _below(plan, step.id)
    if len(below) + len(chain) != len(plan.steps):
        return None
    return Base(tuple(item for item in plan.order() if item.id in below), step.id), tuple(reversed(chain))


def _below(plan: Plan, name: str) -> set[str]:
    found = {name}
    for before in dependencies_of(plan.by_id[name]):
        found |= _below(plan, before)
    return found


def joined_info(plan: Plan, base: Base, catalog: Catalog) -> CollectionInfo:
    """The rows of a base as a collection: its columns with what is known of the fields that they come from."""
    columns = columns_of(plan, catalog)
    first = next(step for step in base.steps if isinstance(step, (Scan, Search)))
    info = catalog.collections[first.collection]
    fields: dict[str, FieldInfo] = {}
    for name, column in columns[base.last].items():
        known = _origin(plan, base.last, name, columns, catalog)
        if known is not None:
            fields[name] = replace(known, name=name)
        elif name != ID:
            fields[name] = FieldInfo(name, column.type, many=column.many)
    return replace(info, fields=fields, searchable=False)


def _origin(plan: Plan, step_id: str, name: str, columns: Mapping[str, Columns], catalog: Catalog) -> FieldInfo | None:
    """The field that a column of a step is; None where it is none."""
    step = plan.by_id[step_id]
    if isinstance(step, (Scan, Search)):
        return catalog.collections[step.collection].fields.get(name)
    if isinstance(step, Join) and name not in columns[step.left]:
        given = joined_names(step, plan, columns[step.left], columns[step.right])
        own = next((key for key, value in given.items() if value == name), None)
        return None if own is None else _origin(plan, step.right, own, columns, catalog)
    before = input_of(step)
    if before is None or name not in columns[before]:
        return None
    return _origin(plan, before, name, columns, catalog)
