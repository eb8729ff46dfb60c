"""What to read next: the cheapest way to the promise, as far as the proxy knows. It steers and certifies nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from promptql.cascade.bounds import unread_upper

RATES = (
    0.02,
    0.03,
    0.04,
    0.055,
    0.07,
    0.09,
    0.11,
    0.135,
    0.16,
    0.19,
    0.225,
    0.26,
    0.3,
    0.35,
    0.4,
    0.46,
    0.53,
    0.6,
    0.7,
)
KEPT_FROM = (0.5, 0.6, 0.7, 0.8, 0.87, 0.92, 0.96, 0.98)  # probabilities above which rows could be kept unread
CAUTION = 0.5  # standard deviations that an audit is taken to find more than expected


@dataclass(frozen=True, slots=True)
class Schedule:
    """Of the unread rows, likeliest first: keep `kept` unread, read up to `read`, drop the rest, audit all at `rate`.

    `cost` is the number of rows that this reads; of all rows where nothing cheaper is promising.
    """

    rate: float
    kept: int
    read: int
    cost: float


@dataclass(frozen=True, slots=True)
class Aims:
    """What the audit must show.

    Attributes:
        missed: rows dropped that belong, at most, for each one found: (1 − recall) / recall.
        wrong: rows kept that do not belong, at most, for each one kept.
        delta_missed: the chance allowed to the first to be wrong.
        delta_wrong: the chance allowed to the second.
        delta_alone: that of the first where nothing is kept unread.
    """

    missed: float
    wrong: float
    delta_missed: float
    delta_wrong: float
    delta_alone: float


def cheapest(probabilities: npt.NDArray[np.float64], found: float, aims: Aims) -> Schedule:
    """The schedule that reads fewest rows if the probabilities are right.

    Args:
        probabilities: (rows,) of the unread rows, descending.
        found: rows that are known to belong.
        aims: what must be shown.
    """
    rows = len(probabilities)
    best = Schedule(1.0, 0, rows, float(rows))
    begun = np.concatenate([[0.0], np.cumsum(probabilities)])  # of the first j rows, how many belong
    left = np.maximum(begun[-1] - begun, 0.0)
    kept_grid = sorted({int(np.searchsorted(-probabilities, -least)) for least in KEPT_FROM} | {0})
    for rate in RATES:
        floor = rate * rows
        if floor >= best.cost:
            break
        for kept in kept_grid:
            wrong = _wrong(kept, float(kept - begun[kept]), found, rate, aims) if kept else 0.0
            if wrong is None:
                continue
            delta = aims.delta_missed if kept else aims.delta_alone
            read = _cut(begun, left, kept, found - wrong, rate, aims.missed, delta)
            cost = floor + (1 - rate) * (read - kept)
            if cost < best.cost:
                best = Schedule(rate, kept, read, cost)
    return best


def _wrong(kept: int, expected: float, found: float, rate: float, aims: Aims) -> float | None:
    """Bound on the wrong ones among rows kept unread; None where the audit would not find them few enough."""
    seen = _cautious(rate * expected)
    upper = unread_upper(seen, rate, aims.delta_wrong)
    return float(upper) if upper <= aims.wrong * (kept - seen + found) else None


def _cut(
    begun: npt.NDArray[np.float64],
    left: npt.NDArray[np.float64],
    kept: int,
    found: float,
    rate: float,
    missed: float,
    delta: float,
) -> int:
    """The first place behind which few enough would be missed; found by halving, as it gets easier down the list."""
    low, high = kept, len(left) - 1
    while low < high:
        middle = (low + high) // 2
        seen = _cautious(rate * float(left[middle]))
        have = found + float(begun[middle]) + rate * float(left[middle])
        if unread_upper(seen, rate, delta) <= missed * have:
            high = middle
        else:
            low = middle + 1
    return low


def _cautious(expected: float) -> int:
    return math.ceil(expected + CAUTION * math.sqrt(expected) - 1e-9) if expected > 0.05 else 0


def rows_read(rows: int, share: float, value: float, delta: float) -> int:
    """How many of the rows a cascade is likely to read, by the experience of labelled filters (benchmarks/cascade.py).

    A begin of a twentieth of the rows, one and a half for each that belongs, and the cheapest audit that can show one
    row missed to be few enough.

    Args:
        rows: to be decided.
        share: of those that belong, if it is known, else guessed.
        value: the recall or precision promised.
        delta: the chance that it may fail.
    """
    belong = share * rows
    aim = (1 - value) / value * belong
    rate = next((rate for rate in RATES if unread_upper(1, rate, delta) <= aim), 1.0)
    found = min(rows, 0.05 * rows + 1.5 * belong)
    return min(rows, math.ceil(found + rate * (rows - found)))
