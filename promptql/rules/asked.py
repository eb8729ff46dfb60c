"""A question taken apart: its words, numbers and cues. What it says of fields and values is in `links`."""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from functools import lru_cache

from promptql.rules.cues import ASKING, CUES, MAX_WORDS, MIN_WORDS, STOP
from promptql.rules.mentions import is_below_zero
from promptql.rules.words import fold, root, singular

WORDS_MAX = 80  # a longer question is prose; what is behind is not read
_WORD = re.compile(r"\d+(?:,\d{3})+(?:\.\d+)?(?!\w)|\d*\.\d+(?!\w)|\d+(?:st|nd|rd|th)\b|\d+|[^\W\d_]+|[<>]=?")
_NUMBER = re.compile(r"\d+(?:\.\d+)?|\.\d+")
_ORDINALS = {
    word: n for n, word in enumerate("first second third fourth fifth sixth seventh eighth ninth tenth".split(), 1)
}
_SMALL = {
    word: n for n, word in enumerate("zero one two three four five six seven eight nine ten eleven twelve".split())
}
_SCALES = {"hundred": 100.0, "thousand": 1e3, "million": 1e6, "billion": 1e9, "dozen": 12.0}


@lru_cache(maxsize=65_536)
def stem(word: str) -> str:
    """A word without its ending: "winning", "winner", "wins" → win."""
    if word.isdigit() or word == "id":
        return word
    if word == "ids":
        return "id"
    short = root(singular(word) if word.endswith("ies") else word)
    return short[:-1] if len(short) > 3 and short[-1] == short[-2] else short


@dataclass(frozen=True, slots=True)
class NumberMention:
    """A number in words [start, end)."""

    value: float
    start: int
    end: int
    spelled: bool = False


@dataclass(slots=True)
class Asked:
    """The question.

    Attributes:
        words: folded, with the place of each in the text; stems: without their endings.
        content: mask of the words that carry meaning and should be explained.
        capital, quoted: masks of words that begin with a capital letter (not the first), that stand in quotes.
        cues: name → mask of the words that it was found in.
        asks: the question's kind: who, when, where, what, which, howmany, …
        head: the place of the noun that "which"/"what"/"how many" asks for, -1 where there is none.
    """

    text: str
    words: list[str]
    places: list[tuple[int, int]]
    stems: list[str]
    content: int = 0
    capital: int = 0
    quoted: int = 0
    numbers: list[NumberMention] = field(default_factory=list)
    cues: dict[str, int] = field(default_factory=dict)
    asks: str = "other"
    head: int = -1


def span_mask(start: int, end: int) -> int:
    """Bits start … end - 1."""
    return (1 << end) - (1 << start)


def take_apart(text: str) -> Asked:
    """Words, numbers, cues."""
    matches = list(_WORD.finditer(fold(text) if len(fold(text)) == len(text) else text.lower()))[:WORDS_MAX]
    words = [fold(match.group()).replace(",", "") for match in matches]
    places = [match.span() for match in matches]
    asked = Asked(text, words, places, [stem(word) for word in words])
    inside = _quoted_spans(text)
    for index, (word, (begin, _)) in enumerate(zip(words, places, strict=True)):
        if word not in STOP and word != "s":
            asked.content |= 1 << index
        if index and text[begin : begin + 1].isupper():
            asked.capital |= 1 << index
        if any(start <= begin < end for start, end in inside):
            asked.quoted |= 1 << index
    asked.numbers = [
        replace(number, value=-number.value) if is_below_zero(text, places[number.start][0]) else number
        for number in _numbers(words)
    ]
    asked.cues = _cues(words)
    asked.asks, asked.head = _asks(words)
    return asked


def _quoted_spans(text: str) -> list[tuple[int, int]]:
    return [match.span() for match in re.finditer(r"\"[^\"]+\"|“[^”]+”|(?<!\w)['‘][^'’]{2,}['’](?!\w)", text)]


def _numbers(words: list[str]) -> list[NumberMention]:
    found = []
    for index, word in enumerate(words):
        if _NUMBER.fullmatch(word):
            value, end = float(word), index + 1
            if end < len(words) and words[end] in _SCALES:
                value, end = value * _SCALES[words[end]], end + 1
            found.append(NumberMention(value, index, end))
        elif word in _SMALL and not (word == "one" and index and words[index - 1] in ("which", "the", "what", "no")):
            found.append(NumberMention(float(_SMALL[word]), index, index + 1, spelled=True))
    return found


def _cues(words: list[str]) -> dict[str, int]:
    joined = f" {' '.join(words)} "
    starts, place = {}, 1
    for index, word in enumerate(words):
        starts[place] = index
        place += len(word) + 1
    found: dict[str, int] = {}
    for name, phrases in CUES.items():
        mask = 0
        for phrase in phrases:
            needle = f" {phrase} "
            at = joined.find(needle)
            while at >= 0:
                begin = starts[at + 1]
                mask |= span_mask(begin, begin + phrase.count(" ") + 1)
                at = joined.find(needle, at + 1)
        if mask:
            found[name] = mask
    return found


def _asks(words: list[str]) -> tuple[str, int]:
    for index, word in enumerate(words):
        after = words[index + 1] if index + 1 < len(words) else ""
        if word == "how" and after in ("many", "much", "long", "old", "often"):
            return f"how{after}", index + 2 if after in ("many", "much") else -1
        if word == "how":
            return "how", -1
        if word in ("who", "whom", "whose"):
            return "who", index + 1 if word == "whose" else -1
        if word in ("when", "where", "why"):
            return word, -1
        if word in ("what", "which"):
            return word, _noun(words, index + 1)
        if word in ASKING and index <= 3:
            return "name", _noun(words, index + 1)
    return "other", 0


def _noun(words: list[str], start: int) -> int:
    skipped = STOP - {"total", "name", "number"}
    for index in range(start, min(len(words), start + 6)):
        if words[index] not in skipped and words[index] not in MAX_WORDS | MIN_WORDS:
            return index
    return -1


def ordinal_of(word: str) -> int | None:
    """Which place "second" or "3rd" names."""
    if word in _ORDINALS:
        return _ORDINALS[word]
    match = re.fullmatch(r"(\d+)(?:st|nd|rd|th)", word)
    return int(match[1]) if match else None
