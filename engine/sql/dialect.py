"""Queries of other dialects in DuckDB's words."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlglot import exp
from sqlglot.dialects.dialect import Dialect
from sqlglot.errors import ErrorLevel, SqlglotError

from engine.errors import SqlError
from engine.schema import Schema
from engine.sql import sqlite

DUCKDB = "duckdb"
CHARACTERS_MAX = 20_000  # sqlglot reads about as many a second
DOUBLING_MAX = 8
TOKENS_MAX = 8_000  # of a sum of thousands of numbers sqlglot reads about as many in half a second
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
    if len(tokens) > TOKENS_MAX:
        message = f"query is too long for another dialect: maximum={TOKENS_MAX} got={len(tokens)} words and signs"
        raise SqlError(message)
    _check_doubling(tokens, parser.TYPE_TOKENS)
    return list(parser.parse(tokens, sql))


def _check_doubling(tokens: Sequence[Any], types: Collection[Any]) -> None:
    """Refuse what sqlglot tries in two ways at every level, so that forty of them take it for ever.

    `date(…` and `ARRAY[…` are read as types first; a join without ON might get one after the joins that follow.

    Raises:
        SqlError: there are more than `DOUBLING_MAX` in one another.
    """
    opened: list[bool] = []  # of each bracket that is open, whether it follows the name of a type
    joins = 0  # that wait for an ON
    before: list[Any] = [None, None]
    for token in tokens:
        kind = token.token_type.name
        if kind in ("L_PAREN", "L_BRACKET"):
            opened.append(before[-1] is not None and before[-1].token_type in types)
        elif kind in ("R_PAREN", "R_BRACKET"):
            del opened[-1:]
        elif kind in ("JOIN", "STRAIGHT_JOIN"):
            joins += not any(item is not None and item.token_type.name in ("CROSS", "NATURAL") for item in before)
        elif kind in ("ON", "USING"):
            joins = max(0, joins - 1)
        if sum(opened) > DOUBLING_MAX or joins > DOUBLING_MAX:
            message = f"query is nested too deep: maximum={DOUBLING_MAX} types, or joins without ON, in one another"
            raise SqlError(message, offset=token.start)
        before = [before[-1], token]
