"""What collections and their fields are about: said when they are made, changed, and taken away."""

from __future__ import annotations

from typing import Any

from tests.congruence.agreement import outcome
from tests.congruence.material import AnyDatabase, Scenario, refused


def describing(database: AnyDatabase) -> Any:
    fields = {
        "year": {"type": "integer", "description": "When it came out", "synonyms": ["vintage"]},
        "director": {"type": "keyword", "references": "people"},
    }
    films = database.create_collection("films", fields, embed={}, description="Films", synonyms=["pictures"])
    made = films.info()
    assert made.schema["synonyms"] == ["pictures"]
    assert made.schema["fields"]["director"]["references"] == {"collection": "people", "field": "id"}
    changed = films.describe(synonyms=["movies"], fields={"year": {"description": None}})
    assert (changed.schema["description"], changed.schema["synonyms"]) == ("Films", ["movies"])
    assert "description" not in changed.schema["fields"]["year"]
    bare = films.describe(None, None)
    assert "description" not in bare.schema
    return made, changed, bare, films.info(), database.infos()


def refusing_descriptions(database: AnyDatabase) -> Any:
    films = database.create_collection("films", {"year": {"type": "integer"}}, embed={})
    results = [
        outcome(lambda: films.describe("x" * 2_001)),
        outcome(lambda: films.describe(fields={"nothing": {"description": "?"}})),
        outcome(lambda: films.describe(fields={"year": {"type": "text"}})),
        outcome(lambda: database.create_collection("b", {"a": {"type": "text", "synonyms": "one"}}, embed={})),
        outcome(lambda: database.create_collection("b", embed={}, description=7)),  # type: ignore[arg-type]
    ]
    assert all(map(refused, results))
    return [(result.error, result.status) for result in results], films.info(), database.collections()


DESCRIBING: list[Scenario] = [describing, refusing_descriptions]
