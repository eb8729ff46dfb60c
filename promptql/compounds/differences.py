"""Differences: "by how much is A larger than B", "the difference between the highest and lowest price"."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from promptql.compounds.comparisons import Comparison as Compared
from promptql.compounds.comparisons import taken_apart
from promptql.compounds.figures import Figure, together
from promptql.compounds.phrases import Phrase, is_number, phrase_of
from promptql.compounds.spans import PERIOD, YEAR, Named, named_in, runs
from promptql.expressions import Arithmetic, ArithmeticOperator, FieldRef
from promptql.plan import Assumption, Support
from promptql.rules.concepts import AFTER_MOST, AGE, COMPARATIVES, SUPERLATIVES, TIME, measured_by
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
    from promptql.catalog import Catalog
    from promptql.compounds.planning import Asking
    from promptql.planned import Planned

DIFFERENCE = "difference"
_ENDS = {
    "highest": Function.MAX, "largest": Function.MAX, "biggest": Function.MAX, "greatest": Function.MAX,
    "maximum": Function.MAX, "max": Function.MAX, "top": Function.MAX, "best": Function.MAX,
    "lowest": Function.MIN, "smallest": Function.MIN, "least": Function.MIN, "minimum": Function.MIN,
    "min": Function.MIN, "worst": Function.MIN, "average": Function.AVG, "mean": Function.AVG,
    "median": Function.MEDIAN,
}  # fmt: skip
_END = r"(?:most|least)\s+\w+|\w+"
_RANGE = re.compile(
    rf"\b(?:difference|gap|spread|distance)\s+(?:in\s+(?P<in>[\w\s]+?)\s+)?between\s+(?:the\s+)?(?P<one>{_END})\s+"
    rf"(?:(?P<first>[\w\s]+?)\s+)?and\s+(?:the\s+)?(?P<other>{_END})(?:\s+(?P<of>.+?))?$",
    re.IGNORECASE,
)
_BETWEEN = re.compile(r"\bdifferences?\b|\bgap\b", re.IGNORECASE)
_THAN = re.compile(r"^(?:by\s+)?how\s+(?:much|many)\s+(?P<what>.+?)\s+than\s+(?P<other>.+?)$", re.IGNORECASE)
_VERB = re.compile(r"^(?:is|are|was|were|do|does|did|has|have|had)\s+", re.IGNORECASE)
_COMPARATIVE = re.compile(
    r"\b(?:(?P<degree>more|less)\s+(?P<adjective>[a-z]+)|(?P<word>[a-z]+er|more|less|fewer))\s*$", re.IGNORECASE
)
_COMPARING = re.compile(r"^(?:(?P<degree>more|less)\s+(?P<adjective>[a-z]+)|(?P<word>[a-z]+er))\b\s*", re.IGNORECASE)
_AGED = frozenset({"oldest", "youngest"})
_POSSESSIVE = re.compile(r"['’]s?\b")


def plan_difference(asking: Asking) -> Planned | None:
    """How far two figures lie apart, with both; None where that is not asked, or not understood."""
    return _range(asking) or _between(asking) or _than(asking)


def _range(asking: Asking) -> Planned | None:
    """As in "between the highest and lowest price", "between the oldest and the youngest player"."""
    match = _RANGE.search(asking.question)
    if match is None:
        return None
    rest = match["of"] or match["first"] or ""
    ends = [_end(match[name], asking.catalog, rest) for name in ("one", "other")]
    if any(end is None for end in ends):
        return None
    (one, measure), (other, _) = (end for end in ends if end is not None)
    said = match["in"] or ""
    if said:
        rest = f"{said} of {rest}".strip() if rest else said
    if measure is not None and not is_number(_head(rest), asking.catalog):
        rest = f"{' '.join(name_words(measure))} of {rest}"
    figure = asking.figure(f"What is the average {rest}?")
    if figure is None or figure.group.aggs[0].fn is not Function.AVG or one is other:
        return None
    field = figure.group.aggs[0].field
    assert field is not None
    names = [f"{_word(fn)}_{field}" for fn in (one, other)]
    aggs = tuple(Aggregation(fn, field, name) for fn, name in zip((one, other), names, strict=True))
    wide = figure.changed(replace(figure.group, aggs=aggs))
    greater, less = names if one is Function.MAX or other is Function.MIN else names[::-1]
    value = Arithmetic(ArithmeticOperator.SUBTRACT, FieldRef(greater), FieldRef(less))
    template = f"The difference is {{{DIFFERENCE}}}: {{{greater}}} and {{{less}}}."
    steps: list[Step] = [
        *wide.steps,
        Compute("apart", wide.last, (Computed(value, DIFFERENCE),)),
        Project("shown", "apart", (DIFFERENCE, greater, less)),
        AnswerStep("answer", "shown", (DIFFERENCE,), template),
    ]
    found = [Assumption(f"'{match[0][:80]}' = of {field}", Support.FUZZY)] if measure is not None else []
    return together(asking.question, (figure,), steps, found)


def _head(rest: str) -> str:
    return re.split(r"\b(?:of|in|for|from|among|with)\b", rest, maxsplit=1)[0]


def _word(fn: Function) -> str:
    return {Function.MAX: "highest", Function.MIN: "lowest", Function.AVG: "average"}.get(fn, fn.value)


def _end(words: str, catalog: Catalog, noun: str) -> tuple[Function, str | None] | None:
    """Which end of what: "highest" of anything, "oldest" of an age or a year."""
    word = words.lower()
    if word in _ENDS:
        return _ENDS[word], None
    degree, _, adjective = word.partition(" ")
    if adjective in AFTER_MOST and degree in ("most", "least"):
        measures, descending = AFTER_MOST[adjective], degree == "most"
    elif word in SUPERLATIVES:
        measures, descending = SUPERLATIVES[word].measures, SUPERLATIVES[word].descending
    else:
        return None
    aged = _measure(AGE, catalog, noun) if word in _AGED else None
    field = aged or _measure(measures, catalog, noun)
    if aged is not None:
        descending = word.startswith("old")
    return None if field is None else (Function.MAX if descending else Function.MIN, field)


def _measure(measures: tuple[str, ...], catalog: Catalog, noun: str = "") -> str | None:
    """The field of numbers that the first of the measures names: of the collection that is named, else of any."""
    infos = list(catalog.collections.values())
    words = tokenize(noun)
    named = [info for info in infos if any(mentions_collection(word, info) for word in words)]
    found = [measured_by(info, measures) for info in named or infos]
    return next((field.name for field in found if field is not None and field.numeric), None)


def _between(asking: Asking) -> Planned | None:
    """As in "the difference in price between A and B"."""
    cue = _BETWEEN.search(asking.question)
    if cue is None:
        return None
    for run in (run for run in runs(asking) if len(run) == 2):
        compared = taken_apart(asking.question, run)
        measure = re.sub(r"^.*?\b(?:differences?|gap)\b\s*(?:in|of)?\s*", "", compared.measure, flags=re.IGNORECASE)
        if not measure:
            measure = _BETWEEN.sub("", compared.measure).strip()
        phrase = phrase_of(measure, asking.catalog) if measure else None
        figures = None if phrase is None else asking.figures(phrase, replace(compared, measure=measure).rests())
        if phrase is not None and figures is not None:
            return _planned(asking, figures, phrase.assumptions)
    return None


def _than(asking: Asking) -> Planned | None:
    """As in "by how much is A more expensive than B", "how many more orders has A than B"."""
    match = _THAN.match(asking.question)
    if match is None:
        return None
    split, end = match.end("what"), match.end("other")
    for first, second in _pairs(asking, split, end):
        for phrase in _phrases(asking, match["what"], match.start("what"), first):
            by = "in" if first.key in (YEAR, PERIOD) else "from"
            figures = asking.figures(phrase, Compared((first, second), "", by).rests())
            if figures is not None:
                return _planned(asking, figures, phrase.assumptions)
    return None


def _pairs(asking: Asking, split: int, end: int) -> Iterator[tuple[Named, Named]]:
    """What is named before "than", and what of the same kind behind it."""
    for items in named_in(asking):
        before = [item for item in items if item.end <= split]
        after = [item for item in items if split < item.start < end]
        if len(before) == 1 and len(after) == 1:
            yield before[0], after[0]


def _phrases(asking: Asking, what: str, offset: int, first: Named) -> Iterator[Phrase]:
    """What is measured: as it is said beside the thing, else as the adjective says."""
    left, right = what[: first.start - offset], what[first.end - offset :]
    text = f"{left} {_POSSESSIVE.sub('', right)}".strip()
    said, rest = _COMPARATIVE.search(text), text
    if said is not None:
        rest = text[: said.start()]
    elif (said := _COMPARING.match(text)) is not None and _measures(said):  # "how much older is A than B"
        rest = text[said.end() :]
    else:
        said = None
    many = re.match(
        r"^\s*(?:more|less|fewer)\s+(?P<noun>.+?)(?:\s+(?:is|are|was|were|do|does|did|has|have|had|come|comes|in|from)\b.*)?$",
        rest.strip(),
        re.IGNORECASE,
    )
    if many is not None:
        phrase = phrase_of(many["noun"], asking.catalog)
        if phrase is not None:
            yield phrase
    cleaned = re.sub(r"\s+(?:in|of|for|from|by|at)\s*$", "", _VERB.sub("", rest.strip()).strip())
    phrase = phrase_of(cleaned, asking.catalog) if cleaned else None
    if phrase is not None:
        yield phrase
    measures = () if said is None else _measures(said)
    field = next((name for name in (_measure((one,), asking.catalog) for one in measures) if name is not None), None)
    found = phrase_of(" ".join(name_words(field)), asking.catalog) if field is not None else None
    if found is not None and said is not None:
        read = Assumption(f"'{said[0].strip()}' = {field}", Support.FUZZY)
        yield replace(found, assumptions=(*found.assumptions, read))


def _measures(said: re.Match[str]) -> tuple[str, ...]:
    if said["adjective"]:
        return AFTER_MOST.get(said["adjective"].lower(), ())
    word = said["word"].lower()
    adjective = COMPARATIVES.get(word)
    if word in ("older", "younger"):
        return (*AGE, *TIME)
    return () if adjective is None else adjective.measures


def _planned(asking: Asking, figures: Sequence[Figure], said: Sequence[Assumption]) -> Planned:
    one, other = (figure.renamed(prefix) for figure, prefix in zip(figures, ("first_", "second_"), strict=True))
    steps: list[Step] = [
        *one.steps,
        *other.steps,
        CompareStep(DIFFERENCE, one.last, other.last, Comparison.DIFFERENCE, DIFFERENCE, field=one.column),
        AnswerStep("answer", DIFFERENCE, (DIFFERENCE,)),
    ]
    return together(asking.question, figures, steps, said)
