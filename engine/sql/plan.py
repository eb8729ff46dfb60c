"""What ran for a query, told from DuckDB's own account of it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from engine.schema import JSON
from engine.snapshot import Snapshot
from engine.sql.connections import Registered

_WRAPPERS = frozenset({"RESULT_COLLECTOR", "EXPLAIN_ANALYZE"})


def explanation(
    native: Any, sql: str, bound: Any, shown: Mapping[str, Registered], snapshots: Mapping[str, Snapshot]
) -> dict[str, JSON]:
    """Tables with the rows considered, operators with their rows and milliseconds. Runs the query once more.

    Args:
        native: a connection to DuckDB that knows the tables.
        sql: the query, as DuckDB runs it.
        bound: its parameters.
        shown: the tables.
        snapshots: of the collections.
    """
    rows = native.execute(f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}", bound).fetchall()
    plan = json.loads(rows[0][1])
    operators = [item for root in _children(plan) for item in _operators(root, 0)]
    operators = [item for item in operators if item["operator"] not in _WRAPPERS]
    text = "\n".join(_line(item) for item in operators)
    return {"tables": tables_read(shown, snapshots), "operators": operators, "text": text}


def planned(native: Any, sql: str, bound: Any) -> list[JSON]:
    """The operators of a query in the order of a tree, with the rows that DuckDB expects of each. Does not run it."""
    rows = native.execute(f"EXPLAIN (FORMAT JSON) {sql}", bound).fetchall()
    found: list[JSON] = []
    waiting = [(root, 0) for root in reversed(json.loads(rows[0][1]))]
    while waiting:
        node, depth = waiting.pop()
        expected = str((node.get("extra_info") or {}).get("Estimated Cardinality", "")).lstrip("~")
        rows_expected = int(expected) if expected.isdigit() else None
        found.append({"operator": str(node.get("name", "")).strip(), "depth": depth, "rows_expected": rows_expected})
        waiting += [(child, depth + 1) for child in reversed(_children(node))]
    return found


def tables_read(shown: Mapping[str, Registered], snapshots: Mapping[str, Snapshot]) -> list[JSON]:
    """The collections that a query reads, with the rows considered."""
    by_name = {snapshot.name: snapshot for snapshot in snapshots.values()}
    return [_table(by_name[registered.name], registered) for registered in shown.values()]


def _table(snapshot: Snapshot, registered: Registered) -> dict[str, JSON]:
    columns = registered.columns
    return {
        "collection": snapshot.name,
        "sequence": snapshot.sequence,
        "parts": len(snapshot.parts),
        "rows_considered": columns.rows,
        "rows_masked": 0 if columns.masked is None else columns.masked.num_rows,
        "columns": list(columns.names),
    }


def _operators(node: Mapping[str, Any], depth: int) -> list[dict[str, JSON]]:
    """An operator and those below it, in the order of a tree that is read from the top."""
    extra = {str(key): str(value)[:200] for key, value in (node.get("extra_info") or {}).items()}
    kind = str(node.get("type") or node.get("operator_type") or node.get("operator_name") or "")
    item: dict[str, JSON] = {
        "operator": kind,
        "depth": depth,
        "rows": int(node.get("rows") or node.get("operator_cardinality") or node.get("intermediate_rows") or 0),
        "milliseconds": float(node.get("timing") or node.get("operator_timing") or 0.0) * 1000,
        "details": extra,
    }
    return [item, *(below for child in _children(node) for below in _operators(child, depth + 1))]


def _children(node: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    found = node.get("children", node.get("operator", []))
    return [found] if isinstance(found, Mapping) else list(found or [])


def _line(item: Mapping[str, Any]) -> str:
    details = ", ".join(value for value in item["details"].values() if value)[:80]
    figures = f"{item['rows']:,} rows, {item['milliseconds']:.2f} ms"
    return f"{'  ' * (item['depth'] - 2)}{item['operator'].lower()} {figures}  {details}".rstrip()
