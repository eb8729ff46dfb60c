"""Values in a plan's conditions that no document has, and what the data has instead."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence

from promptql.catalog import Catalog, CollectionInfo, FieldInfo
from promptql.expressions import Compare, FieldRef, Operator, Scalar, Value
from promptql.llm.faults import Fault
from promptql.llm.manual import compact
from promptql.plan import Plan
from promptql.predicate import comparisons
from promptql.rules.words import normalize
from promptql.steps import Filter, Scan, Search

NEAREST_MAX = 5
FAULTS_MAX = 5
NEAR_CUTOFF = 0.5  # of difflib
VALUE_CHARACTERS_MAX = 60


def unstored_values(plan: Plan, catalog: Catalog) -> tuple[Fault, ...]:
    """A fault for each condition whose value no document has, with the nearest values, or fields that have it."""
    found = []
    for step in plan.steps:
        if not isinstance(step, (Scan, Search, Filter)) or step.where is None:
            continue
        collections = [catalog.collections[name] for name in _read(plan, step.id) if name in catalog.collections]
        for place, condition in comparisons(step.where, "/where"):
            for value in _named(condition):
                fault = _fault(step.id, place, condition.field or "", value, collections)
                if fault is not None:
                    found.append(fault)
    return tuple(found[:FAULTS_MAX])


def _read(plan: Plan, name: str) -> Iterator[str]:
    """The collections whose documents come to a step."""
    step = plan.by_id[name]
    if isinstance(step, (Scan, Search)):
        yield step.collection
    for before in step.inputs:
        yield from _read(plan, before)


def _named(condition: Compare) -> Sequence[str]:
    """The strings that a field must be equal to."""
    if not isinstance(condition.left, FieldRef) or not isinstance(condition.right, Value):
        return ()
    value: object = condition.right.value
    if condition.op is Operator.IN and isinstance(value, tuple):
        return [item for item in value if isinstance(item, str)]
    return [value] if condition.op is Operator.EQ and isinstance(value, str) else []


def _fault(step: str, place: str, name: str, value: str, collections: Sequence[CollectionInfo]) -> Fault | None:
    fields = [info.fields[name] for info in collections if name in info.fields]
    known = [field for field in fields if field.index]
    key = normalize(value)
    if not known or any(key in field.index for field in known):
        return None
    hints = [f"{compact(name)} has {_listed(near)}" for field in known if (near := _nearest(key, field))]
    elsewhere = [
        f"{compact(found)} is a {compact(field.name)} of {compact(info.name)}"
        for info in collections
        for field in info.fields.values()
        if field.name != name and (found := _held(key, field)) is not None
    ]
    return Fault(step, place, f"no document has {compact(name)} = {_cut(value)}", "; ".join([*elsewhere[:2], *hints]))


def _held(key: str, field: FieldInfo) -> str | None:
    found = field.index.get(key)
    return None if found is None else str(found[0])[:VALUE_CHARACTERS_MAX]


def _nearest(key: str, field: FieldInfo) -> list[Scalar]:
    """Values that are written alike, or have a word in common; else the most frequent ones."""
    alike = difflib.get_close_matches(key, list(field.index), NEAREST_MAX, NEAR_CUTOFF)
    words = set(key.split())
    shared = [other for other in field.index if words & set(other.split())] if words else []
    keys = list(dict.fromkeys([*alike, *shared]))[:NEAREST_MAX]
    return [field.index[other][0] for other in keys] or [value for value, _ in field.values[:NEAREST_MAX]]


def _listed(values: Sequence[Scalar]) -> str:
    return ", ".join(_cut(value) for value in values)


def _cut(value: Scalar) -> str:
    return compact(" ".join(str(value).split())[:VALUE_CHARACTERS_MAX])
