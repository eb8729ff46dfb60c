"""Comparisons that are denied, doubled or leave something out, over boats, members, recipes and animals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import lumaai
from promptql.answer import Answer, Band
from promptql.plan import ignored_words
from promptql.rules.comparators import speaks_of_denied_bounds

Ask = Callable[[str, str], Answer]

DENIED: list[tuple[str, str, tuple[Any, ...]]] = [
    ("members", "members not older than 30", ("Ada", "Dirk", "Gro")),
    ("members", "members no older than 30", ("Ada", "Dirk", "Gro")),
    ("members", "members not younger than 31", ("Bo", "Cleo", "Elin", "Finn")),
    ("members", "members with a fee not more than 30", ("Ada", "Bo", "Finn", "Gro")),
    ("members", "members who are not between 20 and 35", ("Cleo", "Dirk", "Finn")),
    ("boats", "boats not more expensive than 55", ("Kestrel", "Osprey", "Puffin", "Plover")),
    ("boats", "boats not built after 2005", ("Heron", "Kestrel", "Gannet", "Puffin", "Curlew")),
    ("boats", "boats with no fewer than 4 crew", ("Heron", "Gannet", "Petrel", "Curlew")),
    ("recipes", "recipes with not more than 6 ingredients", ("Menemen", "Ayran", "Varenyky")),
    ("recipes", "How many recipes do not take longer than 60 minutes?", (4,)),
    ("animals", "animals not heavier than 200", ("Leo", "Nala", "Polly")),
]
DOUBLED: list[tuple[str, str, tuple[Any, ...]]] = [
    ("members", "members that are neither under 20 nor over 40", ("Ada", "Bo", "Cleo", "Elin", "Gro")),
    ("members", "members older than 30 but younger than 40", ("Bo", "Elin")),
    ("members", "members between 30 and 40 but not 31", ("Cleo", "Gro")),
    ("boats", "boats that cost neither under 40 nor over 100", ("Heron", "Kestrel", "Osprey")),
    ("boats", "boats with a crew between 3 and 5 but not 4", ("Osprey", "Gannet")),
    ("boats", "boats with neither 2 nor 4 crew", ("Osprey", "Gannet", "Petrel", "Plover")),
    (
        "recipes",
        "recipes with neither less than 5 nor more than 9 ingredients",
        ("Panzanella", "Menemen", "Lahmacun", "Varenyky"),
    ),
    ("recipes", "recipes with more than 5 but less than 10 ingredients", ("Panzanella", "Menemen", "Lahmacun")),
    (
        "recipes",
        "recipes with between 5 and 11 ingredients but not 7",
        ("Ribollita", "Menemen", "Lahmacun", "Varenyky"),
    ),
]
AGES: list[tuple[str, str, tuple[Any, ...]]] = [
    ("members", "members at least 31 years old", ("Bo", "Cleo", "Elin", "Finn")),
    ("members", "members 31 or older", ("Bo", "Cleo", "Elin", "Finn")),
    ("members", "members exactly 31 years old", ("Bo", "Elin")),
    ("members", "members who are at least 31", ("Bo", "Cleo", "Elin", "Finn")),
    ("members", "members over 30", ("Bo", "Cleo", "Elin", "Finn")),
]
AS_EXTREMES: list[tuple[str, str, tuple[Any, ...]]] = [
    ("boats", "boats with a maximum of 2 crew", ("Kestrel", "Puffin", "Plover")),
    ("boats", "boats with up to 2 crew", ("Kestrel", "Puffin", "Plover")),
    ("boats", "boats from 2005 on", ("Kestrel", "Osprey", "Puffin", "Petrel", "Plover")),
    ("recipes", "recipes with a minimum of 11 ingredients", ("Ribollita", "Borscht")),
]
BESIDE: list[tuple[str, str, tuple[Any, ...]]] = [
    ("boats", "boats not cheaper than Heron", ("Heron", "Curlew", "Gannet", "Petrel")),
    ("boats", "boats no more expensive than Heron", ("Heron", "Osprey", "Kestrel", "Puffin", "Plover")),
    ("animals", "animals no heavier than Leo", ("Leo", "Nala", "Polly")),
    ("members", "members not older than average", ("Bo", "Elin", "Gro", "Ada", "Dirk")),
]
DATED: list[tuple[str, str, tuple[Any, ...]]] = [
    ("loaves", "loaves not before 2025", ("l6", "l7")),
    ("loaves", "loaves sold no later than February 2024", ("l1", "l2", "l3")),
    ("loaves", "loaves sold later than February 2024", ("l4", "l5", "l6", "l7")),
    ("loaves", "loaves that were not sold in 2024", ("l6", "l7")),
    ("loaves", "loaves not sold after February 2024", ("l1", "l2", "l3")),
    ("loaves", "loaves of anything but rye", ("l2", "l4", "l5", "l7")),
    ("loaves", "loaves with neither rye nor spelt", ("l4", "l5")),
]
LEFT_OUT: list[tuple[str, str, tuple[Any, ...]]] = [
    ("members", "members in clubs other than chess", ("Cleo", "Dirk", "Elin", "Finn", "Gro")),
    ("boats", "boats other than sloops", ("Heron", "Gannet", "Petrel", "Curlew")),
    ("boats", "boats with a crew other than 2", ("Heron", "Osprey", "Gannet", "Petrel", "Curlew", "Plover")),
    ("boats", "boats outside Brest", ("Gannet", "Puffin", "Petrel", "Curlew", "Plover")),
    ("boats", "boats in Brest other than sloops", ("Heron",)),
    ("recipes", "recipes other than Turkish", ("Ribollita", "Panzanella", "Borscht", "Varenyky")),
    ("members", "all members but Ada", ("Bo", "Cleo", "Dirk", "Elin", "Finn", "Gro")),
    ("members", "members with any fee but 30", ("Cleo", "Dirk", "Elin", "Finn", "Gro")),
    ("members", "members with a fee different from 30", ("Cleo", "Dirk", "Elin", "Finn", "Gro")),
    ("animals", "animals other than lions", ("Bruno", "Misha", "Shere", "Polly")),
]


@pytest.mark.parametrize(
    ("domain", "question", "values"), [*DENIED, *DOUBLED, *AGES, *AS_EXTREMES, *BESIDE, *DATED, *LEFT_OUT]
)
def test_bounds_are_denied_and_joined_as_they_are_said(
    ask: Ask, domain: str, question: str, values: tuple[Any, ...]
) -> None:
    """Counted by hand; no word is left out."""
    answer = ask(domain, question)
    assert answer.values == values
    assert answer.band in (Band.ANSWER, Band.ASSUMPTIONS)
    assert not ignored_words(answer.assumptions)


def test_a_denial_of_something_else_denies_no_bound(ask: Ask) -> None:
    """The kind is denied, the price is not; and who is over 30 and not in a club is over 30."""
    assert ask("boats", "boats not in Brest with a price over 50").values == ("Gannet", "Petrel", "Curlew")
    assert ask("members", "members not in rowing older than 30").values == ("Bo", "Finn")


def test_a_bound_without_a_field_is_an_age_where_there_are_ages(ask: Ask) -> None:
    """With reserve, as a fee of 20 is possible too."""
    answer = ask("members", "members that are neither under 20 nor over 40")
    assert answer.band is Band.ASSUMPTIONS
    assert any("age >= 20" in item.text for item in answer.assumptions)


@pytest.mark.parametrize(
    ("question", "denied"),
    [
        ("members not older than 30", True),
        ("a crew between 3 and 5 but not 4", True),
        ("boats other than sloops", True),
        ("no more expensive than Heron", True),
        ("all boats but sloops", True),
        ("members older than 30", False),
        ("the date of tie no 19", False),
        ("whose tie no is more than 13", False),
        ("old but sound boats", False),
        ("boats not in Brest", False),
    ],
)
def test_denied_bounds_are_spoken_of(question: str, denied: bool) -> None:
    """A denial alone is none."""
    assert speaks_of_denied_bounds(question) is denied


def test_what_is_not_left_out_is_told(ask: Ask) -> None:
    """The keeper of animals is in another collection, where the denial is not read."""
    answer = ask("animals", "animals other than those of Jon")
    assert "other" in ignored_words(answer.assumptions) or set(answer.values) == {"Bruno", "Misha", "Polly"}


def test_documents_are_not_taken_for_when_they_were_made(tmp_path: Path) -> None:
    """Plants are plants, and not when they were planted."""
    with lumaai.connect(tmp_path) as db:
        plants = [
            ("Fern", "wood", 40, "2021-03-01"),
            ("Moss", "wood", 5, "2020-01-01"),
            ("Rose", "bed", 90, "2022-05-05"),
        ]
        rows = [dict(zip(("name", "place", "height", "planted"), row, strict=True)) for row in plants]
        db.create_collection("plants", embed={}).add([{"id": f"p{n}", **row} for n, row in enumerate(rows)])
        assert db.ask("plants taller than average").values == ("Rose",)
        assert db.ask("plants not taller than 40").values == ("Fern", "Moss")
        assert db.ask("Which place has the most plants?").values == ("wood",)
