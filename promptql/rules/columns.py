"""What the rules planner looks at: columns of small collections as Python lists, with parsed views of their text."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import TypeAlias

from promptql.rules.quantities import date_in, number_in
from promptql.rules.words import fold

Cell: TypeAlias = object  # str, int, float, bool, None
_WORD = re.compile(r"\d+(?:,\d{3})+(?:\.\d+)?(?!\w)|\d*\.\d+(?!\w)|\d+(?:st|nd|rd|th)\b|\d+|[^\W\d_]+")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
MISSING = frozenset({"", "-", "–", "—", "−", "n / a", "n a", "na", "none", "null", "tba", "tbd", "unknown", "?"})
UNIQUE_SHARE_MIN = 0.95  # of a field's cells that differ where it tells its documents apart
NUMERIC_SHARE_MIN = 0.7  # of the cells that hold something
POSTINGS_ROWS_MAX = 20_000  # larger tables have their words indexed by distinct value all the same, this bounds cells


@lru_cache(maxsize=262_144)
def words_of(text: str) -> tuple[str, ...]:
    """The folded words of a text; "1,234" is one word without its commas."""
    return tuple(word.replace(",", "") for word in _WORD.findall(fold(text)))


@lru_cache(maxsize=262_144)
def key_of(text: str) -> str:
    """A text as it is compared: its folded words, joined by single spaces."""
    return " ".join(words_of(text))


def spaced(name: str) -> str:
    """A name with its words parted: "releaseYear", "release_year" → "release Year", "release year"."""
    return _CAMEL.sub(" ", name).replace("_", " ")


def text_of(value: Cell) -> str:
    """A cell as text; whole floats without their ".0", a missing one is empty."""
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return str(int(value))
    return value if isinstance(value, str) else str(value)


def identifying(words: tuple[str, ...]) -> bool:
    """Whether a column of that name numbers things, so that more of it means nothing."""
    return bool(words) and words[-1] in ("id", "ids", "code", "no", "number", "key", "zip", "phone")


def numbering(column: Column) -> bool:
    """Whether a field numbers or codes things, so that more of it means nothing; version numbers repeat, and count."""
    if not identifying(column.words):
        return False
    return column.words[-1] not in ("number", "no") or column.distinct_share > UNIQUE_SHARE_MIN


@dataclass(frozen=True)
class Column:
    """One field of one collection.

    Attributes:
        table: number of its collection in the view.
        cells: (n,) stored values.
    """

    table: int
    name: str
    cells: Sequence[Cell]
    place: int = 0
    label: str = ""

    @cached_property
    def words(self) -> tuple[str, ...]:
        """The folded words of the field's name: "releaseYear" → release, year."""
        return words_of(spaced(self.label or self.name))

    @cached_property
    def keys(self) -> list[str]:
        """(n,) cells as they are compared."""
        return [key_of(text_of(value)) for value in self.cells]

    @cached_property
    def rows_by_key(self) -> dict[str, list[int]]:
        """The rows of each distinct key, in order."""
        found: dict[str, list[int]] = {}
        for row, key in enumerate(self.keys):
            found.setdefault(key, []).append(row)
        return found

    @cached_property
    def rows_by_text(self) -> dict[str, list[int]]:
        """The rows of each distinct cell as it is stored, but for its type: what collections are joined by."""
        found: dict[str, list[int]] = {}
        for row, value in enumerate(self.cells):
            found.setdefault(text_of(value), []).append(row)
        return found

    @cached_property
    def parsed(self) -> list[tuple[float, bool] | None]:
        """(n,) numbers that cells are or begin with."""
        return [
            (float(value), True)
            if isinstance(value, (int, float)) and not isinstance(value, bool)
            else number_in(value)
            if isinstance(value, str)
            else None
            for value in self.cells
        ]

    @cached_property
    def filled(self) -> int:
        """Cells that hold something."""
        return sum(len(self.rows_by_key[key]) for key in self.rows_by_key if key not in MISSING)

    @cached_property
    def held(self) -> list[bool]:
        """(n,) which cells hold something."""
        missing = {key for key in self.rows_by_key if key in MISSING}
        return [key not in missing for key in self.keys]

    @cached_property
    def named(self) -> Sequence[Cell]:
        """(n,) cells, None for those that hold nothing."""
        if all(self.held):
            return self.cells
        return [cell if held else None for cell, held in zip(self.cells, self.held, strict=True)]

    @cached_property
    def stored_numbers(self) -> bool:
        """Whether the cells are numbers already, not text that looks like them."""
        return any(isinstance(value, (int, float)) and not isinstance(value, bool) for value in self.cells)

    @cached_property
    def dates(self) -> list[tuple[int, int, int] | None]:
        """(n,) dates that cells hold."""
        return [date_in(value) if isinstance(value, str) else None for value in self.cells]

    @cached_property
    def kind(self) -> str:
        """What most of its cells are: number, date or text."""
        if self.stored_numbers:
            return "number"
        if not self.filled:
            return "text"
        dated = sum(date is not None for date in self.dates)
        if dated >= NUMERIC_SHARE_MIN * self.filled:
            return "date"
        clean = sum(item is not None and item[1] for item in self.parsed)
        return "number" if clean >= NUMERIC_SHARE_MIN * self.filled else "text"

    @cached_property
    def numbers(self) -> list[float | None]:
        """(n,) by what the column is ordered and compared: numbers, or dates as yyyymmdd."""
        if self.kind == "date":
            return [None if date is None else float(date[0] * 10_000 + date[1] * 100 + date[2]) for date in self.dates]
        return [None if item is None else item[0] for item in self.parsed]

    @cached_property
    def yearly(self) -> bool:
        """Whether its numbers are years."""
        known = [number for number in self.numbers if number is not None]
        return self.kind == "number" and bool(known) and all(1000 <= number <= 2100 for number in known)

    @cached_property
    def ordered(self) -> bool:
        """Whether it can be compared and sorted: numbers and dates."""
        return self.kind != "text"

    @cached_property
    def span(self) -> tuple[float, float]:
        """Least and greatest number."""
        known = [number for number in self.numbers if number is not None]
        return (min(known), max(known)) if known else (0.0, 0.0)

    @cached_property
    def distinct_share(self) -> float:
        """Distinct values per filled cell, 1 where every cell is another."""
        return len(self.rows_by_key) / max(1, len(self.cells))

    @cached_property
    def words_a_cell(self) -> float:
        """Mean number of words of its distinct values."""
        keys = list(self.rows_by_key)[:200]
        return sum(key.count(" ") + 1 for key in keys) / max(1, len(keys))


class View:
    """The columns of one or several collections, and where each value and word stands in them.

    Args:
        tables: collection → field → cells, in the order of writing; all cells of a collection are equally many.
    """

    def __init__(
        self,
        tables: Mapping[str, Mapping[str, Sequence[Cell]]],
        titles: Mapping[str, str] | None = None,
        labels: Mapping[tuple[str, str], str] | None = None,
    ) -> None:
        self.names = list(tables)
        self.titles = [(titles or {}).get(name, name) for name in self.names]
        self.columns: list[Column] = []
        self.rows: list[int] = []
        for number, (table, fields) in enumerate(tables.items()):
            for place, (name, cells) in enumerate(fields.items()):
                self.columns.append(Column(number, name, cells, place, (labels or {}).get((table, name), name)))
            self.rows.append(len(next(iter(fields.values()))) if fields else 0)

    @cached_property
    def exact(self) -> dict[str, list[int]]:
        """Normalized value → numbers of the columns that hold it."""
        found: dict[str, list[int]] = {}
        for number, column in enumerate(self.columns):
            for key in column.rows_by_key:
                if key:
                    found.setdefault(key, []).append(number)
        return found

    @cached_property
    def postings(self) -> dict[str, list[tuple[int, str]]]:
        """Word → (column, normalized value) of the distinct values of text columns that hold it among others."""
        found: dict[str, list[tuple[int, str]]] = {}
        for number, column in enumerate(self.columns):
            if column.stored_numbers:
                continue
            for key in column.rows_by_key:
                if " " in key:
                    for word in set(key.split(" ")):
                        found.setdefault(word, []).append((number, key))
        return found

    @cached_property
    def vocabulary(self) -> frozenset[str]:
        """All words of values."""
        singles = {key for key in self.exact if " " not in key}
        return frozenset(singles | set(self.postings))

    def of_table(self, table: int) -> list[int]:
        """Numbers of a collection's columns."""
        return [number for number, column in enumerate(self.columns) if column.table == table]
