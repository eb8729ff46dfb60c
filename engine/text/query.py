"""Queries in free text.

| written             | means                                              |
|---------------------|----------------------------------------------------|
| `space opera`       | either word; both are better                       |
| `"space opera"`     | the words in this order                            |
| `+space -opera`     | must be there; must not be there                   |
| `title:space`       | in that field (only where there is such a field)   |
| `space^3`           | counts three times                                 |

Whatever fits no row is plain text: no query is an error, unless `strict` asks for it. A sign counts at the beginning
of a word only, and not before a digit.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from engine.errors import InvalidInputError

TEXT_CHARACTERS_MAX = 65_536
CLAUSES_MAX = 1_024
BOOST_MAX = 1_000.0

_QUOTES = {'"': '"', "“": "”", "„": "“”", "«": "»"}
_SPECIAL = re.compile(r"[\"“„«^:]|(?<!\S)[+-]")
_BOOST = re.compile(r"\^(\d{1,4}(?:\.\d{1,3})?)(?=\s|$)")
_FIELD = re.compile(r"([^\s:\"]+):(?=[^\s:])")


class Occur(StrEnum):
    """Whether a clause decides that a document is found."""

    SHOULD = "should"
    MUST = "must"
    MUST_NOT = "must_not"


class Expansion(StrEnum):
    """When a word also stands for others of the dictionary."""

    NEVER = "never"
    UNKNOWN = "unknown"  # only a word that occurs nowhere in the fields searched
    ALWAYS = "always"


class Clause(NamedTuple):
    """A word or a phrase.

    Attributes:
        text: as written, without signs and quotes.
        occur: must, should or must not.
        phrase: in quotes: the words in this order.
        field: the only field to look in.
        boost: what the clause's score is multiplied by.
        open: the text ends with this word, so it may be unfinished.
    """

    text: str
    occur: Occur = Occur.SHOULD
    phrase: bool = False
    field: str | None = None
    boost: float = 1.0
    open: bool = False


@dataclass(frozen=True, slots=True)
class TextQuery:
    """What to look for, and how.

    Attributes:
        clauses: see `parse_query`.
        fields: field → boost; None: every text field, alike.
        match_all: words without a sign must all be there.
        prefix: when an unfinished last word stands for the words that it begins.
        typos: when a word stands for those 1 edit away (from 5 letters) or 2 (from 9).
    """

    clauses: tuple[Clause, ...]
    fields: Mapping[str, float] | None = None
    match_all: bool = False
    prefix: Expansion = Expansion.UNKNOWN
    typos: Expansion = Expansion.UNKNOWN


def parse_boosts(fields: Collection[str]) -> dict[str, float]:
    """`["title^3", "text"]` as {"title": 3.0, "text": 1.0}.

    Raises:
        InvalidInputError: a boost is no number above 0 and at most `BOOST_MAX`.
    """
    boosts: dict[str, float] = {}
    for place, field in enumerate(fields):
        name, caret, given = field.rpartition("^")
        try:
            boost = float(given) if caret else 1.0
        except ValueError as error:
            raise InvalidInputError(f"boost is not a number: got={field!r:.60}", pointer=f"/fields/{place}") from error
        if not 0 < boost <= BOOST_MAX:
            message = f"boost must be above 0 and at most {BOOST_MAX:g}: got={field!r:.60}"
            raise InvalidInputError(message, pointer=f"/fields/{place}")
        boosts[name if caret else field] = boost
    return boosts


def parse_query(text: str, fields: Collection[str] = (), *, strict: bool = False) -> tuple[Clause, ...]:
    """Read a query.

    Args:
        text: what was typed.
        fields: names that may stand before a colon.
        strict: refuse what would otherwise be taken as plain text.

    Raises:
        InvalidInputError: longer than `TEXT_CHARACTERS_MAX`; or strict, and a quote is not closed (`details["offset"]`
            says where, in characters).
    """
    if len(text) > TEXT_CHARACTERS_MAX:
        message = f"query is too long: maximum={TEXT_CHARACTERS_MAX} got={len(text)} characters"
        raise InvalidInputError(message, pointer="/query")
    if not _SPECIAL.search(text):
        plain = [Clause(word) for word in text.split()[:CLAUSES_MAX]]
        if plain and text[-1].isalnum():
            plain[-1] = Clause(plain[-1].text, open=True)
        return tuple(plain)
    return tuple(_Scanner(text, frozenset(fields), strict=strict).clauses()[:CLAUSES_MAX])


class _Scanner:
    """One walk through a query."""

    def __init__(self, text: str, fields: frozenset[str], *, strict: bool) -> None:
        self._text = text
        self._fields = fields
        self._strict = strict
        self._place = 0

    def clauses(self) -> list[Clause]:
        found: list[Clause] = []
        while self._skip_spaces():
            occur = self._sign()
            field = self._field()
            found.append(self._phrase(occur, field) or self._word(occur, field))
        return [clause for clause in found if clause.text]

    def _skip_spaces(self) -> bool:
        while self._place < len(self._text) and self._text[self._place].isspace():
            self._place += 1
        return self._place < len(self._text)

    def _sign(self) -> Occur:
        sign, following = self._text[self._place], self._text[self._place + 1 : self._place + 2]
        if sign not in "+-" or not (following.isalpha() or following in _QUOTES):
            return Occur.SHOULD
        self._place += 1
        return Occur.MUST if sign == "+" else Occur.MUST_NOT

    def _field(self) -> str | None:
        match = _FIELD.match(self._text, self._place)
        if match is None or match[1] not in self._fields:
            return None
        self._place = match.end()
        return match[1]

    def _phrase(self, occur: Occur, field: str | None) -> Clause | None:
        start = self._place
        closing = _QUOTES.get(self._text[start])
        if closing is None:
            return None
        ends = [end for each in closing if (end := self._text.find(each, start + 1)) >= 0]
        if not ends:
            if self._strict:
                message = f"quote is not closed: place={start}"
                raise InvalidInputError(message, pointer="/query", offset=start)
            return None
        self._place = min(ends) + 1
        return Clause(self._text[start + 1 : min(ends)].strip(), occur, phrase=True, field=field, boost=self._boost())

    def _word(self, occur: Occur, field: str | None) -> Clause:
        start = self._place
        self._place += 1  # a lone sign or quote is a word without letters
        while self._place < len(self._text) and not self._text[self._place].isspace():
            if self._text[self._place] == '"' or _BOOST.match(self._text, self._place):
                break
            self._place += 1
        word = self._text[start : self._place]
        ended = self._place == len(self._text) and word[-1].isalnum()
        return Clause(word, occur, field=field, boost=self._boost(), open=ended)

    def _boost(self) -> float:
        match = _BOOST.match(self._text, self._place)
        if match is None:
            return 1.0
        self._place = match.end()
        return min(max(float(match[1]), 0.001), BOOST_MAX)
