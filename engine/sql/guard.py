"""What a query is allowed to be: checked on the tree that DuckDB's own parser makes of it, node by node.

`json_serialize_sql` takes only queries (a statement that writes, sets or loads has no serialized form), and what it
shows is what will run: there is no second reading of the text that could differ from the first.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from engine.errors import SqlError
from engine.sql.functions import (
    BOUNDED,
    CONCATENATING,
    FORMATTING,
    FUNCTIONS,
    OPERATORS,
    REPLACING,
    SEARCH,
    TABLE_FUNCTIONS,
)

GROWTH_MAX = 1_000_000  # how often larger than what it is made of a value may become
COUNT_MAX = 10_000
_WIDTH = re.compile(r"\d{4}|\*|\{[^}]*\{")
_QUERIES = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"})
_SOURCES = frozenset(
    {"BASE_TABLE", "SUBQUERY", "JOIN", "TABLE_FUNCTION", "EXPRESSION_LIST", "EMPTY", "PIVOT", "SHOW_REF"}
)
_CLASSES = frozenset(
    ["BETWEEN", "CASE", "CAST", "COLLATE", "COLUMN_REF", "COMPARISON", "CONJUNCTION", "CONSTANT", "FUNCTION", "LAMBDA",
     "LAMBDA_REF", "OPERATOR", "PARAMETER", "POSITIONAL_REFERENCE", "STAR", "SUBQUERY", "TYPE", "WINDOW"]
)  # fmt: skip
_OTHERS = frozenset(  # the types of what is neither a query, nor a source, nor an expression
    ["ORDER_MODIFIER", "LIMIT_MODIFIER", "DISTINCT_MODIFIER", "LIMIT_PERCENT_MODIFIER", "ORDER_DEFAULT", "ASCENDING",
     "DESCENDING"]
)  # fmt: skip
_CATALOG = frozenset({"current_catalog", "current_database", "current_role", "current_schema", "session_user"})
Node = dict[str, Any]


def walk(tree: Any) -> Iterator[Node]:
    """Every node of a serialized query, in no particular order."""
    waiting = [tree]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            yield item
            waiting.extend(item.values())
        elif isinstance(item, list):
            waiting.extend(item)


def check(tree: Any, built_in: frozenset[str]) -> None:
    """Refuse what is not a plain query over collections.

    Args:
        tree: what DuckDB's parser made of the query.
        built_in: names of DuckDB's own tables and views, in lower case; no part of a query may be called so.

    Raises:
        SqlError: naming what is refused.
    """
    growth = 1
    sources = {id(node["function"]) for node in walk(tree) if node.get("type") == "TABLE_FUNCTION"}
    for node in walk(tree):
        _check_kind(node)
        if node.get("type") == "BASE_TABLE":
            _check_table(node)
        if node.get("type") == "SHOW_REF" and node.get("show_type") not in ("DESCRIBE", "SUMMARY"):
            raise _refused("SHOW", "use SHOW TABLES, DESCRIBE or SUMMARIZE")
        for name in _names_given(node):
            if name.lower() in built_in:
                raise _refused(f"the name {name!r}", "DuckDB has a table of that name")
        if node.get("class") == "COLUMN_REF" and str(node["column_names"][-1]).lower() in _CATALOG:
            raise _refused(str(node["column_names"][-1]), "it tells of DuckDB, not of the documents")
        if "function_name" in node and id(node) not in sources:  # rows of a source are counted, values are not
            growth *= _check_function(node)
            if growth > GROWTH_MAX:
                raise _refused(
                    "a value so large", f"repeating, padding and joining grow it more than {GROWTH_MAX} times"
                )
        if node.get("type") == "TABLE_FUNCTION":
            _check_table_function(node["function"])


def _check_kind(node: Node) -> None:
    kind, group = node.get("type"), node.get("class")
    if group is not None:
        if group not in _CLASSES:
            raise _refused(str(group).lower(), "it is no part of the queries that may run here")
    elif isinstance(kind, str) and kind not in _QUERIES | _SOURCES | _OTHERS:
        raise _refused(kind.lower(), "it is no part of the queries that may run here")


def _check_table(node: Node) -> None:
    path = node.get("qualified_name", {}).get("path", [])
    if len(path) > 1 or node.get("schema_name") or node.get("catalog_name"):
        name = ".".join(map(str, path))
        raise _refused(f"table {name!r}", f'collections have no schema; a name with a dot is written "{name}"')
    if node.get("at_clause"):
        raise _refused("AT", "a query sees the collections as they are now")


def _names_given(node: Node) -> Iterator[str]:
    """Names of tables that a node introduces: of common table expressions."""
    for entry in (node.get("cte_map") or {}).get("map") or ():
        yield str(entry["key"])
    if node.get("type") == "RECURSIVE_CTE_NODE":
        yield str(node.get("cte_name") or node.get("ctename") or "")


def _check_function(node: Node) -> int:
    """How many times larger than its arguments the value of a function can be.

    Raises:
        SqlError: it may not be called, or not so.
    """
    name = str(node["function_name"]).lower()
    arguments = [
        item["expression"] for item in node.get("arguments") or () if isinstance(item, dict) and "expression" in item
    ]
    if name in BOUNDED:
        return _bounded(name, arguments)
    if name in FORMATTING:
        return _formatted(name, arguments)
    if name in REPLACING:
        return _replaced(name, arguments)
    if name in CONCATENATING:
        return max(1, len([argument for argument in arguments if argument.get("class") != "CONSTANT"]))
    if name in FUNCTIONS or name in OPERATORS or name in TABLE_FUNCTIONS or name == SEARCH:
        return 1
    raise _refused(f"function {name}", "it is not among those that may be called")


def _bounded(name: str, arguments: list[Node]) -> int:
    growth = 1
    for place in BOUNDED[name]:
        if place < len(arguments):
            count = _whole_number(arguments[place])
            if count is None or abs(count) > COUNT_MAX:
                raise _refused(f"{name} without a bound", f"its size must be a number from 0 to {COUNT_MAX}")
            growth = max(growth, abs(count))
    return growth


def _formatted(name: str, arguments: list[Node]) -> int:
    text = _string(arguments[0]) if arguments else None
    if text is None or _WIDTH.search(text):
        raise _refused(f"{name} without a bound", "its format must be a string in quotes, with widths below 1,000")
    return 1 + sum(1000 for _ in re.finditer(r"\d{3}", text))


def _replaced(name: str, arguments: list[Node]) -> int:
    place = REPLACING[name]
    if place >= len(arguments):
        return 1
    text = _string(arguments[place])
    if text is None:
        raise _refused(f"{name} without a bound", "what is put in must be a string in quotes")
    return max(1, len(text))


def _check_table_function(function: Node) -> None:
    name = str(function.get("function_name", "")).lower()
    if name not in TABLE_FUNCTIONS and name != SEARCH:
        raise _refused(f"table function {name}", f"expected one of {', '.join([*sorted(TABLE_FUNCTIONS), SEARCH])}")


def _whole_number(node: Node) -> int | None:
    literal = node.get("literal") or {}
    if node.get("class") == "CONSTANT" and literal.get("kind") == "INTEGER":
        return int(literal["text"])
    if node.get("class") == "FUNCTION" and node.get("function_name") == "-" and len(node.get("arguments") or ()) == 1:
        inner = _whole_number(node["arguments"][0]["expression"])
        return None if inner is None else -inner
    return None


def _string(node: Node) -> str | None:
    literal = node.get("literal") or {}
    return str(literal["text"]) if node.get("class") == "CONSTANT" and literal.get("kind") == "STRING" else None


def _refused(what: str, why: str) -> SqlError:
    return SqlError(f"{what} is not allowed in a query: {why}", code="sql_not_allowed")
