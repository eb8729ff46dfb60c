"""Rows of two tables matched by equal keys; a missing key equals nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from engine.fields.encoding import encode_rows
from engine.fields.origin import NOWHERE, Places


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of two sides a join put together."""

    left_rows: int
    left_matched: int
    right_rows: int
    right_matched: int
    rows: int

    def to_json(self) -> dict[str, int]:
        """By the names of the attributes."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Matches:
    """Which rows of the right side each row of the left side meets.

    Attributes:
        counts: (left rows,) how many.
        starts: (left rows,) where those begin in `order`.
        order: rows of the right side.
        right_matched: rows of the right side that meet any.
    """

    counts: Places
    starts: Places
    order: Places
    right_matched: int

    def pairs(self, *, outer: bool) -> tuple[Places, Places]:
        """Rows of both sides that meet, in the order of the left side; `outer`: also lone ones, with `NOWHERE`."""
        repeats = np.maximum(self.counts, 1) if outer else self.counts
        left = np.repeat(np.arange(len(self.counts)), repeats)
        ends = np.cumsum(repeats)
        within = np.arange(len(left)) - np.repeat(ends - repeats, repeats)
        if not len(self.order):
            return left, np.full(len(left), NOWHERE, dtype=np.int64)
        lone = np.repeat(self.counts == 0, repeats)
        right = self.order[np.where(lone, 0, np.repeat(self.starts, repeats) + within)]
        return left, np.where(lone, NOWHERE, right)


def match(left: Sequence[Any], right: Sequence[Any], left_rows: int, right_rows: int) -> Matches:
    """Match the rows of two sides by their key columns, which have the same types in pairs."""
    columns = [pa.chunked_array([*a.chunks, *b.chunks], a.type) for a, b in zip(left, right, strict=True)]
    numbers, count = encode_rows(columns, left_rows + right_rows)
    missing = np.zeros(len(numbers), dtype=bool)
    for column in columns:
        missing |= column.is_null().to_numpy()
    ours, theirs = numbers[:left_rows], numbers[left_rows:]
    rows = np.flatnonzero(~missing[left_rows:])
    sizes = np.bincount(theirs[rows], minlength=count)
    order = rows[np.argsort(theirs[rows], kind="stable")]
    starts = np.cumsum(sizes) - sizes
    counts = np.where(missing[:left_rows], 0, sizes[ours])
    met = np.zeros(count, dtype=bool)
    met[ours[~missing[:left_rows]]] = True
    return Matches(counts, starts[ours], order, int(met[theirs[rows]].sum()))
