"""Array types by name, and the append-only array behind the head."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Vectors: TypeAlias = npt.NDArray[np.float32]  # (n, dim)
Vector: TypeAlias = npt.NDArray[np.float32]  # (dim,)
Numbers: TypeAlias = npt.NDArray[Any]  # vectors as callers give them: of any type of number; (n, dim) or (dim,)
Ordinals: TypeAlias = npt.NDArray[np.uint32]  # (n,) document versions of one collection
Rows: TypeAlias = npt.NDArray[np.int64]  # (n,) rows of one vector field within one part; -1 where there is none
Scores: TypeAlias = npt.NDArray[np.float32]  # (n,) larger is better
Mask: TypeAlias = npt.NDArray[np.bool_]  # (n,) one flag a document or row


class GrowingArray:
    """An array that only grows; what was handed out stays valid and unchanged.

    `view(n)` is a view of the first n rows. Appending writes behind every view given out so far, or moves to a
    larger buffer and leaves the old one to its views: readers need no lock. One writer at a time.
    """

    def __init__(self, dtype: npt.DTypeLike, width: int | None = None, capacity: int = 64) -> None:
        self._shape = () if width is None else (width,)
        self._buffer: npt.NDArray[Any] = np.empty((capacity, *self._shape), dtype=dtype)
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def extend(self, values: npt.NDArray[Any]) -> None:
        """Append `values`, (n,) or (n, width)."""
        needed = self._size + len(values)
        if needed > len(self._buffer):
            grown = np.empty((max(needed, 2 * len(self._buffer)), *self._shape), dtype=self._buffer.dtype)
            grown[: self._size] = self._buffer[: self._size]
            self._buffer = grown
        self._buffer[self._size : needed] = values
        self._size = needed

    def view(self, size: int) -> npt.NDArray[Any]:
        """The first `size` rows, without a copy."""
        return self._buffer[:size]
