"""What a field's values stand for: by its name, its type, and a sample of its values."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from engine import FieldType
from promptql.expressions import Scalar
from promptql.rules.words import name_words

MATCH_SHARE = 0.8  # of the sampled values that must have a form
TEXT_WORDS = 8.0  # on average; longer values are prose
YEARS = range(1000, 2200)


class SemanticType(StrEnum):
    """What a value stands for."""

    KEY = "key"
    EMAIL = "email"
    URL = "url"
    PHONE = "phone"
    DATE = "date"
    YEAR = "year"
    QUANTITY = "quantity"
    MONEY = "money"
    PERCENT = "percent"
    PERSON = "person"
    PLACE = "place"
    CODE = "code"
    CATEGORY = "category"
    FLAG = "flag"
    NAME = "name"
    TEXT = "text"
    OBJECT = "object"


@dataclass(frozen=True, slots=True)
class Semantics:
    """What a field's values stand for, and the unit that they are in, where one is known."""

    type: SemanticType
    unit: str | None = None


UNITS = {
    "km2": "km²", "sqkm": "km²", "m2": "m²", "sqmi": "mi²", "km": "km", "m": "m", "cm": "cm", "mm": "mm", "mi": "mi",
    "miles": "mi", "ft": "ft", "feet": "ft", "inches": "in", "kg": "kg", "kilograms": "kg", "g": "g", "grams": "g",
    "lb": "lb", "lbs": "lb", "pounds": "lb", "tons": "t", "tonnes": "t", "ms": "ms", "sec": "s", "secs": "s",
    "seconds": "s", "min": "min", "mins": "min", "minutes": "min", "hour": "h", "hours": "h", "days": "d",
    "weeks": "weeks", "months": "months", "mph": "mph", "kmh": "km/h", "kph": "km/h", "hp": "hp", "cc": "cm³",
    "celsius": "°C", "fahrenheit": "°F", "kwh": "kWh", "mw": "MW", "bytes": "B", "kb": "kB", "mb": "MB", "gb": "GB",
    "liters": "l", "litres": "l", "meters": "m", "metres": "m", "kilometers": "km",
}  # fmt: skip
CURRENCIES = {
    "usd": "USD", "dollars": "USD", "eur": "EUR", "euro": "EUR", "euros": "EUR", "gbp": "GBP", "jpy": "JPY",
    "chf": "CHF", "$": "USD", "€": "EUR", "£": "GBP", "¥": "JPY",
}  # fmt: skip
_MONEY = frozenset(
    """price cost costs fee fees fare salary wage wages income revenue revenues budget gross profit profits earnings
    sales amount balance payment turnover""".split()
)
_PERCENT = frozenset({"percent", "percentage", "pct", "ratio"})
_PERSON = frozenset(
    """author authors writer writers director directors actor actors actress cast star stars player players singer
    artist artists composer producer employee manager owner president candidate winner coach teacher student customer
    person people driver pilot editor inventor founder instructor creator contact member surname lastname
    firstname""".split()
)
_PLACE = frozenset(
    """country countries nation city cities town state province region county location place address continent capital
    district venue stadium airport hometown birthplace nationality street destination origin headquarters
    hq harbour harbor port marina village island warehouse depot""".split()
)
_CODE = frozenset({"code", "codes", "sku", "isbn", "issn", "iso", "zip", "postcode", "abbreviation", "cca2", "cca3"})
_TIME = frozenset({"year", "released", "published", "founded", "born", "died", "established", "built", "opened"})
_DATE = frozenset({"date", "time", "timestamp", "day", "created", "updated", "birthday", "dob"})
_NUMBER = r"[-+]?\d[\d,]*(?:\.\d+)?"
_FORMS: tuple[tuple[SemanticType, re.Pattern[str]], ...] = (
    (SemanticType.EMAIL, re.compile(r"[^\s@]+@[^\s@]+\.[^\s@.]+")),
    (SemanticType.URL, re.compile(r"(?:https?|ftp)://\S+|www\.\S+\.\S+", re.IGNORECASE)),
    (SemanticType.YEAR, re.compile(r"(?:1\d|20)\d\d")),
    (
        SemanticType.DATE,
        re.compile(
            r"\d{4}-\d{1,2}(?:-\d{1,2}(?:[T ].*)?)?|\d{1,2}[/.]\d{1,2}[/.]\d{2,4}"
            r"|(?:\d{1,2}\.? )?(?:jan|feb|mar|apr|may|jun|jul|aug|sep|oct|nov|dec)[a-z]*\.?(?: \d{1,2})?,? \d{4}",
            re.IGNORECASE,
        ),
    ),
    (SemanticType.PHONE, re.compile(r"\+?\(?\d[\d\s().-]{5,18}\d")),
    (SemanticType.PERCENT, re.compile(rf"{_NUMBER} ?(?:%|percent)")),
    (SemanticType.MONEY, re.compile(rf"(?P<unit>[$€£¥]) ?{_NUMBER}(?: ?(?:k|m|bn|million|billion))?")),
)
_QUANTITY = re.compile(rf"{_NUMBER} ?(?P<unit>[a-zA-Z²³/°]{{1,12}})")
_CODE_FORM = re.compile(r"(?=.*[A-Z0-9])[A-Z0-9][A-Z0-9._/-]{0,15}")
_PHONE_NAME = frozenset({"phone", "telephone", "tel", "fax", "mobile"})

ABBREVIATIONS = {
    "qty": "quantity", "amt": "amount", "dob": "date of birth", "tel": "telephone", "lat": "latitude",
    "lon": "longitude", "lng": "longitude", "desc": "description", "dept": "department", "addr": "address",
    "num": "number", "nr": "number", "pct": "percentage", "pop": "population", "temp": "temperature",
    "org": "organization", "lang": "language", "acct": "account", "cat": "category", "mfr": "manufacturer",
    "hp": "horsepower", "mpg": "miles per gallon", "fname": "first name", "lname": "last name", "cust": "customer",
    "emp": "employee", "mgr": "manager", "prof": "professor", "yr": "year", "dur": "duration", "avg": "average",
}  # fmt: skip


def semantics_of(
    name: str, type_: FieldType, samples: Sequence[Scalar], *, identifier: bool = False, small: bool = False
) -> Semantics:
    """What the values of a field stand for.

    Args:
        name: of the field.
        type_: of its values.
        samples: some of them, without missing ones.
        identifier: they tell documents apart.
        small: they are few.
    """
    match type_:
        case FieldType.BOOLEAN:
            return Semantics(SemanticType.FLAG)
        case FieldType.DATETIME:
            return Semantics(SemanticType.DATE)
        case FieldType.GEO:
            return Semantics(SemanticType.PLACE)
        case FieldType.JSON:
            return Semantics(SemanticType.OBJECT)
        case FieldType.INTEGER | FieldType.NUMBER:
            return _of_numbers(name_words(name), [value for value in samples if isinstance(value, int | float)])
        case _:
            texts = [value for value in samples if isinstance(value, str) and value]
            return _of_texts(name_words(name), texts, identifier=identifier, small=small)


def _of_numbers(words: tuple[str, ...], values: Sequence[float]) -> Semantics:
    named = frozenset(words)
    if words and (words[-1] == "id" or words == ("key",)):
        return Semantics(SemanticType.KEY)
    if named & _TIME and all(value in YEARS for value in values):
        return Semantics(SemanticType.YEAR)
    if named & _PERCENT:
        return Semantics(SemanticType.PERCENT)
    currency = next((CURRENCIES[word] for word in words if word in CURRENCIES), None)
    if currency is not None or named & _MONEY:
        return Semantics(SemanticType.MONEY, currency)
    unit = UNITS.get(words[-1]) if len(words) > 1 or words[-1:] == ("minutes",) else None
    if named & _CODE and unit is None:
        return Semantics(SemanticType.CODE)
    return Semantics(SemanticType.QUANTITY, unit)


def _of_texts(words: tuple[str, ...], texts: Sequence[str], *, identifier: bool, small: bool) -> Semantics:
    formed = _formed(words, texts)
    if formed is not None:
        return formed
    named = frozenset(words)
    if texts and sum(len(text.split()) for text in texts) / len(texts) > TEXT_WORDS:
        return Semantics(SemanticType.TEXT)
    if words and words[-1] == "id":
        return Semantics(SemanticType.KEY)
    for kind, hints in ((SemanticType.CODE, _CODE), (SemanticType.PERSON, _PERSON), (SemanticType.PLACE, _PLACE)):
        if named & hints:
            return Semantics(kind)
    if texts and not small and _share(_CODE_FORM, texts) and any(c.isdigit() for text in texts for c in text):
        return Semantics(SemanticType.CODE)
    if small or (texts and not identifier and len(set(texts)) <= len(texts) / 2):
        return Semantics(SemanticType.CATEGORY)
    return Semantics(SemanticType.NAME if texts or identifier else SemanticType.TEXT)


def _formed(words: tuple[str, ...], texts: Sequence[str]) -> Semantics | None:
    """What the form of the values shows, such as addresses and dates."""
    if not texts:
        return None
    for kind, form in _FORMS:
        if _share(form, texts) and (kind is not SemanticType.PHONE or _is_phone(words, texts)):
            found = form.fullmatch(texts[0].strip())
            unit = found.groupdict().get("unit") if found is not None else None
            return Semantics(kind, CURRENCIES.get(unit or ""))
    units = {match["unit"].casefold() for text in texts if (match := _QUANTITY.fullmatch(text.strip())) is not None}
    if _share(_QUANTITY, texts) and units and units <= set(UNITS) | {"min", "season", "seasons"}:
        return Semantics(SemanticType.QUANTITY, UNITS.get(units.pop()) if len(units) == 1 else None)
    return None


def _is_phone(words: tuple[str, ...], texts: Sequence[str]) -> bool:
    """Long numbers are telephones where the name says so, or they are written as telephones are."""
    return bool(_PHONE_NAME & set(words)) or all(any(mark in text for mark in "+-() ") for text in texts)


def _share(form: re.Pattern[str], texts: Sequence[str]) -> bool:
    return sum(form.fullmatch(text.strip()) is not None for text in texts) >= MATCH_SHARE * len(texts)


def expanded_names(name: str) -> tuple[str, ...]:
    """The name with its abbreviations written out: "dept_name" → "department name"; empty where there is none."""
    words = name_words(name)
    whole = " ".join(ABBREVIATIONS.get(word, word) for word in words)
    return (whole,) if whole != " ".join(words) else ()
