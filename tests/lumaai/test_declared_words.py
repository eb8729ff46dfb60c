from __future__ import annotations

from pathlib import Path

import pytest

import lumaai

FIELDS = {
    "year": {"type": "integer", "synonyms": ["vintage"]},
    "gross": {"type": "number", "synonyms": ["takings", "box office"]},
}
DOCUMENTS = [
    {"id": "1", "title": "Alien", "year": 1979, "gross": 10.5, "plot": "A crew meets a creature in space."},
    {"id": "2", "title": "Heat", "year": 1995, "gross": 11.5, "plot": "A detective hunts bank robbers."},
    {"id": "3", "title": "Brazil", "year": 1985, "gross": 14.0, "plot": "A clerk dreams of escape."},
]
QUESTIONS = {
    "What is the average vintage of the films?": [5959 / 3],
    "total box office": [36.0],
    "Which film has the highest takings?": ["Brazil"],
    "How many films have takings over 11?": [2],
    "What is the average gross of the films?": [12.0],
}


@pytest.mark.parametrize("embed", [None, {}], ids=["with text", "without"])
def test_fields_are_found_by_the_words_declared_for_them(tmp_path: Path, embed: dict[str, object] | None) -> None:
    """From the start, or said later; and by their own names as before."""
    with lumaai.Database(tmp_path / "db", default_model="hashing") as db:
        films = db.create_collection("films", FIELDS, embed=embed)
        films.add(DOCUMENTS)
        for question, expected in QUESTIONS.items():
            assert list(db.ask(question, planner="rules").values) == pytest.approx(expected), question
        films.describe(fields={"gross": {"synonyms": ["intake"]}})
        assert list(db.ask("What is the average intake of the films?", planner="rules").values) == [12.0]


def test_leaves_of_objects_are_found_by_the_words_declared_for_them(tmp_path: Path) -> None:
    """Declared with their object, or said later by their path."""
    money = {"type": "json", "leaves": {"gross": {"synonyms": ["takings"]}}}
    documents = [{"id": item["id"], "title": item["title"], "money": {"gross": item["gross"]}} for item in DOCUMENTS]
    with lumaai.Database(tmp_path / "db", default_model="hashing") as db:
        films = db.create_collection("films", {"money": money})
        films.add(documents)
        assert list(db.ask("What are the average takings of the films?", planner="rules").values) == [12.0]
        films.describe(fields={"money.gross": {"synonyms": ["intake"]}})
        assert list(db.ask("What is the average intake of the films?", planner="rules").values) == [12.0]
