"""engine.meaning: what collections and fields are about, kept with the schema."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from engine.database import Database
from engine.errors import SchemaError
from engine.meaning import Meaning, Reference
from engine.schema import FieldType, Schema

DECLARED = {
    "fields": {
        "year": {"type": "integer", "description": "When it came out.", "synonyms": ["vintage", "vintage"]},
        "director": {"type": "keyword", "references": "directors"},
    },
    "description": "Films of all countries",
    "synonyms": ["pictures"],
}


def test_what_is_declared_survives_json() -> None:
    """Descriptions, synonyms (each once) and references are in the schema and in its JSON."""
    schema = Schema.from_json(DECLARED)
    assert schema.meaning == Meaning("Films of all countries", ("pictures",))
    assert schema.meanings == {
        "year": Meaning("When it came out.", ("vintage",)),
        "director": Meaning(references=Reference("directors", "id")),
    }
    assert Schema.from_json(schema.to_json()) == schema
    assert "description" not in Schema.from_json({"fields": {"year": "integer"}}).to_json()


def test_descriptions_change_one_by_one_and_null_takes_away() -> None:
    """What is not named stays; a field without anything said is not kept."""
    schema = Schema.from_json(DECLARED).described(
        {"synonyms": None, "fields": {"year": {"description": None}, "director": {"references": None}}}
    )
    assert schema.meaning == Meaning("Films of all countries")
    assert schema.meanings == {"year": Meaning(synonyms=("vintage",))}


def test_leaves_of_objects_have_words_of_their_own() -> None:
    """Declared within their field or said later by their path; kept with the schema."""
    leaves = {"city": {"synonyms": ["town"]}, "owner.since": {"description": "First day."}, "seats": {}}
    schema = Schema.from_json({"fields": {"venue": {"type": "json", "leaves": leaves}, "year": "integer"}})
    said = {"venue.city": Meaning(synonyms=("town",)), "venue.owner.since": Meaning("First day.")}
    assert schema.meanings == said
    assert Schema.from_json(schema.to_json()) == schema
    schema = schema.described({"fields": {"venue.seats": {"references": "halls"}, "venue.city": {"synonyms": None}}})
    assert schema.meanings["venue.seats"] == Meaning(references=Reference("halls"))
    assert "venue.city" not in schema.meanings
    assert Schema.from_json(schema.to_json()) == schema
    for fields, pointer in (
        ({"year": {"type": "integer", "leaves": {"city": {}}}}, "/fields/year/leaves"),
        ({"v": {"type": "json", "leaves": {"a/b": {"type": "text"}}}}, "/fields/v/leaves/a~1b/type"),
        ({"v": {"type": "json", "leaves": {"k" * 300: {}}}}, f"/fields/v/leaves/{'k' * 300}"),
    ):
        with pytest.raises(SchemaError) as caught:
            Schema.from_json({"fields": fields})
        assert caught.value.pointer == pointer


@pytest.mark.parametrize(
    ("said", "pointer"),
    [
        ({"fields": {"year.month": {}}}, "/fields/year.month"),
        ({"fields": {"nothing": {}}}, "/fields/nothing"),
        ({"fields": {"year": {"type": "text"}}}, "/fields/year/type"),
        ({"fields": {"year": {"synonyms": "vintage"}}}, "/fields/year/synonyms"),
        ({"fields": {"year": {"synonyms": ["a", " "]}}}, "/fields/year/synonyms/1"),
        ({"fields": {"year": {"references": {"field": "id"}}}}, "/fields/year/references"),
        ({"description": "x" * 2_001}, "/description"),
        ({"description": "\ud800"}, "/description"),
        ({"synonyms": ["s"] * 33}, "/synonyms"),
        ({"strict": True}, "/strict"),
        ({"fields": ["year"]}, "/fields"),
    ],
)
def test_what_cannot_be_said_is_refused_with_its_place(said: dict[str, Any], pointer: str) -> None:
    """Every fault carries the JSON Pointer of where it stands."""
    schema = Schema.from_json({"fields": {"year": "integer"}})
    with pytest.raises(SchemaError) as caught:
        schema.described(said)
    assert caught.value.pointer == pointer


def test_a_description_survives_closing_and_further_writes(tmp_path: Path) -> None:
    """It is a durable write of its own, and the documents' schema goes on growing beside it."""
    with Database.open(tmp_path) as database:
        films = database.create_collection("films", Schema.from_json({"fields": {"year": "integer"}}))
        films.add([{"id": "1", "year": 1999}])
        before = films.snapshot()
        films.describe({"description": "Films", "fields": {"year": {"synonyms": ["vintage"]}}})
        assert films.snapshot().sequence == before.sequence + 1
        sequence = films.snapshot().sequence
        films.describe({"description": "Films"})
        assert films.snapshot().sequence == sequence
        films.add([{"id": "2", "year": 2000, "title": "Alien"}])
    with Database.open(tmp_path) as database:
        schema = database.collection("films").schema
        assert schema.meaning == Meaning("Films")
        assert schema.meanings["year"].synonyms == ("vintage",)
        assert schema.fields["year"].type is FieldType.INTEGER
        assert "title" in schema.fields
        assert database.collection("films").snapshot().count() == 2
        assert database.changes(0).next == database.sequence
