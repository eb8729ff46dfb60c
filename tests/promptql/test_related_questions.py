"""Questions over collections that refer to each other by the ids of their documents, as people make them here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import lumaai

AUTHORS = [
    ("a1", "Mira Holt", "Welsh", 1929),
    ("a2", "Otto Brandt", "German", 1921),
    ("a3", "Ines Vega", "Chilean", 1970),
]
BOOKS = [
    ("b1", "Low Water", "a1", 1974, 387),
    ("b2", "The Glass Orchard", "a1", 1968, 205),
    ("b3", "Northern Line", "a2", 1961, 204),
]
MEMBERS = [("m1", "Lea", 31), ("m2", "Max", 44), ("m3", "Ola", 19)]
LOANS = [("l1", "b1", "m1", "2026-01-05"), ("l2", "b3", "m1", "2026-02-07"), ("l3", "b3", "m2", "2026-02-09")]


@pytest.fixture(scope="module")
def database(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A library whose collections refer to each other by id."""
    path: Path = tmp_path_factory.mktemp("related")
    with lumaai.connect(path) as db:
        made = {name: db.create_collection(name, embed={}) for name in ("authors", "books", "members", "loans")}
        made["authors"].add([{"id": i, "name": n, "nationality": x, "born": b} for i, n, x, b in AUTHORS])
        made["books"].add([{"id": i, "title": t, "author_id": a, "year": y, "pages": p} for i, t, a, y, p in BOOKS])
        made["members"].add([{"id": i, "name": n, "age": a} for i, n, a in MEMBERS])
        made["loans"].add([{"id": i, "book_id": b, "member_id": m, "loaned": d} for i, b, m, d in LOANS])
        yield db


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("How many books did Mira Holt write?", (2,)),
        ("How many loans has Lea?", (2,)),
    ],
)
def test_conditions_reach_over_ids(database: Any, question: str, expected: tuple[object, ...]) -> None:
    """A collection whose documents are referred to by id is joined by it."""
    assert database.ask(question).values == expected


def test_answers_name_what_keys_refer_to(database: Any) -> None:
    """The author's name, not the author's id; the id where it is asked for."""
    assert database.ask("Who wrote Northern Line?").values == ("Otto Brandt",)
    assert database.ask("What is the author id of Northern Line?").values == ("a2",)


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("How many members are older than 30?", (2,)),
        ("How many members are younger than 30?", (1,)),
        ("What is the oldest book?", ("Northern Line",)),
        ("Which book is the newest?", ("Low Water",)),
        ("Who is the youngest member?", ("Ola",)),
        ("Which book is the longest?", ("Low Water",)),
    ],
)
def test_ages_and_years_go_the_right_way(database: Any, question: str, expected: tuple[object, ...]) -> None:
    """More years of age are older, a greater year is newer; a number that is no year is an age."""
    assert database.ask(question).values == expected


def test_nobody_is_asked_back_about_the_order_of_columns(database: Any) -> None:
    """Readings whose answers differ in the order of columns alone are one."""
    answer = database.ask("How many books are there per author?")
    assert answer.band != "clarify"
    assert {str(value) for row in answer.values if isinstance(row, (list, tuple)) for value in row} >= {"2", "1"}


@pytest.mark.parametrize(
    ("question", "named"),
    [
        ("How many books did Shakespeare write?", "“Shakespeare”"),
        ("How many employees are there?", "“employees”"),
    ],
)
def test_what_the_data_says_nothing_of_is_said_first(database: Any, question: str, named: str) -> None:
    """The answer is no plain figure of something else."""
    answer = database.ask(question)
    assert answer.text.startswith(f"Nothing was found of {named}. What the data does say: ")
    assert "not_found" in [item.code for item in answer.warnings]
    assert answer.band != "answer"
    assert answer.confidence < 0.5


def test_what_is_understood_is_answered_plainly(database: Any) -> None:
    """No such words where everything was heard."""
    answer = database.ask("How many books are there?")
    assert "Nothing was found" not in answer.text
    assert "not_found" not in [item.code for item in answer.warnings]


def test_a_misspelt_name_is_read_beside_a_reading_that_leaves_it_out(tmp_path: Path) -> None:
    """The list of all customers is no answer to which of them live in "Londn"."""
    with lumaai.connect(tmp_path / "customers") as db:
        towns = ["London", "Paris", "Berlin", "London", "Prague"]
        customers = db.create_collection("customers", embed={})
        customers.add([{"id": str(n), "name": f"Customer {'ABCDE'[n]}", "city": town} for n, town in enumerate(towns)])
        answer = db.ask("Which customers live in Londn?")
        assert answer.values == ("Customer A", "Customer D")
        assert any("Londn" in item.text for item in answer.assumptions)


def test_having_a_value_is_a_condition(tmp_path: Path) -> None:
    """Where some documents have none; the same with "no"."""
    with lumaai.connect(tmp_path / "orders") as db:
        orders = db.create_collection("orders", embed={})
        orders.add(
            [{"id": str(n), "product": "lamp", "total": n, **({"discount": 5} if n < 3 else {})} for n in range(8)]
        )
        assert db.ask("How many orders have a discount?").values == (3,)
        assert db.ask("How many orders have no discount?").values == (5,)
