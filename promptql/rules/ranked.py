"""How a question asks for the first few: how many, of what, which way, by which measure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from promptql.plan import Assumption, Support
from promptql.rules.asked import Asked, span_mask
from promptql.rules.concepts import AFTER_MOST, SUPERLATIVES
from promptql.rules.money import speaks_of_money
from promptql.rules.words import forms

N_MAX = 1_000
N_UNSAID = 10
_OPENING = frozenset(
    "show list give me us what which who are is were was the our my find name tell please get all a see want".split()
)
_BEST, _WORST = frozenset({"top", "best"}), frozenset({"bottom", "worst"})
_BY = ("by", "according to", "in terms of", "ranked by", "ordered by", "sorted by", "measured by")
_WITH = ("with the", "with", "that have the", "having the", "who have the")
_ENDS = frozenset("in from with of for by on at during since after before between who that which whose where".split())
FIGURES = {"total": "sum", "sum": "sum", "overall": "sum", "combined": "sum", "average": "avg", "mean": "avg"}
_COUNTS = ("number of", "count of", "amount of", "quantity of")
_MOST = frozenset("most fewest least highest lowest largest greatest biggest smallest".split())
# Of each group these are its own extremes: "lowest price per shop" orders no shops.
_EXTREMES = _MOST - {"most", "fewest", "least"}
_ARTICLES = frozenset({"the", "their", "its"})
_LITTLE = frozenset("fewest least lowest smallest".split())
_EACH = frozenset({"by", "per"})
_WHICH = frozenset({"which", "what"})
_HAS = frozenset("has have had with made makes make placed received got wrote gave give gives produced".split())


@dataclass(slots=True)
class Ranked:
    """What is asked for: words [noun, end) are what, `measure` by what.

    Attributes:
        measures: what a superlative without a measure looks for.
        mask: words that the form itself explains.
        counted: documents are counted.
        named: only what is first is asked for, not its figure.
        all: every one is asked for, in order.
        extreme: "max" or "min", where that of each is the figure.
        amount: "most", where the figure of each may be all that it has, or its greatest.
    """

    n: int
    descending: bool
    noun: tuple[int, int]
    measure: tuple[int, int] | None
    measures: tuple[str, ...] = ()
    mask: int = 0
    counted: bool = False
    named: bool = False
    all: bool = False
    extreme: str = ""
    amount: str = ""
    assumed: list[Assumption] = field(default_factory=list)


def ranked_in(asked: Asked) -> Ranked | None:
    """The number, the superlative, the noun and the measure, where the question is of that form."""
    first = _first_in(asked.words)
    if first is not None:
        return first
    words = asked.words
    begin, at, n, descending, measures = _begun(asked)
    if at >= len(words) or (descending is None and n is None):
        return None
    end, measure = _measure_after(words, at, ranks=descending is None)
    if descending is None:  # "3 customers with the most orders"
        if measure is None:
            return None
        descending = True
    if measure is None and not measures:
        return None
    plural = any(forms(words[i]) - {words[i]} for i in range(at, end))
    if n is None and not plural:
        return None
    rest = next((i for i in range(at + 1, end) if words[i] in _ENDS), end)
    found = Ranked(n or N_UNSAID, descending, (at, rest), measure, () if measure is not None else measures)
    if n is None:
        found.assumed.append(Assumption(f"how many is not said: {N_UNSAID} at most", Support.DEFAULT))
    found.mask = span_mask(begin, at)
    if measure is not None:
        found.mask |= span_mask(end, measure[0])
        _take_figure(words, found)
    return found


def _begun(asked: Asked) -> tuple[int, int, int | None, bool | None, tuple[str, ...]]:
    """Where "top 3" or "5 most expensive" begins and ends, the number, the direction, and what it measures."""
    words, at = asked.words, 0
    numbers = {number.start: number for number in asked.numbers}
    while at < len(words) and words[at] in _OPENING and at not in numbers:
        at += 1
    begin = at
    n: int | None = None
    descending: bool | None = None
    measures: tuple[str, ...] = ()
    for _ in range(2):
        number = numbers.get(at)
        if number is not None and n is None and 1 <= number.value <= N_MAX and number.value == int(number.value):
            n, at = int(number.value), number.end
        elif at < len(words) and descending is None:
            size, descending, measures = _superlative(words, at)
            at += size
    return begin, at, n, descending, measures


def _first_in(words: Sequence[str]) -> Ranked | None:
    """As in "which artist has the most albums", "which customer spent the most"."""
    if not words or words[0] not in _WHICH:
        return None
    verb = next((i for i in range(2, len(words)) if words[i] in _HAS or speaks_of_money(words[i])), len(words))
    most = next((i for i in range(verb + 1, min(verb + 3, len(words))) if words[i] in _MOST), len(words))
    if most == len(words) or any(word != "the" for word in words[verb + 1 : most]):
        return None
    spent = words[verb] not in _HAS
    if not spent and most + 1 == len(words):
        return None
    measure = (verb, verb + 1) if spent else (most, len(words))
    end = next((i for i in range(2, verb) if words[i] in _ENDS), verb)
    figure = "how many" in " ".join(words[most:])  # "and how many does it have"
    found = Ranked(1, words[most] not in _LITTLE, (1, end), measure, named=not figure)
    found.mask = span_mask(0, 1) | span_mask(verb, most + 1)
    if not spent:
        _take_figure(words, found)
    return found


def grouped_in(asked: Asked) -> Ranked | None:
    """As in "total revenue by country", "number of orders per customer": a measure of each, the greatest first."""
    words, at = asked.words, 0
    while at < len(words) and words[at] in _OPENING:
        at += 1
    begin = at
    counted = words[at : at + 2] == ["how", "many"]
    at += 2 * counted
    by = next((i for i in range(at + 1, len(words) - 1) if words[i] in _EACH), None)
    if by is None or any(word in _ENDS for word in words[at:by] if word != "of"):
        return None
    start = by + 1 + (words[by + 1] in ("each", "every", "the"))
    if start >= len(words):
        return None
    end = next((i for i in range(start + 1, len(words)) if words[i] in _ENDS), len(words))
    found = Ranked(1, descending=True, noun=(start, end), measure=(at, by), counted=counted, all=True)
    if not counted:
        first = next((i for i in range(at, by) if words[i] not in _ARTICLES), at)
        if words[first] in _EXTREMES and words[first + 1] not in FIGURES:
            found.extreme = "min" if words[first] in _LITTLE else "max"
        found.amount = words[first] if words[first] in _MOST - _EXTREMES else ""
        _take_figure(words, found)
    counted = found.counted
    found.mask |= span_mask(0, begin) | span_mask(by, start) | (span_mask(begin, at) if counted else 0)
    return found


def _superlative(words: Sequence[str], at: int) -> tuple[int, bool | None, tuple[str, ...]]:
    """How many words a superlative there takes, its direction, and what it measures."""
    word, following = words[at], words[at + 1] if at + 1 < len(words) else ""
    if word in _BEST | _WORST:
        return 1, word in _BEST, ()
    if word in ("most", "least") and following in AFTER_MOST:
        return 2, word == "most", AFTER_MOST[following]
    if word in SUPERLATIVES:
        return 1, SUPERLATIVES[word].descending, SUPERLATIVES[word].measures
    return 0, None, ()


def _measure_after(words: Sequence[str], at: int, *, ranks: bool) -> tuple[int, tuple[int, int] | None]:
    """Where the noun ends, and the words of the measure: behind "by", or "with the most", which alone `ranks`."""
    for place in range(at + 1, len(words)):
        for phrase in _WITH if ranks else (*_BY, *_WITH):
            parts = phrase.split()
            end = place + len(parts)
            if list(words[place:end]) != parts or end >= len(words):
                continue
            if phrase in _BY or words[end] in _MOST:
                return place, (end, len(words))
    return len(words), None


def _take_figure(words: Sequence[str], top: Ranked) -> None:
    """Without the words that say how: "the number of", "the most"."""
    assert top.measure is not None
    start, end = top.measure
    while start < end and (words[start] in _MOST or words[start] in _ARTICLES | {"total", "overall"}):
        if words[start] in _MOST:
            top.descending = words[start] not in _LITTLE
        if words[start] in FIGURES:
            break
        start += 1
    skipped = start + 1 if start < end and words[start] in FIGURES else start
    if " ".join(words[skipped : skipped + 2]) in _COUNTS:
        top.counted, start = True, skipped + 2
    top.mask |= span_mask(top.measure[0], start)
    top.measure = (start, end)
