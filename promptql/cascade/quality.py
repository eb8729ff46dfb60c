"""What a cascade promises."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Target(StrEnum):
    """Which rate is promised: of the rows that belong how many are kept, or of those kept how many belong."""

    RECALL = "recall"
    PRECISION = "precision"


@dataclass(frozen=True, slots=True)
class Quality:
    """At least `value` of `target`, with a probability of at least 1 − `delta`, beside judging every row.

    Where rows are kept unread, `recall` promises as much precision too, within the same delta. `precision` promises
    no recall: that of its cut is estimated.

    Raises:
        ValueError: a number is not between 0 and 1.
    """

    target: Target
    value: float
    delta: float = 0.1

    def __post_init__(self) -> None:
        if not (0 < self.value < 1 and 0 < self.delta < 1):
            raise ValueError(f"value and delta must lie between 0 and 1: value={self.value!r} delta={self.delta!r}")
