"""Amounts in another unit than the data's: "half an hour" of a field in minutes is 30 minutes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from promptql.catalog import Catalog, CollectionInfo
from promptql.plan import Assumption, Support
from promptql.rules.linking import mentions_collection
from promptql.rules.mentions import find_numbers
from promptql.rules.words import Token, name_words, tokenize

# Unit → what it measures, and how much of it in a common unit: seconds, metres, grams.
_KINDS: dict[str, tuple[tuple[str, float], ...]] = {
    "time": (
        ("second seconds sec secs", 1.0), ("minute minutes min mins", 60.0), ("hour hours hr hrs", 3_600.0),
        ("day days", 86_400.0), ("week weeks", 604_800.0), ("ms millisecond milliseconds", 0.001),
    ),
    "length": (
        ("millimeter millimeters millimetre millimetres mm", 0.001),
        ("centimeter centimeters centimetre centimetres cm", 0.01), ("meter meters metre metres m", 1.0),
        ("kilometer kilometers kilometre kilometres km", 1_000.0), ("mile miles", 1_609.344),
        ("foot feet ft", 0.3048), ("inch inches", 0.0254),
    ),
    "mass": (
        ("gram grams gramme grammes g", 1.0), ("kilogram kilograms kilo kilos kg", 1_000.0),
        ("tonne tonnes ton tons", 1_000_000.0), ("pound pounds lb lbs", 453.59237), ("ounce ounces oz", 28.349523125),
    ),
}  # fmt: skip
UNITS = {word: (kind, size) for kind, units in _KINDS.items() for words, size in units for word in words.split()}
_SINGLE = frozenset({"m", "g"})  # said of a number they may as well be millions
_BOUNDS = frozenset("than over under above below least most exactly exceeding by for about".split())
_AGO = frozenset("older younger newer last past next previous within ago every per in".split())
_THEN = frozenset("ago old before after earlier later".split())
_WORDS_SHORT = 2  # characters of a unit such as "kg", which no field is known by
_DIGITS = 12  # of a converted amount that are told


@dataclass(frozen=True, slots=True)
class _Amount:
    """Tokens [start, end) that say how much of a unit."""

    value: float
    unit: str
    start: int
    end: int


def in_units_of_the_data(question: str, catalog: Catalog) -> tuple[str, tuple[Assumption, ...]]:
    """The question with amounts in the unit that the data has them in, where all that it measures so has one unit."""
    tokens = tokenize(question)
    if not any(token.folded in UNITS for token in tokens):
        return question, ()
    infos = [info for info in catalog.collections.values() if info.rows]
    named = [info for info in infos if any(mentions_collection(token, info) for token in tokens)]
    held = _held(named or infos)
    for amount in _amounts(question, tokens):
        kind, size = UNITS[amount.unit]
        units = held.get(kind, {})
        if not units or len(set(units.values())) > 1:
            continue
        unit, own = next(iter(units.items()))
        if amount.unit == unit and len(unit) > _WORDS_SHORT and tokens[amount.start].folded[0].isdigit():
            continue  # it is said as the data has it
        value = amount.value * size / own
        shown = f"{value:.{_DIGITS}g}"
        said = question[tokens[amount.start].start : tokens[amount.end - 1].end]
        instead = f"{shown} {unit}" if len(unit) > _WORDS_SHORT else shown
        text = question[: tokens[amount.start].start] + instead + question[tokens[amount.end - 1].end :]
        return text, (Assumption(f"'{said}' = {shown} {unit}", Support.EXACT),)
    return question, ()


def _held(infos: Sequence[CollectionInfo]) -> dict[str, dict[str, float]]:
    """What is measured → the units that fields of numbers have it in, with their sizes."""
    found: dict[str, dict[str, float]] = {}
    for info in infos:
        for field in info.fields.values():
            unit = (name_words(field.name) or ("",))[-1]
            if unit not in UNITS and field.unit is not None:
                unit = field.unit
            if field.numeric and unit in UNITS:
                kind, size = UNITS[unit]
                found.setdefault(kind, {})[unit] = size
    return found


def _amounts(question: str, tokens: Sequence[Token]) -> Iterator[_Amount]:
    """As in "45 minutes", "half an hour", "an hour and a half", "than a kilo"."""
    words = [token.folded for token in tokens]
    for number in find_numbers(question, tokens):
        unit = words[number.end] if number.end < len(words) else ""
        before = words[max(0, number.start - 3) : number.start]
        since = words[number.end + 1 : number.end + 2]  # "30 days ago" is a time, and no amount
        if unit in UNITS and unit not in _SINGLE and not _AGO & set(before) and not _THEN & set(since):
            yield _Amount(number.value, unit, number.start, number.end + 1)
    for index, word in enumerate(words):
        if word not in {"a", "an", "one"} or index + 1 == len(words) or words[index + 1] not in UNITS:
            continue
        unit, end, start = words[index + 1], index + 2, index
        if words[index - 1 : index] == ["half"]:
            value, start = 0.5, index - 1
        elif words[end : end + 3] == ["and", "a", "half"]:
            value, end = 1.5, end + 3
        elif index and words[index - 1] in _BOUNDS:
            value = 1.0
        elif words[index - 3 : index] == ["quarter", "of"] or words[index - 2 : index] == ["quarter", "of"]:
            value, start = 0.25, index - 2 - (words[index - 3 : index - 2] == ["a"])
        else:
            continue
        yield _Amount(value, unit, start, end)
