from __future__ import annotations

import pytest

from engine import Database, FieldType
from promptql.catalog import CollectionInfo, read_catalog


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
