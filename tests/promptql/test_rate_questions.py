"""One number by another of the same documents, and what is asked of groups instead."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine import Database, Schema
from models import Embedder
from promptql import PromptQL
from tests.promptql.conftest import fill

FIELDS = {
    "name": "text",
    "street": "keyword",
    "rent": "number",
    "rooms": "integer",
    "area_m2": "number",
    "stars": "number",
    "notes": "text",
}
_FLATS: list[tuple[Any, ...]] = [
    ("Attic", "Mill Lane", 900.0, 3, 60.0, 4.0, "Under the roof."),
    ("Garden", "Mill Lane", 1500.0, 4, 100.0, 5.0, "With a garden."),
    ("Cellar", "Quay", 400.0, 1, 25.0, 2.0, "Dark but cheap."),
    ("Loft", "Quay", None, 2, 80.0, 4.0, "Large windows."),
    ("Store", "Quay", 100.0, 0, 15.0, 1.0, "No room at all."),
]


@pytest.fixture(scope="module", params=["searched", "table"])
def asked(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, embedder: Embedder
) -> Iterator[PromptQL]:
    path: Path = tmp_path_factory.mktemp("rates") / "database"
    documents = [{"id": f"r{i}", **dict(zip(FIELDS, row, strict=True))} for i, row in enumerate(_FLATS)]
    with Database.open(path) as database:
        if request.param == "searched":
            fill(database, "flats", FIELDS, documents, embedder, "notes")
        else:
            database.create_collection("flats", Schema.from_json({"fields": FIELDS})).add(documents)
        yield PromptQL(database, lambda _: embedder)


@pytest.mark.parametrize(
    ("question", "rate"),
    [
        ("What is the rent per room of the Attic?", 300.0),
        ("rent per room", 2800 / 8),  # of those that have both, and rooms at all
        ("average rent per room in Mill Lane", 2400 / 7),
        ("What is the ratio of rent to rooms?", 2800 / 8),
        ("ratio of rent to rooms of the Garden", 375.0),
    ],
)
def test_one_number_by_another(asked: PromptQL, question: str, rate: float) -> None:
    """Worked out by hand; documents without one of both, or with nothing to divide by, are left out."""
    answer = asked.ask(question)
    assert answer.values == (pytest.approx(rate),), answer.text
    assert "rent per rooms" in answer.text
    assert answer.citations


@pytest.mark.parametrize("question", ["average rent per street", "average rent per stars", "average rent by rooms"])
def test_groups_are_no_rates(asked: PromptQL, question: str) -> None:
    assert len(asked.ask(question).values) > 1
