"""Questions over collections that refer to each other, and whose text is searched by meaning as well."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import lumaai
from promptql.answer import Band

MEMBERS = [
    ("Ada Quill", "Leeds"),
    ("Ben Orr", "York"),
    ("Cleo Marsh", "Bath"),
    ("Dan Pike", "York"),
    ("Eva Holt", "Bath"),
]
# Member and fine, in the order of borrowing.
LOANS = [(0, 1.5), (1, 0.0), (2, 2.0), (2, 4.5), (0, 0.0), (2, 0.0), (4, 1.0), (1, 3.0)]
NOTE = "The member was told by letter, on a rainy day, that the book would have to come back within a month or so."


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Members and their loans, each with prose, in collections as they are made without further ado."""
    path: Path = tmp_path_factory.mktemp("related")
    with lumaai.connect(path) as db:
        db.create_collection("members").add(
            [{"id": f"m{i}", "name": name, "town": town} for i, (name, town) in enumerate(MEMBERS)]
        )
        db.create_collection("loans").add(
            [
                {"id": f"l{i}", "member_id": f"m{member}", "fine": fine, "note": f"{NOTE} Number {i}."}
                for i, (member, fine) in enumerate(LOANS)
            ]
        )
        yield db


def test_figures_of_one_collection_by_names_of_the_other(library: Any) -> None:
    """Counted and added up by hand; said with reserve, as the words alone do not tell."""
    fines = library.ask("What is the total of fines per town?")
    assert dict(fines.values) == {"Bath": 7.5, "Leeds": 1.5, "York": 3.0}
    assert fines.band is Band.ASSUMPTIONS
    assert library.ask("What is the total fine of Cleo Marsh?").values == (6.5,)
    assert dict(library.ask("How many loans has each member?").values) == {
        "Ada Quill": 2,
        "Ben Orr": 2,
        "Cleo Marsh": 3,
        "Eva Holt": 1,
    }


@pytest.mark.parametrize("question", ["How many loans did Zorro make?", "Which member is the tallest?"])
def test_what_the_data_does_not_say_is_not_made_up(library: Any, question: str) -> None:
    """No reading over both is taken where it leaves a word out that could have narrowed it."""
    assert library.ask(question).band is Band.SEARCH


def test_a_collection_that_may_not_be_read_is_not(library: Any) -> None:
    """With loans alone there is no name to be found."""
    answer = library.ask("What is the total fine of Cleo Marsh?", collections=["loans"])
    assert {citation.collection for citation in answer.citations} <= {"loans"}
    assert answer.values != (6.5,)
