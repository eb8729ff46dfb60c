"""Who has been asked about which rows, what was said, and which rows are drawn to measure the others."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Places: TypeAlias = npt.NDArray[np.int64]
Labels: TypeAlias = npt.NDArray[np.int8]
Judge: TypeAlias = Callable[[Places], Labels]

KEPT, LEFT_OUT = 1, 0  # what a judge says of a row
FAILED = -1  # it was asked, and gave no label
NOT_ASKED = -2  # the budget, or the time, has ended
UNREAD = -3  # nobody was asked


class StoppedError(Exception):
    """The judge may not go on."""


@dataclass(slots=True)
class State:
    """Who has been asked about what."""

    judge: Judge
    helper: Judge | None
    labels: Labels
    judged_max: int | None
    weights: npt.NDArray[np.int64]
    helper_labels: Labels | None = None

    def read(self, places: Places) -> None:
        """Ask the judge about places not read yet.

        Raises:
            StoppedError: it was not asked about all of them.
        """
        places = places[self.labels[places] == UNREAD]
        wanted = len(places)
        if self.judged_max is not None:
            places = places[: max(0, self.judged_max - self.judged)]
        if len(places):
            said = np.asarray(self.judge(places), dtype=np.int8)
            asked = said != NOT_ASKED
            self.labels[places[asked]] = said[asked]
            if not asked.all():
                raise StoppedError
        if len(places) < wanted:
            raise StoppedError

    @property
    def judged(self) -> int:
        """How many rows were asked about."""
        return int((self.labels != UNREAD).sum())

    @property
    def known(self) -> Places:
        """Places with a label."""
        return np.flatnonzero(self.labels >= 0)

    @property
    def unread(self) -> Places:
        """Places that nobody was asked about."""
        return np.flatnonzero(self.labels == UNREAD)

    @property
    def found(self) -> npt.NDArray[np.bool_]:
        """(rows,) which are known to belong."""
        kept: npt.NDArray[np.bool_] = self.labels == KEPT
        return kept


@dataclass(slots=True)
class Audit:
    """A draw by independent coins of one rate among `rows`, those not read when it began."""

    rate: float
    rows: Places
    drawn: npt.NDArray[np.bool_]  # (all rows,)
    tail: npt.NDArray[np.bool_]  # (all rows,) not yet passed
    complete: bool = False
