"""Numbers and quoted strings in a question."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

from promptql.rules.words import Token

_UNITS = dict(
    zip(
        "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
        "seventeen eighteen nineteen".split(),
        range(20),
        strict=True,
    )
) | {"dozen": 12}
_TENS = {
    word: 10 * (index + 2) for index, word in enumerate("twenty thirty forty fifty sixty seventy eighty ninety".split())
}
_SCALES = {"hundred": 100, "thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000}
_DIGITS = re.compile(r"\d+(?:,\d{3})*(?:\.\d+)?")
_QUOTED = re.compile(r"\"([^\"]{1,200})\"|“([^”]{1,200})”|`([^`]{1,200})`|(?<!\w)['‘]([^'’]{1,200})['’](?!\w)")
_PARTED = re.compile(r"\d+(?:[-/:]\d+)+|\d+(?:\.\d+){2,}")
_SIGNS = "-−"
_BEFORE_SIGN = frozenset(" \t\n(<>=")
DIGITS_MAX = 15  # longer ones are identifiers, not quantities


@dataclass(frozen=True, slots=True)
class NumberMention:
    """A number: tokens [start, end); `scale` is what "million" and the like multiplied it by."""

    value: int | float
    start: int
    end: int
    scale: int = 1


@dataclass(frozen=True, slots=True)
class QuotedMention:
    """A quoted string: tokens [start, end)."""

    text: str
    start: int
    end: int


def find_numbers(text: str, tokens: Sequence[Token]) -> tuple[NumberMention, ...]:
    """Numbers in digits or words, the longest reading of each: "two hundred", "1,395.5", "1.2 million".

    Parts of dates and versions ("2000-01-01", "3.11.2") are no numbers.
    """
    parts = [match.span() for match in _PARTED.finditer(text)]
    found = []
    index = 0
    while index < len(tokens):
        inside = any(start <= tokens[index].start < end for start, end in parts)
        mention = None if inside else _number_at(tokens, index)
        if mention is None:
            index += 1
        else:
            below_zero = is_below_zero(text, tokens[index].start)
            found.append(replace(mention, value=-mention.value) if below_zero else mention)
            index = mention.end
    return tuple(found)


def is_below_zero(text: str, start: int) -> bool:
    """Whether a minus stands right before the number, and nothing that it could join to it: not in "5-10"."""
    signed = start > 0 and text[start - 1] in _SIGNS
    return signed and (start == 1 or text[start - 2] in _BEFORE_SIGN)


def _number_at(tokens: Sequence[Token], start: int) -> NumberMention | None:
    folded = tokens[start].folded
    value: int | float
    if _DIGITS.fullmatch(folded) and len(folded) <= DIGITS_MAX:
        plain = folded.replace(",", "")
        value = float(plain) if "." in plain else int(plain)
    elif folded in _UNITS and (folded != "one" or _one_is_number(tokens, start)):
        value = _UNITS[folded]
    elif folded in _TENS:
        value = _TENS[folded]
    else:
        return None
    end = start + 1
    scale = 1
    if folded in _TENS and end < len(tokens) and 0 < _UNITS.get(tokens[end].folded, 0) < 10:
        value += _UNITS[tokens[end].folded]
        end += 1
    while end < len(tokens) and tokens[end].folded in _SCALES:
        scale *= _SCALES[tokens[end].folded]
        end += 1
    value *= scale
    return NumberMention(int(value) if float(value).is_integer() and end > start + 1 else value, start, end, scale)


def _one_is_number(tokens: Sequence[Token], start: int) -> bool:
    """As in "one million" and "between one and two"; "which one" is no number."""
    after = tokens[start + 1].folded if start + 1 < len(tokens) else ""
    return after in _SCALES or (start > 0 and tokens[start - 1].folded == "between")


def find_quoted(text: str, tokens: Sequence[Token]) -> tuple[QuotedMention, ...]:
    """Strings in quotation marks or backticks that hold at least one word."""
    found = []
    for match in _QUOTED.finditer(text):
        inside = [i for i, t in enumerate(tokens) if match.start() <= t.start and t.end <= match.end()]
        if inside:
            words = next(group for group in match.groups() if group is not None)
            found.append(QuotedMention(words, inside[0], inside[-1] + 1))
    return tuple(found)
