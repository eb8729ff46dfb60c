"""What a splitter knows of a text: where it may be cut, best places first, and under which headings each place is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum


class Splitter(StrEnum):
    """How long text is cut; `auto` goes by the file's suffix, `none` leaves the text whole, to be truncated."""

    AUTO = "auto"
    SENTENCES = "sentences"
    MARKDOWN = "markdown"
    CODE = "code"
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Level:
    """Places of one kind where a passage may begin.

    Attributes:
        positions: characters, in any order.
        least: share of a passage (0..1) that has to be full before it is ended here,
        keeps_whole: unless what follows, up to the next place of this or a better level, fits into one passage:
            then it is not torn.
    """

    positions: Sequence[int]
    least: float = 0.0
    keeps_whole: bool = False


@dataclass(frozen=True, slots=True)
class Scope:
    """A part of the text that stands under a title: a section, a class, a function, the rows of a table."""

    start: int
    end: int
    title: str


@dataclass(frozen=True, slots=True)
class Structure:
    """Where a text may be cut.

    Attributes:
        levels: best first; a place of one level is one of the later levels too.
        barriers: places over which nothing is repeated: what is before a heading does not belong to what is after.
        scopes: in the order of their starts, nested ones after those around them.
    """

    levels: tuple[Level, ...]
    barriers: Sequence[int] = ()
    scopes: tuple[Scope, ...] = field(default=())

    def titles_at(self, position: int) -> tuple[str, ...]:
        """Titles under which a passage stands that begins here, outermost first, without the one it begins with."""
        return tuple(scope.title for scope in self.scopes if scope.start < position < scope.end)


def indented(start: int, line: str) -> int:
    """Where the line's first character that is no space stands: there a passage begins that begins with the line."""
    return start + len(line) - len(line.lstrip())


def lines_of(text: str) -> list[tuple[int, str]]:
    """Start and content of every line, the content without its line break; only line feeds break lines."""
    found, start = [], 0
    for line in text.split("\n"):
        found.append((start, line.rstrip("\r")))
        start += len(line) + 1
    return found
