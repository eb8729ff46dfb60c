"""Aggregates in SQL over a million documents beside DuckDB on the same Arrow table, and columns under writes."""

from __future__ import annotations

import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa

import engine
from benchmarks.report import Report
from benchmarks.timing import seconds

ROWS = 1_000_000
BATCH = 50_000
ROUNDS = 15
DELETED = 0.1
WRITE_BATCH, WRITE_SECONDS = 1_000, 8.0
FIELDS = {"genre": "keyword", "year": "integer", "price": "number", "title": "keyword"}
QUERIES = {
    "avg by keyword": "SELECT genre, avg(price), count(*) FROM films GROUP BY genre ORDER BY genre",
    "sum under a condition": "SELECT sum(price) FROM films WHERE year >= 1990",
    "several figures by year": "SELECT year, min(price), max(price), avg(price) FROM films GROUP BY year ORDER BY year",
    "distinct by keyword": "SELECT genre, count(DISTINCT year) FROM films GROUP BY genre ORDER BY genre",
}


def run(report: Report) -> None:
    """The section `sql`."""
    with _collection() as (database, collection):
        sql = engine.SqlEngine(database)
        for name, query in QUERIES.items():
            _beside(report, sql, _table(collection), name, query, target="at most 1.5 ×")
        chosen = np.random.default_rng(1).choice(ROWS, int(ROWS * DELETED), replace=False)
        for begin in range(0, len(chosen), BATCH):
            collection.delete(ids=[str(n) for n in chosen[begin : begin + BATCH]], durability=engine.Durability.NONE)
        for name, query in QUERIES.items():
            _beside(report, sql, _table(collection), f"{name}, 10 % deleted", query, target="at most 2 ×")
        sql.close()
    _writing(report)


def _beside(report: Report, sql: engine.SqlEngine, table: Any, name: str, query: str, target: str) -> None:
    """Ours through `SqlEngine.run`, theirs by DuckDB's own connection over the live rows as one Arrow table."""
    connection = duckdb.connect(config={"threads": 2})
    connection.register("films", table)

    def ours() -> Any:
        return sql.run(query).rows()

    def theirs() -> Any:
        return connection.execute(query).fetchall()

    assert [len(row) for row in ours()] == [len(row) for row in theirs()]
    assert _rounded(ours()) == _rounded(theirs())
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(ROUNDS)]
    mine, bare = (statistics.median(pair[place] for pair in pairs) for place in (0, 1))
    report.add(
        f"sql: {name}, {ROWS:,} documents",
        f"{1000 * mine:.1f} ms, {mine / bare:.2f} ×",
        f"DuckDB {1000 * bare:.1f} ms",
        target,
    )
    connection.close()


def _rounded(rows: Any) -> list[list[Any]]:
    return [[float(f"{value:.6g}") if isinstance(value, float) else value for value in row] for row in rows]


def _writing(report: Report) -> None:
    """Batches are added by one thread while another asks for the newest figure all the time."""
    with tempfile.TemporaryDirectory() as directory, engine.Database.open(directory) as database:
        collection = database.create_collection("films", _schema())
        sql = engine.SqlEngine(database)
        stop, asked = threading.Event(), []

        def ask() -> None:
            while not stop.is_set():
                found = sql.run("SELECT count(*), avg(price), max(year) FROM films WHERE genre = 'g3'")
                asked.append(found.milliseconds)
                stop.wait(0.05)

        reader = threading.Thread(target=ask)
        reader.start()
        began, written = time.perf_counter(), 0
        while time.perf_counter() - began < WRITE_SECONDS:
            collection.add(_documents(written, WRITE_BATCH), durability=engine.Durability.INTERVAL)
            written += WRITE_BATCH
        rate = written / (time.perf_counter() - began)
        stop.set()
        reader.join()
        counted = sql.run("SELECT count(*) FROM films").rows()
        assert counted == [[written]], counted
        sql.close()
    report.add(
        "sql: documents written a second while queries follow",
        f"{rate:,.0f}",
        f"{len(asked)} queries meanwhile, median {statistics.median(asked):.1f} ms",
        "20,000",
    )


def _schema() -> engine.Schema:
    return engine.Schema({name: engine.Field(engine.FieldType(kind), declared=True) for name, kind in FIELDS.items()})


def _documents(first: int, count: int) -> list[dict[str, Any]]:
    rng = np.random.default_rng(first)
    genres = rng.integers(0, 10, count).tolist()
    years, prices = rng.integers(1920, 2020, count).tolist(), (rng.random(count) * 100).tolist()
    return [
        {"id": str(first + n), "genre": f"g{genres[n]}", "year": years[n], "price": prices[n], "title": f"film {n}"}
        for n in range(count)
    ]


def _table(collection: engine.Collection) -> Any:
    """The live rows as one Arrow table in memory."""
    relation = collection.snapshot().relation(list(FIELDS))
    names = ["id", *FIELDS]
    return pa.table({name: relation.arrow(name).combine_chunks() for name in names})


@contextmanager
def _collection() -> Iterator[tuple[engine.Database, engine.Collection]]:
    with tempfile.TemporaryDirectory() as directory, engine.Database.open(directory) as database:
        collection = database.create_collection("films", _schema())
        for begin in range(0, ROWS, BATCH):
            collection.add(_documents(begin, BATCH), durability=engine.Durability.NONE)
        collection.optimize()
        yield database, collection
