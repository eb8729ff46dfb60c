"""The text of a query before any parser sees it: what no parser should be asked to read.

DuckDB's parser takes minutes over ten thousand open parentheses, and its binder over five thousand unions; neither can
be interrupted.
"""

from __future__ import annotations

import re

from engine.errors import SqlError

CHARACTERS_MAX = 100_000
DEPTH_MAX = 200
SET_OPERATIONS_MAX = 200
JOINS_MAX = 100
PATH_MAX = 16
_PIECES = re.compile(
    r"""
      (?P<string>[eE]'(?:[^'\\]|''|\\.)*' | '(?:[^']|'')*' | "(?:[^"]|"")*" | `[^`]*` | \$(\w*)\$.*?\$\2\$)
    | (?P<comment>--[^\n]* | /\*.*?\*/)
    | (?P<open>[(\[{])
    | (?P<close>[)\]}])
    | (?P<path>(?:\w+\s*\.\s*){16,})
    | (?P<word>[A-Za-z_]\w*)
    | (?P<odd>['"`]|/\*)
    """,
    re.VERBOSE | re.DOTALL,
)
_SET_OPERATIONS = frozenset({"union", "except", "intersect"})
_PAIRS = {"(": ")", "[": "]", "{": "}"}
_WRITING = frozenset(
    """
    alter analyze attach begin call checkpoint comment commit copy create deallocate delete detach drop execute export
    force grant import insert install load merge pragma prepare replace reset revoke rollback set start truncate update
    use vacuum
    """.split()
)


def check_text(sql: str) -> None:
    """Refuse what is no text, too long, nested too deep, or plainly not a query.

    Raises:
        SqlError: it is; `details["offset"]` says where, in characters.
    """
    if not isinstance(sql, str):
        raise SqlError(f"sql must be a string: got={type(sql).__name__}")
    if len(sql) > CHARACTERS_MAX:
        raise SqlError(f"query is too long: maximum={CHARACTERS_MAX} got={len(sql)} characters; bind long values")
    try:
        sql.encode()
    except UnicodeEncodeError as error:
        raise SqlError("query is not valid Unicode (a lone surrogate)", offset=error.start) from error
    if "\0" in sql:
        raise SqlError("query holds a null character", offset=sql.index("\0"))
    words = _check_nesting(sql)
    if not words and not sql.strip(" \t\r\n;("):
        raise SqlError("query is empty")
    if words and words[0] in _WRITING:
        raise SqlError(f"{words[0].upper()} is not allowed in a query: SQL only reads here", code="sql_not_allowed")
    if sum(word in _SET_OPERATIONS for word in words) > SET_OPERATIONS_MAX:
        raise SqlError(f"query has too many set operations: maximum={SET_OPERATIONS_MAX}")
    if words.count("join") > JOINS_MAX:
        raise SqlError(f"query has too many joins: maximum={JOINS_MAX}")


def _check_nesting(sql: str) -> list[str]:
    """The words of a query outside of quotes and comments, in lower case; parentheses must match."""
    opened: list[tuple[str, int]] = []
    words = []
    for piece in _PIECES.finditer(sql):
        match piece.lastgroup:
            case "open":
                opened.append((piece[0], piece.start()))
                if len(opened) > DEPTH_MAX:
                    raise _at(f"query is nested too deep: maximum={DEPTH_MAX}", piece.start())
            case "close":
                if not opened or _PAIRS[opened.pop()[0]] != piece[0]:
                    raise _at(f"{piece[0]!r} closes nothing", piece.start())
            case "path":
                raise _at(f"a name has too many parts: maximum={PATH_MAX}", piece.start())
            case "odd":
                what = "comment" if piece[0] == "/*" else "quote"
                raise _at(f"{what} is not closed", piece.start())
            case "word":
                words.append(piece[0].lower())
    if opened:
        raise _at(f"{opened[-1][0]!r} is not closed", opened[-1][1])
    return words


def _at(message: str, offset: int) -> SqlError:
    return SqlError(f"{message} (character {offset})", offset=offset)
