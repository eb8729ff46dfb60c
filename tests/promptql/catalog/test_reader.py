from __future__ import annotations

import pytest

from engine import Database, FieldType, Schema
from promptql.catalog import VALUES_MAX, CatalogReader, CollectionInfo, read_catalog, with_phrases


@pytest.fixture(scope="module")
def films(database: Database) -> CollectionInfo:
    return read_catalog(database.snapshot()).collections["movies"]


@pytest.fixture(scope="module")
def library(database: Database) -> CollectionInfo:
    return read_catalog(database.snapshot()).collections["stdlib"]


def test_fields_tell_what_they_hold(films: CollectionInfo) -> None:
    """Types, ranges and counted values; lists are counted by element."""
    assert (films.rows, films.searchable, films.label) == (8, True, "title")
    year = films.fields["year"]
    assert (year.type, year.filled, year.least, year.greatest) == (FieldType.INTEGER, 8, 1979, 2010)
    assert films.fields["genre"].many
    assert dict(films.fields["genre"].values)["action"] == 4
    assert films.fields["director"].values[0] == ("Ridley Scott", 3)
    assert films.fields["plot"].values == ()


def test_names_are_identifiers_and_kinds_are_not(library: CollectionInfo) -> None:
    """What tells documents apart cannot be grouped by; a small category can."""
    assert library.label == "qualified_name"
    assert library.fields["qualified_name"].identifier
    assert not library.fields["kind"].identifier
    assert library.fields["kind"].small
    assert library.fields["parameters"].filled == 10
    assert dict(library.fields["deprecated"].values) == {False: 17, True: 2}


def test_a_snapshot_is_read_once(database: Database) -> None:
    """The same snapshot gives the same object; a fresh reader reads again, with equal results."""
    reader = CatalogReader()
    first, second = (reader.read(database.snapshot()).collections["movies"] for _ in range(2))
    assert first is second
    assert read_catalog(database.snapshot()).collections["movies"] == first


def test_a_write_makes_a_new_catalog(empty_database: Database) -> None:
    """What was cached for the snapshot before is not what there is now."""
    reader = CatalogReader()
    notes = empty_database.create_collection("notes", Schema.from_json({"fields": {"tag": "keyword"}}))
    notes.add([{"id": "1", "tag": "red"}])
    assert reader.read(empty_database.snapshot()).collections["notes"].rows == 1
    notes.add([{"id": "2", "tag": "blue"}])
    info = reader.read(empty_database.snapshot()).collections["notes"]
    assert (info.rows, dict(info.fields["tag"].values)) == (2, {"red": 1, "blue": 1})


def test_rare_values_are_found_by_the_questions_own_words(empty_database: Database) -> None:
    """Of more names than are read, the one that is asked about is there."""
    schema = Schema.from_json({"fields": {"name": "keyword"}})
    documents = [{"id": f"d{index:05d}", "name": f"thing {index:05d}"} for index in range(VALUES_MAX + 50)]
    empty_database.create_collection("things", schema).add(documents)
    snapshots = empty_database.snapshot()
    catalog = read_catalog(snapshots)
    rare = f"thing {VALUES_MAX + 49:05d}"
    assert rare not in dict(catalog.collections["things"].fields["name"].values)
    found = with_phrases(catalog, snapshots, [rare, "thing nobody has"]).collections["things"].fields["name"]
    assert dict(found.values)[rare] == 1
    assert "thing nobody has" not in dict(found.values)
