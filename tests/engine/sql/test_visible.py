"""Queries of those who may not know of all collections."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import CollectionNotFoundError, Database, Schema, SqlEngine, SqlError


@pytest.fixture
def two(tmp_path: Path) -> Iterator[SqlEngine]:
    """Collections "open" and "hidden", each of one document; "hidden" was just asked about."""
    with Database.open(tmp_path) as database:
        for name in ("open", "hidden"):
            database.create_collection(name, Schema()).add([{"id": "1", "text": f"of {name}"}])
        engine = SqlEngine(database)
        assert engine.run("SELECT text FROM hidden").rows() == [["of hidden"]]
        yield engine
        engine.close()


def only_open(name: str) -> bool:
    return name == "open"


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM hidden, (WITH hidden AS (SELECT 1 AS n) SELECT * FROM hidden) t",
        "WITH t AS (SELECT * FROM hidden), hidden AS (SELECT 1) SELECT * FROM t",
        'SELECT * FROM open, (WITH "HIDDEN" AS (SELECT 1 AS n) SELECT * FROM hidden) t, hidden',
    ],
)
def test_a_name_that_is_defined_elsewhere_leads_to_no_collection(two: SqlEngine, query: str) -> None:
    """What a query shadows in one place it does not name for us, and the connection still knows it from before."""
    assert "of hidden" in str(two.run(query).rows())
    with pytest.raises((SqlError, CollectionNotFoundError)) as caught:
        two.run(query, visible=only_open)
    assert "of hidden" not in str(caught.value)


def test_others_go_on_seeing_it(two: SqlEngine) -> None:
    """One connection serves both, one after the other."""
    for _ in range(3):
        assert two.run("SELECT text FROM open", visible=only_open).rows() == [["of open"]]
        assert two.run("SELECT h.text FROM hidden h JOIN open o USING (id)").rows() == [["of hidden"]]


@pytest.mark.parametrize("dialect", ["duckdb", "sqlite"])
def test_it_is_not_there(two: SqlEngine, dialect: str) -> None:
    """As any collection that is not: also in another dialect, which reads the schemas first."""
    with pytest.raises(CollectionNotFoundError):
        two.run("SELECT * FROM hidden", dialect=dialect, visible=only_open)
    assert two.run("SHOW TABLES", visible=only_open).rows() == [["open"]]
