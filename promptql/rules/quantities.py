"""Numbers and dates read from text as people write them: "1,234", "12 km", "3rd", "$1.5 million", "12 May 1994"."""

from __future__ import annotations

import re
from functools import lru_cache

_NUMBER = re.compile(r"^\W*?([-−–+]?)\s*(\d[\d,]*(?:\.\d+)?|\.\d+)\s*(.*)$", re.DOTALL)
_CLOCK = re.compile(r"^\W*(?:(\d+):)?(\d{1,2}):(\d{2}(?:\.\d+)?)\b")
_SCALE = re.compile(r"^(hundred|thousand|million|billion|trillion|mn|bn)\b", re.IGNORECASE)
_SCALES = {"hundred": 1e2, "thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12, "mn": 1e6, "bn": 1e9}
_MONTHS = {
    name: number
    for number, names in enumerate(
        (
            ("january", "jan"), ("february", "feb"), ("march", "mar"), ("april", "apr"), ("may",), ("june", "jun"),
            ("july", "jul"), ("august", "aug"), ("september", "sep", "sept"), ("october", "oct"),
            ("november", "nov"), ("december", "dec"),
        ),
        1,
    )
    for name in names
}  # fmt: skip
_MONTH = "|".join(sorted(_MONTHS, key=len, reverse=True))
_DATES = (
    re.compile(r"\b(?P<y>\d{4})-(?P<m>\d{1,2})-(?P<d>\d{1,2})(?!\d)"),
    re.compile(rf"\b(?P<name>{_MONTH})\.?\s+(?P<d>\d{{1,2}})(?:st|nd|rd|th)?\s*,?\s*(?P<y>\d{{4}})\b", re.IGNORECASE),
    re.compile(
        rf"\b(?P<d>\d{{1,2}})(?:st|nd|rd|th)?\s+(?:of\s+)?(?P<name>{_MONTH})\.?\s*,?\s*(?P<y>\d{{4}})\b", re.IGNORECASE
    ),
    re.compile(rf"\b(?P<name>{_MONTH})\.?\s*,?\s*(?P<y>\d{{4}})\b", re.IGNORECASE),
    re.compile(rf"\b(?P<name>{_MONTH})\.?\s+(?P<d>\d{{1,2}})(?:st|nd|rd|th)?\b", re.IGNORECASE),
    re.compile(rf"\b(?P<d>\d{{1,2}})(?:st|nd|rd|th)?\s+(?P<name>{_MONTH})\b", re.IGNORECASE),
)  # fmt: skip
_YEAR = re.compile(r"\b(1[0-9]\d\d|20\d\d)\b")
DATE_CHARACTERS_MAX = 60


@lru_cache(maxsize=65_536)
def number_in(text: str) -> tuple[float, bool] | None:
    """The number that a text begins with, and whether the text is nothing else but a unit or sign.

    "1,234" → (1234, True); "12 km" → (12, True); "3rd" → (3, True); "2 – 1" → (2, False); "n/a" → None.
    """
    clock = _CLOCK.match(text)
    if clock is not None:
        hours, minutes, seconds = clock.groups()
        return float(hours or 0) * 3600 + float(minutes) * 60 + float(seconds), True
    found = _NUMBER.match(text)
    if found is None or len(found[2]) > 20:
        return None
    value = float(found[2].replace(",", ""))
    rest = found[3].strip()
    scale = _SCALE.match(rest)
    if scale is not None:
        value *= _SCALES[scale[1].lower()]
    clean = not any(character.isdigit() for character in rest) and len(rest) <= 16
    return (-value if found[1] in ("-", "−", "–") else value), clean


@lru_cache(maxsize=65_536)
def date_in(text: str) -> tuple[int, int, int] | None:
    """The year, month and day that a short text names, 0 for what it leaves open; None where there is no date."""
    if len(text) > DATE_CHARACTERS_MAX:
        return None
    for pattern in _DATES:
        found = pattern.search(text)
        if found is not None:
            parts = found.groupdict()
            month = _MONTHS[parts["name"].lower()] if parts.get("name") else int(parts["m"])
            return int(parts.get("y") or 0), month, int(parts.get("d") or 0)
    return None


def year_in(text: str) -> int | None:
    """The first number in a text that looks like a year."""
    found = _YEAR.search(text)
    return int(found[1]) if found is not None else None
