"""Queries of other dialects in DuckDB's words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import sqlglot
from sqlglot import exp
from sqlglot.errors import ErrorLevel, SqlglotError

from engine.errors import SqlError
from engine.schema import Schema
from engine.sql import sqlite

DUCKDB = "duckdb"
CHARACTERS_MAX = 20_000  # sqlglot reads about as many a second
DIALECTS = (DUCKDB, "bigquery", "clickhouse", "mysql", "postgres", "snowflake", "spark", "sqlite", "trino", "tsql")


def translate(sql: str, dialect: str, schemas: Mapping[str, Schema]) -> str:
    """A query in DuckDB's dialect.

    SQLite's is put across by meaning, too (`sqlite`); of the others the words are.

    Args:
        sql: one query.
        dialect: one of `DIALECTS`.
        schemas: of the collections, by name.

    Raises:
        SqlError: there is no such dialect, or the query is malformed.
    """
    if dialect not in DIALECTS:
        raise SqlError(f"unknown dialect {dialect!r:.40}: expected one of {', '.join(DIALECTS)}", pointer="/dialect")
    if len(sql) > CHARACTERS_MAX:
        message = f"query is too long for another dialect: maximum={CHARACTERS_MAX} got={len(sql)} characters"
        raise SqlError(message)
    try:
        found = sqlglot.parse(sql, read=dialect, error_level=ErrorLevel.RAISE)
        trees = [tree for tree in found if tree is not None]
        if len(trees) != 1:
            raise SqlError(f"expected one query: got={len(trees)}")
        tree: Any = trees[0]
        if dialect == "sqlite" and isinstance(tree, exp.Query):
            tree = sqlite.translate(tree, schemas)
        return str(tree.sql(dialect=DUCKDB))
    except SqlglotError as error:
        message = str(error).partition("\n")[0]
        raise SqlError(f"query is malformed: {message[:300]}") from error
    except RecursionError as error:
        raise SqlError("query is nested too deep") from error
