"""Queries over collections: what they see, what they answer."""

from __future__ import annotations

import threading
import time
from typing import Any

import pyarrow as pa
import pytest

from engine import Collection, CollectionNotFoundError, Database, Field, FieldType, Schema, SqlEngine, SqlError
from engine.errors import DatabaseClosedError, EngineError


def rows(sql: SqlEngine, query: str, *arguments: Any, **options: Any) -> list[list[Any]]:
    return sql.run(query, *arguments, **options).rows()


def test_fields_have_their_types(sql: SqlEngine) -> None:
    """Each type of field is one of SQL's that its functions work on."""
    found = sql.run("SELECT * FROM films ORDER BY id")
    assert [(column.name, column.type) for column in found.columns] == [
        ("id", "text"),
        ("title", "text"),
        ("year", "integer"),
        ("rating", "number"),
        ("tags", "list"),
        ("added", "datetime"),
        ("extra", "json"),
        ("place", "object"),
    ]
    assert found.rows() == [
        ["1", "Alien", 1979, 8.5, ["space"], "2020-01-02T03:04:05Z", None, None],
        ["2", "Heat", 1995, 8.3, [], None, {"cast": ["Pacino"]}, None],
        ["3", "Solaris", 1972, None, ["space", "love"], None, None, {"lat": 1.0, "lon": 2.0}],
    ]
    assert rows(sql, "SELECT extra->>'$.cast[0]', extra.cast FROM films WHERE id = '2'") == [["Pacino", ["Pacino"]]]
    assert rows(sql, "SELECT year(added), place.lat, list_contains(tags, 'love') FROM films ORDER BY id") == [
        [2020, None, False],
        [None, None, False],
        [None, 1.0, True],
    ]


def test_aggregates_windows_and_tables_made_on_the_way(sql: SqlEngine) -> None:
    assert rows(sql, "SELECT count(*), count(rating), avg(rating), sum(year) FROM films") == [[3, 2, 8.4, 5946]]
    assert rows(sql, "SELECT title, rank() OVER (ORDER BY year) AS r FROM films ORDER BY r") == [
        ["Solaris", 1],
        ["Alien", 2],
        ["Heat", 3],
    ]
    ctes = "WITH old AS (SELECT * FROM films WHERE year < 1990) SELECT count(*) FROM old, old AS other"
    assert rows(sql, ctes) == [[4]]
    assert rows(sql, "SELECT tag, count(*) FROM films, unnest(tags) AS t(tag) GROUP BY tag ORDER BY tag") == [
        ["love", 1],
        ["space", 2],
    ]
    recursive = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 5) SELECT sum(i) FROM n"
    assert rows(sql, recursive) == [[15]]


def test_collections_are_joined_as_of_one_moment(database: Database, sql: SqlEngine) -> None:
    awards = database.create_collection("Awards-2020", Schema({"film": Field(FieldType.KEYWORD)}))
    awards.add([{"id": "a", "film": "2"}, {"id": "b", "film": "9"}])
    query = 'SELECT a.id, title FROM "awards-2020" AS a LEFT JOIN films ON a.film = films.id ORDER BY a.id'
    assert rows(sql, query) == [["a", "Heat"], ["b", None]]


def test_every_acknowledged_write_is_seen(films: Collection, sql: SqlEngine) -> None:
    """In the head, deleted, replaced and sealed."""
    query = "SELECT count(*), max(year), count(*) FILTER (WHERE title = 'New') FROM films"
    assert rows(sql, query) == [[3, 1995, 0]]
    films.add([{"id": "4", "title": "New", "year": 2001}, {"id": "1", "title": "New", "year": 1950}])
    assert rows(sql, query) == [[4, 2001, 2]]
    films.delete(ids=["4", "2"])
    assert rows(sql, query) == [[2, 1972, 1]]
    films.optimize()
    assert rows(sql, query) == [[2, 1972, 1]]
    films.delete(ids=["3"])  # now out of a segment
    films.add([{"id": "5", "title": "New", "year": 1999}])
    assert rows(sql, query) == [[2, 1999, 2]]
    assert rows(sql, "SELECT id FROM films ORDER BY id") == [["1"], ["5"]]


def test_fields_that_join_later_are_seen(films: Collection, sql: SqlEngine) -> None:
    with pytest.raises(SqlError, match="studio"):
        rows(sql, "SELECT studio FROM films")
    films.add([{"id": "4", "studio": "A24"}])
    assert rows(sql, "SELECT count(studio), count(*) FROM films") == [[1, 4]]


def test_parameters_are_bound(sql: SqlEngine) -> None:
    """By place and by name; what they hold is never read as SQL."""
    assert rows(sql, "SELECT title FROM films WHERE year > ? AND title <> ?", [1975, "Heat"]) == [["Alien"]]
    assert rows(sql, "SELECT $2, $1", ["a", 2]) == [[2, "a"]]
    assert rows(sql, "SELECT title FROM films WHERE year = $year", {"year": 1995}) == [["Heat"]]
    assert rows(sql, "SELECT count(*) FROM films WHERE title = ?", ["' OR 1=1 --"]) == [[0]]
    assert rows(sql, "SELECT '?', ?", [None]) == [["?", None]]
    for query, given in [("SELECT ?", []), ("SELECT 1", [1]), ("SELECT $a", {"b": 1}), ("SELECT $a", {})]:
        with pytest.raises(SqlError, match="parameter") as caught:
            rows(sql, query, given)
        assert caught.value.pointer == "/params"


def test_the_limit_says_that_there_is_more(sql: SqlEngine) -> None:
    found = sql.run("SELECT id FROM films ORDER BY id", limit=2)
    assert (found.rows(), found.truncated) == ([["1"], ["2"]], True)
    assert not sql.run("SELECT id FROM films", limit=3).truncated


def test_catalog_of_the_collections(sql: SqlEngine) -> None:
    assert rows(sql, "show tables;") == [["films"]]
    assert rows(sql, "DESCRIBE films")[2][:2] == ["year", "BIGINT"]
    assert len(rows(sql, "SUMMARIZE films")) == 8
    assert sql.tables()["films"][:2] == [("id", "keyword"), ("title", "keyword")]


def test_names_that_differ_by_case_only(database: Database, sql: SqlEngine) -> None:
    """The first field keeps its name, the document's id gives way to a field."""
    collection = database.create_collection(
        "odd", Schema({"ID": Field(FieldType.INTEGER), "a": Field(FieldType.KEYWORD), "A": Field(FieldType.KEYWORD)})
    )
    collection.add([{"id": "x", "ID": 7, "a": "small", "A": "large"}])
    found = sql.run("SELECT * FROM odd")
    assert [column.name for column in found.columns] == ["id_1", "ID", "a", "A_1"]
    assert found.rows() == [["x", 7, "small", "large"]]
    database.create_collection("ODD", Schema())
    with pytest.raises(SqlError, match="ambiguous"):
        rows(sql, "SELECT * FROM Odd")


def test_errors_say_what_and_where(sql: SqlEngine) -> None:
    with pytest.raises(CollectionNotFoundError):
        rows(sql, "SELECT * FROM nothing")
    with pytest.raises(SqlError, match=r'near "FORM"|near "films"') as caught:
        rows(sql, "SELECT 'ü' FORM films x y")
    assert caught.value.details["offset"] > 10
    for query in ("SELECT nothing FROM films", "SELECT CAST(title AS INTEGER) FROM films", "SELECT a.b FROM films"):
        with pytest.raises(SqlError):
            rows(sql, query)


def test_answers_as_arrow(sql: SqlEngine) -> None:
    table = sql.run("SELECT year, year FROM films ORDER BY 1").table
    assert isinstance(table, pa.Table)
    assert table.column(0).to_pylist() == table.column(1).to_pylist() == [1972, 1979, 1995]


def test_kinds_of_values(sql: SqlEngine) -> None:
    query = """SELECT sum(x), 1.5::DECIMAL(9, 2), DATE '2020-01-02', TIME '01:02:03', TIMESTAMP '2020-01-02 03:04:05',
        INTERVAL 3 MONTH, 'a'::BLOB, {'a': [1, NULL]}, 1e308 * 10, 170141183460469231731687303715884105727, NULL
        FROM (VALUES (1), (2)) AS t(x)"""
    assert rows(sql, query) == [
        [
            3,
            1.5,
            "2020-01-02",
            "01:02:03",
            "2020-01-02T03:04:05",
            "P3M",
            "YQ==",
            {"a": [1, None]},
            float("inf"),
            2**127 - 1,
            None,
        ]
    ]


def test_explain_says_what_ran(sql: SqlEngine, films: Collection) -> None:
    films.delete(ids=["1"])
    explain = sql.run("SELECT title FROM films WHERE year > 1900", explain=True).explain
    assert explain is not None
    [table] = explain["tables"]
    assert (table["collection"], table["rows_considered"], table["rows_masked"]) == ("films", 3, 3)
    assert any(item["operator"] == "TABLE_SCAN" and item["rows"] == 3 for item in explain["operators"])
    assert all(item["milliseconds"] >= 0 for item in explain["operators"])
    plan = rows(sql, "EXPLAIN SELECT count(*) FROM films")
    assert any("table_scan" in line for [line] in plan)


def test_many_threads_ask_while_one_writes(films: Collection, sql: SqlEngine) -> None:
    """Counts never go back, and end at what was written."""
    failures: list[BaseException] = []

    def ask() -> None:
        try:
            last = 0
            for _ in range(40):
                [[count]] = rows(sql, "SELECT count(*) FROM films")
                assert count >= last
                last = count
        except (AssertionError, EngineError) as error:
            failures.append(error)

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for number in range(40):
        films.add([{"id": f"n{number}", "year": number}])
    for thread in threads:
        thread.join()
    assert failures == []
    assert rows(sql, "SELECT count(*) FROM films") == [[43]]


def test_old_snapshots_are_let_go(films: Collection, sql: SqlEngine) -> None:
    """Soon after a write nothing holds the columns of before."""
    rows(sql, "SELECT count(*) FROM films")
    films.add([{"id": "9"}])
    last = time.monotonic() + 10
    while any(connection.tables for connection in list(sql._connections._idle.queue)) and time.monotonic() < last:
        time.sleep(0.05)
    assert not any(connection.tables for connection in list(sql._connections._idle.queue))


def test_a_closed_engine_says_so(database: Database, films: Collection) -> None:
    engine = SqlEngine(database)
    engine.close()
    with pytest.raises(DatabaseClosedError):
        engine.run("SELECT 1")
