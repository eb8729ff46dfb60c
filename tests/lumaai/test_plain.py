"""Values of Python's that JSON lacks."""

from __future__ import annotations

import datetime as dt
import decimal
import math
import uuid
from typing import Any

import numpy as np
import pytest

from lumaai.plain import plain_documents, plain_scalar

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


def test_documents_without_any_stay_the_same_objects() -> None:
    """Arrays too, which are vectors; what is not finite is refused later."""
    document = {"id": "a", "vector": np.zeros(3), "nested": {"list": [1, [2.5, None]]}, "nan": math.nan}
    (found,) = plain_documents([document])
    assert found is document


def test_they_are_found_at_any_depth() -> None:
    """In objects and lists; the given document is left as it was."""
    document = {"id": "a", "times": [{"at": MOMENT}], "n": {"x": [np.int32(1), 2]}}
    (found,) = plain_documents([document])
    assert found == {"id": "a", "times": [{"at": "2024-02-29T12:30:00+00:00"}], "n": {"x": [1, 2]}}
    assert document["times"] == [{"at": MOMENT}]


def test_a_document_in_itself_is_left_to_be_refused() -> None:
    """Neither endless nor exponential."""
    own: list[Any] = [MOMENT]
    own += [own, own]
    (found,) = plain_documents([{"own": own}])
    assert found["own"] is own
