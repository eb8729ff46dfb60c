"""Nothing but a value: "stations that have only Type 2" are those whose list holds no other."""

from __future__ import annotations

import re
from dataclasses import replace

from promptql.catalog import Catalog, FieldInfo
from promptql.expressions import Compare, FieldRef, Not, Operator, Predicate, Value
from promptql.plan import Assumption, Plan, Support
from promptql.planned import Planned
from promptql.predicate import compare, conjunction, conjuncts
from promptql.rules.words import name_words
from promptql.steps import Filter, Scan, Step

_ONLY = r"(?P<word>only|solely|exclusively|nothing\s+(?:but|except|other\s+than))"
_VERBS = r"(?:\s+(?:have|has|had|having|with|contain|contains|offer|offers|is|are|the|a|an))*"
OTHERS_MAX = 1_000  # values that a list may not hold


def with_only(question: str, planned: Planned, catalog: Catalog) -> tuple[Planned, list[str]]:
    """The plan without documents whose lists hold more than the value that is said to be the only one.

    Returns:
        The plan, and the words that nothing could be made of, as not all values of the field are known.
    """
    if re.search(rf"\b{_ONLY}\b", question, re.IGNORECASE) is None:
        return planned, []
    fields = _lists(planned.plan, catalog)
    steps: list[Step] = []
    said: list[Assumption] = []
    left: list[str] = []
    for step in planned.plan.steps:
        where = step.where if isinstance(step, (Scan, Filter)) else None
        alone = [(held, word) for held in _held(where, fields) if (word := _said_alone(question, held[1])) is not None]
        for (field, value), word in alone:
            others = _others(field, value)
            if others is None:
                left.append(word)
                continue
            where = conjunction(where, Not(compare(field.name, Operator.IN, others)) if others else None)
            name = " ".join(name_words(field.name))
            said.append(Assumption(f"'{word}' = {name} hold nothing but {value}", Support.FUZZY))
        if isinstance(step, Scan):
            steps.append(replace(step, where=where))
        else:
            steps.append(replace(step, where=where) if isinstance(step, Filter) and where is not None else step)
    plan: Plan = planned.plan
    if said:
        plan = replace(plan, steps=tuple(steps), assumptions=(*plan.assumptions, *said))
    return replace(planned, plan=plan), left


def _lists(plan: Plan, catalog: Catalog) -> dict[str, FieldInfo]:
    """Fields that hold lists, of the collections that are read."""
    infos = [catalog.collections[step.collection] for step in plan.steps if isinstance(step, Scan)]
    return {name: field for info in infos for name, field in info.fields.items() if field.many}


def _held(where: Predicate | None, fields: dict[str, FieldInfo]) -> list[tuple[FieldInfo, str]]:
    """The lists and the values that they are to hold."""
    found: list[tuple[FieldInfo, str]] = []
    for part in conjuncts(where):
        match part:
            case Compare(Operator.EQ, FieldRef(str(name)), Value(str(value))) if name in fields:
                found.append((fields[name], value))
    return found


def _said_alone(question: str, value: str) -> str | None:
    """The word that says so, beside the value: "only Type 2", "Type 2 only"."""
    own = re.escape(value) + "s?"
    for pattern in (rf"\b{_ONLY}{_VERBS}\s+{own}(?!\w)", rf"(?<!\w){own}\s+(?P<word>only)\b"):
        match = re.search(pattern, question, re.IGNORECASE)
        if match is not None:
            return match["word"].lower()
    return None


def _others(field: FieldInfo, value: str) -> tuple[str, ...] | None:
    """Its other values; None where not all are known."""
    others = tuple(str(other) for other, _ in field.values if other != value)
    return others if field.complete and len(others) <= OTHERS_MAX else None
