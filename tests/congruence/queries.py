"""Scripts of queries: SQL, and the three query languages."""

from __future__ import annotations

import datetime as dt
import decimal
from functools import partial
from typing import Any

import numpy as np

from tests.congruence.agreement import outcome
from tests.congruence.material import FILMS, AnyDatabase, Scenario, films, refused


def asking_in_sql(database: AnyDatabase) -> Any:
    films(database)
    results = [
        database.sql("SELECT * FROM films ORDER BY id"),
        database.sql("SELECT genre, count(*) AS n, avg(rating) FROM films GROUP BY genre ORDER BY genre"),
        database.sql("SELECT title FROM films WHERE year > ? ORDER BY title", [1950]),
        database.sql("SELECT title FROM films WHERE year = $year ORDER BY title", {"year": 1979}, limit=1),
        database.sql('SELECT title FROM films WHERE title LIKE "a%"', dialect="sqlite"),
        database.sql("SHOW TABLES"),
        database.sql("SELECT s.title FROM search('films', ?, 2) AS s ORDER BY s._score DESC", ["robot in a city"]),
        database.sql("SELECT id FROM search('films', 'planet', 5, mode := 'keyword', filter := 'year > 1900')"),
    ]
    assert [len(result) for result in results] == [5, 3, 3, 1, 1, 1, 2, 1]
    assert results[1].rows[0] == ["drama", 1, 8.5]
    assert results[3].truncated
    assert results[2].to_pylist() == [{"title": "Alien"}, {"title": "Solaris"}, {"title": "Stalker"}]
    assert results[1].to_arrow().column_names == ["genre", "n", "avg(rating)"]
    return [result.to_json() for result in results]


def refusing_sql(database: AnyDatabase) -> Any:
    films(database)
    queries = [
        "SELECT",
        "",
        "DROP TABLE films",
        "SELECT * FROM nothing",
        "SELECT nothing FROM films",
        "SELECT 1; SELECT 2",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT '",
        "(" * 10_000,
        "SELECT CAST(title AS INTEGER) FROM films",
        "SELECT * FROM search('nothing', 'x', 1)",
        "SELECT * FROM search('films')",
        "SELECT * FROM search('films', '', 1)",
        "SELECT * FROM search('films', 'x', 1, mode := 'psychic')",
    ]
    results = [outcome(partial(database.sql, query)) for query in queries]
    results += [
        outcome(lambda: database.sql("SELECT ?", [])),
        outcome(lambda: database.sql("SELECT 1", limit=0)),
        outcome(lambda: database.sql("SELECT 1", limit=10**9)),
        outcome(lambda: database.sql("SELECT * FROM films LIMIT 1180591620717411303424")),
        outcome(lambda: database.sql("SELECT * FROM search('films', 'x', 1000000000)")),
        outcome(lambda: database.query("lql", f"SELECT * FROM films LIMIT {2**70}")),
        outcome(lambda: database.query("jql", {"find": "films", "limit": 2**33})),
        outcome(lambda: database.query("nql", f"find the first {2**70} films")),
        outcome(lambda: database.query("lql", "SELECT * FROM films", limit=10**9)),
        outcome(lambda: database.sql("SELECT 1", timeout=-1)),
        outcome(lambda: database.sql("SELECT 1", dialect="klingon")),
        outcome(lambda: database.sql("SELECT count(*) FROM range(100000000000) a, range(1000) b", timeout=0.1)),
    ]
    assert all(refused(result) for result in results)
    return results


def speaking_query_languages(database: AnyDatabase) -> Any:
    films(database)
    results = [
        database.query("lql", "SELECT title, year FROM films WHERE title STARTS WITH 'S' ORDER BY year LIMIT ?", [1]),
        database.query("lql", "SELECT genre, count(*) AS n FROM films GROUP BY genre ORDER BY n DESC"),
        database.query("nql", "how many films are there where year is after 1950"),
        database.query("nql", "find films where genre is drama"),
        database.query("jql", {"find": "films", "filter": {"year": 1979}, "fields": ["title"], "sort": {"title": 1}}),
        database.query("jql", '{"count": "films"}'),
        database.query("lql", "UPDATE films SET rating = 9.9 WHERE id = '1'"),
        database.query("jql", {"insert": "films", "documents": [{"id": "9", "title": "Heat"}]}),
        database.query("lql", "DELETE FROM films WHERE year < 1930"),
        database.query("lql", "CREATE COLLECTION others (name keyword)"),
        database.query("lql", "CREATE INDEX ON others (name)"),
        database.query("lql", "DROP COLLECTION others"),
    ]
    assert [result.rows for result in results[:2]] == [
        [["Solaris", 1972]],
        [["science fiction", 3], ["horror", 1], ["drama", 1]],
    ]
    assert results[2].rows == [[3]]
    assert [result.rows for result in results[5:]] == [[[5]], [[1]], [[1]], [[1]], [[1]], [[1]], [[1]]]
    left = database["films"].get([film["id"] for film in FILMS])
    assert [film is None for film in left] == [True, False, False, False, False]
    assert database.collections() == ["films"]
    return [result.to_json() for result in results], left


def refusing_statements(database: AnyDatabase) -> Any:
    films(database)
    asked: list[tuple[Any, Any]] = [
        ("lql", "SELEC"),
        ("lql", "SELECT nothing FROM films"),
        ("lql", "SELECT * FROM nothing"),
        ("jql", "{"),
        ("jql", {"find": "films", "nope": 1}),
        ("nql", "what is love"),
        ("lql", "INSERT INTO films (id) VALUES ('1')"),
        ("lql", "DELETE FROM films WHERE year > 'x'"),
        ("lql", "UPDATE films SET id = 'x'"),
        ("lql", "DROP COLLECTION nope"),
        ("nql", "sum title of films"),
        ("lql", "CREATE INDEX ON films (nothing)"),
    ]
    results = [outcome(partial(database.query, language, query)) for language, query in asked]
    assert all(refused(result) for result in results)
    assert database["films"].count() == 5
    return results


def sorting_by_leaves(database: AnyDatabase) -> Any:
    venues = database.create_collection("venues", embed={})
    venues.add([{"id": str(n), "venue": {"city": city, "seats": n}} for n, city in enumerate(["Rome", "Oslo", "Bern"])])
    pipeline: list[Any] = [{"$sort": {"venue.city": 1}}, {"$limit": 2}, {"$match": {"venue.seats": {"$gte": 1}}}]
    grouped = {"$group": {"_id": "$venue.city", "n": {"$sum": "$venue.seats"}}}
    results = [
        database.query("jql", {"find": "venues", "sort": {"venue.city": 1}, "limit": 2}),
        database.query("lql", "SELECT * FROM venues ORDER BY venue.city DESC LIMIT 1"),
        database.query("jql", {"aggregate": "venues", "pipeline": pipeline}),
        database.query("jql", {"aggregate": "venues", "pipeline": [*pipeline, grouped, {"$sort": {"n": 1}}]}),
    ]
    assert [[row[0] for row in result.rows] for result in results] == [["2", "1"], ["0"], ["2", "1"], ["Oslo", "Bern"]]
    assert [column.name for column in results[0].columns] == ["id", "venue"]
    return [result.to_json() for result in results]


def comparing_with_values_of_python(database: AnyDatabase) -> Any:
    """Filters and parameters may hold what documents may hold."""
    flights = database.create_collection("flights", embed={})
    day, half, long = dt.date(2024, 2, 29), decimal.Decimal("2.5"), np.longdouble("2.5")
    flights.add(
        [{"id": "1", "flown": day, "hours": half}, {"id": "2", "flown": dt.date(2023, 1, 1), "hours": np.float32(1)}]
    )
    filters: list[Any] = [{"flown": day}, {"flown": {"$lt": np.datetime64("2024")}}, {"hours": {"$in": [half, long]}}]
    counts = [flights.count(where) for where in filters]
    assert counts == [1, 1, 1]
    facets = flights.facets({"hours": {"ranges": [{"to": np.int64(2)}]}})
    asked = "SELECT id FROM flights WHERE hours >= ?"
    rows = [database.query("lql", asked, [value]).rows for value in (half, np.float64(2.5), long, np.int64(2))]
    rows += [database.sql(asked, [value]).rows for value in (half, np.float64(2.5), long, np.int64(2))]
    rows += [database.sql("SELECT id FROM flights WHERE flown > ?", [dt.date(2023, 6, 1)]).rows]
    assert rows == [[["1"]]] * 9
    # What is no date of Python's, and what has no one meaning
    wrong: list[Any] = [np.datetime64("20000-01-01"), np.timedelta64(1, "Y"), {1}, dt.timedelta(1), float("nan")]
    refusals = [outcome(partial(flights.count, {"flown": {"$gte": value}})) for value in wrong]
    refusals += [outcome(partial(flights.add, [{"id": "3", "flown": value}])) for value in wrong]
    assert all(refused(result) for result in refusals)
    return counts, facets, rows, refusals


QUERIES: list[Scenario] = [
    asking_in_sql, refusing_sql, speaking_query_languages, refusing_statements, sorting_by_leaves,
    comparing_with_values_of_python,
]  # fmt: skip
