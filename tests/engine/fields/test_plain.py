"""Single values of Python's that JSON lacks."""

from __future__ import annotations

import datetime as dt
import decimal
import uuid
from typing import Any

import numpy as np
import pytest

from engine.fields.plain import plain_scalar

MOMENT = dt.datetime(2024, 2, 29, 12, 30, tzinfo=dt.UTC)
ID = uuid.UUID("7f6a1c52-6d0c-5b5e-9a53-3f0b5f6e2d11")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (MOMENT, "2024-02-29T12:30:00+00:00"),
        (dt.date(2024, 2, 29), "2024-02-29"),
        (dt.time(12, 30), "12:30:00"),
        (decimal.Decimal(12), 12),
        (decimal.Decimal("12.50"), 12.5),
        (decimal.Decimal("1E+2"), 100.0),
        (ID, str(ID)),
        (np.int64(3), 3),
        (np.float32(0.5), 0.5),
        (np.float64(0.5), 0.5),
        (np.bool_(True), True),
        (np.str_("a"), "a"),
        (np.datetime64("2024-02-29"), "2024-02-29"),
        (np.datetime64("2024-02"), "2024-02-01T00:00:00"),
        (np.datetime64("2024-02-29T12:30:00.123456789"), "2024-02-29T12:30:00.123456"),
        (np.datetime64("NaT"), None),
        (np.longdouble("2.5"), 2.5),
    ],
)
def test_each_has_its_form(value: Any, expected: Any) -> None:
    """Dates and times as ISO 8601, numbers as numbers; of the very types that JSON reads back."""
    found = plain_scalar(value)
    assert (found, type(found)) == (expected, type(expected))


@pytest.mark.parametrize("value", [{1}, (1, 2), b"a", object, np.timedelta64(1, "s"), decimal.Decimal("sNaN"), 1 + 2j])
def test_what_has_no_one_meaning_stays(value: Any) -> None:
    """So that it is refused at its place."""
    assert plain_scalar(value) is value


@pytest.mark.parametrize("text", ["20000-01-01", "20000-01-01T00:00:00.000001", "-0100-01-01", "1000001970"])
def test_moments_that_are_no_dates_of_pythons_stay(text: str) -> None:
    """NumPy gives numbers for them, or other dates: stored, they would be wrong without a word."""
    value = np.datetime64(text)
    assert plain_scalar(value) is value
