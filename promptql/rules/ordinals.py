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


@dataclass(frozen=True, slots=True)
class Ordinal:
    """Characters [start, end) say which place is meant of the superlative that begins at `end`.

    Attributes:
        said: the ordinal as it is written; superlative: the word behind it.
    """

    place: int
    start: int
    end: int
    said: str
    superlative: str


def ordinal_in(question: str) -> Ordinal | None:
    """The first ordinal that stands right before a superlative; None where there is none, or for the first place."""
    match = _ORDINAL.search(question)
    if match is None:
        return None
    said, number = match["said"], match["number"]
    place = int(number) if number else _PLACES[said.lower()]
    return Ordinal(place, match.start(), match.start("first"), said, match["first"]) if 1 < place <= PLACE_MAX else None
