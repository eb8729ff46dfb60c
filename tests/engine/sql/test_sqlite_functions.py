"""Casts, functions, dates and windows in SQLite's dialect, against SQLite itself."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from benchmarks import spider
from engine import Database, SqlEngine, SqlError

ROWS = [
    (1, 1.5, "12abc", "2024-02-29", "a"),
    (2, -2.5, "abc", "2023-12-31 23:59:58", "b"),
    (None, None, None, None, None),
    (7, 1000.0, " 3.9 ", "2000-01-01T05:06:07", "A"),
    (-8, 0.0, "-4e2x", "2024-03-31 12:00", "b"),
    (9, 2.0, "5", "no date", "b"),
]
CASTS = """
CAST('1x' AS INTEGER) | CAST(s AS INTEGER) | CAST(s AS REAL) | CAST(s AS NUMERIC) | CAST(x AS INTEGER) | CAST(x AS TEXT)
CAST('' AS INTEGER) | CAST('-' AS INTEGER) | CAST('+5' AS INT) | CAST('1e3' AS INTEGER) | CAST(NULL AS INTEGER)
CAST('99999999999999999999' AS INTEGER) | CAST('-99999999999999999999' AS INTEGER) | CAST(1e30 AS INTEGER)
CAST(5000000000 AS INTEGER) | CAST('5000000000' AS INT) | CAST(-3.99 AS INT) | CAST(n > 0 AS TEXT) | CAST(d AS DATE)
CAST('.5' AS REAL) | CAST('5.' AS REAL) | CAST('1e' AS REAL) | CAST(CAST(s AS INTEGER) AS TEXT) | CAST(5.7 AS BIGINT)
""".replace("\n", " | ")
FUNCTIONS = """
total(n) | total(x) | total(s) | total(DISTINCT n) | total(n) FILTER (WHERE n > 100) | sum(n) FILTER (WHERE n > 1)
count(n) FILTER (WHERE n > 0) | avg(n > 0) | sum(n > 0) | total(n) + 1 | typeof(n) | typeof(x) | typeof(s) | typeof(1)
typeof(NULL) | typeof('a') | length(n) | length(x) | length(s) | abs(s) | -s | round(n) | round(n) / 2 | round(x, 1)
x % 2 | n % 3 | s % 3 | char(65, 66) | likely(n) | n + s | s || n | NOT s | s AND 1 | s OR 0 | s NOT LIKE '%ABC'
s LIKE '%ABC' | CASE WHEN s THEN 1 ELSE 0 END | iif(s, 'y', 'n') | printf('%d %s %.1f', n, k, x)
format('%s-%s', n, k) | printf('%5d|%%', s) | rank() OVER (ORDER BY n) | sum(n) OVER (ORDER BY id)
s NOT LIKE 'A!%' ESCAPE '!'
lag(n) OVER (ORDER BY id) | total(n) OVER (PARTITION BY k) | row_number() OVER (PARTITION BY k ORDER BY id DESC)
""".replace("\n", " | ")
DATES = """
date(d) | date('2024-03-31', '-1 month') | date('2024-01-31', '+1 month') | date('2024-02-29', '+1 year')
date(d, '-1 day') | date(d, '-1 day', 'start of month') | date(d, 'start of year') | date(d, '+1 years')
date(d, 'start of month', '+1 month', '-1 day') | date(d, 'weekday 0') | date(d, 'weekday 3') | date(d, '1 day')
datetime(d) | datetime(d, '+90 minutes') | datetime(d, '+1.5 hours') | datetime(d, '-30 seconds')
date(d, '+1.5 months')
datetime(d, 'start of day') | datetime(1092941466, 'unixepoch') | datetime('1092941466', 'unixepoch') | time(d)
datetime(n, 'unixepoch') | date(2460000.5) | time('12:34:56', '+1 hour') | datetime('12:34') | datetime(d, '+01:30')
datetime('2024-01-01 10:00:00+02:00') | datetime('2024-01-01T10:00:00Z') | date('2024-13-01') | date('nonsense')
date(d, 'bogus') | date('2024-1-5') | date(d, '+' || n || ' days') | date(d, n || ' months')
datetime(d, n || ' hours')
julianday(d) | julianday('2024-01-01') - julianday('2023-01-01') | unixepoch(d) | strftime('%s', d) | strftime('%f', d)
strftime('%Y-%m', d) | strftime('%H:%M:%S', d) | strftime('%j %w %W %%', d) | strftime('%Y', d, '+1 year')
strftime('%s', '2024-01-01') + 1 | CAST(strftime('%s', d) AS INTEGER) | strftime('%Y', 'garbage') | strftime('%q', d)
strftime('%s seconds, in %Y', d) | strftime('%s', 'now') - strftime('%s', 'now')
date('now') = date('now', 'start of day')
date('now', '-1 day', 'start of month') < date('now') | strftime('%Y', 'now') > '2000' | date(date(d), '+1 day')
datetime(d, 'utc') | datetime(d, '+999999999 years') | datetime(999999999999999, 'unixepoch')
strftime('%Y', d) = '2024'
""".replace("\n", " | ")


@pytest.fixture(scope="module")
def source() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE t (id TEXT, n INTEGER, x REAL, s TEXT, d TEXT, k TEXT)")
    connection.executemany("INSERT INTO t VALUES (?, ?, ?, ?, ?, ?)", [(str(i), *row) for i, row in enumerate(ROWS)])
    yield connection
    connection.close()


@pytest.fixture
def t(source: sqlite3.Connection, database: Database) -> Iterator[SqlEngine]:
    spider.load(source, database)
    engine = SqlEngine(database, threads=1)
    yield engine
    engine.close()


def _expressions(text: str) -> list[str]:
    return [item.strip() for item in text.split(" | ") if item.strip()]


def _same(found: Any, expected: Any) -> bool:
    if isinstance(found, int | float) and isinstance(expected, int | float):
        return math.isclose(found, expected, rel_tol=1e-12, abs_tol=1e-12)
    return bool(found == expected)


@pytest.mark.parametrize("text", [CASTS, FUNCTIONS, DATES], ids=["casts", "functions", "dates"])
def test_expressions_are_what_sqlite_makes_of_them(t: SqlEngine, source: sqlite3.Connection, text: str) -> None:
    """Numbers count as equal if their values are; SQLite's "nothing" of a text is an integer, ours may be 0.0."""
    wrong = []
    for expression in _expressions(text):
        query = f"SELECT {expression} FROM t ORDER BY id"
        expected = [row[0] for row in source.execute(query)]
        found = [row[0] for row in t.run(query, dialect="sqlite").rows()]
        if len(found) != len(expected) or not all(map(_same, found, expected)):
            wrong.append((expression, found, expected))
    assert wrong == []


def test_windows_stand_beside_groups(t: SqlEngine, source: sqlite3.Connection) -> None:
    for query in (
        "SELECT k, sum(n), rank() OVER (ORDER BY sum(n) DESC) FROM t GROUP BY k ORDER BY k",
        "SELECT k, max(n), s FROM t GROUP BY k ORDER BY k",
        "SELECT id FROM t WHERE s ORDER BY id",
        "SELECT id FROM t WHERE strftime('%Y', d) = '2024' ORDER BY id",
        "SELECT strftime('%Y', d), count(*) FROM t GROUP BY strftime('%Y', d) ORDER BY 1",
    ):
        assert spider.compare(t, source, query) == "", query


@pytest.mark.parametrize(
    ("begin", "end"),
    [
        ("date(", ", '+1 month')"),
        ("char(", ")"),
        ("CAST(CAST(", " AS TEXT) AS INTEGER)"),
        ("round(", " || '')"),
        ("date('now', ", " || ' days')"),
        ("iif(", " + 0, 'a', 'b')"),
    ],
)
def test_meaning_cannot_be_nested_until_it_explodes(t: SqlEngine, begin: str, end: str) -> None:
    """What sqlglot reads twice, or stands in several places, doubles with every level."""
    for depth in (6, 12, 60):
        with suppress(SqlError):
            t.run(f"SELECT {begin * depth}s{end * depth} FROM t", dialect="sqlite")


@pytest.mark.parametrize("dialect", ["sqlite", "postgres", "mysql", "snowflake"])
@pytest.mark.parametrize(
    "query",
    [
        f"SELECT {'date(' * 60}s{')' * 60} FROM t",
        f"SELECT {'ARRAY[' * 60}s{']' * 60} FROM t",
        f"SELECT {'s::INT[' * 60}1{']' * 60} FROM t",
        "SELECT 1 FROM t" + " JOIN t" * 60,
        "SELECT 1 FROM t" + " LEFT JOIN LATERAL (SELECT 1)" * 60,
        "SELECT 1 FROM t JOIN t ON 1 = 1" + " JOIN t JOIN t ON 1 = 1" * 40,
    ],
)
def test_what_sqlglot_tries_twice_at_every_level_is_refused(t: SqlEngine, dialect: str, query: str) -> None:
    """It would take longer than anybody waits, and nothing could stop it."""
    with pytest.raises(SqlError, match=r"nested too deep|malformed"):  # SQLite knows no brackets
        t.run(query, dialect=dialect)


def test_joins_within_the_bounds_are_read(t: SqlEngine, source: sqlite3.Connection) -> None:
    for query in (
        "SELECT count(*) FROM t" + "".join(f" JOIN t AS t{n} ON t{n}.id = t.id" for n in range(30)),
        "SELECT count(*) FROM t" + "".join(f" CROSS JOIN (SELECT 1 AS a{n}) AS t{n}" for n in range(20)),
        "SELECT count(*) FROM t JOIN t AS b JOIN t AS c",
    ):
        assert spider.compare(t, source, query) == ""
