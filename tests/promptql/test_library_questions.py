"""Questions about what has, has not or never happened, and about where things come from and go to."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import lumaai
from promptql.answer import Band

# Member, day of borrowing, day of return.
LOANS = [
    ("Ada", "2026-01-05", "2026-01-20"),
    ("Ben", "2026-02-01", None),
    ("Ada", "2026-02-11", "2026-03-01"),
    ("Cleo", "2026-03-02", None),
    ("Cleo", "2026-03-09", None),
    ("Ben", "2026-03-30", "2026-04-04"),
    ("Ada", "2026-04-01", "2026-04-20"),
]
# Subject, owner, day of opening, day of closing.
TICKETS = [
    ("Login hangs", "Mo", "2026-09-01", "2026-09-03"),
    ("Export is empty", "Ana", "2026-09-08", None),
    ("Logo covers a button", "Mo", "2026-09-15", None),
    ("Slow start", "Ana", "2026-09-22", "2026-10-01"),
    ("Wrong totals", "Zed", "2026-09-29", "2026-09-30"),
    ("Dark theme", "Mo", "2026-10-06", None),
]
# Where from, where to, whether cancelled, and what was gained.
FLIGHTS = [
    ("Oslo", "Rome", False, -20),
    ("Rome", "Oslo", False, 5),
    ("Oslo", "Rome", True, -3),
    ("Oslo", "Lima", False, 12),
    ("Lima", "Oslo", False, -8),
    ("Rome", "Lima", True, 30),
    ("Rome", "Oslo", False, 8),
]


@pytest.fixture(scope="module", params=["columns", "embedded"])
def library(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Three collections, without and with embeddings of their text: the one is read as tables, the other by words."""
    path: Path = tmp_path_factory.mktemp("library")
    with lumaai.connect(path) as db:
        embed: dict[str, Any] = {"embed": {}} if request.param == "columns" else {}
        rows = [
            {"id": f"l{i}", "member": m, "borrowed": b, **({"returned": r} if r else {})}
            for i, (m, b, r) in enumerate(LOANS)
        ]
        db.create_collection("loans", **embed).add(rows)
        rows = [
            {"id": f"t{i}", "subject": s, "owner": w, "opened_at": o, **({"closed_at": c} if c else {})}
            for i, (s, w, o, c) in enumerate(TICKETS)
        ]
        db.create_collection("tickets", **embed).add(rows)
        flights = [
            {"id": f"f{i}", "origin": o, "destination": d, "cancelled": c, "balance": b}
            for i, (o, d, c, b) in enumerate(FLIGHTS)
        ]
        cities = {"origin": "keyword", "destination": "keyword"}
        db.create_collection("flights", cities, **embed).add(flights)
        yield db


QUESTIONS: list[tuple[str, int]] = [
    ("How many loans have not been returned?", 3),
    ("How many loans have been returned?", 4),
    ("How many loans haven't been returned?", 3),
    ("How many unreturned loans are there?", 3),
    ("How many loans were returned in March 2026?", 1),
    ("How many tickets are open?", 3),
    ("How many tickets are not open?", 3),
    ("How many tickets are closed?", 3),
    ("How many tickets are not closed?", 3),
    ("How many tickets were not opened by Mo?", 3),
    ("How many uncancelled flights were there?", 5),
    ("How many flights from Oslo to Rome?", 2),
    ("How many flights to Oslo were cancelled?", 0),
    ("How many flights did not go to Rome?", 5),
    ("How many loans were there in 2019?", 0),
    ("How many closed tickets are there?", 3),
    ("How many tickets are neither from Mo nor Ana?", 1),
    ("How many flights have a balance below -5?", 2),
    ("How many flights have a balance of at least -8?", 6),
]


@pytest.mark.parametrize(("question", "value"), QUESTIONS)
def test_counts(library: Any, question: str, value: int) -> None:
    """Counted by hand in the tables above."""
    assert library.ask(question).values == (value,)


def test_what_is_open_is_counted_by_owner(library: Any) -> None:
    """Mo has two open tickets, Ana one, Zed none."""
    assert library.ask("Who has the most open tickets?").values == ("Mo",)
    assert dict(library.ask("How many open tickets per owner?").values) == {"Mo": 2, "Ana": 1}
    assert sorted(library.ask("Which owner closed the most tickets?").values) == ["Ana", "Mo", "Zed"]


def test_how_a_time_that_is_missing_was_read_is_said(library: Any) -> None:
    """That what is open has not been closed is nowhere in the data."""
    answer = library.ask("How many tickets are open?")
    assert answer.band is Band.ASSUMPTIONS
    assert "'open' = closed_at is missing" in [item.text for item in answer.assumptions]


def test_a_value_in_two_fields_alike_is_no_sure_answer(library: Any) -> None:
    """Nothing in "Oslo flights" tells whether they start or end there."""
    assert library.ask("How many Oslo flights are there?").band is not Band.ANSWER


@pytest.mark.parametrize(
    "question", ["Which loans are overdue?", "Which tickets do not mention passwords?", "How many tickets are purple?"]
)
def test_all_documents_are_no_sure_answer_where_words_were_left_out(library: Any, question: str) -> None:
    """Words that may have narrowed them: the answer is not one without reserve."""
    assert library.ask(question).band is not Band.ANSWER


def test_the_heaviest_is_no_sure_answer_where_nothing_is_weighed(library: Any) -> None:
    """A balance is no weight; where it is taken for one all the same, that is said."""
    assert library.ask("Which flight is the heaviest?", collections=["flights"]).band is not Band.ANSWER
