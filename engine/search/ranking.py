"""Documents in an order: what every step of a search takes and gives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from engine.arrays import Ordinals
from engine.document import Passage

WINDOW_GROWTH = 10


@dataclass(frozen=True, slots=True)
class Ranking:
    """Parallel arrays, best first, equal scores by ordinal.

    Attributes:
        ordinals: (n,) uint32, each once.
        scores: (n,) float32 or float64, larger is better.
        passages: the passage that speaks for each; None where there is none.
        whole: nothing that satisfies the filter and matches the query is missing.
    """

    ordinals: Ordinals
    scores: npt.NDArray[Any]
    passages: Sequence[Passage | None]
    whole: bool = False

    def __len__(self) -> int:
        return len(self.ordinals)

    def take(self, places: npt.NDArray[Any], *, whole: bool | None = None) -> Ranking:
        """Those at `places`, in that order."""
        passages = [self.passages[place] for place in places.tolist()]
        return Ranking(self.ordinals[places], self.scores[places], passages, self.whole if whole is None else whole)

    def first(self, count: int) -> Ranking:
        """The first `count`."""
        if count >= len(self):
            return self
        return Ranking(self.ordinals[:count], self.scores[:count], self.passages[:count])

    def without(self, ordinals: Sequence[int]) -> Ranking:
        """All but some."""
        if not ordinals:
            return self
        return self.take(np.flatnonzero(~np.isin(self.ordinals, np.array(ordinals, dtype=np.uint32))))

    def after(self, before: Ranking, *, falling: bool) -> Ranking:
        """`before`, then what this has beyond it; `falling`: at scores that are no higher than its last."""
        rest = self.take(np.flatnonzero(~np.isin(self.ordinals, before.ordinals)))
        scores = rest.scores
        if falling and len(before) and len(rest):
            scores = np.minimum(scores, before.scores[-1])
        return Ranking(
            np.concatenate([before.ordinals, rest.ordinals]),
            np.concatenate([before.scores, scores]),
            [*before.passages, *rest.passages],
            self.whole,
        )


NOTHING = Ranking(np.empty(0, dtype=np.uint32), np.empty(0, dtype=np.float32), [], whole=True)

Rank: TypeAlias = Callable[[int], Ranking]  # about so many documents → the best of them, in order


def collect(rank: Rank, window: int, needed: int, *, falling: bool = True) -> Ranking:
    """At least `needed` documents, or all there are, in an order that does not depend on `needed`.

    A ranking may come out differently when it is asked for more: fused scores rest on how deep each side was looked
    at, and approximate indexes find more when they look further. So pages stay as they are only if what a window has
    given is kept, and the next one, ten times as wide, goes on behind it.

    Args:
        rank: makes the ranking.
        window: how many documents it is asked for at first.
        needed: documents.
        falling: scores fall from window to window, too.
    """
    found = rank(window)
    while len(found) < needed and not found.whole:
        window *= WINDOW_GROWTH
        found = rank(window).after(found, falling=falling)
    return found


def ordered(ordinals: Ordinals, scores: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """The order of a ranking: best first, equal scores by ordinal."""
    return np.lexsort((ordinals, -scores))
