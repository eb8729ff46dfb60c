"""Types of CSV columns: what nearly all cells agree on, what stays text, and which cells are mistakes."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

# As many of as many cells must agree for the others to be mistakes; with fewer, the column stays text.
MAJORITY_SHARE = 0.95
MAJORITY_CELLS_MIN = 20
STRING_TYPES = frozenset({"text", "keyword", "datetime"})
SHOWN_CHARACTERS_MAX = 40

# Codes are not numbers: "007", "+49 30", and digits beyond what a float64 or a spreadsheet keeps stay as they are.
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,14})")
# An exponent counts only behind a point or with a sign: "12e3" is as likely a part number.
_NUMBER = re.compile(r"-?(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,17}(?:[eE][+-]?[0-9]{1,3})?|[eE][+-][0-9]{1,3})?")
# What has one among its cells is a column of codes, however many others look like numbers: "01067" beside "10115".
_CODE = re.compile(r"[+-]?\d[\d .,:/+eE-]*")
# What a field that was declared to be of integers takes for one.
_DECLARED_INTEGER = re.compile(r"([+-]?[0-9]{1,18})(?:\.0*)?")
_DECLARED_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_BOOLEANS = {"true": True, "false": False}
# What stands for a missing value in a column of numbers or booleans; among words they are words.
_MISSING = frozenset({"nan", "na", "n/a", "null", "none"})
_WORD_CHARACTERS_MAX = 5  # of the longest word in _BOOLEANS and _MISSING
_ID_COLUMNS = frozenset({"id", "_id"})

Converter = Callable[[str], object]  # cell → value, None for a missing one; ValueError for a mistake


class Kind(IntEnum):
    """What one cell looks like."""

    BOOLEAN = 0
    INTEGER = 1
    NUMBER = 2
    CODE = 3
    STRING = 4


@dataclass(slots=True)
class Column:
    """A column and what has been seen of it.

    Attributes:
        name: from the header.
        spec: how the collection has the field: its type, and whether it was declared; None where it is new.
        counts: cells by `Kind`.
        first: the first cell of each kind, and its line.
    """

    name: str
    spec: Mapping[str, Any] | None = None
    counts: list[int] = field(default_factory=lambda: [0] * len(Kind))
    first: dict[Kind, tuple[str, int]] = field(default_factory=dict)

    def see(self, cell: str, line: int) -> None:
        """Count a cell."""
        if self._is_text:
            return
        word = cell.strip()
        if _is_missing(word):
            return
        kind = _kind_of(word)
        if not self.counts[kind]:
            self.first[kind] = (word, line)
        self.counts[kind] += 1

    def converter(self) -> Converter:
        """How the column's cells become values: of the field's type where the collection has one."""
        if self._is_text:
            return lambda cell: cell or None
        match self.spec:
            case {"type": "integer", "declared": True}:
                return _declared_integer
            case {"type": "number", "declared": True}:
                return self._declared_number
            case {"type": "integer" | "number"}:
                return self._number_or_text
            case {"type": "boolean"}:
                return _boolean_or_text
        family = self._family if self.spec is None else self._family_of_all
        match family:
            case Kind.NUMBER:
                return self._number
            case Kind.BOOLEAN:
                return self._boolean
            case _:
                return lambda cell: cell if cell.strip() else None

    def note(self) -> str | None:
        """What a user should know: that it is kept as text because of some of its cells."""
        family, count = self._largest
        if self._is_text or self.spec is not None or self._family is not None or count * 2 <= self._total:
            return None
        strays = self._total - count
        word, line = min((self.first[kind] for kind in self.first if kind not in _KINDS[family]), key=lambda at: at[1])
        what = "number" if family is Kind.NUMBER else "boolean"
        held = f"1 value that is no {what}" if strays == 1 else f"{strays:,} values that are no {what}s"
        place = f"line {line:,}" if strays == 1 else f"first on line {line:,}"
        return f"column {self.name} holds {held} ({_shown(word)}, {place}): kept as text"

    @property
    def _is_text(self) -> bool:
        return self.name in _ID_COLUMNS or (self.spec is not None and self.spec["type"] in STRING_TYPES)

    @property
    def _total(self) -> int:
        return sum(self.counts)

    @property
    def _largest(self) -> tuple[Kind, int]:
        """The family of numbers or that of booleans, whichever has more cells, and how many."""
        return max(((family, self._count(family)) for family in _KINDS), key=lambda item: item[1])

    def _count(self, family: Kind) -> int:
        return sum(self.counts[kind] for kind in _KINDS[family])

    @property
    def _family_of_all(self) -> Kind | None:
        """The family of all cells; None for text."""
        family, count = self._largest
        return family if count == self._total > 0 else None

    @property
    def _family(self) -> Kind | None:
        """The family of all cells, or of so many that the others are mistakes; None for text."""
        family, count = self._largest
        is_majority = self._total >= MAJORITY_CELLS_MIN and count >= MAJORITY_SHARE * self._total
        return family if is_majority and not self.counts[Kind.CODE] else self._family_of_all

    def _of_number(self, word: str) -> int | float:
        """All numbers of a column are alike, whichever fields the collection has: a file read again is the same."""
        return float(word) if self.counts[Kind.NUMBER] else int(word)

    def _number(self, cell: str) -> int | float | None:
        word = cell.strip()
        if _is_missing(word):
            return None
        if _kind_of(word) not in _KINDS[Kind.NUMBER]:
            raise self._mistake(word, Kind.NUMBER)
        return self._of_number(word)

    def _boolean(self, cell: str) -> bool | None:
        word = cell.strip()
        if _is_missing(word):
            return None
        if word.lower() not in _BOOLEANS:
            raise self._mistake(word, Kind.BOOLEAN)
        return _BOOLEANS[word.lower()]

    def _number_or_text(self, cell: str) -> int | float | str | None:
        word = cell.strip()
        if _is_missing(word):
            return None
        return self._of_number(word) if _kind_of(word) in _KINDS[Kind.NUMBER] else cell

    def _declared_number(self, cell: str) -> int | float | str | None:
        word = cell.strip()
        if _is_missing(word):
            return None
        if not self.counts[Kind.NUMBER] and _INTEGER.fullmatch(word):
            return int(word)
        return float(word) if _DECLARED_NUMBER.fullmatch(word) and math.isfinite(float(word)) else cell

    def _mistake(self, word: str, family: Kind) -> ValueError:
        what = "boolean" if family is Kind.BOOLEAN else "number" if self.counts[Kind.NUMBER] else "integer"
        share = f"{self._count(family):,} of {self._total:,} rows have one"
        return ValueError(f"column {self.name!r} has a value that is no {what}: got={_shown(word)} ({share})")


_KINDS = {Kind.NUMBER: frozenset({Kind.INTEGER, Kind.NUMBER}), Kind.BOOLEAN: frozenset({Kind.BOOLEAN})}


def _kind_of(word: str) -> Kind:
    if _INTEGER.fullmatch(word):
        return Kind.INTEGER
    if _NUMBER.fullmatch(word) and math.isfinite(float(word)):
        return Kind.NUMBER
    if len(word) <= _WORD_CHARACTERS_MAX and word.lower() in _BOOLEANS:
        return Kind.BOOLEAN
    return Kind.CODE if _CODE.fullmatch(word) else Kind.STRING


def _declared_integer(cell: str) -> int | float | str | None:
    word = cell.strip()
    if _is_missing(word):
        return None
    if match := _DECLARED_INTEGER.fullmatch(word):
        return int(match[1])
    # One that is no integer is refused as the number that it is.
    return float(word) if _kind_of(word) is Kind.NUMBER else cell


def _boolean_or_text(cell: str) -> bool | str | None:
    word = cell.strip()
    return None if _is_missing(word) else _BOOLEANS.get(word.lower(), cell)


def _is_missing(word: str) -> bool:
    return not word or (len(word) <= _WORD_CHARACTERS_MAX and word.lower() in _MISSING)


def _shown(word: str) -> str:
    return repr(word if len(word) <= SHOWN_CHARACTERS_MAX else f"{word[: SHOWN_CHARACTERS_MAX - 1]}…")
