"""Statements of the query languages, and where their faults are."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import lumaai


@pytest.fixture
def database(tmp_path: Path) -> Iterator[lumaai.Database]:
    with lumaai.Database(tmp_path / "db") as database:
        fields = {"title": "text", "year": "integer", "meta": "json"}
        films = database.create_collection("films", fields, embed={}, strict=True)
        films.add([{"id": "1", "title": "Alien", "year": 1979}, {"id": "2", "title": "Heat", "year": 1995}])
        yield database


@pytest.mark.parametrize(
    ("language", "query", "pointer"),
    [
        ("lql", "SELECT bogus FROM films", "/query"),
        ("lql", "SELECT * FROM films ORDER BY meta", "/query"),
        ("lql", "SELECT * FROM films WHERE bogus = 1", "/query"),
        ("lql", "UPDATE films SET bogus = 1", "/query"),
        ("lql", "UPDATE films SET year = 'x'", "/query"),
        ("lql", "INSERT INTO films (id, bogus) VALUES ('3', 1)", "/query"),
        ("lql", "DELETE FROM films WHERE bogus = 1", "/query"),
        ("nql", "find films where bogus is 1", "/query"),
        ("jql", {"find": "films", "filter": {"year": {"$gt": "x"}}}, "/query/filter/year/$gt"),
        ("jql", {"aggregate": "films", "pipeline": [{"$match": {"bogus": 1}}]}, "/query/pipeline/0/$match/bogus"),
        ("jql", {"aggregate": "films", "pipeline": [{"$group": {"_id": "$bogus"}}]}, "/query"),
        ("jql", {"insert": "films", "documents": [{"id": "3"}, {"bogus": 1}]}, "/query/documents/1/bogus"),
        ("jql", {"update": "films", "set": {"bogus": 1}}, "/query/set/bogus"),
        ("jql", {"update": "films", "filter": {"bogus": 1}, "set": {"year": 1}}, "/query/filter/bogus"),
        ("jql", {"delete": "films", "filter": {"bogus": 1}}, "/query/filter/bogus"),
        ("jql", {"create": "others", "fields": {"a": {"type": "bogus"}}}, "/query/fields/a"),
    ],
)
def test_faults_have_their_place_in_the_statement(
    database: lumaai.Database, language: str, query: Any, pointer: str
) -> None:
    """Also those that are only found when it runs; nothing is written."""
    before = database.sequence
    with pytest.raises(lumaai.InvalidRequestError) as caught:
        database.query(language, query)
    assert caught.value.errors[0].pointer == pointer
    assert database.sequence == before
    assert database.collections() == ["films"]


def test_faults_beside_the_statement_have_their_own_place(database: lumaai.Database) -> None:
    asked: list[tuple[str, str, Any, str]] = [
        ("lql", "SELECT * FROM films WHERE year = ?", [1, 2], "/params"),
        ("lql", "SELECT * FROM films WHERE year = ?", {"a": 1}, "/params"),
        ("nql", "count films", [1], "/params"),
        ("klingon", "count films", None, "/language"),
    ]
    for language, query, params, pointer in asked:
        with pytest.raises(lumaai.InvalidRequestError) as caught:
            database.query(language, query, params)
        assert [detail.pointer for detail in caught.value.errors] == [pointer]


def test_faults_of_a_search_in_sql_are_in_the_sql(database: lumaai.Database) -> None:
    for arguments in ("filter := 'bogus = 1'", "mode := 'bogus'", "filter := 'year >'"):
        with pytest.raises(lumaai.InvalidRequestError) as caught:
            database.sql(f"SELECT * FROM search('films', 'alien', 5, {arguments})")
        assert [detail.pointer for detail in caught.value.errors] == ["/sql"]


def test_what_no_document_could_take_is_refused_before_all_are_made_ready(
    database: lumaai.Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing but the first patch is looked at: thousands would take seconds."""
    before = database.sequence
    monkeypatch.setattr(lumaai.collection.Collection, "patch", None)
    with pytest.raises(lumaai.InvalidRequestError, match="year"):
        database.query("lql", "UPDATE films SET year = 'x'")
    assert database.sequence == before
