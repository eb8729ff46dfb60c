"""Markdown: sections, blocks, sentences; fenced code and tables are torn only where they do not fit into a passage.

A scanner of lines in place of a parser, as only where blocks begin and end is asked for: 171 KB of Markdown take 17 ms
of processor time with their sentences, 3 ms without; markdown-it-py parses them in 55 ms.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from models.splitting.sentences import sentence_starts
from models.splitting.structure import Level, Scope, Structure, lines_of

_HEADING = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_FENCE = re.compile(r" {0,3}(?:[-*+] |\d+[.)] )?[ \t]*(`{3,}|~{3,})([^`]*)$")
_TABLE_RULE = re.compile(r" {0,3}\|?[ \t]*:?-+:?[ \t]*(?:\|[ \t]*:?-+:?[ \t]*)*\|?[ \t]*$")
_LIST_ITEM = re.compile(r"[ \t]*(?:[-*+]|\d{1,9}[.)])[ \t]")
_TITLE_CHARACTERS_MAX = 120
# A passage is ended at a heading where this share of it is full, or where that keeps a section whole.
_SECTION_SHARE = 0.3
_BLOCK_SHARE = 0.5


@dataclass(slots=True)
class _Seen:
    """What the lines turned out to be.

    Attributes:
        headings: start, depth and title of each, and where its line ends.
        blocks: starts of paragraphs, lists, fenced blocks and tables, and what follows them.
        items: starts of list items and of lines within blocks that are kept together if they fit.
        whole: the blocks that are kept together, as spans.
        tables: header, first row and end of each.
    """

    headings: list[tuple[int, int, str, int]] = field(default_factory=list)
    blocks: list[int] = field(default_factory=list)
    items: list[int] = field(default_factory=list)
    rows: list[int] = field(default_factory=list)
    whole: list[tuple[int, int]] = field(default_factory=list)
    tables: list[Scope] = field(default_factory=list)


def markdown(text: str) -> Structure:
    """Passages end before headings, else between blocks, else between sentences, else between lines of code or rows."""
    seen = _scan(text)
    depths = sorted({depth for _, depth, _, _ in seen.headings})
    # A heading stands with what follows it, be that text or a heading below it.
    openings = _without_bare_headings(text, seen)
    sections = [
        Level([start for start, deep, _, _ in openings if deep == depth], _SECTION_SHARE, keeps_whole=True)
        for depth in depths
    ]
    after_heading = {_next_text(text, end) for *_, end in seen.headings}
    blocks = [position for position in seen.blocks if position not in after_heading]
    inside = _Inside(seen.whole)
    sentences = [
        position
        for position in (*seen.items, *sentence_starts(text))
        if position not in after_heading and position not in inside
    ]
    levels = (*sections, Level(blocks, _BLOCK_SHARE), Level(sentences), Level(seen.rows))
    scopes = sorted((*_sections(seen, len(text)), *seen.tables), key=lambda scope: (scope.start, -scope.end))
    return Structure(levels, [start for start, *_ in openings], tuple(scopes))


def heading_titles(text: str, depth: int = 1) -> list[str]:
    """The titles of that depth, in order."""
    return [title for _, deep, title, _ in _scan(text).headings if deep == depth and title]


def _scan(text: str) -> _Seen:
    seen, lines = _Seen(), lines_of(text)
    number = _after_front_matter(lines)
    blank = True
    while number < len(lines):
        start, line = lines[number]
        if fence := _FENCE.match(line):
            number, blank = _take_fence(lines, number, fence[1], seen, len(text)), True
            continue
        if heading := _HEADING.match(line):
            seen.headings.append((start, len(heading[1]), _title(heading[2] or ""), start + len(line)))
            blank = True
        elif _is_table(lines, number):
            number, blank = _take_table(lines, number, seen, len(text)), True
            continue
        elif not line.strip():
            blank = True
        else:
            underline = _UNDERLINE.match(lines[number + 1][1]) if blank and number + 1 < len(lines) else None
            if underline and not _LIST_ITEM.match(line):
                end = lines[number + 1][0] + len(lines[number + 1][1])
                seen.headings.append((start, 1 if underline[1][0] == "=" else 2, _title(line.strip()), end))
                number, blank = number + 2, True
                continue
            if blank:
                seen.blocks.append(start)
            elif _LIST_ITEM.match(line):
                seen.items.append(start)
            blank = False
        number += 1
    return seen


def _after_front_matter(lines: list[tuple[int, str]]) -> int:
    """The first line behind a leading block of YAML between lines of three dashes."""
    if lines[0][1].rstrip() != "---":
        return 0
    ends = (number for number, (_, line) in enumerate(lines[1:], start=1) if line.rstrip() in {"---", "..."})
    return next(ends, -1) + 1


def _take_fence(lines: list[tuple[int, str]], first: int, mark: str, seen: _Seen, end: int) -> int:
    """The line behind a fenced block; one that is never closed goes to the end."""
    closing = re.compile(rf"[ \t]*{re.escape(mark[0])}{{{len(mark)},}}[ \t]*$")
    last = next((n for n in range(first + 1, len(lines)) if closing.match(lines[n][1])), len(lines) - 1)
    _take_whole(lines, first, last + 1, seen, end)
    # Its first and last lines go with what they enclose.
    seen.rows += [start for start, _ in lines[first + 2 : last]]
    return last + 1


def _is_table(lines: list[tuple[int, str]], number: int) -> bool:
    if number + 1 >= len(lines) or "|" not in lines[number][1]:
        return False
    rule = lines[number + 1][1]
    return "-" in rule and _TABLE_RULE.match(rule) is not None and "|" in rule


def _take_table(lines: list[tuple[int, str]], first: int, seen: _Seen, end: int) -> int:
    rows = (n for n in range(first + 2, len(lines)) if "|" not in lines[n][1])
    last = next(rows, len(lines))
    _take_whole(lines, first, last, seen, end)
    seen.rows += [start for start, _ in lines[first + 3 : last]]
    header = " ".join(lines[first][1].split())[:_TITLE_CHARACTERS_MAX]
    if first + 3 < last:
        seen.tables.append(Scope(lines[first + 2][0], _start_of(lines, last, end), header))
    return last


def _take_whole(lines: list[tuple[int, str]], first: int, last: int, seen: _Seen, end: int) -> None:
    start, stop = lines[first][0], _start_of(lines, last, end)
    seen.whole.append((start, stop))
    seen.blocks += [start, stop]


def _start_of(lines: list[tuple[int, str]], number: int, end: int) -> int:
    return lines[number][0] if number < len(lines) else end


def _title(words: str) -> str:
    return " ".join(words.split())[:_TITLE_CHARACTERS_MAX]


def _next_text(text: str, position: int) -> int:
    while position < len(text) and text[position].isspace():
        position += 1
    return position


def _without_bare_headings(text: str, seen: _Seen) -> list[tuple[int, int, str, int]]:
    """The headings without those that follow another one directly."""
    bare = {_next_text(text, end) for *_, end in seen.headings}
    return [heading for heading in seen.headings if _next_text(text, heading[0]) not in bare]


def _sections(seen: _Seen, end: int) -> Iterator[Scope]:
    """Each heading's section: up to the next heading that is not below it."""
    open_: list[tuple[int, int, str]] = []
    for start, depth, title, _ in seen.headings:
        while open_ and open_[-1][1] >= depth:
            yield Scope(open_[-1][0], start, open_.pop()[2])
        open_.append((start, depth, title))
    for start, _, title in open_:
        yield Scope(start, end, title)


class _Inside:
    """Whether a place is within one of some spans that do not overlap; their starts are not."""

    def __init__(self, spans: list[tuple[int, int]]) -> None:
        self._starts = [start for start, _ in spans]
        self._ends = [end for _, end in spans]

    def __contains__(self, position: int) -> bool:
        span = bisect.bisect_left(self._starts, position) - 1
        return span >= 0 and position < self._ends[span]
