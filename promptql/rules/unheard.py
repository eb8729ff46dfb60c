"""Words that change every answer, and that a plan made nothing of: "second" of "second oldest", "ratio of"."""

from __future__ import annotations

import json
import re

from promptql.plan import Plan
from promptql.rules.concepts import AFTER_MOST, AGE, BIRTH, COMPARATIVES, TIME
from promptql.rules.ordinals import ordinal_in
from promptql.rules.words import forms, name_words
from promptql.steps import CompareStep, Function, Group, Limit, SetOperation, Window, step_to_json

_THAN_AVERAGE = re.compile(
    r"\b(?:than|above|below|over|under)[\s-]+(?:the\s+|an\s+|its\s+|their\s+)?(?P<word>average|mean|median|usual)\b",
    re.IGNORECASE,
)
_DEGREE = re.compile(
    r"\b(?:(?:more|less)\s+(?P<adjective>\w+)|(?P<word>\w+er))\s+than\s+(?:the\s+|an\s+)?(?:average|mean|median|usual)\b",
    re.IGNORECASE,
)
_OF_ANYTHING = frozenset("higher lower greater larger bigger smaller other fewer".split())  # the field is named
_AGED = frozenset({"older", "younger"})
_RATIO = re.compile(
    r"\b(?P<word>ratio)\s+(?:of|between)\b|\bhow\s+many\s+(?P<times>times)\s+(?:as|more)\b", re.IGNORECASE
)
_EACH = re.compile(r"\b(?P<word>each)\s+of\s+(?!(?:the|these|those|them|its|their|our|my)\b)", re.IGNORECASE)
_EXCEPT = re.compile(r"\b(?:(?P<word>other)\s+than|(?P<except>except|apart\s+from))\b", re.IGNORECASE)
_DENYING = ('"not"', '"!="', '"except"', '"anti"')
_OF_EACH = re.compile(r"\b(?P<word>each|every|per)\s+(?!of\b|other\b)\w", re.IGNORECASE)
_ASKS_FOR_ONE = re.compile(r"(?:which|who)\b|.*\b(?:top|best)\b", re.IGNORECASE)
_AVERAGES = frozenset({Function.AVG, Function.MEDIAN})


def telling_words_unheard(question: str, plan: Plan) -> list[str]:
    """Those of a question for which its plan has no step that could mean them, in the order of the question."""
    found: list[tuple[int, str]] = []
    ordinal = ordinal_in(question)
    places = any(isinstance(step, Window) or (isinstance(step, Limit) and step.offset) for step in plan.steps)
    if ordinal is not None and not places and not _names(plan, ordinal.said):
        found.append((ordinal.start, ordinal.said))
    average = _THAN_AVERAGE.search(question)
    figures = {item.fn for step in plan.steps if isinstance(step, Group) for item in step.aggs}
    bounds = any(step.references for step in plan.steps)
    if average is not None and not (figures & _AVERAGES and bounds) and not _names(plan, average["word"]):
        found.append((average.start(), average["word"]))
    degree = _DEGREE.search(question)
    if degree is not None and not _measures((degree["adjective"] or degree["word"]).lower(), plan):
        found.append((degree.start(), degree["adjective"] or degree["word"]))
    ratio = _RATIO.search(question)
    compares = any(isinstance(step, CompareStep) for step in plan.steps)
    if ratio is not None and not compares:
        word = ratio["word"] or ratio["times"]
        if not _names(plan, word):
            found.append((ratio.start(), word))
    each = _EACH.search(question)
    told = any(isinstance(step, SetOperation) or (isinstance(step, Group) and step.by) for step in plan.steps)
    limited = any(isinstance(step, Limit) for step in plan.steps)
    if each is not None and (figures or limited) and not told:
        found.append((each.start(), each["word"]))
    found += _left_in(question, plan)
    return [word.lower() for _, word in sorted(found)]


def _left_in(question: str, plan: Plan) -> list[tuple[int, str]]:
    """What is to be left out, where nothing is denied; and "each" of an extreme, where one is given of all."""
    found: list[tuple[int, str]] = []
    steps = json.dumps([step_to_json(step) for step in plan.steps])
    except_ = _EXCEPT.search(question)
    if except_ is not None and not any(sign in steps for sign in _DENYING):
        found.append((except_.start(), (except_["word"] or except_["except"]).split()[0]))
    each = _OF_EACH.search(question)
    first = any(isinstance(step, Limit) for step in plan.steps) and not _ASKS_FOR_ONE.match(question)
    if each is not None and first:
        found.append((each.start(), each["word"]))
    return found


def _measures(word: str, plan: Plan) -> bool:
    """Whether what is averaged is what the adjective measures, such as "nicer" than average: nothing."""
    adjective = COMPARATIVES.get(word)
    measures = (*AGE, *BIRTH, *TIME) if word in _AGED else adjective.measures if adjective is not None else ()
    measures = measures or AFTER_MOST.get(word, ())
    averaged = [item.field or "" for step in plan.steps if isinstance(step, Group) for item in step.aggs]
    said = {part for name in averaged for part in name_words(name)}
    return word in _OF_ANYTHING or bool(said & {*measures, *forms(word)})  # "more points than average"


def _names(plan: Plan, word: str) -> bool:
    """Whether a field or a value that the plan reads has the word in its name."""
    return re.search(rf"\b{re.escape(word)}(?:\b|_)", str(plan.steps).replace("_", " "), re.IGNORECASE) is not None
