"""Questions of a fresh user, over catalogues of shows, nations and pages as people have them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine import Database
from models import Embedder
from promptql import PromptQL
from promptql.answer import Band
from promptql.quoting import NO_FIGURE
from tests.promptql.conftest import Document, fill

KEYWORDS = {"type": "keyword", "many": True}
SHOW_FIELDS = {
    "title": "text",
    "type": "keyword",
    "genres": KEYWORDS,
    "director": KEYWORDS,
    "cast": KEYWORDS,
    "date_added": "datetime",
    "release_year": "integer",
    "text": "text",
}
NATION_FIELDS = {
    "name": "keyword",
    "region": "keyword",
    "area_km2": "number",
    "landlocked": "boolean",
    "borders": KEYWORDS,
    "languages": KEYWORDS,
    "population": "integer",
    "text": "text",
}

# title, type, genres, director, cast, date added, release year; "No" is a director's name, and "TV Shows" a rare genre
_SHOWS: list[tuple[str, str, list[str], list[str], list[str], str, int]] = [
    ("Dark", "TV Show", ["TV Shows", "Dramas"], [], ["Ann Lee"], "2021-01-05", 2017),
    ("Lupin", "TV Show", ["Dramas"], ["Jo Roy"], ["Ann Lee", "Bob Hill"], "2021-03-01", 2021),
    ("Heat", "Movie", ["Action"], ["Michael Mann"], ["Al Pacino"], "2020-05-05", 1995),
    ("Ali", "Movie", ["Dramas"], ["Michael Mann"], ["Will Smith"], "2021-07-01", 2001),
    ("Chile", "Movie", ["Dramas"], ["No", "Pablo Larrain"], [], "2019-01-01", 2012),
    ("Heat", "Movie", ["Comedies"], ["Paul Feig"], ["Ann Lee"], "2020-01-01", 2013),
]
# name, region, area, landlocked, borders, languages, population
_NATIONS: list[tuple[str, str, float, bool, list[str], list[str], int]] = [
    ("Monaco", "Europe", 2, False, ["FRA"], ["French"], 39_000),
    ("Austria", "Europe", 84_000, True, ["DEU", "CHE", "ITA"], ["German"], 9_000_000),
    ("Chad", "Africa", 1_284_000, True, ["LBY", "SDN"], ["French", "Arabic"], 17_000_000),
    ("Malta", "Europe", 316, False, [], ["Maltese", "English"], 1_500_000),
    ("Kenya", "Africa", 580_000, False, ["UGA"], ["Swahili", "English"], 50_000_000),
]
_PAGES = [
    ("json.dumps", "dumps", "dumps(obj, *, indent=None)\n\nTurn an object into text. The text is JSON."),
    ("marshal.dumps", "dumps", "dumps(value, version=4, /)\n\nTurn a value into bytes. The bytes are for Python."),
    ("math.sqrt", "sqrt", "sqrt(x, /)\n\nGive back the square root of a number."),
]


def _shows() -> list[Document]:
    names = [name for name in SHOW_FIELDS if name != "text"]
    return [
        {"id": f"c{index}", "text": f"A story called {row[0]}.", **dict(zip(names, row, strict=True))}
        for index, row in enumerate(_SHOWS, 1)
    ]


def _nations() -> list[Document]:
    names = [name for name in NATION_FIELDS if name != "text"]
    return [
        {"id": row[0].lower(), "text": f"{row[0]} is a place.", **dict(zip(names, row, strict=True))}
        for row in _NATIONS
    ]


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory, embedder: Embedder) -> Iterator[PromptQL]:
    """PromptQL over the three collections."""
    path: Path = tmp_path_factory.mktemp("fresh") / "database"
    pages: list[Document] = [{"id": id_, "name": name, "text": text} for id_, name, text in _PAGES]
    with Database.open(path) as database:
        fill(database, "library", SHOW_FIELDS, _shows(), embedder, "text")
        fill(database, "nations", NATION_FIELDS, _nations(), embedder, "text")
        fill(database, "pages", {"name": "keyword", "text": "text"}, pages, embedder, "text")
        yield PromptQL(database, lambda _: embedder)


SHOWS: list[tuple[str, tuple[Any, ...]]] = [
    ("How many TV shows are there?", (2,)),
    ("How many titles have no director?", (1,)),
    ("titles without a director", ("Dark",)),
    ("How many titles were added in 2021?", (3,)),
    ("What are the oldest titles?", ("Heat",)),
    ("How many titles star Ann Lee?", (3,)),
    ("Which director has the most titles?", ("Michael Mann",)),
    ("titles with Ann Lee and Bob Hill", ("Lupin",)),
    ("When was Ali released?", (2001,)),
    ("Who starred in Ali?", (["Will Smith"],)),
    ("How many titles were released in 1995?", (1,)),
    ("How many titles came out in the 2010s?", (3,)),
    ("What is the average release year of comedies?", (2013.0,)),
]
NATIONS: list[tuple[str, tuple[Any, ...]]] = [
    ("Is Monaco landlocked?", (False,)),
    ("Is Chad landlocked?", (True,)),
    ("Which nation has the largest area?", ("Chad",)),
    ("What is the average area in Africa?", (932_000.0,)),
    ("What is the total area of Europe?", (84_318.0,)),
    ("What is the median area?", (84_000.0,)),
    ("nations with an area between 300 and 90000", ("Austria", "Malta")),
    ("nations with a population between 1 and 2 million", ("Malta",)),
    ("Nations with more than 10 million people", ("Chad", "Kenya")),
    ("2 most populous nations in Africa", ("Kenya", "Chad")),
    ("How many people live in Malta?", (1_500_000,)),
    ("How many nations speak French?", (2,)),
    ("Which nation has the most borders?", ("Austria",)),
    ("Which nation has the largest borders?", ("Austria",)),
    ("nations with no borders", ("Malta",)),
    ("Which region has the most languages?", ("Africa", "Europe")),
]


@pytest.mark.parametrize(("question", "values"), SHOWS)
def test_shows(asked: PromptQL, question: str, values: tuple[Any, ...]) -> None:
    """Counted by hand in the table above."""
    assert asked.ask(question, collections=["library"]).values == values


@pytest.mark.parametrize(("question", "values"), NATIONS)
def test_nations(asked: PromptQL, question: str, values: tuple[Any, ...]) -> None:
    """Counted by hand in the table above; Africa and Europe have four languages each."""
    assert asked.ask(question, collections=["nations"]).values == values


@pytest.mark.parametrize(
    ("question", "sentence"),
    [
        ("Is Monaco landlocked?", "No. Monaco: landlocked is false."),
        ("Is Chad landlocked?", "Yes. Chad: landlocked is true."),
        ("Is Chad not landlocked?", "Chad: landlocked is true."),
        ("What are the borders of Malta?", "The data does not say: Malta has no value of borders."),
        ("Which nation has the most borders?", "The nation with the most different borders is Austria: 3."),
        ("How many languages are there?", "There are 6 different languages among 5 nations."),
        (
            "How many languages are there in Monaco?",
            "There is 1 different language among 1 nation where name is Monaco.",
        ),
    ],
)
def test_nations_in_a_sentence(asked: PromptQL, question: str, sentence: str) -> None:
    """Yes or no where that is asked, and grammatical numbers."""
    answer = asked.ask(question, collections=["nations"])
    assert answer.text.splitlines()[0] == sentence
    assert answer.citations


@pytest.mark.parametrize(
    ("question", "sentence"),
    [
        ("How many TV shows are there?", "There are 2 TV shows."),
        ("How many movies are there?", "There are 4 movies."),
        ("What are the oldest titles?", "The document with the earliest release_year is Heat (c3): 1995."),
        ("movies from 2013", "1 movie where release_year is 2013: Heat (c6)."),
        ("TV shows", "2 TV shows: Dark, Lupin."),
        ("movies", "4 movies: Heat (c3), Ali, Chile, Heat (c6)."),
    ],
)
def test_shows_in_a_sentence(asked: PromptQL, question: str, sentence: str) -> None:
    """Kinds are common nouns, few items are all named, and equal names are told apart by ids."""
    assert asked.ask(question, collections=["library"]).text.splitlines()[0] == sentence


def test_a_light_verb_is_ignored_and_said(asked: PromptQL) -> None:
    """Nothing is made of "appears", so the answer does not commit itself."""
    answer = asked.ask("How many titles feature Ann Lee?", collections=["library"])
    assert answer.values == (3,)
    assert answer.band is Band.ASSUMPTIONS
    assert "ignored: 'feature'" in [item.text for item in answer.assumptions]


def test_two_times_are_not_chosen_between_in_silence(asked: PromptQL) -> None:
    """Titles "in 2020" may be added or released then."""
    assert asked.ask("how many titles in 2020", collections=["library"]).band is Band.ASSUMPTIONS


def test_a_lower_case_name_is_a_guess(asked: PromptQL) -> None:
    """The word "monaco" is most likely the nation, but nothing marks it as a name."""
    answer = asked.ask("is monaco landlocked", collections=["nations"])
    assert answer.values == (False,)
    assert answer.band is Band.ASSUMPTIONS


def test_passages_are_no_figures(asked: PromptQL) -> None:
    """What could not be counted is said so, and sentences are not passed off as values."""
    answer = asked.ask("How many wars and earthquakes did this place suffer?", collections=["nations"])
    assert answer.band is Band.SEARCH
    assert answer.values == ()
    assert answer.text.startswith(NO_FIGURE)


def test_a_page_is_found_by_its_id_and_quoted_in_prose(asked: PromptQL) -> None:
    """Two pages are called "dumps": the id tells them apart, and the signature is no sentence."""
    answer = asked.ask("What does json.dumps do?", collections=["pages"])
    assert {citation.ids for citation in answer.citations} == {("json.dumps",)}
    assert answer.text.splitlines()[0] == "**json.dumps**: “Turn an object into text.” [1]"
    assert "indent" not in answer.text
