"""A word that no document has becomes the stored value that it stands for, and that is said."""

from __future__ import annotations

from dataclasses import replace

from promptql.catalog import Catalog, CollectionInfo
from promptql.expressions import And, Compare, FieldRef, Not, Operator, Or, Predicate, Scalar, Value
from promptql.optimizer.rewiring import replaced
from promptql.plan import Assumption, Plan, Support
from promptql.rules.words import normalize
from promptql.steps import Scan, Search


def resolve_values(plan: Plan, catalog: Catalog) -> Plan:
    """``genre = "Dramas "`` becomes ``genre = "drama"`` where all values are known and only one is so written.

    Unlike the other rules this one changes what a plan finds: without it, it would be nothing.
    """
    for step in plan.steps:
        if not isinstance(step, (Scan, Search)) or step.where is None:
            continue
        said: list[tuple[str, str]] = []
        where = _resolved(step.where, catalog.collections[step.collection], said)
        if said:
            assumptions = tuple(Assumption(f"'{word}' = {value}", Support.FUZZY) for word, value in said)
            known = replace(plan, assumptions=tuple(dict.fromkeys((*plan.assumptions, *assumptions))))
            return replaced(known, {step.id: replace(step, where=where)})
    return plan


def _resolved(predicate: Predicate, info: CollectionInfo, said: list[tuple[str, str]]) -> Predicate:
    match predicate:
        case And(items):
            return And(tuple(_resolved(item, info, said) for item in items))
        case Or(items):
            return Or(tuple(_resolved(item, info, said) for item in items))
        case Not(item):
            return Not(_resolved(item, info, said))
        case Compare(Operator.EQ | Operator.NE | Operator.IN, FieldRef(name), Value(value)):
            if isinstance(value, tuple):
                return Compare(
                    predicate.op, predicate.left, Value(tuple(_stored(item, name, info, said) for item in value))
                )
            return Compare(predicate.op, predicate.left, Value(_stored(value, name, info, said)))
        case _:
            return predicate


def _stored(value: Scalar, name: str, info: CollectionInfo, said: list[tuple[str, str]]) -> Scalar:
    field = info.fields.get(name)
    if field is None or not isinstance(value, str) or not field.complete or not field.values:
        return value
    stored = [known for known, _ in field.values if isinstance(known, str)]
    if value in stored:
        return value
    alike = [known for known in stored if normalize(known) == normalize(value)]
    if len(alike) != 1:
        return value
    said.append((value, alike[0]))
    return alike[0]
