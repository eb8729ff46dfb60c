from __future__ import annotations

import pytest

from engine import FieldType
from promptql.catalog.semantics import Semantics, SemanticType, expanded_names, semantics_of


@pytest.mark.parametrize(
    ("name", "type_", "samples", "expected"),
    [
        ("contact", FieldType.KEYWORD, ["a@b.org", "c.d@e-f.com", "x@y.co.uk"], Semantics(SemanticType.EMAIL)),
        ("site", FieldType.TEXT, ["https://a.org/x", "http://b.com"], Semantics(SemanticType.URL)),
        ("phone", FieldType.KEYWORD, ["5551234567", "5559876543"], Semantics(SemanticType.PHONE)),
        ("hotline", FieldType.KEYWORD, ["+43 1 58858", "+1 (555) 123-4567"], Semantics(SemanticType.PHONE)),
        ("serial", FieldType.KEYWORD, ["5551234567", "5559876543"], Semantics(SemanticType.CODE)),
        ("opening", FieldType.TEXT, ["May 3, 1999", "June 11, 2001"], Semantics(SemanticType.DATE)),
        ("season", FieldType.KEYWORD, ["1999", "2004"], Semantics(SemanticType.YEAR)),
        ("share", FieldType.TEXT, ["12 %", "3.5%"], Semantics(SemanticType.PERCENT)),
        ("worth", FieldType.TEXT, ["$1,200", "$3 million"], Semantics(SemanticType.MONEY, "USD")),
        ("duration", FieldType.TEXT, ["90 min", "103 min"], Semantics(SemanticType.QUANTITY, "min")),
        ("author", FieldType.TEXT, ["Ursula K. Le Guin", "Stanisław Lem"], Semantics(SemanticType.PERSON)),
        ("birthPlace", FieldType.TEXT, ["Vienna", "Graz"], Semantics(SemanticType.PLACE)),
        ("currency_code", FieldType.KEYWORD, ["EUR", "USD"], Semantics(SemanticType.CODE)),
        ("plot", FieldType.TEXT, ["one two three four five six seven eight nine ten"], Semantics(SemanticType.TEXT)),
        ("singer_id", FieldType.INTEGER, [1, 2], Semantics(SemanticType.KEY)),
        ("release_year", FieldType.INTEGER, [1979, 2010], Semantics(SemanticType.YEAR)),
        ("built", FieldType.INTEGER, [12, 44], Semantics(SemanticType.QUANTITY)),
        ("area_km2", FieldType.NUMBER, [83_879.0], Semantics(SemanticType.QUANTITY, "km²")),
        ("price_eur", FieldType.NUMBER, [9.5], Semantics(SemanticType.MONEY, "EUR")),
        ("budget", FieldType.INTEGER, [], Semantics(SemanticType.MONEY)),
        ("deprecated", FieldType.BOOLEAN, [True], Semantics(SemanticType.FLAG)),
        ("made", FieldType.DATETIME, [], Semantics(SemanticType.DATE)),
        ("where", FieldType.GEO, [], Semantics(SemanticType.PLACE)),
    ],
)
def test_a_field_is_read_from_its_name_and_values(
    name: str, type_: FieldType, samples: list[str | int], expected: Semantics
) -> None:
    """Forms of values come before names, and names before how often values repeat."""
    assert semantics_of(name, type_, samples) == expected


def test_few_values_are_a_category_and_different_ones_names() -> None:
    """What repeats classifies; what tells documents apart names them."""
    assert semantics_of("genre", FieldType.KEYWORD, ["drama", "horror"], small=True).type is SemanticType.CATEGORY
    assert semantics_of("genre", FieldType.KEYWORD, ["drama"] * 9 + ["horror"]).type is SemanticType.CATEGORY
    titles = ["Alien", "Heat", "Memento"]
    assert semantics_of("title", FieldType.KEYWORD, titles, identifier=True).type is SemanticType.NAME


def test_one_stray_value_does_not_hide_the_form() -> None:
    """Four of five are enough; three are not."""
    addresses = [f"a{i}@b.org" for i in range(4)]
    assert semantics_of("x", FieldType.TEXT, [*addresses, "unknown"]).type is SemanticType.EMAIL
    assert semantics_of("x", FieldType.TEXT, [*addresses[:3], "unknown", "?"]).type is not SemanticType.EMAIL


def test_abbreviations_are_written_out() -> None:
    """Only names that hold one get another name."""
    assert expanded_names("dept_name") == ("department name",)
    assert expanded_names("custDob") == ("customer date of birth",)
    assert expanded_names("title") == ()
