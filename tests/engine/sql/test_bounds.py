"""Time, memory and size of queries have bounds, and bad input is refused at once."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import Database, MemoryLimitError, SqlEngine, SqlError, TimeLimitError
from engine.sql.text import check_text

SLOW = [
    "SELECT count(*) FROM range(100000000000) a, range(1000) b WHERE a.range % 7 = b.range",
    "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT max(i) FROM n",
    "SELECT string_agg(range::VARCHAR, ',') FROM range(100000000000)",
]
DEEP = [
    "(" * 10_000,
    "SELECT " + "(" * 10_000 + "1",
    "SELECT " + "(" * 10_000 + "1" + ")" * 10_000,
    "SELECT " + "NOT " * 10_000 + "true",
    "SELECT 1" + " + 1" * 10_000,
    "SELECT " + "- " * 10_000 + "1",
    "SELECT " + "[" * 10_000,
    "SELECT " + "CASE WHEN true THEN " * 1_000 + "1" + " END" * 1_000,
    "SELECT * FROM " + "(SELECT * FROM " * 1_000 + "films" + ")" * 1_000,
    "SELECT 1" + " UNION SELECT 1" * 5_000,
    "SELECT a" + ".a" * 5_000,
    "SELECT 1 FROM films" + " JOIN films USING (id)" * 1_000,
    "SELECT 1 FROM films" + ", films" * 5_000,
    "SELECT '" + "x" * 1_000_000 + "'",
]
LARGE = [
    "SELECT repeat('x', 4000000000)",
    "SELECT repeat(repeat(repeat('x', 10000), 10000), 10000)",
    "SELECT range(2000000000)",
    "SELECT lpad('x', (SELECT 4000000000), 'y')",
    "SELECT printf('%1000000000d', 1)",
    "SELECT format('{:>1000000000}', 1)",
    "SELECT replace(title, 'a', title) FROM films",
    "SELECT list_resize([1], 2000000000, 1)",
    "WITH a AS (SELECT 'xxxxxxxx' AS s)"
    + "".join(f", a{n} AS (SELECT s || s AS s FROM a{n - 1 if n else ''})" for n in range(30))
    + " SELECT length(s) FROM a29",
]


@pytest.mark.parametrize("query", SLOW)
def test_what_takes_too_long_is_stopped(sql: SqlEngine, query: str) -> None:
    began = time.monotonic()
    with pytest.raises(TimeLimitError, match=r"0\.2 seconds"):
        sql.run(query, timeout_seconds=0.2)
    assert time.monotonic() - began < 30  # not a figure, only that it ended
    assert sql.run("SELECT count(*) FROM films").rows() == [[3]]


@pytest.fixture
def small(database: Database) -> Iterator[SqlEngine]:
    engine = SqlEngine(database, memory_bytes_max=1 << 20, threads=1)
    yield engine
    engine.close()


def test_what_needs_too_much_memory_is_refused(small: SqlEngine) -> None:
    """An aggregate's state that cannot be spilled; the next query finds everything as it was."""
    with pytest.raises(MemoryLimitError):
        small.run("SELECT list(range) FROM range(1000000000)", timeout_seconds=600)
    assert small.run("SELECT 1").rows() == [[1]]


@pytest.mark.parametrize("query", LARGE)
def test_values_that_would_grow_without_bound_are_refused(sql: SqlEngine, query: str) -> None:
    with pytest.raises(SqlError, match="not allowed"):
        sql.run(query)


def test_bounded_growth_is_fine(sql: SqlEngine) -> None:
    assert sql.run("SELECT repeat('ab', 3), lpad('x', 3, '-'), range(3), printf('%5.1f', 1.25)").rows() == [
        ["ababab", "--x", [0, 1, 2], "  1.2"]
    ]
    assert sql.run("SELECT 'a' || title || 'b' || year || id FROM films WHERE id = '1'").rows() == [["aAlienb19791"]]


def test_what_is_nested_or_long_beyond_reason_is_refused(sql: SqlEngine) -> None:
    for query in DEEP:
        for dialect in ("duckdb", "sqlite"):
            with pytest.raises(SqlError):
                sql.run(query, dialect=dialect)


@pytest.mark.parametrize(
    "query",
    ["", " ", ";", "-- nothing", "SELECT '", 'SELECT "', "SELECT /*", "SELECT )", "SELECT (]", "\ud800", "a\0b", "ü"],
)
def test_malformed_text_is_refused(sql: SqlEngine, query: str) -> None:
    with pytest.raises(SqlError):
        sql.run(query)


@given(st.text(alphabet="SELECTFROM films'\"()[]{}*,;-/.$?01|=ü\n", max_size=60))
def test_no_text_breaks_the_check(text: str) -> None:
    """It is taken or refused, whatever it is."""
    with suppress(SqlError):
        check_text(text)


def test_quotes_in_all_their_forms_hide_what_they_hold() -> None:
    for query in (
        "SELECT '(', \"(\", $$($$, $a$(('$a$, e'\\'('",
        "SELECT 1 -- (\n",
        "SELECT /* ( ' */ 1",
        "SELECT 'it''s ('",
    ):
        check_text(query)
