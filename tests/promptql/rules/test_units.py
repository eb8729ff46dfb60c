"""Amounts in another unit than the data's; every conversion is worked out by hand."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from engine import Database, Schema
from promptql.catalog import Catalog, read_catalog
from promptql.rules.units import in_units_of_the_data

FIELDS = {"delay_minutes": "integer", "weight_kg": "number", "length_m": "number", "seen": "datetime"}


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    """Of parcels with a time in minutes, a mass in kilograms, a length in metres."""
    path: Path = tmp_path_factory.mktemp("units")
    with Database.open(path) as database:
        database.create_collection("parcels", Schema.from_json({"fields": FIELDS})).add(
            [{"id": "p", "delay_minutes": 3, "weight_kg": 2.5, "length_m": 0.4, "seen": "2026-01-01"}]
        )
        yield read_catalog(database.snapshot())


@pytest.mark.parametrize(
    ("question", "said"),
    [
        ("late by more than half an hour", "late by more than 30 minutes"),
        ("late by over an hour", "late by over 60 minutes"),
        ("late by an hour and a half", "late by 90 minutes"),
        ("late by a quarter of an hour", "late by 15 minutes"),
        ("late by 2.5 hours", "late by 150 minutes"),
        ("late by more than a day", "late by more than 1440 minutes"),
        ("lighter than 500 grams", "lighter than 0.5"),
        ("lighter than 5 kg", "lighter than 5"),
        ("longer than 40 cm", "longer than 0.4"),
    ],
)
def test_amounts_are_told_as_the_data_has_them(catalog: Catalog, question: str, said: str) -> None:
    """A unit that no field could be known by, such as "kg", is left away."""
    text, assumed = in_units_of_the_data(question, catalog)
    assert text == said
    assert len(assumed) == 1


@pytest.mark.parametrize(
    "question",
    [
        "late by 45 minutes",
        "older than 30 days",
        "seen 3 hours ago",
        "seen in the last 2 hours",
        "how many an hour",
        "dearer than 5 dollars",
    ],
)
def test_what_is_no_amount_of_the_data_stays(catalog: Catalog, question: str) -> None:
    """Times ago, rates, units of nothing that is measured, and the data's own unit."""
    assert in_units_of_the_data(question, catalog) == (question, ())
