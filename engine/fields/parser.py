"""Filters written like SQL, `price < 10 AND tag IN ('a', 'b')`, into the same tree as their JSON form.

| written                                          | JSON form                                          |
|--------------------------------------------------|----------------------------------------------------|
| `a = 1`, `a <> 1`, `a < 1`, `1 < a`              | `{"a": {"$eq": 1}}`, `$ne`, `$lt`, `$gt`           |
| `a IN (1, 2)`, `a NOT IN (1, 2)`                 | `$in`, `$nin`                                      |
| `a BETWEEN 1 AND 2`                              | `{"$and": [{"a": {"$gte": 1}}, {"a": {"$lte": 2}}]}` |
| `a IS NULL`, `a IS NOT NULL`, `EXISTS(a)`        | `$is_null: true`, `$is_null: false`, `$exists: true` |
| `a LIKE 'x%'`, `a ~ 'regex'`                     | `$like`, `$regex`                                  |
| `CONTAINS(a, 'x')`, `CONTAINS_ANY(a, 'x', 'y')`  | `$contains`, `$contains_any`; also `CONTAINS_ALL`  |
| `STARTS_WITH(a, 'x')`, `ENDS_WITH(a, 'x')`       | `$starts_with`, `$ends_with`                       |
| `MATCHES(a, 'words')`, `PHRASE(a, 'some words')` | `$match`, `$phrase`                                |
| `GEO_RADIUS(a, lat, lon, meters)`                | `$geo_radius`                                      |
| `GEO_BOX(a, south, west, north, east)`           | `$geo_box`                                         |
| `AND`, `OR`, `NOT`, parentheses                  | `$and`, `$or`, `$not`                              |

Fields are names with dots between, in double quotes where they are no plain names; strings stand in single quotes.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import sqlglot
from sqlglot import exp

from engine.errors import FilterError
from engine.fields.filter import DEPTH_MAX, Filter, parse_filter
from engine.schema import JSON, Schema

CHARACTERS_MAX = 16_384  # sqlglot reads about 50,000 a second of the slowest kind
_COMPARE: dict[type[Any], tuple[str, str]] = {  # field first, value first
    exp.EQ: ("$eq", "$eq"),
    exp.NEQ: ("$ne", "$ne"),
    exp.LT: ("$lt", "$gt"),
    exp.LTE: ("$lte", "$gte"),
    exp.GT: ("$gt", "$lt"),
    exp.GTE: ("$gte", "$lte"),
}
_BINARY: dict[type[Any], str] = {
    exp.Like: "$like",
    exp.RegexpLike: "$regex",
    exp.StartsWith: "$starts_with",
    exp.EndsWith: "$ends_with",
    exp.Contains: "$contains",
    exp.ArrayContains: "$contains",
}
_NEGATED = {"$in": "$nin", "$is_null": "$is_null"}
_LISTS = {"CONTAINS_ANY": "$contains_any", "CONTAINS_ALL": "$contains_all"}
_SINGLE = {
    "CONTAINS": "$contains",
    "STARTS_WITH": "$starts_with",
    "ENDS_WITH": "$ends_with",
    "MATCHES": "$match",
    "PHRASE": "$phrase",
    "REGEX": "$regex",
}
_NUMBERS = {
    "GEO_RADIUS": ("$geo_radius", ("lat", "lon", "meters")),
    "GEO_BOX": ("$geo_box", ("south", "west", "north", "east")),
}
# What stands in quotes, a parenthesis, or what no filter is written with (sqlglot takes long over some of it).
_PIECES = re.compile(
    r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|\b(?!(?:AND|OR|NOT|IN|BETWEEN|LIKE)\b)[^\W\d]\w*\s*\(|[()]|--|\bJOIN\b"
    r"|(?<![eE])\+|[\[\]{};?@$#`^&|*/%:\\]",
    re.IGNORECASE,
)
DOUBLING_MAX = 2  # calls in one another, or joins, where neither means anything: sqlglot tries two ways at each


def parse_string(text: str, schema: Schema | None = None) -> Filter:
    """Read a filter written like SQL.

    Args:
        text: see the module.
        schema: as for `parse_filter`.

    Raises:
        FilterError: `details["offset"]` says where, in characters.
    """
    if len(text) > CHARACTERS_MAX:
        message = f"filter is too long: maximum={CHARACTERS_MAX} got={len(text)} characters; the JSON form takes more"
        raise FilterError(message, pointer="", offset=CHARACTERS_MAX)
    _check_pieces(text)
    places: dict[str, int] = {}
    try:
        data = _Reader(places).read(_parse(text), "", 0)
    except RecursionError as error:
        raise FilterError(f"filter is nested too deep: maximum={DEPTH_MAX}", pointer="", offset=0) from error
    try:
        return parse_filter(data, schema)
    except FilterError as error:
        raise FilterError(str(error), pointer="", **error.details, offset=_place(places, error.pointer)) from error


def _check_pieces(text: str) -> None:
    """Refuse strange characters, and count parentheses before sqlglot recurses into each."""
    opened: list[bool] = []  # of each parenthesis, whether it is a function's
    joins = 0
    for match in _PIECES.finditer(text):
        piece = match[0]
        if piece.endswith("(") and piece[0] not in "'\"":
            opened.append(len(piece) > 1)
        elif piece == ")":
            del opened[-1:]
        elif piece.upper() == "JOIN":
            joins += 1
        elif piece[0] not in "'\"":
            raise FilterError(f"unexpected character {piece!r}", pointer="", offset=match.start())
        if len(opened) > DEPTH_MAX or max(sum(opened), joins) > DOUBLING_MAX:
            raise FilterError(f"filter is nested too deep: maximum={DEPTH_MAX}", pointer="", offset=match.start())


def _parse(text: str) -> Any:
    try:
        return sqlglot.parse_one(text, into=exp.Condition, read="duckdb")
    except sqlglot.errors.TokenError as error:
        raise FilterError("string is not closed", pointer="", offset=_unclosed(text)) from error
    except sqlglot.errors.ParseError as error:
        facts: Any = error.errors[0] if error.errors else {}
        start = _offset(text, facts) if facts else len(text)
        found = f"near {facts['highlight']!r:.40}" if facts else "it is empty"
        raise FilterError(f"filter cannot be read: {found}", pointer="", offset=start) from error


def _offset(text: str, facts: dict[str, Any]) -> int:
    """Where a fault begins: sqlglot tells the line and the column in which it ends."""
    lines = text.split("\n")
    before = sum(len(line) + 1 for line in lines[: facts["line"] - 1])
    start: int = before + facts["col"] - len(facts["highlight"])
    return max(0, min(start, len(text)))


def _unclosed(text: str) -> int:
    """Where the quote stands that is never closed."""
    match = re.match(r"(?:[^'\"]|'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\")*", text)
    return match.end() if match else 0


def _place(places: dict[str, int], pointer: str | None) -> int:
    """The offset of the nearest thing that `pointer` points into."""
    tokens = (pointer or "").split("/")
    for length in range(len(tokens), 0, -1):
        found = places.get("/".join(tokens[:length]))
        if found is not None:
            return found
    return 0


class _Reader:
    """One walk over sqlglot's tree: JSON by pointer, and where each pointer's text stands."""

    def __init__(self, places: dict[str, int]) -> None:
        self._places = places

    def read(self, node: Any, pointer: str, depth: int) -> dict[str, JSON]:
        """The JSON form of a condition."""
        while isinstance(node, exp.Paren):
            node = node.this
        self._places[pointer] = _start(node)
        if depth > DEPTH_MAX:
            raise _fault(f"filter is nested too deep: maximum={DEPTH_MAX}", node)
        if isinstance(node, exp.And | exp.Or):
            key = "$and" if isinstance(node, exp.And) else "$or"
            parts = _chain(node, type(node))
            return {key: [self.read(part, f"{pointer}/{key}/{i}", depth + 1) for i, part in enumerate(parts)]}
        if isinstance(node, exp.Not):
            return self._not(node, pointer, depth)
        if node.args.get("negate"):
            return {"$not": self._comparison(node, f"{pointer}/$not")}
        return self._comparison(node, pointer)

    def _not(self, node: Any, pointer: str, depth: int) -> dict[str, JSON]:
        """`NOT`; where there is an operator for the opposite, that."""
        inner = self.read(node.this, f"{pointer}/$not", depth + 1)
        if isinstance(node.this, exp.In | exp.Is):
            [(name, comparison)] = inner.items()
            [(op, value)] = comparison.items()
            if op in _NEGATED:
                self._places[f"{pointer}/{_token(name)}"] = _start(node)
                return {name: {_NEGATED[op]: value if op == "$in" else not value}}
        return {"$not": inner}

    def _comparison(self, node: Any, pointer: str) -> dict[str, JSON]:
        kind = type(node)
        if kind in _COMPARE:
            usual, turned = _COMPARE[kind]
            if isinstance(node.this, exp.Column | exp.Dot):
                return self._made(node.this, usual, _value(node.expression), pointer)
            return self._made(node.expression, turned, _value(node.this), pointer)
        if kind in _BINARY:
            _only(node, "this", "expression", "negate", "ensure_variant")
            return self._made(node.this, _BINARY[kind], _value(node.expression), pointer)
        reader = _READERS.get(kind)
        if reader is None:
            raise _fault(f"this is no condition: got={node.sql()!r:.60}", node)
        return reader(self, node, pointer)

    def _made(self, field: Any, op: str, value: JSON, pointer: str) -> dict[str, JSON]:
        name = _field(field)
        self._places[f"{pointer}/{_token(name)}"] = _start(field)
        return {name: {op: value}}

    def _in(self, node: Any, pointer: str) -> dict[str, JSON]:
        _only(node, "this", "expressions")
        return self._made(node.this, "$in", [_value(each) for each in node.expressions], pointer)

    def _between(self, node: Any, pointer: str) -> dict[str, JSON]:
        _only(node, "this", "low", "high")
        low = self._made(node.this, "$gte", _value(node.args["low"]), f"{pointer}/$and/0")
        high = self._made(node.this, "$lte", _value(node.args["high"]), f"{pointer}/$and/1")
        return {"$and": [low, high]}

    def _is(self, node: Any, pointer: str) -> dict[str, JSON]:
        if isinstance(node.expression, exp.Null):
            return self._made(node.this, "$is_null", True, pointer)
        if isinstance(node.expression, exp.Boolean):
            return self._made(node.this, "$eq", _value(node.expression), pointer)
        raise _fault("IS takes NULL, TRUE or FALSE", node)

    def _exists(self, node: Any, pointer: str) -> dict[str, JSON]:
        _only(node, "this")
        return self._made(node.this, "$exists", True, pointer)

    def _function(self, node: Any, pointer: str) -> dict[str, JSON]:
        """A function that sqlglot does not know: the name says which."""
        name = str(node.this).upper()
        field, *given = node.expressions or [node]
        if name in _LISTS:
            return self._made(field, _LISTS[name], [_value(each) for each in given], pointer)
        if name in _SINGLE and len(given) == 1:
            return self._made(field, _SINGLE[name], _value(given[0]), pointer)
        if name in _NUMBERS and len(given) == len(_NUMBERS[name][1]):
            op, keys = _NUMBERS[name]
            return self._made(field, op, dict(zip(keys, map(_value, given), strict=True)), pointer)
        known = ", ".join(sorted([*_LISTS, *_SINGLE, *_NUMBERS]))
        raise _fault(f"unknown function {name!r:.40} of {len(given)} values: expected one of {known}", node)


_READERS: dict[type[Any], Callable[[_Reader, Any, str], dict[str, JSON]]] = {
    exp.In: _Reader._in,  # noqa: SLF001
    exp.Between: _Reader._between,  # noqa: SLF001
    exp.Is: _Reader._is,  # noqa: SLF001
    exp.Exists: _Reader._exists,  # noqa: SLF001
    exp.Anonymous: _Reader._function,  # noqa: SLF001
}


def _chain(node: Any, kind: type[Any]) -> list[Any]:
    """`a AND b AND c`, which sqlglot nests to the left, as a list; without recursion."""
    parts: list[Any] = []
    while isinstance(node, kind):
        parts.append(node.expression)
        node = node.this
    return [node, *reversed(parts)]


def _field(node: Any) -> str:
    """`a.b."c d"` as the name `a.b.c d`."""
    names: list[str] = []
    while isinstance(node, exp.Dot):
        names.append(node.expression.name)
        node = node.this
    if not isinstance(node, exp.Column) or not all(isinstance(part, exp.Identifier) for part in node.parts):
        raise _fault(f"expected the name of a field: got={node.sql()!r:.60}", node)
    name = ".".join([*(part.name for part in node.parts), *reversed(names)])
    if name.startswith("$"):
        raise _fault(f"unknown field {name!r:.60}", node)
    return name


def _value(node: Any) -> JSON:
    """A literal."""
    match node:
        case exp.Null():
            return None
        case exp.Boolean():
            return bool(node.this)
        case exp.Neg() if isinstance(node.this, exp.Literal) and not node.this.is_string:
            return -_number(node.this)
        case exp.Literal() if node.is_string:
            return str(node.this)
        case exp.Literal():
            return _number(node)
        case _:
            expected = "a string in single quotes, a number, TRUE, FALSE or NULL"
            raise _fault(f"expected {expected}: got={node.sql()!r:.60}", node)


def _number(node: Any) -> int | float:
    text = str(node.this)
    try:
        return int(text) if text.isdecimal() else float(text)
    except ValueError as error:  # also of more digits than Python reads
        raise _fault(f"number cannot be read: got={text!r:.40}", node) from error


def _only(node: Any, *names: str) -> None:
    """Refuse the parts of SQL's syntax that mean nothing here."""
    for name, value in node.args.items():
        if value and name not in names:
            raise _fault(f"{name} is not supported here: got={node.sql()!r:.60}", node)


def _start(node: Any) -> int:
    """The offset of the first character that a node stands for, as far as sqlglot tells."""
    starts: list[int] = [each.meta["start"] for each in node.walk() if "start" in each.meta]
    return min(starts, default=0)


def _fault(message: str, node: Any) -> FilterError:
    return FilterError(message, pointer="", offset=_start(node))


def _token(name: str) -> str:
    return name.replace("~", "~0").replace("/", "~1")
