"""Queries of a few lines that the binder would spell out into millions of expressions are refused before it begins."""

from __future__ import annotations

import time

import pytest

from engine import SqlEngine, SqlError, TimeLimitError

ALIASES = "SELECT year AS a0" + "".join(f", a{n} + a{n} AS a{n + 1}" for n in range(40)) + " FROM films"
GROWING = {
    "aliases": ALIASES,
    "aliases by case": ALIASES.replace(" AS a", " AS A"),
    "aliases, grouped": f"{ALIASES} GROUP BY ALL",
    "aliases in structs": ALIASES.replace("a0 + a0", "{'x': a0, 'y': a0}"),
    "aliases in a subquery": f"SELECT (SELECT a40 FROM ({ALIASES}) LIMIT 1)",
    "stars": "SELECT *, * FROM (" * 40 + "SELECT * FROM films" + ")" * 40,
    "stars over joins": "WITH a0 AS (SELECT * FROM films)"
    + "".join(f", a{n + 1} AS (SELECT * FROM a{n} x, a{n} y LIMIT 1)" for n in range(40))
    + " SELECT count(*) FROM a40",
    "columns by pattern": "SELECT " + ", ".join(["COLUMNS('.*')"] * 2_000) + " FROM films",
    "common table expressions": "WITH a0 AS (SELECT year FROM films)"
    + "".join(
        f", a{n + 1} AS NOT MATERIALIZED (SELECT (SELECT max(year) FROM a{n}) + (SELECT min(year) FROM a{n}) AS year)"
        for n in range(40)
    )
    + " SELECT * FROM a40",
    "rows": "VALUES " + ", ".join(["(1)"] * 10_000),
    "figures": "SELECT " + ", ".join(f"sum(CASE WHEN year = {n} THEN 1 END)" for n in range(2_000)) + " FROM films",
}


@pytest.mark.parametrize("query", GROWING.values(), ids=GROWING)
def test_what_would_become_millions_of_expressions_is_refused(sql: SqlEngine, query: str) -> None:
    """At once, and before DuckDB plans it, which nothing could stop."""
    began = time.monotonic()
    with pytest.raises(SqlError, match="becomes too large"):
        sql.run(query)
    assert time.monotonic() - began < 10  # some of them ran for hours


def test_what_people_write_is_not_too_large(sql: SqlEngine) -> None:
    listed = ", ".join(map(str, range(5_000)))
    assert sql.run(f"SELECT count(*) FROM films WHERE year IN ({listed})").rows() == [[3]]
    assert sql.run("SELECT year AS a, a + 1 AS b, b + a AS c, c * b AS d FROM films WHERE id = '1'").rows() == [
        [1979, 1980, 3959, 3959 * 1980]
    ]
    chained = "WITH a AS (SELECT * FROM films), b AS (SELECT x.*, y.year AS other FROM a x JOIN a y USING (id)), "
    chained += "c AS (SELECT * FROM b UNION ALL SELECT * FROM b) SELECT count(*) FROM c JOIN b USING (id)"
    assert sql.run(chained).rows() == [[6]]
    counted = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT sum(i) FROM n"
    assert sql.run(counted).rows() == [[15]]
    assert len(sql.run("SELECT * FROM films USING SAMPLE 2").rows()) == 2
    assert len(sql.run("SELECT * FROM films TABLESAMPLE reservoir(2)").rows()) == 2
    assert sql.run(
        "SELECT CAST('1' AS DECIMAL(5, 2)), [1]::INT[], {'a': 1}::STRUCT(a BIGINT), DATE '2020-01-01'"
    ).rows()
    assert len(sql.run("SELECT " + ", ".join(["year"] * 1_000) + " FROM films").columns) == 1_000


def test_a_query_that_is_stopped_while_rows_are_read_says_so(sql: SqlEngine) -> None:
    """Arrow's reader reports an interruption as an OSError."""
    wide = "SELECT " + ", ".join(["range::VARCHAR"] * 500) + " FROM range(300000)"
    with pytest.raises(TimeLimitError):
        sql.run(wide, limit=1_000_000, timeout_seconds=0.2)
