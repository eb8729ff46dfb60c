"""A database of films, and SQL over it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from engine import Collection, Database, Field, FieldType, Schema, SqlEngine

FILMS = [
    {"id": "1", "title": "Alien", "year": 1979, "rating": 8.5, "tags": ["space"], "added": "2020-01-02T03:04:05Z"},
    {"id": "2", "title": "Heat", "year": 1995, "rating": 8.3, "tags": [], "extra": {"cast": ["Pacino"]}},
    {
        "id": "3",
        "title": "Solaris",
        "year": 1972,
        "rating": None,
        "tags": ["space", "love"],
        "place": {"lat": 1, "lon": 2},
    },
]
SCHEMA = Schema(
    {
        "title": Field(FieldType.KEYWORD),
        "year": Field(FieldType.INTEGER),
        "rating": Field(FieldType.NUMBER),
        "tags": Field(FieldType.KEYWORD, many=True),
        "added": Field(FieldType.DATETIME),
        "extra": Field(FieldType.JSON),
        "place": Field(FieldType.GEO),
    }
)


@pytest.fixture
def films(database: Database) -> Collection:
    collection = database.create_collection("films", SCHEMA)
    collection.add(FILMS)
    return collection


@pytest.fixture
def sql(database: Database, films: Collection) -> Iterator[SqlEngine]:
    engine = SqlEngine(database, threads=1)
    yield engine
    engine.close()
