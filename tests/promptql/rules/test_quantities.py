"""Numbers and dates in text."""

from __future__ import annotations

import pytest

from promptql.rules.quantities import date_in, number_in, year_in


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1,234", (1234.0, True)),
        ("12 km", (12.0, True)),
        ("2.44 m", (2.44, True)),
        ("3rd", (3.0, True)),
        ("$1.5 million", (1_500_000.0, True)),
        ("−7", (-7.0, True)),
        ("1:30.5", (90.5, True)),
        ("2 – 1", (2.0, False)),
        ("n/a", None),
        ("", None),
        ("9" * 40, None),
    ],
)
def test_numbers_are_read_from_the_beginning_of_a_text(text: str, expected: tuple[float, bool] | None) -> None:
    """The number, and whether the text is nothing but it and a unit."""
    assert number_in(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("September 12, 1994", (1994, 9, 12)),
        ("12 sept 1994", (1994, 9, 12)),
        ("1994-09-12T00:00:00Z", (1994, 9, 12)),
        ("May 2001", (2001, 5, 0)),
        ("march 5", (0, 3, 5)),
        ("1994", None),
        ("mayor 5", None),
    ],
)
def test_dates_are_read_in_usual_forms(text: str, expected: tuple[int, int, int] | None) -> None:
    """Year, month and day, 0 for what is left open."""
    assert date_in(text) == expected


def test_years_are_four_digits_of_recorded_history() -> None:
    """1066 is one, 99 and 123456 are none."""
    assert [year_in(text) for text in ("in 1066", "99", "123456")] == [1066, None, None]
