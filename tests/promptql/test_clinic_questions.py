"""Questions about doctors, patients and visits: ages, yes and no, and two documents beside each other."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import lumaai
from promptql.answer import Band

DOCTORS = [
    ("Ann Lee", "cardiology", 51),
    ("Bo Chen", "dermatology", 38),
    ("Cara Diaz", "cardiology", 44),
    ("Dov Katz", "pediatrics", 62),
]
PATIENTS = [("Max Frey", "Basel", True), ("Nia Obi", "Bern", False), ("Olga Berg", "Basel", True)]
# doctor, patient, fee, day
VISITS = [(0, 0, 80, "2024-03-01"), (0, 1, 150, "2025-02-02"), (1, 0, 120, "2025-06-06"), (0, 2, 200, "2024-09-09")]


@pytest.fixture(scope="module")
def clinic(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Three collections."""
    path: Path = tmp_path_factory.mktemp("clinic")
    with lumaai.connect(path) as db:
        made = {name: db.create_collection(name, embed={}) for name in ("doctors", "patients", "visits")}
        made["doctors"].add(
            [{"id": f"d{i}", "name": n, "specialty": s, "age": a} for i, (n, s, a) in enumerate(DOCTORS)]
        )
        made["patients"].add(
            [{"id": f"p{i}", "name": n, "city": c, "insured": s} for i, (n, c, s) in enumerate(PATIENTS)]
        )
        made["visits"].add(
            [
                {"id": f"v{i}", "doctor_id": f"d{d}", "patient_id": f"p{p}", "fee": f, "visited_on": day}
                for i, (d, p, f, day) in enumerate(VISITS)
            ]
        )
        yield db


def test_yes_is_meant_where_nothing_denies_it(clinic: Any) -> None:
    """Insured is true, "not insured" false, also as a part of all."""
    assert clinic.ask("What percentage of patients are insured?").values == (66.67,)
    assert clinic.ask("How many patients are insured?").values == (2,)
    assert clinic.ask("How many patients are not insured?").values == (1,)


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("What is the difference between the oldest and youngest doctor?", 24),
        ("How much older is Dov Katz than Bo Chen?", 24),
        ("By how much is Dov Katz older than Ann Lee?", 11),
        ("How many more visits did Ann Lee have than Bo Chen?", 2),
    ],
)
def test_ages_and_counts_are_subtracted(clinic: Any, question: str, expected: int) -> None:
    """Older is more of an age; visits are counted over their keys."""
    assert clinic.ask(question).values == (expected,)


def test_both_sides_of_a_difference_are_named(clinic: Any) -> None:
    """By the condition that only one of them has, also where it stands on a joined collection."""
    assert "Ann Lee has 3, Bo Chen 1" in clinic.ask("How many more visits did Ann Lee have than Bo Chen?").text


def test_documents_are_compared_by_all_that_is_known(clinic: Any) -> None:
    """Two doctors without a measure stand below each other with their fields."""
    answer = clinic.ask("Compare Ann Lee and Bo Chen")
    assert answer.values == (("Ann Lee", "cardiology", 51), ("Bo Chen", "dermatology", 38))
    assert answer.band is Band.ANSWER


def test_the_share_of_each_value_is_of_all_documents(clinic: Any) -> None:
    """All shares are a hundred together."""
    shares = dict(clinic.ask("What is the share of each specialty?").values)
    assert shares == {"cardiology": 50.0, "dermatology": 25.0, "pediatrics": 25.0}


def test_a_year_is_that_of_the_visits(clinic: Any) -> None:
    """Beside a person, and beside an average."""
    assert clinic.ask("visits by Ann Lee in 2024").values == ("v0", "v3")
    assert clinic.ask("Compare the average fee in 2024 and 2025").values == (("2024", 140.0), ("2025", 135.0))
