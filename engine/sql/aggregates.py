"""Figures of groups and windows as SQL of DuckDB's."""

from __future__ import annotations

from collections.abc import Mapping

from engine.fields.aggregates import Aggregate
from engine.fields.windows import WindowCall
from engine.schema import Field, FieldType


def aggregate_sql(item: Aggregate, names: Mapping[str, str], types: Mapping[str, Field], sequence: str) -> str:
    """One figure; `sequence` is the column that numbers the rows."""
    if item.field is None:
        return "count(*)"
    column, kind = names[item.field], types[item.field]
    whole = kind.type is FieldType.INTEGER
    match item.fn:
        case "count":
            return f"count({column})"
        case "count_distinct" if kind.many:
            return f"ifnull(len(list_distinct(flatten(list({column}) FILTER (WHERE {column} IS NOT NULL)))), 0)"
        case "count_distinct":
            return f"count(DISTINCT {column})"
        case "sum":
            return f"TRY_CAST(sum({column}) AS BIGINT)" if whole else _finite(f"sum({column})")
        case "avg":
            return f"(CAST(sum({column}) AS DOUBLE) / count({column}))" if whole else _finite(f"avg({column})")
        case "min" | "max":
            return f"{item.fn}({column})"
        case "median" | "percentile":
            share = 0.5 if item.p is None else float(item.p)
            return f"quantile_cont(CAST({column} AS DOUBLE), {share!r})"
        case "stddev":
            return f"stddev_samp(CAST({column} AS DOUBLE))"
        case _:
            by = names[item.by or ""]
            direction = "DESC" if item.fn == "argmax" else "ASC"
            return f"first({column} ORDER BY {by} {direction}, {sequence} ASC) FILTER (WHERE {by} IS NOT NULL)"


def _finite(text: str) -> str:
    return f"(CASE WHEN isfinite({text}) THEN {text} END)"


def window_sql(call: WindowCall, names: Mapping[str, str], types: Mapping[str, Field], sequence: str) -> str:
    """One window function; ties keep the order of the rows."""
    partition = f"PARTITION BY {', '.join(names[name] for name in call.partition)} " if call.partition else ""
    keys = [f"{names[key.field]} {'DESC' if key.descending else 'ASC'} NULLS LAST" for key in call.order]
    order = f"ORDER BY {', '.join([*keys, sequence])}"
    column = "" if call.field is None else names[call.field]
    match call.fn:
        case "row_number":
            return f"row_number() OVER ({partition}{order})"
        case "rank" | "dense_rank":
            return f"{call.fn}() OVER ({partition}ORDER BY {', '.join(keys)})"
        case "lag" | "lead":
            return f"{call.fn}({column}, {call.n:d}) OVER ({partition}{order})"
        case "running_sum":
            total = f"sum({column}) OVER ({partition}{order} ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)"
            whole = types[call.field or ""].type is FieldType.INTEGER
            return f"TRY_CAST({total} AS BIGINT)" if whole else total
        case _:
            total = f"CAST(sum({column}) OVER ({partition.strip()}) AS DOUBLE)"
            return f"(CAST({column} AS DOUBLE) / nullif({total}, 0))"
