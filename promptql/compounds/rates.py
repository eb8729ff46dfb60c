"""Rates: "price per berth", "ratio of price to berths": one number of the same documents divided by another."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from promptql.catalog import ID
from promptql.compounds.figures import Figure, together
from promptql.expressions import Arithmetic, ArithmeticOperator, FieldRef, Not
from promptql.plan import Assumption, Support
from promptql.predicate import compare, conjunction, missing
from promptql.rules.concepts import time_fields
from promptql.rules.linking import link_fields, mentions_collection
from promptql.rules.measures import is_intensive
from promptql.rules.units import UNITS
from promptql.rules.words import STOPWORDS, name_words, singular, tokenize
from promptql.steps import Aggregation, AnswerStep, Compute, Computed, Filter, Function, Group, Project, Step

if TYPE_CHECKING:
    from promptql.catalog import CollectionInfo, FieldInfo
    from promptql.compounds.planning import Asking
    from promptql.planned import Planned

RATE = "rate"
_ASK = (
    r"(?:(?:what(?:'s|\s+is|\s+are|\s+was)?|(?:give|tell|show)(?:\s+me)?|find|calculate|compute)\s+)?(?:the\s+|a\s+)?"
)
_FIGURE = r"(?:(?:average|mean|total|overall)\s+)?"
_REST = r"(?P<rest>(?:\s+(?:of|in|for|from|at|by|since|before|after|with|among)\s.+)?)"
_NAME = r"(?P<{}>\w+(?:\s\w+){{0,2}}?)"
_PER = re.compile(
    rf"^{_ASK}{_FIGURE}{_NAME.format('one')}\s+(?:per|for\s+each|for\s+every)\s+{_NAME.format('other')}{_REST}$",
    re.IGNORECASE,
)
_RATIO = re.compile(
    rf"^{_ASK}ratio\s+(?:of|between)\s+(?:the\s+)?{_NAME.format('one')}\s+(?:to|and|over)\s+(?:the\s+)?"
    rf"{_NAME.format('other')}{_REST}$",
    re.IGNORECASE,
)


def plan_rate(asking: Asking) -> Planned | None:
    """One total divided by another, of the documents that have both; None where that is not asked.

    "Per" a number whose values do not add up asks for groups: "salary per age". So does a noun in the plural.
    """
    match = _PER.match(asking.question) or _RATIO.match(asking.question)
    if match is None:
        return None
    word = match["other"].split()[-1]
    by = {
        name: field
        for name, info in asking.catalog.collections.items()
        if (field := _divisor(asking, info, match["other"]))
    }
    if not by or (match.re is _PER and singular(word) != word):
        return None
    figure = asking.figure(f"total {match['one']}{match['rest']}", Function.SUM)
    other = None if figure is None or figure.joins else by.get(figure.collection)
    if figure is None or other is None:
        return None
    (item,), info = figure.group.aggs, asking.catalog.collections[figure.collection]
    one = info.fields.get(item.field or "")
    named = _number(info, match["one"])
    if one is None or item.fn is not Function.SUM or one is other or named not in (None, one):
        return None
    return _planned(asking, figure, one, other)


def _divisor(asking: Asking, info: CollectionInfo, said: str) -> FieldInfo | None:
    """The field of numbers that these words name, if its values add up, or the one in a unit that they name."""
    named = _number(info, said)
    return named if named is not None and _can_be_divided_by(info, named) else _in_unit(asking, info, said)


def _number(info: CollectionInfo, said: str) -> FieldInfo | None:
    """The field of numbers that these words name, all of them."""
    tokens = tokenize(said)
    links = [link for link in link_fields(tokens, info) if link.field.numeric and link.field.name != ID]
    if len(links) != 1:
        return None
    told = {index for index, token in enumerate(tokens) if token.folded not in STOPWORDS}
    return links[0].field if told <= set(range(links[0].start, links[0].end)) else None


def _in_unit(asking: Asking, info: CollectionInfo, said: str) -> FieldInfo | None:
    """The one field of numbers in a unit that is said: "per kWh" of "energy_kwh"."""
    (token, *more) = tokenize(said)
    if more or any(mentions_collection(token, other) for other in asking.catalog.collections.values()):
        return None
    found = []
    for field in info.fields.values():
        words = name_words(field.name)
        if field.numeric and len(words) > 1 and "per" not in words and _is_unit(words[-1], token.folded):
            found.append(field)
    return found[0] if len(found) == 1 else None


def _is_unit(word: str, said: str) -> bool:
    return singular(word) == singular(said) or (word in UNITS and UNITS[word] == UNITS.get(said))


def _can_be_divided_by(info: CollectionInfo, field: FieldInfo) -> bool:
    return not is_intensive(field.name) and not field.identifier and field not in time_fields(info)


def _planned(asking: Asking, figure: Figure, one: FieldInfo, other: FieldInfo) -> Planned:
    """The steps of the first total, with the second beside it, and what the one is by the other."""
    totals = f"total_{one.name}", f"total_{other.name}"
    before = [step for step in figure.steps if step.id != figure.last]
    both = conjunction(Not(missing(one.name)), Not(missing(other.name)), compare(other.name, "!=", 0))
    assert both is not None
    known = Filter(f"{figure.last}_known", figure.group.inputs[0], both)
    aggs = (
        Aggregation(Function.SUM, one.name, totals[0]),
        Aggregation(Function.SUM, other.name, totals[1]),
    )
    divided = Arithmetic(ArithmeticOperator.DIVIDE, FieldRef(totals[0]), FieldRef(totals[1]))
    steps: list[Step] = [
        *before,
        known,
        Group(figure.last, known.id, (), aggs),
        Compute("divided", figure.last, (Computed(divided, RATE),)),
        Project("shown", "divided", (RATE, *totals)),
    ]
    template = f"{one.name} per {other.name}: {{{RATE}}} ({{{totals[0]}}} / {{{totals[1]}}})."
    steps.append(AnswerStep("answer", "shown", (RATE,), template))
    said = Assumption(
        f"{one.name} per {other.name} = the total of one by the total of the other, of {figure.collection} with both",
        Support.FUZZY,
    )
    return together(asking.question, (figure,), steps, [said])
