"""A query that was read: which collections and columns it asks for, and what DuckDB is to run for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from engine.errors import SqlError
from engine.fields.plain import plain_scalar
from engine.schema import JSON
from engine.sql.expansion import check_expansion
from engine.sql.functions import SEARCH
from engine.sql.guard import Node, check, walk
from engine.sql.text import check_text

SEARCH_LIMIT = 10
SEARCH_LIMIT_MAX = 10_000
SEARCH_TABLE = "search {}"  # no collection has a space in its name
Parameters = Sequence[Any] | Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Given:
    """A parameter of the query, by its place (counted from 1) or name."""

    name: str


@dataclass(frozen=True, slots=True)
class SearchCall:
    """One `search(…)` of a query; its arguments are values, or parameters that bring them."""

    table: str
    collection: Any
    query: Any
    limit: Any = SEARCH_LIMIT
    mode: Any = None
    filter: Any = None


@dataclass(frozen=True, slots=True)
class Statement:
    """A query that may run.

    Attributes:
        sql: in DuckDB's dialect, searches replaced by names of tables.
        tables: names of collections, as they are written.
        columns: names of the columns that it needs, in lower case; None for all.
        searches: to be done first.
        marks: places of the parameters that are written "?", counted from 1, outside of searches.
        names: of the parameters that are written with a name or a number, outside of searches.
    """

    sql: str
    tables: tuple[str, ...]
    columns: frozenset[str] | None
    searches: tuple[SearchCall, ...]
    marks: tuple[int, ...]
    names: frozenset[str]

    def bound(self, parameters: Parameters | None) -> Any:
        """What DuckDB binds: the parameters without those that only searches take.

        Raises:
            SqlError: one is missing.
        """
        if self.names:
            return {name: _bound(argument(Given(name), parameters)) for name in self.names}
        return [_bound(argument(Given(str(place)), parameters)) for place in self.marks]

    def check_parameters(self, parameters: Parameters | None) -> None:
        """Refuse parameters that the query does not have, and lists that DuckDB would make strings of.

        Raises:
            SqlError: there are some.
        """
        for name, value in parameters.items() if isinstance(parameters, Mapping) else enumerate(parameters or ()):
            _check_alike([value], f"/params/{name}")
        used = {value.name for call in self.searches for value in _arguments(call) if isinstance(value, Given)}
        used |= {str(place) for place in self.marks} | self.names
        given = parameters if isinstance(parameters, Mapping) else range(1, len(parameters or ()) + 1)
        extra = [str(name) for name in given if str(name) not in used]
        if extra:
            message = f"query has no parameter {extra[0]}: expected {', '.join(sorted(used)) or 'none'}"
            raise SqlError(message, pointer="/params")


def _check_alike(values: list[Any], pointer: str) -> None:
    """Refuse values of several kinds where a list of DuckDB's has only one.

    Raises:
        SqlError: there are some.
    """
    kinds = {_kind(value) for value in values if value is not None}
    if len(kinds) > 1:
        message = f"lists in params must hold values of one type: got={', '.join(sorted(kinds))}"
        raise SqlError(message, pointer=pointer)
    if kinds == {"list"}:
        _check_alike([item for value in values if value is not None for item in value], pointer)
    if kinds == {"object"}:
        objects = [value for value in values if value is not None]
        for key in {key for value in objects for key in value}:
            _check_alike([value.get(key) for value in objects], pointer)


def _kind(value: Any) -> str:
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return "number"
    if isinstance(value, Mapping):
        return "object"
    return "list" if isinstance(value, list | tuple) else type(value).__name__


def _bound(value: Any) -> Any:
    """DuckDB knows Python's dates, decimals and UUIDs with their types, but none of NumPy's scalars but dates."""
    plain = plain_scalar(value)
    return plain if type(value).__module__ == "numpy" and not isinstance(plain, str) else value


def argument(value: Any, parameters: Parameters | None) -> Any:
    """The value of an argument.

    Raises:
        SqlError: it is a parameter that is missing.
    """
    if not isinstance(value, Given):
        return value
    if isinstance(parameters, Mapping):
        if value.name in parameters:
            return parameters[value.name]
    elif value.name.isdecimal() and 1 <= int(value.name) <= len(parameters or ()):
        return (parameters or ())[int(value.name) - 1]
    mark = "$" if not value.name.isdecimal() else ""
    raise SqlError(f"parameter is missing: {mark}{value.name}", pointer="/params")


def read_statement(sql: str, serialize: Callable[[str], str], built_in: frozenset[str]) -> Statement:
    """Parse and check a query in DuckDB's dialect.

    Args:
        sql: one query.
        serialize: DuckDB's `json_serialize_sql`.
        built_in: see `guard.check`.

    Raises:
        SqlError: it is malformed, or no query that may run here.
    """
    check_text(sql)
    try:
        answer = json.loads(serialize(sql))
    except RecursionError as error:
        raise SqlError("query is nested too deep") from error
    if answer["error"]:
        raise _refusal(sql, answer)
    if len(answer["statements"]) != 1:
        raise SqlError(f"expected one query: got={len(answer['statements'])}")
    tree = answer["statements"][0]
    check(tree["node"], built_in)
    check_expansion(tree["node"])
    source = sql.encode()
    calls = sorted(
        (node for node in walk(tree["node"]) if _is_search(node)), key=lambda node: int(node["query_location"])
    )
    searches, text = _take_searches(calls, source)
    marks, names = _parameters(tree["node"], calls, source)
    return Statement(text, _tables(tree["node"]), _columns(tree["node"]), searches, marks, names)


def _refusal(sql: str, answer: Mapping[str, Any]) -> SqlError:
    message = str(answer.get("error_message", "")).partition("\n")[0]
    if "max_expression_depth" in message:
        return SqlError("query is nested too deep")
    if "Only SELECT" in message:
        return SqlError("only queries may run: SELECT, WITH, FROM, VALUES, DESCRIBE, SUMMARIZE", code="sql_not_allowed")
    position = str(answer.get("position", ""))
    if not position.isdecimal():
        return SqlError(message)
    offset = len(sql.encode()[: int(position)].decode(errors="ignore"))
    return SqlError(f"{message} (character {offset})", offset=offset)


def _is_search(node: Node) -> bool:
    return node.get("type") == "TABLE_FUNCTION" and str(node["function"].get("function_name", "")).lower() == SEARCH


def _take_searches(calls: Sequence[Node], source: bytes) -> tuple[tuple[SearchCall, ...], str]:
    """The searches, and the query with a table's name in place of each."""
    searches = []
    pieces, done = [], 0
    for place, node in enumerate(calls):
        begin = int(node["query_location"])
        name = SEARCH_TABLE.format(place)
        searches.append(_search_call(name, node["function"]))
        pieces += [source[done:begin].decode(), f'"{name}" AS {_quoted(node.get("alias") or SEARCH)}']
        if node.get("column_name_alias"):
            pieces.append(f"({', '.join(map(_quoted, node['column_name_alias']))})")
        done = begin + int(node["query_location_length"])
    pieces.append(source[done:].decode())
    return tuple(searches), "".join(pieces)


def _search_call(table: str, function: Node) -> SearchCall:
    places = ["collection", "query", "limit"]
    known = {*places, "mode", "filter"}
    values: dict[str, Any] = {}
    for place, item in enumerate(function.get("arguments") or ()):
        name = str(item.get("name") or (places[place] if place < len(places) else "")).lower()
        if name not in known or name in values:
            raise SqlError("search takes (collection, query, limit, mode := …, filter := …)")
        values[name] = _value(item["expression"])
    if "collection" not in values or "query" not in values:
        raise SqlError("search takes at least a collection and a query: search('films', 'space opera', 10)")
    return SearchCall(table, **values)


def _value(node: Node) -> Any:
    literal = node.get("literal") or {}
    if node.get("class") == "PARAMETER":
        return Given(str(node["identifier"]))
    if node.get("class") == "CONSTANT" and literal.get("kind") == "STRING":
        return str(literal["text"])
    if node.get("class") == "CONSTANT" and literal.get("kind") == "INTEGER":
        return int(literal["text"])
    raise SqlError("arguments of search must be strings and numbers, or parameters")


def _arguments(call: SearchCall) -> tuple[Any, ...]:
    return call.collection, call.query, call.limit, call.mode, call.filter


def _parameters(tree: Node, calls: Sequence[Node], source: bytes) -> tuple[tuple[int, ...], frozenset[str]]:
    spans = [(int(node["query_location"]), int(node["query_location_length"])) for node in calls]
    marks, names = [], set()
    for node in walk(tree):
        if node.get("class") != "PARAMETER":
            continue
        begin = int(node["query_location"])
        if any(first <= begin < first + length for first, length in spans):
            continue
        if source[begin : begin + 1] == b"?":
            marks.append(int(node["identifier"]))
        else:
            names.add(str(node["identifier"]))
    return tuple(sorted(marks)), frozenset(names)


def _tables(tree: Node) -> tuple[str, ...]:
    """Names of what is read, but for what the query itself defines."""
    defined = {
        str(entry["key"]).lower() for node in walk(tree) for entry in (node.get("cte_map") or {}).get("map") or ()
    }
    found: dict[str, str] = {}
    for node in walk(tree):
        if node.get("type") == "BASE_TABLE" and node["table_name"].lower() not in defined:
            found.setdefault(node["table_name"], node["table_name"])
    return tuple(found)


def _columns(tree: Node) -> frozenset[str] | None:
    """Names that may be columns; None where all may be meant."""
    names: set[str] = set()
    whole: set[str] = set()
    tables: set[str] = set()
    for node in walk(tree):
        kind = node.get("type")
        if kind in ("PIVOT", "SHOW_REF") or (kind == "JOIN" and node.get("ref_type") == "NATURAL"):
            return None
        if node.get("class") == "STAR":  # `count(*)` has none in this tree
            return None
        if kind == "JOIN":
            names.update(str(name).lower() for name in node.get("using_columns") or ())
        if kind in ("BASE_TABLE", "TABLE_FUNCTION"):
            tables.update({str(node.get("table_name", "")).lower(), str(node.get("alias") or "").lower()})
        if node.get("class") == "COLUMN_REF":
            parts = [str(name).lower() for name in node["column_names"]]
            names.update(parts)
            whole.update(parts[:1] if len(parts) == 1 else ())
    return None if whole & tables else frozenset(names)


def _quoted(name: JSON) -> str:
    return '"' + str(name).replace('"', '""') + '"'
