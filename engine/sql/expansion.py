"""How large a query becomes when DuckDB spells it out, which no limit on time can interrupt.

DuckDB's binder replaces an alias by its expression, `*` by columns, and a common table expression by its query. Where
each line names the one before twice, twenty lines become a million expressions: `a0 + a0 AS a1, a1 + a1 AS a2, …` takes
hours and all memory before anything runs. What it will amount to is counted here, without doing it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from engine.errors import SqlError

EXPANDED_MAX = 6_000  # expressions and columns; the binder takes 0.1 to 0.3 ms for each
LISTED_PER_EXPRESSION = 2  # constants in a list of IN cost half as much
TABLE_COLUMNS = 10  # of a collection, which is not looked at yet
_QUERIES = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"})
Node = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Size:
    """What a query amounts to: expressions for the binder, and columns of its answer."""

    expressions: int
    columns: int


@dataclass(slots=True)
class _Count:
    """What stands in a part of a query, queries in it included."""

    expressions: int = 0
    listed: int = 0
    columns: int = 0  # of the sources in it
    stars: int = 0

    @property
    def total(self) -> int:
        return self.expressions + self.listed // LISTED_PER_EXPRESSION


def check_expansion(tree: Node) -> None:
    """Refuse a query that becomes too large.

    Args:
        tree: what DuckDB's parser made of it.

    Raises:
        SqlError: it does.
    """
    _query(tree, {})


def _query(node: Node, known: Mapping[str, Size]) -> Size:
    """The size of a query; `known` are the common table expressions that it may name."""
    known = dict(known)
    inherited = 0
    for entry in (node.get("cte_map") or {}).get("map") or ():
        size = _query(entry["value"]["query_node"], known)
        known[str(entry["key"]).lower()] = size
        inherited += size.expressions  # also where nobody names it
    size = _select(node, known) if node["type"] == "SELECT_NODE" else _combined(node, known)
    return _checked(size.expressions + inherited, size.columns)


def _combined(node: Node, known: Mapping[str, Size]) -> Size:
    """Queries under one operation; a recursive one sees the columns of its first part."""
    total, columns = 0, 0
    names = [str(node[key]).lower() for key in ("cte_name", "ctename") if node.get(key)]
    for part in _queries_in([value for key, value in node.items() if key != "cte_map"]):
        size = _query(part, known)
        total, columns = total + size.expressions, max(columns, size.columns)
        known = {**known, **dict.fromkeys(names, Size(0, columns))}
    return _checked(total, columns)


def _queries_in(tree: Any) -> list[Node]:
    """The queries right below, first to last."""
    found: list[Node] = []
    waiting = [tree]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict) and _kind(item) in _QUERIES:
            found.append(item)
        elif isinstance(item, dict):
            waiting.extend(reversed(item.values()))
        elif isinstance(item, list):
            waiting.extend(reversed(item))
    return found


def _select(node: Node, known: Mapping[str, Size]) -> Size:
    source = _counted(node.get("from_table"), known, {})
    total, columns = source.total, 0
    aliases: dict[str, int] = {}
    for item in node.get("select_list") or ():
        count = _counted(item, known, aliases)
        size = count.total * max(1, source.columns if count.stars else 1)  # once for each column that a star stands for
        columns += source.columns if count.stars else 1
        total += size
        if item.get("alias"):
            aliases.setdefault(str(item["alias"]).lower(), size)
        _checked(total, columns)
    done = ("cte_map", "from_table", "select_list")
    rest = _counted([value for key, value in node.items() if key not in done], known, aliases)
    total += rest.total * max(1, source.columns if rest.stars else 1)
    return _checked(total, columns)


def _counted(tree: Any, known: Mapping[str, Size], aliases: Mapping[str, int]) -> _Count:
    """What a part of a query amounts to, aliases and common table expressions spelled out."""
    count = _Count()
    waiting = [tree]
    while waiting:
        item = waiting.pop()
        if isinstance(item, list):
            waiting.extend(item)
        elif isinstance(item, dict) and _kind(item) in _QUERIES:
            size = _query(item, known)
            count.expressions += size.expressions
            count.columns += size.columns
        elif isinstance(item, dict):
            _count_node(item, known, aliases, count)
            waiting.extend(_below(item, count))
    return count


def _count_node(node: Node, known: Mapping[str, Size], aliases: Mapping[str, int], count: _Count) -> None:
    group, kind = node.get("class"), _kind(node)
    if group is not None:
        count.expressions += 1
        count.stars += group == "STAR"
    if group == "COLUMN_REF" and len(node["column_names"]) == 1:
        count.expressions += aliases.get(str(node["column_names"][0]).lower(), 0)
    if kind == "BASE_TABLE":
        size = known.get(str(node.get("table_name", "")).lower(), Size(0, TABLE_COLUMNS))
        count.expressions += size.expressions
        count.columns += size.columns
    elif kind in ("TABLE_FUNCTION", "EXPRESSION_LIST", "PIVOT"):
        count.columns += TABLE_COLUMNS


def _kind(node: Node) -> str:
    """What a node is; values have the description of their type there."""
    kind = node.get("type")
    return kind if isinstance(kind, str) else ""


def _below(node: Node, count: _Count) -> list[Any]:
    """What is still to be counted in a node; the constants in a list of IN are counted at once."""
    if _kind(node) != "COMPARE_IN":
        return list(node.values())
    children = node.get("children") or []
    others = [child for child in children if child.get("class") != "CONSTANT"]
    count.listed += len(children) - len(others)
    return others


def _checked(expressions: int, columns: int) -> Size:
    if expressions + columns > EXPANDED_MAX:
        raise SqlError(f"query becomes too large: maximum={EXPANDED_MAX} expressions and columns; bind long lists")
    return Size(expressions, columns)
