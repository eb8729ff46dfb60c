"""Readings put together by the answers that they give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from promptql.rules.columns import key_of, text_of
from promptql.rules.generate import Candidate

ANSWER_ROWS_COMPARED = 200  # of answers that are held to be the same


@dataclass(slots=True)
class Outcome:
    """Readings that give the same answer, the likeliest first, and their common probability."""

    readings: list[Candidate]
    probability: float


def by_outcome(candidates: Sequence[Candidate]) -> list[Outcome]:
    """Readings put together by what they give, columns in any order, the likeliest answer first."""
    found: dict[object, Outcome] = {}
    for candidate in candidates:
        answer = tuple(_cells(row) for row in candidate.answer[:ANSWER_ROWS_COMPARED])
        outcome = found.setdefault((len(candidate.answer), answer), Outcome([], 0.0))
        outcome.readings.append(candidate)
        outcome.probability += candidate.probability
    return sorted(found.values(), key=lambda outcome: -outcome.probability)


def _cells(row: Sequence[object]) -> tuple[object, ...]:
    """The row's values, whatever the order of its columns."""
    return tuple(sorted((_comparable(value) for value in row), key=lambda value: (isinstance(value, str), value)))


@lru_cache(maxsize=65_536)
def _comparable(value: object) -> float | str:
    if isinstance(value, int | float):
        return round(float(value), 6)
    key = key_of(text_of(value))
    return round(float(key), 6) if key.replace(".", "", 1).isdecimal() else key
