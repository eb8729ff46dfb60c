"""Rates: "the average cost per kWh" is what all cost, by the kWh of all, and no average for each amount of kWh."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from promptql.compounds.figures import Figure, together
from promptql.expressions import And, Arithmetic, ArithmeticOperator, FieldRef, Not
from promptql.plan import Assumption, Support
from promptql.predicate import missing
from promptql.rules.linking import mentions_collection
from promptql.rules.units import UNITS
from promptql.rules.words import name_words, plural, singular, tokenize
from promptql.steps import Aggregation, AnswerStep, Compute, Computed, Filter, Function

if TYPE_CHECKING:
    from promptql.catalog import FieldInfo
    from promptql.compounds.planning import Asking
    from promptql.planned import Planned

_PER = re.compile(
    r"^(?:(?:what(?:'s|\s+is|\s+are|\s+was|\s+were)?|give\s+me|tell\s+me|show(?:\s+me)?|find|calculate)\s+)?(?:the\s+|our\s+)?"
    r"(?:average\s+|mean\s+|avg\s+)?(?P<what>(?!total\b|highest\b|lowest\b|number\b|how\b)\w[\w ]*?)\s+"
    r"(?:per|a|for\s+each|for\s+every)\s+(?P<unit>[\w²³]+)(?P<rest>\s+(?:in|at|of|for|from|during|by)\s.+)?$",
    re.IGNORECASE,
)
_PERIODS = frozenset("day days week weeks month year quarter".split())


def plan_per_unit(asking: Asking) -> Planned | None:
    """The total by the amount, of the documents where both are known; None for other questions."""
    match = _PER.match(asking.question)
    if match is None or singular(match["unit"].lower()) in _PERIODS:
        return None
    amount = _amount(asking, match["unit"].lower())
    figure = None if amount is None else asking.figure(f"What is the total {match['what']}{match['rest'] or ''}?")
    if amount is None or figure is None or figure.joins or amount.name not in _fields(asking, figure):
        return None
    (item,) = figure.group.aggs
    if item.fn is not Function.SUM or item.field in (None, amount.name):
        return None
    assert item.field is not None
    known = And(tuple(Not(missing(name)) for name in (item.field, amount.name)))
    both = Filter("both", figure.group.input, known)
    divisor = Aggregation(Function.SUM, amount.name, f"total_{amount.name}")
    group = replace(figure.group, input=both.id, aggs=(item, divisor))
    rate = f"{item.field}_per_{amount.name}"
    quotient = Arithmetic(ArithmeticOperator.DIVIDE, FieldRef(item.alias), FieldRef(divisor.alias))
    steps = [
        *(step for step in figure.steps if step.id != figure.last),
        both,
        group,
        Compute("rate", group.id, (Computed(quotient, rate),)),
        AnswerStep("answer", "rate", (rate,)),
    ]
    said = f"'per {match['unit']}' = the total {item.field} by the total {amount.name}, where both are known"
    return together(asking.question, (figure,), steps, [Assumption(said, Support.FUZZY)])


def _fields(asking: Asking, figure: Figure) -> frozenset[str]:
    return frozenset(asking.catalog.collections[figure.collection].fields)


def _amount(asking: Asking, unit: str) -> FieldInfo | None:
    """The one field of numbers whose name ends with the unit; None where the unit also names something else."""
    found: list[FieldInfo] = []
    (token, *_) = tokenize(unit)
    for info in asking.catalog.collections.values():
        if mentions_collection(token, info):
            return None
        for field in info.fields.values():
            words = name_words(field.name)
            if not words or "per" in words or not _is_same(words[-1], unit):
                continue
            counted = unit != words[-1] == plural(unit)  # "per seat" of a field "seats"
            if not field.numeric or (len(words) == 1 and unit not in UNITS and not counted):
                return None
            found.append(field)
    return found[0] if len(found) == 1 else None


def _is_same(word: str, unit: str) -> bool:
    return singular(word) == singular(unit) or (word in UNITS and UNITS[word] == UNITS.get(unit))
