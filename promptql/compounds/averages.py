"""Documents beside the average: "older than average", "a price above average", "… of its kind"."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from promptql.answer import Band
from promptql.catalog import FieldInfo
from promptql.compounds.degrees import LESS, MORE, Measure, compares, field_before, measures_in
from promptql.compounds.figures import groups_of
from promptql.errors import QuestionError
from promptql.expressions import Compare, Expression, FieldRef, Lookup, Operator, Predicate
from promptql.plan import Assumption, Plan, Support
from promptql.planned import Planned
from promptql.predicate import conjunction
from promptql.rules.comparators import DENIALS, OPPOSITES
from promptql.rules.concepts import COMPARATIVES
from promptql.rules.linking import EXACT
from promptql.rules.planning import read_question
from promptql.rules.reading import Reading, begin_reading
from promptql.rules.words import NEGATIONS, WHETHER, name_words, plural, singular
from promptql.steps import (
    Aggregation,
    AnswerStep,
    Compute,
    Computed,
    Filter,
    Function,
    Group,
    Join,
    JoinKey,
    LookupStep,
    Order,
    Project,
    Scan,
    Sort,
    Step,
)
from promptql.wording import documents_noun

if TYPE_CHECKING:
    from promptql.compounds.planning import Asking

_COUNTED = re.compile(
    r"^(?:(?:which|what|list|show(?:\s+me)?|find|name)\s+)?(?:the\s+|all\s+)?(?P<who>[\w ]+?)\s+"
    r"(?:with|(?:that\s+|who\s+)?ha(?:ve|s|d))\s+"
    r"(?P<degree>more|fewer|less)\s+(?P<what>[\w ]+?)\s+than\s+(?:the\s+|on\s+)?average$",
    re.IGNORECASE,
)
CONFIDENCE = 0.9  # of a question all of whose words are explained
_FIGURES = {
    "average": Function.AVG, "avg": Function.AVG, "mean": Function.AVG, "usual": Function.AVG, "normal": Function.AVG,
    "median": Function.MEDIAN,
}  # fmt: skip
_LOOSE = frozenset({"usual", "normal"})  # which may mean something else than the mean
_CALLED = {Function.AVG: "average", Function.MEDIAN: "median"}
_ABOVE, _BELOW = frozenset({"above", "over", "exceeding"}), frozenset({"below", "under"})
_ARTICLES = frozenset({"the", "a", "an", "their", "its"})
_COPULAS = frozenset("is are was were be being been that has have had with a an the do does did".split())
_OWN = frozenset({"their", "its", "the", "same", "own", "his", "her", "each", "every", "respective"})
_WITHIN = frozenset({"of", "in", "for", "within", "among", "from"})
_NUMBER = frozenset({"number", "amount", "of"})
_ALL = frozenset({"all", "every", "the"})


@dataclass(slots=True)
class _Beside:
    """Tokens [start, end) compare `field` with a figure of it.

    Attributes:
        denied: whether "not" stands before it.
        by: each document is compared with the figure of those that have its value of this field.
        among: what the documents satisfy that the figure is of.
    """

    field: FieldInfo
    descending: bool
    fn: Function
    start: int
    end: int
    support: Support
    denied: bool = False
    by: FieldInfo | None = None
    among: Predicate | None = None
    said: list[Assumption] = dataclasses.field(default_factory=list)


def plan_averages(asking: Asking) -> Planned | None:
    """The documents that have more, or less, of something than documents have on average; None for other questions.

    The average is of all documents, where no others are named, and of each group with "than the average of its kind".
    """
    words = {word.strip(",.:;").rpartition("-")[2] for word in asking.question.lower().split()}
    if not words & _FIGURES.keys():
        return None
    for info in asking.catalog.collections.values():
        if info.rows:
            reading = begin_reading(asking.question, info, asking.asked_at)
            found = _beside(asking, reading)
            planned = None if found is None else _planned(asking, reading, found)
            if planned is not None:
                return planned
    return _of_counts(asking)


def _of_counts(asking: Asking) -> Planned | None:
    """As in "harbours with more boats than average": groups with more documents than groups have on average."""
    match = _COUNTED.match(asking.question)
    if match is None:
        return None
    try:
        planned = asking.read(f"number of {match['what']} per {singular(match['who'])}")
    except QuestionError:
        return None
    found = groups_of(planned)
    if found is None or found[1].aggs[0].fn not in (Function.COUNT, Function.COUNT_DISTINCT):
        return None
    steps, group = found
    alias = group.aggs[0].alias
    figure = f"average_{alias}"
    op = Operator.GT if match["degree"].lower() == "more" else Operator.LT
    answer = planned.plan.by_id[planned.plan.output]
    shown = answer.fields if isinstance(answer, AnswerStep) and answer.fields is not None else ()
    names = tuple(name for name in shown if name in group.names) or group.names
    told = [
        Assumption(f"the average is that of all {plural(match['who'])} that have any {match['what']}", Support.FUZZY),
        *planned.plan.assumptions,
    ]
    beyond: tuple[Step, ...] = (
        Group("figured", group.id, (), (Aggregation(Function.AVG, alias, figure),)),
        LookupStep("figure", "figured", figure),
        Filter("beyond", group.id, Compare(op, FieldRef(alias), Lookup("figure"))),
        Sort("ordered", "beyond", (Order(alias, op is Operator.GT), *(Order(name) for name in group.names))),
        AnswerStep("answer", "ordered", names),
    )
    closed = _closed(asking, (*steps, *beyond), told)
    band = Band.ASSUMPTIONS if planned.band is Band.ASSUMPTIONS else closed.band
    return replace(closed, band=band, confidence=min(closed.confidence, planned.confidence))


def _beside(asking: Asking, reading: Reading) -> _Beside | None:
    """The comparison with a figure; None where none is said, or its field is not clear."""
    words = [reading.word(i) for i in range(len(reading.tokens))]
    if (reading.word(0), reading.word(1)) in {("how", "much"), ("by", "how")}:
        return None
    for at, word in enumerate(words):
        fn = _FIGURES.get(word)
        before = at - 1
        while before >= 0 and words[before] in _ARTICLES:
            before -= 1
        if fn is None or before < 0:
            continue
        found = _compared(reading, at, before, fn)
        if found is not None:
            found.denied = reading.word(found.start - 1) in DENIALS
            found.start -= found.denied
            if word in _LOOSE:
                found.said.append(Assumption(f"'{word}' = the average", Support.INFERRED))
            return _within(asking, reading, found)
    return None


def _compared(reading: Reading, at: int, before: int, fn: Function) -> _Beside | None:
    """What is compared, and which way: "older than", "pays more than the … fee", "a price above"."""
    word, after = reading.word(before), at + 1
    while reading.word(after) in _NUMBER:  # "the average number of ingredients"
        after += 1
    named = reading.field_at(after)
    named = named if named is not None and compares(named.field) else None
    end = at + 1 if named is None else named.end
    if word in _ABOVE | _BELOW:
        place = before - 1 if reading.word(before - 1) in {"an", "a"} else before
        own = field_before(reading, before)
        if named is not None:
            return _of(named.field, fn, (place, end), Support.EXACT, more=word in _ABOVE)
        return None if own is None else _of(own[0], fn, (own[1], end), Support.EXACT, more=word in _ABOVE)
    if word != "than":
        return None
    measure = next((m for m in measures_in(reading, range(max(0, before - 4), before)) if m.end == before), None)
    if measure is not None and (named is None or named.field is measure.field):
        return _of(measure.field, fn, (measure.start, end), measure.support, more=measure.descending)
    degree = reading.word(before - 1)
    if named is None or not (degree in MORE | LESS or degree in COMPARATIVES):
        return None
    if measure is not None and measure.support is Support.EXACT:  # of one field the average of another
        return None
    more = degree in MORE or (degree in COMPARATIVES and _more(measure, degree))
    return _of(named.field, fn, (before - 1, end), Support.EXACT, more=more)


def _more(measure: Measure | None, degree: str) -> bool:
    return COMPARATIVES[degree].descending if measure is None else measure.descending


def _of(measured: FieldInfo, fn: Function, span: tuple[int, int], support: Support, *, more: bool) -> _Beside | None:
    return _Beside(measured, more, fn, *span, support) if measured.numeric else None


def _within(asking: Asking, reading: Reading, found: _Beside) -> _Beside | None:
    """With what the figure is of: "of its kind", "of all sloops", "the average sloop"; None where that is not clear."""
    end = found.end
    while reading.names_collection(end):
        end += 1
    value = reading.value_at(end)
    start = end
    if value is not None:
        end = value.end
    elif reading.word(end) in _WITHIN:
        place = end + 1
        while reading.word(place) in _OWN | _ALL:
            place += 1
        link = reading.field_at(place)
        owned = {reading.word(i) for i in range(end + 1, place)} & (_OWN - {"the"})
        own = link.field if link is not None and link.strength == EXACT else _reference(reading, place)
        if own is not None and owned:
            if not own.groupable or own.many:
                return None
            found.by, found.end = own, place + 1 if link is None else link.end
            return found
        if reading.word(end) == "of":
            end = len(reading.tokens)
    if start < end:
        among = read_question(reading.raw(start, end), reading.collection, asking.asked_at)
        if among.unexplained() or among.aggregate or among.groups or among.ranking or among.wanted:
            return None
        found.among = conjunction(*(item.predicate for item in among.conditions))
        found.said += among.assumptions
    found.end = end
    return found


def _reference(reading: Reading, place: int) -> FieldInfo | None:
    """The field that refers to what is named there: "team_id" of a team."""
    fields = reading.collection.fields.items()
    return next((field for name, field in fields if name_words(name) == (reading.word(place), "id")), None)


def _planned(asking: Asking, reading: Reading, found: _Beside) -> Planned | None:
    asked = _others(asking, reading, found)
    if asked is None:
        return None
    conditions = conjunction(*(item.predicate for item in asked.conditions))
    word = _CALLED[found.fn]
    alias = f"{word}_{found.field.name}"
    noun = documents_noun(reading.collection.name, reading.collection.rows)
    said = [*asked.assumptions, *found.said]
    if found.support is not Support.EXACT or found.by is not None:
        more = f"{'not ' if found.denied else ''}{'more' if found.descending else 'less'}"
        whose = "" if found.by is None else f" of each {found.by.name}"
        text = f"'{reading.raw(found.start, found.end)}' = {more} {found.field.name} than the {word}{whose}"
        said.append(Assumption(text, found.support))
    if conditions is not None and found.by is None and found.among is None and reading.word(0) not in WHETHER:
        said.append(Assumption(f"the {word} is that of all {noun}", Support.INFERRED))
    if reading.word(0) in WHETHER:
        if found.denied:
            return None
        steps = _told_beside(reading, found, conditions, alias)
        return None if steps is None else _closed(asking, steps, said)
    steps, last, shown = _compare(reading, found, conditions, alias)
    if asked.counted:
        steps += [
            Group("counted", last, (), (Aggregation(Function.COUNT, None, "n"),)),
            AnswerStep("answer", "counted"),
        ]
    else:
        label = reading.collection.label
        wanted = tuple(item.name for item in asked.wanted if item is not found.field) or (label,)
        fields = tuple(dict.fromkeys((label, *wanted, *shown)))
        order = Sort("ordered", last, (Order(found.field.name, found.descending),))
        steps += [order, Project("shown", "ordered", fields), AnswerStep("answer", "shown", wanted)]
    return _closed(asking, steps, said)


def _closed(asking: Asking, steps: Sequence[Step], said: Sequence[Assumption]) -> Planned:
    plan = Plan(asking.question, tuple(steps), "answer", assumptions=tuple(dict.fromkeys(said)))
    guessed = any(item.support in (Support.INFERRED, Support.DEFAULT) for item in said)
    return Planned(plan, CONFIDENCE, Band.ASSUMPTIONS if guessed else Band.ANSWER)


def _told_beside(reading: Reading, found: _Beside, conditions: Predicate | None, alias: str) -> list[Step] | None:
    """As in "is Bruno heavier than average": the value of what is named, and the figure; None where nothing is."""
    if conditions is None or found.by is not None or not reading.conditions_name_one():
        return None
    name, measured, label = reading.collection.name, found.field.name, reading.collection.label
    steps: list[Step] = [Scan("all", name)]
    if found.among is not None:
        steps.append(Filter("among", "all", found.among))
    shown = (label, measured, alias)
    return [
        *steps,
        Group("figured", steps[-1].id, (), (Aggregation(found.fn, measured, alias),)),
        LookupStep("figure", "figured", alias),
        Scan("own", name),
        Filter("named", "own", conditions),
        Compute("beside", "named", (Computed(Lookup("figure"), alias),)),
        Project("shown", "beside", shown),
        AnswerStep("answer", "shown", shown),
    ]


def _compare(
    reading: Reading, found: _Beside, conditions: Predicate | None, alias: str
) -> tuple[list[Step], str, tuple[str, ...]]:
    """The steps up to the documents that are beyond the figure, the last of them, and what is shown of each."""
    name, measured = reading.collection.name, found.field.name
    figure = (Aggregation(found.fn, measured, alias),)
    op = Operator.GT if found.descending else Operator.LT
    op = OPPOSITES[op] if found.denied else op

    def beyond(other: Expression) -> Predicate:
        return Compare(op, FieldRef(measured), other)

    steps: list[Step] = [Scan("all", name)]
    if found.by is not None:
        key = found.by.name
        steps += [Group("figured", "all", (key,), figure), Scan("own", name)]
        if conditions is not None:
            steps.append(Filter("narrowed", "own", conditions))
        steps += [
            Join("beside", steps[-1].id, "figured", (JoinKey(key, key),)),
            Filter("beyond", "beside", beyond(FieldRef(alias))),
        ]
        return steps, "beyond", (key, measured, alias)
    if found.among is not None:
        steps.append(Filter("among", "all", found.among))
    steps += [Group("figured", steps[-1].id, (), figure), LookupStep("figure", "figured", alias), Scan("own", name)]
    where = conjunction(conditions, beyond(Lookup("figure")))
    assert where is not None
    steps.append(Filter("beyond", "own", where))
    return steps, "beyond", (measured,)


def _others(asking: Asking, reading: Reading, found: _Beside) -> Reading | None:
    """What else is asked, without the words of the comparison; None where that is no list or count, or not clear."""
    start = found.start
    while start and reading.word(start - 1) in _COPULAS:
        start -= 1
    tail = [reading.raw(found.end, len(reading.tokens))] if found.end < len(reading.tokens) else []
    for before in (start, start - 1):  # "which members pay more than …": without the verb
        head = [reading.raw(0, before)] if before > 0 else []
        asked = read_question(" ".join([*head, *tail]) or "what", reading.collection, asking.asked_at)
        unread = set(asked.unexplained())
        if not unread:
            break
        if unread != {reading.word(start - 1)} or unread & NEGATIONS:
            return None
    else:
        return None
    if asked.aggregate or asked.groups or asked.ranking or asked.having:
        return None
    named = any(reading.names_collection(i) for i in range(len(reading.tokens)))
    return asked if named or asked.conditions or asked.wanted else None
