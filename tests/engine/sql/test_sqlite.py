"""SQLite's dialect: what differs from DuckDB's, one by one, and Spider's gold queries."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks import spider
from engine import Database, SqlEngine, SqlError

ROWS = (
    "INSERT INTO things VALUES (1, 'apple', '10', 2.5, NULL), (2, 'Pear', '9', 4.0, 'x'), (3, 'fig', 'n/a', 1.5, 'x')"
)
QUERIES = [
    'SELECT name FROM things WHERE name = "apple"',
    "SELECT name FROM things WHERE size > 5 ORDER BY name",
    "SELECT name FROM things WHERE size = 10",
    "SELECT name FROM things WHERE number = '2'",
    "SELECT name FROM things WHERE number < 'abc' ORDER BY name",
    "SELECT name FROM things WHERE number IN ('1', '3') ORDER BY name",
    "SELECT a.name FROM things a JOIN things b ON a.size = b.number * 10",
    "SELECT 5 / 2, -5 / 2, 5 / 0, 5.0 / 2, 7 % 4",
    "SELECT name FROM things WHERE name LIKE 'P%'",
    "SELECT name FROM things WHERE number LIKE '1%'",
    "SELECT name, max(price) FROM things",
    "SELECT name, min(price), kind FROM things GROUP BY kind ORDER BY kind",
    "SELECT kind, name, count(*) FROM things GROUP BY kind ORDER BY count(*) DESC",
    "SELECT name FROM things ORDER BY kind, name",
    "SELECT DISTINCT kind FROM things ORDER BY price",
    "SELECT avg(size), sum(size), sum(kind) FROM things",
    "SELECT name FROM things WHERE price > (SELECT avg(price) FROM things)",
    "SELECT name FROM things WHERE number NOT IN (SELECT size FROM things) ORDER BY number",
    "SELECT Name AS N FROM THINGS WHERE N = 'fig'",
    "SELECT count(*) FROM things GROUP BY kind HAVING count(*) > 1",
    "SELECT name FROM things EXCEPT SELECT name FROM things WHERE kind = 'x'",
    "SELECT substr(name, 2, 2), length(name), upper(name) || '!' FROM things ORDER BY 1",
    "SELECT t.name FROM (SELECT name, number FROM things) AS t WHERE t.number = '3'",
    "SELECT name FROM things a WHERE EXISTS (SELECT * FROM things b WHERE b.number = a.number + 1) ORDER BY name",
    "SELECT name FROM things WHERE price BETWEEN '2' AND '3'",
    "SELECT 7 % 0, number % 2, 1 IS '1', 1 IS NOT '1', 1 IS 1 FROM things",
    "SELECT name FROM things ORDER BY name LIMIT -1 OFFSET 1",
]


@pytest.fixture
def source() -> Iterator[sqlite3.Connection]:
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE things (number INTEGER, name TEXT, size TEXT, price REAL, kind TEXT)")
    connection.execute(ROWS)
    yield connection
    connection.close()


@pytest.fixture
def things(source: sqlite3.Connection, database: Database) -> Iterator[SqlEngine]:
    spider.load(source, database)
    engine = SqlEngine(database, threads=1)
    yield engine
    engine.close()


@pytest.mark.parametrize("query", QUERIES)
def test_answers_are_sqlites(things: SqlEngine, source: sqlite3.Connection, query: str) -> None:
    assert spider.compare(things, source, query) == ""


def test_the_comparison_sees_a_difference(things: SqlEngine, source: sqlite3.Connection) -> None:
    source.execute("UPDATE things SET price = 99 WHERE number = 1")
    assert "expected" in spider.compare(things, source, "SELECT price FROM things")
    assert "expected" in spider.compare(things, source, "SELECT name FROM things ORDER BY price DESC LIMIT 1")


def test_other_dialects_keep_their_words(things: SqlEngine) -> None:
    assert things.run("SELECT `name` FROM things LIMIT 1, 1", dialect="mysql").rows() == [["Pear"]]
    assert things.run("SELECT TOP 1 [name] FROM things ORDER BY number", dialect="tsql").rows() == [["apple"]]
    with pytest.raises(SqlError, match="unknown dialect"):
        things.run("SELECT 1", dialect="klingon")
    for dialect in ("sqlite", "postgres", "mysql"):
        for query in ("DROP TABLE things", "SELECT * FROM pg_read_file('/etc/passwd')", "SELECT load_extension('x')"):
            with pytest.raises(SqlError):
                things.run(query, dialect=dialect)


needs_spider = pytest.mark.skipif(not spider.DATA.is_dir(), reason=f"no data at {spider.DATA}")


@needs_spider
def test_gold_queries_of_two_databases() -> None:
    """`concert_singer` and `pets_1`, if they are there: all as SQLite answers them."""
    outcomes = spider.run(["concert_singer", "battle_death"])
    assert len(outcomes) > 40
    assert [outcome for outcome in outcomes if outcome.reason] == []


@needs_spider
@pytest.mark.slow
def test_all_gold_queries() -> None:
    outcomes = spider.run()
    equal = sum(not outcome.reason for outcome in outcomes)
    assert len(outcomes) == 972
    assert equal / len(outcomes) >= spider.SHARE_MIN
    assert {outcome.id for outcome in outcomes if outcome.reason} <= set(spider.TIES)


def test_the_list_of_the_rest_is_kept() -> None:
    assert (Path(spider.__file__).parent / "results" / "spider-sql.md").exists()
