"""Where a text matches a query: spans into the text as it was given, and the passage that shows most of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from engine.text.analyzer import Analyzer, Token

FRAGMENT_CHARACTERS = 200
_WORD_REACH = 20  # characters that a fragment gives up at either end rather than to cut a word


@dataclass(frozen=True, slots=True)
class Fragment:
    """Part of a text, with what matches in it.

    Attributes:
        start: of the part, in characters of the text.
        end: likewise.
        spans: (start, end) of each match, in characters of the text.
    """

    start: int
    end: int
    spans: tuple[tuple[int, int], ...]


def find_spans(
    analyzer: Analyzer, text: str, terms: Collection[str], phrases: Collection[Sequence[str]] = ()
) -> list[tuple[int, int]]:
    """Spans (start, end) of the words that match, ascending, joined where they touch or overlap.

    Args:
        analyzer: of the field.
        text: the field's text.
        terms: that match wherever they stand (`Matching.terms` of the field).
        phrases: sequences of terms that match where they follow one another (`Matching.phrases`).
    """
    tokens = list(analyzer.tokens(text))
    spans = [(token.start, token.end) for token in tokens if token.term in terms]
    for phrase in phrases:
        spans += _phrase_spans(tokens, list(phrase))
    joined: list[tuple[int, int]] = []
    for start, end in sorted(spans):
        if joined and start <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(end, joined[-1][1]))
        else:
            joined.append((start, end))
    return joined


def _phrase_spans(tokens: list[Token], phrase: list[str]) -> list[tuple[int, int]]:
    found = []
    for place in range(len(tokens) - len(phrase) + 1):
        if tokens[place].term == phrase[0]:
            run = tokens[place : place + len(phrase)]
            if [token.term for token in run] == phrase:
                found += [(token.start, token.end) for token in run]
    return found


def best_fragment(
    text: str, spans: Sequence[tuple[int, int]], characters: int = FRAGMENT_CHARACTERS
) -> Fragment | None:
    """The part of at most `characters` with most matches, the first of those; None without a match.

    Args:
        text: the whole.
        spans: ascending, apart from one another.
        characters: length of the part; a match that is longer is kept whole.
    """
    if not spans:
        return None
    best, first = 0, 0
    last = 0
    for begin in range(len(spans)):
        last = max(last, begin)
        while last + 1 < len(spans) and spans[last + 1][1] - spans[begin][0] <= characters:
            last += 1
        if last - begin + 1 > best:
            best, first = last - begin + 1, begin
    inside = spans[first : first + best]
    start, end = _around(text, inside[0][0], inside[-1][1], characters)
    return Fragment(start, end, tuple(inside))


def _around(text: str, start: int, end: int, characters: int) -> tuple[int, int]:
    """The span with what fits about it, cut between words where there is a space near."""
    spare = max(0, characters - (end - start))
    left = max(0, start - spare // 2)
    right = min(len(text), left + max(characters, end - start))
    left = max(0, min(left, right - characters))
    if left > 0:
        space = text.find(" ", left, min(start, left + _WORD_REACH))
        left = space + 1 if space >= 0 else left
    if right < len(text):
        space = text.rfind(" ", max(end, right - _WORD_REACH), right + 1)
        right = space if space >= 0 else right
    return left, right
