"""promptql.planner: which of the two readings by rules answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from engine import Database, Schema
from models import Embedder
from promptql import PromptQL, QuestionError

FIELDS = {"title": "keyword", "year": "integer", "genre": "keyword", "rating": "number"}
ROWS = [
    ("Alien", 1979, "horror", 8.5),
    ("Heat", 1995, "crime", 8.3),
    ("Brazil", 1985, "comedy", 7.8),
    ("Stalker", 1979, "drama", 8.0),
    ("Seven", 1995, "crime", 8.6),
]


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory, embedder_of: Callable[[str], Embedder]) -> Iterator[PromptQL]:
    """Films as a plain table, which the reading by tables takes first."""
    with Database.open(tmp_path_factory.mktemp("films") / "db") as database:
        collection = database.create_collection("films", Schema.from_json({"fields": FIELDS}))
        collection.add([{"id": str(n), **dict(zip(FIELDS, row, strict=True))} for n, row in enumerate(ROWS)])
        yield PromptQL(database, embedder_of)


@pytest.mark.parametrize(
    ("question", "values"),
    [
        ("How many films are there per year?", {(1979, 2), (1985, 1), (1995, 2)}),
        ("What is the average rating per genre?", {("horror", 8.5), ("crime", 8.45), ("drama", 8.0), ("comedy", 7.8)}),
        ("How many films are there for each genre?", {("crime", 2), ("comedy", 1), ("drama", 1), ("horror", 1)}),
    ],
)
def test_groups_that_are_asked_for_by_word_are_given(
    asked: PromptQL, question: str, values: set[tuple[object, ...]]
) -> None:
    """Though the tables' weights were fitted to questions that ask for one thing."""
    answer = asked.ask(question)
    assert {tuple(round(v, 2) if isinstance(v, float) else v for v in row) for row in answer.values} == values
    assert answer.band.value == "answer"


@pytest.mark.parametrize(
    ("question", "values"),
    [
        ("Top 2 films by rating", ["Seven", "Alien"]),
        ("Which genre has the most films?", ["crime"]),
        ("How many films are there?", [5]),
        ("Which film is the oldest?", ["Alien", "Stalker"]),
        ("What is the highest rating?", [8.6]),
        ("What is the average rating of crime films?", [8.45]),
        ("list the titles of crime films", ["Heat", "Seven"]),
    ],
)
def test_everyday_questions_of_a_table(asked: PromptQL, question: str, values: list[object]) -> None:
    """Whichever reading answers."""
    found = [round(value, 2) if isinstance(value, float) else value for value in asked.ask(question).values]
    assert found == values


def test_a_name_is_read_as_the_data_spells_it(asked: PromptQL) -> None:
    """Where nothing else makes sense of the question; said so, and never without reserve."""
    answer = asked.ask("What is the rating of Stalkre?")
    assert answer.values == (8.0,)
    assert answer.band.value == "answer_with_assumptions"
    assert "'Stalkre' is not in the data: title = Stalker" in [item.text for item in answer.assumptions]


def test_what_the_data_does_not_know_is_refused_with_what_it_has(asked: PromptQL) -> None:
    """No name of it is written almost like this one."""
    with pytest.raises(QuestionError, match=r"the data has films \(title, year, genre, rating\)"):
        asked.ask("Who wrote Hamlet?")
