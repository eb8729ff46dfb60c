"""What is asked of rows: features that tell one operation from another."""

from __future__ import annotations

from promptql.rules.columns import View
from promptql.rules.generate import read
from promptql.rules.links import Headers
from promptql.rules.model import shipped_model

VIEW = View(
    {
        "bakeries": {
            "bakery": ["Ahorn", "Birke", "Linde", "Ulme"],
            "speciality": ["rye bread", "plum cake", "rye bread", "pretzel"],
            "ovens": [3, 7, 2, 4],
        }
    }
)
HEADERS = Headers(VIEW)


def numbered(question: str) -> set[str]:
    """What readings of the question say of a number that is asked for."""
    readings = read(question, VIEW, HEADERS, shipped_model())
    return {name for reading in readings for name in reading.all_features() if name.startswith("s:number:")}


def test_names_that_are_to_be_numbered_are_told_from_amounts() -> None:
    """Specialities may be counted or shown, ovens counted, shown or added: each is a feature of its own."""
    names, amounts = numbered("How many specialities has Birke?"), numbered("How many ovens has Birke?")

    assert {"s:number:value:howmany:text", "s:number:distinct:howmany:text"} <= names
    assert {"s:number:value:howmany:number", "s:number:distinct:howmany:number"} <= amounts


def test_where_no_number_is_asked_for_nothing_is_said_of_one() -> None:
    """What somebody bakes is no count."""
    assert not numbered("What is the speciality of Birke?")
