"""Source code: Python by its parser, languages with braces by their depth, all others by blank lines and indents.

Tree-sitter would know more languages exactly, at about a megabyte of compiled grammar each; that functions stay whole
needs no more than the depth of braces outside strings and comments.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from models.splitting.python import python
from models.splitting.structure import Level, Scope, Splitter, Structure, indented, lines_of

BRACE_SUFFIXES = frozenset(
    ".c .h .cc .cpp .cxx .hpp .hh .cs .java .js .jsx .mjs .cjs .ts .tsx .go .rs .swift .kt .kts .scala .php .css .scss "
    ".less .dart .m .mm .proto .zig .groovy .gradle .sol .pl .pm .r".split()
)
INDENT_SUFFIXES = frozenset(
    ".rb .lua .sh .bash .zsh .fish .sql .jl .hs .ex .exs .erl .clj .lisp .el .ml .mli .nim .ps1 .vim .tf .cmake .mk "
    ".yaml .yml .toml .ini .cfg .conf .tex .bib".split()
)
PYTHON_SUFFIXES = frozenset({".py", ".pyi", ".pyw"})
CODE_SUFFIXES = PYTHON_SUFFIXES | BRACE_SUFFIXES | INDENT_SUFFIXES
# Readers of these make Markdown of what they read.
MARKDOWN_SUFFIXES = frozenset({".md", ".markdown", ".mdx", ".html", ".htm", ".xhtml", ".docx"})

# Strings and comments first, so that what looks like a brace in them is passed over.
_TOKEN = re.compile(
    r"//[^\n]*|/\*.*?(?:\*/|\Z)|\"(?:\\.|[^\"\\\n])*\"|'(?:\\.|[^'\\\n])*'|`(?:\\.|[^`\\])*`|[{}]", re.DOTALL
)
_DEPTHS = 3
_TITLE_CHARACTERS_MAX = 120
# What opens a brace and is no definition.
_CONTROL = re.compile(
    r"(?:\}\s*)?(?:if|else|for|while|do|switch|match|try|catch|finally|return|loop|unsafe|case|\{|\()\b"
)
_BRACES_A_LINE_MIN = 0.05


def splitter_of(path: str) -> Splitter:
    """How a file of that name is split."""
    suffix = PurePosixPath(path).suffix.lower()
    if suffix in MARKDOWN_SUFFIXES:
        return Splitter.MARKDOWN
    return Splitter.CODE if suffix in CODE_SUFFIXES else Splitter.SENTENCES


def code(text: str, path: str = "") -> Structure:
    """Definitions whole where they fit, then what blank lines set apart, then lines.

    Args:
        text: the source.
        path: its suffix tells the language; without one it is found out.
    """
    suffix = PurePosixPath(path).suffix.lower()
    known = suffix in BRACE_SUFFIXES or suffix in INDENT_SUFFIXES
    parsed = None if known else python(text)
    if parsed is not None:
        return parsed
    has_braces = text.count("{") > _BRACES_A_LINE_MIN * text.count("\n")
    return braces(text) if suffix in BRACE_SUFFIXES or (not known and has_braces) else indents(text)


def braces(text: str) -> Structure:
    """By the depth of braces outside strings and comments."""
    lines = lines_of(text)
    starts: list[list[int]] = [[] for _ in range(_DEPTHS)]
    gaps, scopes = list[int](), list[Scope]()
    closes = blank = True
    for (start, line), depth, lowest in zip(lines, *_depths(text, lines, scopes), strict=True):
        if line.strip() and not line.lstrip().startswith("}"):
            if closes and depth < _DEPTHS:
                starts[depth].append(start)
            elif blank and not closes:
                gaps.append(start)
            closes = False
        blank = not line.strip()
        # The block that this line ends is over, and what comes next begins anew.
        closes = closes or lowest < depth
    return _structure([Level(positions, 0.5, keeps_whole=True) for positions in starts], gaps, lines, scopes, starts)


def _depths(text: str, lines: list[tuple[int, str]], scopes: list[Scope]) -> tuple[list[int], list[int]]:
    """The depth at the start of each line, and the lowest within it; the blocks' scopes go into `scopes`."""
    marks = list(_braces(text))
    at_start, lowest, depth, mark = [], [], 0, 0
    open_: list[tuple[int, str]] = []
    for start, line in lines:
        at_start.append(depth)
        low = depth
        while mark < len(marks) and marks[mark][0] <= start + len(line):
            position, brace = marks[mark]
            mark += 1
            if brace == "{":
                depth += 1
                open_.append((start, line))
            elif depth:
                depth -= 1
                low = min(low, depth)
                opened, title = open_.pop()
                if opened < start and depth < _DEPTHS and not _CONTROL.match(title.strip()):
                    name = title.strip().rstrip("{ ")[:_TITLE_CHARACTERS_MAX]
                    scopes.append(Scope(indented(opened, title), position + 1, name))
        lowest.append(low)
    return at_start, lowest


def _braces(text: str) -> Iterator[tuple[int, str]]:
    for match in _TOKEN.finditer(text):
        if match[0] in {"{", "}"}:
            yield match.start(), match[0]


def indents(text: str) -> Structure:
    """By blank lines before lines without indent, then blank lines, then lines."""
    lines = lines_of(text)
    starts, gaps, blank = list[int](), list[int](), True
    for start, line in lines:
        if line.strip():
            if blank and not line[0].isspace():
                starts.append(start)
            elif blank:
                gaps.append(start)
        blank = not line.strip()
    return _structure([Level(starts, 0.5, keeps_whole=True)], gaps, lines, [], [starts])


def _structure(
    levels: list[Level], gaps: list[int], lines: list[tuple[int, str]], scopes: list[Scope], barriers: list[list[int]]
) -> Structure:
    return Structure(
        (*levels, Level(gaps, 0.5), Level([start for start, line in lines if line.strip()])),
        [start for starts in barriers for start in starts],
        tuple(sorted((s for s in scopes if s.title), key=lambda scope: (scope.start, -scope.end))),
    )
