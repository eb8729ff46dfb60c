"""Queries of other dialects in DuckDB's words."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlglot import exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import ErrorLevel, SqlglotError
from sqlglot.tokens import TokenType

from engine.errors import SqlError
from engine.schema import Schema
from engine.sql import sqlite

DUCKDB = "duckdb"
CHARACTERS_MAX = 20_000  # sqlglot reads about as many a second
TYPE_CALLS_MAX = 8  # in one another: sqlglot reads `date(…)` as a type first, then as a call, so each doubles its time
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
        found = _parsed(sql, dialect)
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


def _parsed(sql: str, dialect: str) -> list[Any]:
    reader = Dialect.get_or_raise(dialect)
    tokens = reader.tokenize(sql)
    parser = reader.parser(error_level=ErrorLevel.RAISE)
    opened: list[bool] = []  # of each parenthesis that is open, whether it follows the name of a type
    before: Any = None
    for token in tokens:
        if token.token_type == TokenType.L_PAREN:
            opened.append(before is not None and before.token_type in parser.TYPE_TOKENS)
            if sum(opened) > TYPE_CALLS_MAX:
                message = f"query is nested too deep: maximum={TYPE_CALLS_MAX} calls such as date(…) in one another"
                raise SqlError(message, offset=token.start)
        elif token.token_type == TokenType.R_PAREN and opened:
            opened.pop()
        before = token
    return list(parser.parse(tokens, sql))
