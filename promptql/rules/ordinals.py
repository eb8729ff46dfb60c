"""An ordinal before a superlative: "second oldest", "third most expensive"."""

from __future__ import annotations

import re
from dataclasses import dataclass

from promptql.rules.concepts import SUPERLATIVES

PLACE_MAX = 100
_WORDS = "second third fourth fifth sixth seventh eighth ninth tenth".split()
_PLACES = {word: place for place, word in enumerate(_WORDS, 2)}
_FIRST = sorted({*SUPERLATIVES, "most", "fewest", "least", "last"} - {"top", "bottom"})
_ORDINAL = re.compile(
    rf"\b(?P<said>{'|'.join(_WORDS)}|(?P<number>\d{{1,3}})(?:st|nd|rd|th))[\s-]+(?P<first>{'|'.join(_FIRST)})\b",
    re.IGNORECASE,
)

_BUT = re.compile(rf"\b(?P<first>{'|'.join(_FIRST)})\b.*?(?P<but>\s+but\s+(?P<after>one|two|three))\b", re.IGNORECASE)
_AFTER = {"one": 2, "two": 3, "three": 4}


@dataclass(frozen=True, slots=True)
class Ordinal:
    """Characters [start, end) say which place is meant of a superlative, and without them the first is asked for.

    Attributes:
        said: the ordinal as it is written; superlative: its word.
    """

    place: int
    start: int
    end: int
    said: str
    superlative: str


def ordinal_in(question: str) -> Ordinal | None:
    """The first ordinal right before a superlative, or "but one" behind it; None where the first place is asked for."""
    match = _ORDINAL.search(question)
    if match is None:
        return _but_in(question)
    said, number = match["said"], match["number"]
    place = int(number) if number else _PLACES[said.lower()]
    return Ordinal(place, match.start(), match.start("first"), said, match["first"]) if 1 < place <= PLACE_MAX else None


def _but_in(question: str) -> Ordinal | None:
    """As in "the youngest member but one"."""
    match = _BUT.search(question)
    if match is None:
        return None
    place = _AFTER[match["after"].lower()]
    return Ordinal(place, *match.span("but"), match["but"].strip(), match["first"])
