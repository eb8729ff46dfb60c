from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import pytest

from engine import Database, Schema
from promptql.catalog import Catalog, CatalogReader, Relationship, read_catalog


def fill(database: Database, name: str, fields: dict[str, Any], documents: Sequence[dict[str, Any]]) -> None:
    database.create_collection(name, Schema.from_json({"fields": fields})).add(documents)


@pytest.fixture
def concerts(empty_database: Database) -> Database:
    """Singers and stadiums with numbers as keys, concerts between them, and songs by the singers' names."""
    singers = [{"id": f"s{i}", "singer_id": i, "name": f"Singer {i}", "age": 20 + i} for i in range(1, 9)]
    stadiums = [{"id": f"t{i}", "stadium_id": i, "city": f"City {i % 3}"} for i in range(1, 6)]
    concerts = [
        {"id": f"c{i}", "concert_id": i, "singer_id": 1 + i % 8, "stadium": 1 + i % 5, "year": 2000 + i % 4}
        for i in range(40)
    ]
    songs = [{"id": f"g{i}", "performer": f"Singer {1 + i % 8}", "track": f"Song {i}"} for i in range(24)]
    fill(empty_database, "singers", {"singer_id": "integer", "name": "keyword", "age": "integer"}, singers)
    fill(empty_database, "stadiums", {"stadium_id": "integer", "city": "keyword"}, stadiums)
    fields = dict.fromkeys(("concert_id", "singer_id", "stadium", "year"), "integer")
    fill(empty_database, "concerts", fields, concerts)
    fill(empty_database, "songs", {"performer": "keyword", "track": "keyword"}, songs)
    return empty_database


def pairs(catalog: Catalog) -> dict[tuple[str, str, str, str], float]:
    return {
        (item.left_collection, item.left_field, item.right_collection, item.right_field): item.confidence
        for item in catalog.relationships
    }


def test_keys_are_found_by_names_and_values(concerts: Database) -> None:
    """A key's own name, the collection's name, and equal names as values; ages and years lead nowhere."""
    found = pairs(read_catalog(concerts.snapshot()))
    assert set(found) == {
        ("concerts", "singer_id", "singers", "singer_id"),
        ("concerts", "stadium", "stadiums", "stadium_id"),
        ("songs", "performer", "singers", "name"),
    }
    assert found["concerts", "singer_id", "singers", "singer_id"] == 1.0
    assert found["concerts", "stadium", "stadiums", "stadium_id"] == pytest.approx(0.9)
    assert found["songs", "performer", "singers", "name"] == pytest.approx(0.65)


def test_values_that_are_no_keys_lower_the_confidence(empty_database: Database) -> None:
    """Of four authors three are known: (1.0 + 1) / 2 · 3/4."""
    fill(empty_database, "authors", {"name": "keyword"}, [{"id": f"a{i}", "name": f"Author {i}"} for i in range(3)])
    books = [{"id": f"b{i}", "author_id": f"a{i % 4}"} for i in range(8)]
    fill(empty_database, "books", {"author_id": "keyword"}, books)
    assert pairs(read_catalog(empty_database.snapshot())) == {("books", "author_id", "authors", "id"): 0.75}


def test_what_is_declared_wins(concerts: Database) -> None:
    """It is certain, comes first, and takes the place of what was found of the same fields."""
    concerts.collection("songs").describe(
        {"fields": {"performer": {"references": {"collection": "singers", "field": "name"}}}}
    )
    concerts.collection("singers").describe({"fields": {"age": {"references": "nothing"}}})
    first, *others = read_catalog(concerts.snapshot()).relationships
    assert first == Relationship("songs", "performer", "singers", "name", 1.0, declared=True)
    assert not any(item.declared for item in others)
    assert len(others) == 2


def test_a_catalog_of_some_collections_knows_nothing_of_others(concerts: Database) -> None:
    """Relationships lead only to collections that may be asked about."""
    catalog = read_catalog(concerts.snapshot(["concerts", "songs"]))
    assert catalog.relationships == ()
    assert read_catalog(concerts.snapshot(["concerts", "singers"])).between("singers", "concerts")


def test_what_is_said_and_seen_of_a_field_is_in_the_catalog(concerts: Database) -> None:
    """Descriptions and synonyms as declared; else what kind of values there are."""
    concerts.collection("singers").describe(
        {"description": "Who sings", "synonyms": ["vocalists"], "fields": {"age": {"synonyms": ["years old"]}}}
    )
    singers = read_catalog(concerts.snapshot()).collections["singers"]
    assert (singers.description, singers.synonyms) == ("Who sings", ("vocalists",))
    assert singers.fields["age"].synonyms == ("years old",)
    assert singers.fields["age"].about == "quantity, 21 to 28"
    assert singers.fields["age"].samples == tuple(range(21, 29))


def test_many_collections_are_read_in_bounded_time(empty_database: Database) -> None:
    """A hundred collections of five fields: read once within seconds, and again at once."""
    for number in range(100):
        documents = [
            {"id": f"d{i}", "code": f"K{number}-{i}", "owner_id": f"d{i % 7}", "n": i, "title": f"Thing {number} {i}"}
            for i in range(30)
        ]
        fields = {"code": "keyword", "owner_id": "keyword", "n": "integer", "title": "keyword"}
        fill(empty_database, f"c{number:03d}", fields, documents)
    reader, snapshots = CatalogReader(), empty_database.snapshot()
    started = time.process_time()
    assert reader.read(snapshots).relationships == ()
    assert time.process_time() - started < 10.0
    started = time.process_time()
    assert reader.read(snapshots).relationships == ()
    assert time.process_time() - started < 1.0


def test_many_values_that_come_again_are_no_key(empty_database: Database) -> None:
    """Entries of playlists name more than a thousand tracks, each three times: no key of anything."""
    tracks = [{"id": f"t{i}", "track_id": i, "title": f"Title {i}"} for i in range(1_200)]
    entries = [{"id": f"e{i}", "track_id": i % 1_200, "list": i // 1_200} for i in range(3_600)]
    sold = [{"id": f"l{i}", "track_id": 7 * i % 1_200} for i in range(100)]
    fill(empty_database, "tracks", {"track_id": "integer", "title": "keyword"}, tracks)
    fill(empty_database, "entries", {"track_id": "integer", "list": "integer"}, entries)
    fill(empty_database, "sold", {"track_id": "integer"}, sold)
    assert set(pairs(read_catalog(empty_database.snapshot()))) == {
        ("entries", "track_id", "tracks", "track_id"),
        ("sold", "track_id", "tracks", "track_id"),
    }
