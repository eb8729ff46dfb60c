"""Ratios: "the ratio of sloops to ketches", "how many times as many visits as calls", "… as old as Max"."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

from promptql.compounds.figures import Figure, together
from promptql.compounds.phrases import Phrase, phrase_of
from promptql.compounds.spans import Named, all_named, named_in
from promptql.expressions import FieldRef, fields_of
from promptql.plan import Assumption, Support
from promptql.rules.concepts import AGE, measured_as, measured_by
from promptql.rules.figures import MEASURED
from promptql.rules.linking import mentions_collection
from promptql.rules.words import name_words, tokenize
from promptql.steps import (
    Aggregation,
    AnswerStep,
    CompareStep,
    Comparison,
    Compute,
    Computed,
    Function,
    Project,
    Step,
)

if TYPE_CHECKING:
    from promptql.catalog import CollectionInfo
    from promptql.compounds.planning import Asking
    from promptql.planned import Planned

Side: TypeAlias = "tuple[Phrase | None, Figure]"  # what is measured, where it was said so, and its figure
RATIO, SIDE = "ratio", "figure_"
_OF = re.compile(
    r"^(?:(?:what(?:'s|\s+is|\s+are|\s+was)?|give\s+me|tell\s+me|show(?:\s+me)?|find|calculate|compute)\s+)?(?:the\s+|a\s+)?"
    r"ratio\s+(?:of|between)\s+(?P<rest>.+)$",
    re.IGNORECASE,
)
_TO = re.compile(r"\s+(?:to|and|over|versus|vs)\s+|\s*[:/]\s*", re.IGNORECASE)
_TAIL = re.compile(r"\s(?:in|from|during|since|among|at)\s.+$", re.IGNORECASE)
_TIMES = re.compile(
    r"^how\s+many\s+times\s+(?:as\s+(?:many|(?P<much>much))|more)\s+(?P<what>.+?)\s+(?:as|than)\s+(?P<other>.+)$",
    re.IGNORECASE,
)
_ARE = re.compile(r"\s+(?:are\s+there|do\s+we\s+have|exist|there\s+are)$", re.IGNORECASE)
_DEGREE = re.compile(
    r"^how\s+many\s+times\s+(?:as\s+(?P<same>\w+)\s+as|(?P<more>more\s+\w+|\w+er))\s+(?P<rest>.+)$", re.IGNORECASE
)


def plan_ratio(asking: Asking) -> Planned | None:
    """One figure divided by another, with both; None where that is not asked, or not understood."""
    match = _OF.match(asking.question)
    if match is not None:
        return _of_two(asking, match["rest"])
    return _of_degree(asking) or _times(asking)


# ── "the ratio of A to B" ────────────────────────────────────────────────────


def _of_two(asking: Asking, rest: str) -> Planned | None:
    for at in _TO.finditer(rest):
        one, other = rest[: at.start()].strip(), rest[at.end() :].strip()
        for first, second, said in _sides(asking, one, other):
            left, right = _figure(asking, first), _figure(asking, second)
            if left is None or right is None:
                continue
            (left, right), averaged = _averaged(left, right)
            if _are_alike(left, right):
                return _planned(asking, left, right, [*said, *averaged])
    return None


def _averaged(left: Side, right: Side) -> tuple[tuple[Side, Side], list[Assumption]]:
    """As in "ratio of price to crew": where one field is averaged and the other added up, both are averaged."""
    groups = [figure.group for _, figure in (left, right)]
    if {group.aggs[0].fn for group in groups} != {Function.AVG, Function.SUM}:
        return (left, right), []
    if not all(phrase is not None and phrase.fn is not None for phrase, _ in (left, right)):  # it was said which
        return (left, right), []
    made = []
    for phrase, figure in (left, right):
        item = figure.group.aggs[0]
        average = Aggregation(Function.AVG, item.field, f"average_{item.field}")
        made.append((phrase, figure.changed(replace(figure.group, aggs=(average,)))))
    return (made[0], made[1]), [Assumption("the ratio is that of the averages", Support.INFERRED)]


def _sides(asking: Asking, one: str, other: str) -> Iterator[tuple[str, str, list[Assumption]]]:
    """Both sides in full: what is said of the second may be meant of both, and the noun may be said once."""
    tail = _TAIL.search(other)
    if tail is not None and _TAIL.search(one) is None:
        said = [Assumption(f"'{tail[0].strip()}' is said of both", Support.FUZZY)]
        for first, second, _ in _sides(asking, one, other[: tail.start()]):
            yield first + tail[0], second + tail[0], said
    yield one, other, []
    for items in all_named(other, asking.catalog, asking.asked_at).values():  # "Turkish to Tuscan recipes"
        for item in items:
            yield f"{other[: item.start]}{one}{other[item.end :]}", other, []
    for items in all_named(one, asking.catalog, asking.asked_at).values():  # "rowing members to chess"
        for item in items:
            yield one, f"{one[: item.start]}{other}{one[item.end :]}", []
    yield from ((f"{name} of {one}", f"{name} of {other}", []) for name in _holders(asking, one, other))


def _holders(asking: Asking, one: str, other: str) -> list[str]:
    """The one collection that two values are of, where nothing else is said: "chess to rowing"."""
    found = []
    for info in asking.catalog.collections.values():
        named = [all_named(text, asking.catalog, asking.asked_at) for text in (one, other)]
        keys = [{name for held, name in items if held == info.name} for items in named]
        if keys[0] & keys[1] and not any(mentions_collection(token, info) for token in tokenize(f"{one} {other}")):
            found.append(f"number of {info.name}")
    return found if len(found) == 1 else []


def _figure(asking: Asking, side: str) -> Side | None:
    phrase = phrase_of(side, asking.catalog)
    if phrase is None:
        figure = asking.figure(f"How many {side} are there?")
        return None if figure is None else (None, figure)
    figure = asking.figure(phrase.whole(), phrase.fn)
    return None if figure is None else (phrase, figure)


def _are_alike(one: Side, other: Side) -> bool:
    """Whether both count, or both add up, or both average, of different documents or fields."""
    (_, first), (_, second) = one, other
    functions = {figure.group.aggs[0].fn for figure in (first, second)}
    same = first.conditions == second.conditions and first.column == second.column
    told = len({figure.collection for figure in (first, second)}) > 1 or not same
    parts = first.conditions == second.conditions or not (first.conditions and second.conditions)
    return len(functions) == 1 and told and (parts or _fields(first) == _fields(second))


def _fields(figure: Figure) -> set[str]:
    return {name for part in figure.conditions for name in fields_of(part)}


# ── "how many times as many A as B" ──────────────────────────────────────────


def _times(asking: Asking) -> Planned | None:
    match = _TIMES.match(asking.question)
    if match is None:
        return None
    what, other = match["what"], match["other"]
    for first, second in _asked(asking, what, other, match.start("what"), match.start("other")):
        many = "much" if match["much"] else "many"
        figures = [asking.figure(f"How {many} {side}?", Function.SUM) for side in (first, second)]
        if figures[0] is not None and figures[1] is not None and _are_alike((None, figures[0]), (None, figures[1])):
            more = re.match(r"^how\s+many\s+times\s+more\b", asking.question, re.IGNORECASE)
            said = [Assumption("'times more' = times as many", Support.FUZZY)] if more is not None else []
            return _planned(asking, (None, figures[0]), (None, figures[1]), said)
    return None


def _asked(asking: Asking, what: str, other: str, at: int, behind: int) -> Iterator[tuple[str, str]]:
    """What is counted on both sides: the words around the thing that is named are those of the side that has more."""
    for items in named_in(asking):
        before = [item for item in items if at <= item.start < at + len(what)]
        after = [item for item in items if item.start >= behind]
        if len(before) != 1 or len(after) != 1:
            continue
        one, two = _within(before[0], at), _within(after[0], behind)
        names = what[slice(*one)], other[slice(*two)]
        if other[: two[0]].strip() or _ARE.sub("", other[two[1] :]).strip():  # "Turkish as Tuscan recipes are there"
            yield (f"{other[: two[0]]}{names[0]}{other[two[1] :]}", other)
        yield what, f"{what[: one[0]]}{names[1]}{what[one[1] :]}"
    plain = [_ARE.sub("", side).strip() for side in (what, other)]
    yield f"{plain[0]} are there", f"{plain[1]} are there"


def _within(item: Named, at: int) -> tuple[int, int]:
    return item.start - at, item.end - at


# ── "how many times as old as B is A" ────────────────────────────────────────


def _of_degree(asking: Asking) -> Planned | None:
    match = _DEGREE.match(asking.question)
    if match is None or (match["same"] or "").lower() in {"many", "much"}:
        return None
    for (name, key), items in all_named(asking.question, asking.catalog, asking.asked_at).items():
        info = asking.catalog.collections.get(name)
        things = [item for item in items if item.start >= match.start("rest") or match["same"]]
        measured = None if info is None else _measured(info, match)
        if measured is None or len(things) != 2 or info is None or not info.fields[key].index:
            continue
        first, second = reversed(things) if match["same"] else things  # "as old as B is A", "older is A than B"
        phrase = phrase_of(" ".join(name_words(measured)), asking.catalog)
        if phrase is None:
            continue
        figures = asking.figures(phrase, [f"of {item.shown}" for item in (first, second)])
        if figures is not None:
            said = [Assumption(f"'{match['same'] or match['more']}' = {measured}", Support.FUZZY)]
            return _planned(asking, (phrase, figures[0]), (phrase, figures[1]), said)
    return None


def _measured(info: CollectionInfo, match: re.Match[str]) -> str | None:
    """The field of numbers that the adjective measures."""
    if match["same"]:
        adjective = match["same"].lower()
        field = measured_by(info, MEASURED.get(adjective, ()))
    else:
        word = match["more"].lower()
        found = measured_as(info, word)
        field = (
            found[0] if found is not None else measured_by(info, MEASURED.get(word.removeprefix("more").strip(), ()))
        )
        if word in {"older", "younger"}:
            field = measured_by(info, AGE)  # a year is no measure of age
    return field.name if field is not None and field.numeric else None


# ── plans ────────────────────────────────────────────────────────────────────


def _planned(
    asking: Asking,
    one: Side,
    other: Side,
    said: Sequence[Assumption],
) -> Planned:
    first, second = one[1].renamed("first_"), other[1].renamed("second_")
    steps: list[Step] = [*first.steps, *second.steps]
    column, sides = first.column, [first.last, second.last]
    if second.column != column:
        column = f"{SIDE}{column}"
        for place, figure in enumerate((first, second)):
            named = Compute(f"{figure.last}_named", figure.last, (Computed(FieldRef(figure.column), column),))
            sides[place] = f"{figure.last}_shown"
            steps += [named, Project(sides[place], named.id, (column,))]
    steps += [
        CompareStep(RATIO, sides[0], sides[1], Comparison.RATIO, RATIO, field=column),
        AnswerStep("answer", RATIO, (RATIO,)),
    ]
    phrases = [phrase for phrase, _ in (one, other) if phrase is not None]
    found = [*said, *(item for phrase in phrases for item in phrase.assumptions)]
    return together(asking.question, (one[1], other[1]), steps, found)
