"""Collections whose text is searched, asked about what of them is no text; and what stays a search."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine import Database
from models import Embedder
from promptql import PromptQL
from promptql.answer import Band
from tests.promptql.conftest import Document, fill

BOAT_FIELDS = {
    "name": "text",
    "builder": "keyword",
    "length_m": "number",
    "berths": "integer",
    "launched": "datetime",
    "harbour": "keyword",
    "price_eur": "number",
    "notes": "text",
}
LECTURE_FIELDS = {
    "title": "text",
    "speaker": "keyword",
    "country": "keyword",
    "room": "keyword",
    "year": "integer",
    "seats": "integer",
    "rating": "number",
    "abstract": "text",
}
_BOATS: list[tuple[Any, ...]] = [
    ("Albatross", "Holm", 12.4, 6, "2001-05-03", "Bergen", 84_000, "A fast sloop that needs a new engine."),
    ("Puffin", "Holm", 7.1, 3, "1988-04-11", "Stavanger", 12_500, "Small and sturdy, with a repainted hull."),
    ("Gannet", "Lund & Sons", 15.0, 8, "2015-07-30", "Bergen", 240_000, "Ocean going ketch with a water maker."),
    ("Tern", "Lund & Sons", 9.3, 4, "1999-06-21", "Oslo", 38_500, "A club racer with sails of last summer."),
    ("Skua", "Marex", 10.2, 5, "2009-03-02", "Oslo", None, "Motor cruiser whose engine was overhauled."),
    ("Eider", "Marex", 8.8, 4, "2011-09-14", "Bergen", 51_000, "A family boat with a heated cabin."),
]
_LECTURES: list[tuple[Any, ...]] = [
    ("Bees in Winter", "Ada Moe", "Norway", "Blue Hall", 1984, 120, 4.5, "How hives keep warm under the snow."),
    ("The Slow River", "Bo Lie", "Japan", "Attic", 1991, 40, 3.9, "Why rivers bend, told with sand and water."),
    ("Old Clocks", "Ada Moe", "Japan", "Attic", 1996, 35, 4.8, "What escapements have to do with stars."),
    ("On Rust", "Cleo Berg", "France", "Blue Hall", 2014, 90, 2.7, "Iron, and what the sea makes of it."),
    ("Night Trains", "Bo Lie", "France", "Cellar", 2021, 60, 4.1, "Sleeping cars and the towns between."),
]


def _documents(fields: dict[str, str], rows: list[tuple[Any, ...]]) -> list[Document]:
    return [{"id": f"r{i}", **dict(zip(fields, row, strict=True))} for i, row in enumerate(rows)]


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory, embedder: Embedder) -> Iterator[PromptQL]:
    """PromptQL over both collections."""
    path: Path = tmp_path_factory.mktemp("beside") / "database"
    with Database.open(path) as database:
        fill(database, "boats", BOAT_FIELDS, _documents(BOAT_FIELDS, _BOATS), embedder, "notes")
        fill(database, "lectures", LECTURE_FIELDS, _documents(LECTURE_FIELDS, _LECTURES), embedder, "abstract")
        yield PromptQL(database, lambda _: embedder)


@pytest.mark.parametrize(
    ("question", "values"),
    [
        ("Which boats cost less than 50000?", ("Puffin", "Tern")),
        ("What does the Tern cost?", (38_500,)),
        ("Where is the Skua?", ("Oslo",)),
        ("Who built Gannet?", ("Lund & Sons",)),
        ("Who makes the biggest boat?", ("Lund & Sons",)),
        ("Who built the longest boat in Oslo?", ("Marex",)),
        ("Which boats were launched in the nineties?", ("Tern",)),
        ("Which boats were launched in the 80s?", ("Puffin",)),
        ("How many boats were launched in the 2010s?", (2,)),
        ("How old is the Albatross?", ("2001-05-03",)),
    ],
)
def test_boats(asked: PromptQL, question: str, values: tuple[Any, ...]) -> None:
    """Counted by hand in the table above."""
    answer = asked.ask(question, collections=["boats"])
    shown = tuple(value[:10] if question.startswith("How old") else value for value in answer.values)
    assert shown == values, answer.text


@pytest.mark.parametrize(
    ("question", "values"),
    [
        ("What is the longest Japanese lecture?", None),  # no field tells how long
        ("Which Japanese lecture has the highest rating?", ("Old Clocks",)),
        ("Japanese lectures after 1990 rated above 4", ("Old Clocks",)),
        ("How many French lectures are there?", (2,)),
        ("Who held the most lectures?", None),
        ("Lectures of the nineties", ("The Slow River", "Old Clocks")),
        ("Lectures from the twenties", ("Night Trains",)),
        ("Who stars in Old Clocks?", None),  # not its rating, nor who spoke
    ],
)
def test_lectures(asked: PromptQL, question: str, values: tuple[Any, ...] | None) -> None:
    """Counted by hand; None: searched."""
    answer = asked.ask(question, collections=["lectures"])
    if values is None:
        assert answer.band is Band.SEARCH, answer.text
    else:
        assert answer.values == values, answer.text


@pytest.mark.parametrize(
    "question",
    [
        "Which boats need a new engine?",
        "boats with a heated cabin",
        "new boats",
        "What happened to the hull of the Puffin?",
        "Who repainted the Puffin?",
        "Who owns the Puffin?",
        "What colour is the Tern?",
        "Tell me about the Gannet",
    ],
)
def test_what_the_text_alone_says_is_searched(asked: PromptQL, question: str) -> None:
    answer = asked.ask(question, collections=["boats"])
    assert answer.band is Band.SEARCH, answer.text
    assert answer.citations


def test_the_sentence_says_what_was_asked_for(asked: PromptQL) -> None:
    longest = asked.ask("Who built the longest boat?", collections=["boats"]).text
    assert longest == "The boat with the highest length_m is Gannet: 15; builder is Lund & Sons."
    cost = asked.ask("What does the Tern cost?", collections=["boats"]).text
    assert cost == "The boat where name is Tern: price_eur is 38500."


def test_what_is_too_large_is_searched(asked: PromptQL, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table is made of so many cells at most."""
    monkeypatch.setattr("promptql.rules.tables.BESIDE_CELLS_MAX", 10)
    assert asked.ask("Which boats cost less than 50000?", collections=["boats"]).band is Band.SEARCH
