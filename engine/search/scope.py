"""Which documents a step of a search may find, where that is more than a filter says."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from engine.arrays import Mask, Ordinals
from engine.fields.filter import Filter


@dataclass(frozen=True, slots=True, eq=False)
class Among:
    """Some documents, of those that satisfy `where`; `Snapshot.allowed` takes it in place of a filter.

    Attributes:
        ordinals: (n,) ascending.
    """

    ordinals: Ordinals
    where: Filter | None = None

    @classmethod
    def of(cls, ordinals: Iterable[int], where: Filter | None = None) -> Among:
        """Some documents, in any order."""
        return cls(np.unique(np.fromiter(ordinals, dtype=np.uint32)), where)

    def marks(self, ordinals: Ordinals) -> Mask:
        """Which of `ordinals`, (n,) ascending, are among them."""
        mask = np.zeros(len(ordinals), dtype=bool)
        if len(ordinals):
            begin, end = np.searchsorted(self.ordinals, [ordinals[0], ordinals[-1] + 1])
            mask[np.searchsorted(ordinals, np.intersect1d(self.ordinals[begin:end], ordinals))] = True
        return mask


Condition: TypeAlias = Filter | Among | None
