"""Python: functions and classes by the parser, with the comments and decorators above them."""

from __future__ import annotations

import ast
import warnings

from models.splitting.structure import Level, Scope, Structure, indented, lines_of

# The parser takes some hundred bytes of memory a byte of source.
PARSED_CHARACTERS_MAX = 2_000_000
_DEPTHS = 3
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)


def python(text: str) -> Structure | None:
    """Functions and classes whole where they fit, else by member, statement and line; None where it is no Python."""
    if len(text) > PARSED_CHARACTERS_MAX or "\f" in text:
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what the parser thinks of escapes in somebody's strings
            tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    return _Outline(text).structure(tree)


class _Outline:
    """Where definitions and statements start, as characters."""

    def __init__(self, text: str) -> None:
        self._text, self._lines = text, lines_of(text)
        # The parser also ends lines at a lone carriage return; then its numbers are not ours.
        self._definitions: list[list[int]] = [[] for _ in range(_DEPTHS)]
        self._statements: list[int] = []
        self._scopes: list[Scope] = []

    def structure(self, tree: ast.Module) -> Structure | None:
        """Levels and scopes of the parsed module."""
        if "\r" in self._text.replace("\r\n", "\n"):
            return None
        self._take(tree.body, 0)
        levels = [Level(starts, keeps_whole=True, least=0.5) for starts in self._definitions]
        inside = self._inside_strings(tree)
        blank = [
            start
            for number, ((start, line), (_, before)) in enumerate(zip(self._lines[1:], self._lines, strict=False), 2)
            if line.strip() and not before.strip() and number not in inside
        ]
        lines = [start for number, (start, _) in enumerate(self._lines, start=1) if number not in inside]
        return Structure(
            (
                *levels,
                Level(blank, least=0.5),
                Level(self._statements, least=0.25),
                Level(lines),
                Level([start for start, _ in self._lines]),
            ),
            [start for starts in self._definitions for start in starts],
            tuple(sorted(self._scopes, key=lambda scope: (scope.start, -scope.end))),
        )

    def _take(self, body: list[ast.stmt], depth: int) -> None:
        after_definition = False
        for statement in body:
            first = self._first_line(statement)
            start = self._lines[first - 1][0]
            self._statements.append(start)
            if isinstance(statement, _DEFINITIONS):
                self._definitions[min(depth, _DEPTHS - 1)].append(start)
                self._scopes.append(
                    Scope(indented(*self._lines[first - 1]), self._end(statement), self._signature(statement))
                )
                self._take(statement.body, depth + 1)
            else:
                if after_definition:
                    self._definitions[min(depth, _DEPTHS - 1)].append(start)
                for block in ("body", "orelse", "finalbody"):
                    for inner in getattr(statement, block, ()):
                        self._statements.append(self._lines[self._first_line(inner) - 1][0])
            after_definition = isinstance(statement, _DEFINITIONS)

    def _first_line(self, statement: ast.stmt) -> int:
        """The statement's first line, from its decorators and the comments right above it on."""
        decorators: list[ast.expr] = getattr(statement, "decorator_list", [])
        first = min([statement.lineno, *(item.lineno for item in decorators)])
        while first > 1 and self._lines[first - 2][1].lstrip().startswith("#"):
            first -= 1
        return first

    def _end(self, statement: ast.stmt) -> int:
        line = statement.end_lineno or statement.lineno
        return self._lines[line][0] if line < len(self._lines) else len(self._text)

    def _signature(self, statement: ast.stmt) -> str:
        """The definition's first line, such as `class Point` or `def move(self, by)`."""
        return self._lines[statement.lineno - 1][1].strip().removesuffix(":")[:120]

    def _inside_strings(self, tree: ast.Module) -> set[int]:
        """Lines, from 1, that begin within a string of several lines."""
        return {
            line
            for node in ast.walk(tree)
            if isinstance(node, ast.Constant | ast.JoinedStr) and (node.end_lineno or 0) > node.lineno
            for line in range(node.lineno + 1, (node.end_lineno or 0) + 1)
        }
