"""Which rows of an index may be returned, in the forms that FAISS and the planner ask for."""

from __future__ import annotations

from collections.abc import Hashable
from functools import cached_property
from typing import Any

import faiss
import numpy as np

from engine.arrays import Mask, Rows


class Allowed:
    """A mask over the rows of one index, and what is derived from it, each part made when it is first asked for.

    Immutable; safe for many threads (two may do the same work at first).

    Attributes:
        mask: (n,) one flag a row. Not written to by anyone.
        options: what FAISS was told with `by_bits`, by what else it says; FAISS only reads it.
    """

    def __init__(self, mask: Mask) -> None:
        self.mask = mask
        self.count = int(np.count_nonzero(mask))
        self.options: dict[Hashable, Any] = {}
        self._in_lists: Rows | None = None

    @property
    def share(self) -> float:
        """Of all rows."""
        return self.count / max(1, len(self.mask))

    @cached_property
    def rows(self) -> Rows:
        """The allowed rows, ascending."""
        return np.flatnonzero(self.mask)

    @cached_property
    def by_rows(self) -> Any:
        """A FAISS selector that visits only the allowed rows; for exact scans of plain vectors."""
        rows = self.rows
        selector = faiss.IDSelectorArray(len(rows), faiss.swig_ptr(rows))
        selector.kept = rows  # it only points to them
        return selector

    @cached_property
    def by_bits(self) -> Any:
        """A FAISS selector that asks of any row whether it is allowed."""
        bits = np.packbits(self.mask, bitorder="little")
        selector = faiss.IDSelectorBitmap(len(bits), faiss.swig_ptr(bits))
        selector.kept = bits
        return selector

    def in_lists(self, lists: Rows, count: int) -> Rows:
        """How many allowed rows each of `count` inverted lists has, (count,); `lists` says in which each row is.

        Counted once: an `Allowed` belongs to one index.
        """
        if self._in_lists is None:
            self._in_lists = np.bincount(lists[self.mask], minlength=count)
        return self._in_lists
