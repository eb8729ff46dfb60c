"""Where the rows of one vector field came from: row → document, and the passage it stands for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.document import Passage


@dataclass(frozen=True, slots=True)
class RowOrigins:
    """Parallel arrays over the rows of one vector field of one part.

    Attributes:
        numbers: (rows,) uint32, ascending: number of the row in the store.
        documents: (rows,) int64, non-decreasing: place of its document in the part.
        starts, ends: (rows,) uint32, the passage's span in characters.
        fields: (rows,) int16, the passage's field as an index into `names`; -1 where the row is a whole document.
        names: fields that passages come from.
    """

    numbers: npt.NDArray[np.uint32]
    documents: npt.NDArray[np.int64]
    starts: npt.NDArray[np.uint32]
    ends: npt.NDArray[np.uint32]
    fields: npt.NDArray[np.int16]
    names: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.numbers)

    def passage(self, row: int) -> Passage | None:
        """The passage of one row."""
        field = int(self.fields[row])
        if field < 0:
            return None
        return Passage(self.names[field], int(self.starts[row]), int(self.ends[row]))

    def take(self, rows: npt.NDArray[Any], documents: npt.NDArray[np.int64]) -> RowOrigins:
        """Some rows, with new places for their documents."""
        return RowOrigins(
            self.numbers[rows], documents, self.starts[rows], self.ends[rows], self.fields[rows], self.names
        )

    @classmethod
    def concatenate(cls, parts: Sequence[RowOrigins]) -> RowOrigins:
        """One after the other; `documents` must have been made consecutive before."""
        names = tuple(dict.fromkeys(name for part in parts for name in part.names))
        mapped = []
        for part in parts:
            table = np.array([names.index(name) for name in part.names] + [-1], dtype=np.int16)
            mapped.append(table[part.fields])
        return cls(
            np.concatenate([part.numbers for part in parts]),
            np.concatenate([part.documents for part in parts]),
            np.concatenate([part.starts for part in parts]),
            np.concatenate([part.ends for part in parts]),
            np.concatenate(mapped),
            names,
        )
