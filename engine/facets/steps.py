"""Histograms of numbers by equal steps, whose edges are the multiples that a reader of the decimals expects."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from decimal import Context, Decimal

import numpy as np
import numpy.typing as npt

from engine.schema import JSON

BUCKETS_MAX = 10_000
_NEIGHBOURS = np.arange(-2, 4)  # by how much a rounded quotient may miss its step, and the edge after that
_EXACT = 2.0**53  # steps from zero, beyond which no two floats share one
_DECIMALS = Context(prec=60)  # of an interval and a number of steps, both of 17 digits


def count_steps(
    numbers: npt.NDArray[np.int64 | np.float64], interval: float
) -> tuple[list[JSON], npt.NDArray[np.int64]]:
    """How many numbers lie from each multiple of `interval` up to the next.

    The multiples are those of the decimal number that `interval` is written as, each rounded once: three times 0.1 is
    0.3, and 0.3 lies at the beginning of a step. Numbers more than 2**53 steps from zero begin a step each.

    Returns:
        Where steps begin, ascending, and the counts, none 0; where there are many more than `BUCKETS_MAX`, about.
    """
    if isinstance(interval, int) and numbers.dtype.kind == "i":
        return _whole_steps(numbers, interval)
    ordered = np.sort(numbers.astype(np.float64))
    with np.errstate(over="ignore"):
        quotients = np.floor(ordered / interval)
    near = slice(*np.searchsorted(quotients, [-_EXACT, _EXACT], side="right").tolist())
    steps = np.unique(quotients[near].astype(np.int64))
    far = np.unique(np.concatenate([ordered[: near.start], ordered[near.stop :]]), return_counts=True)
    if len(steps) + len(far[0]) > 2 * BUCKETS_MAX:
        return np.concatenate([steps, far[0]]).tolist(), np.zeros(len(steps) + len(far[0]), dtype=np.int64)
    multiples = np.unique(steps[:, None] + _NEIGHBOURS)
    edges = np.array(_multiples(multiples.tolist(), interval))
    places = np.searchsorted(ordered[near], edges, side="left")
    counts = np.diff(places)
    starts = np.concatenate([edges[:-1][counts > 0], far[0]])
    order = np.argsort(starts, kind="stable")
    return starts[order].tolist(), np.concatenate([counts[counts > 0], far[1]])[order]


def _whole_steps(
    numbers: npt.NDArray[np.int64 | np.float64], interval: int
) -> tuple[list[JSON], npt.NDArray[np.int64]]:
    """Integers, exactly."""
    if interval > np.iinfo(np.int64).max:
        steps, counts = np.unique(np.where(numbers < 0, -1, 0), return_counts=True)
    else:
        steps, counts = np.unique(numbers // interval, return_counts=True)
    return [step * interval for step in steps.tolist()], counts


def _multiples(steps: Sequence[int], interval: float) -> list[float]:
    """The edges of steps, none below the least float."""
    unit = Decimal(repr(interval))
    return [max(float(_DECIMALS.multiply(unit, Decimal(step))), -sys.float_info.max) for step in steps]
