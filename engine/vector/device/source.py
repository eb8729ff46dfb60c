"""What of a segment is to lie on a device."""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np

from engine.arrays import Vectors
from engine.vector.device.backend import RowsOf, Source
from engine.vector.flat import ExactVectors
from engine.vector.ivf import InvertedLists
from engine.vector.quantization import half_view
from engine.vector.sealed import SealedVectors


class DecodedRows:
    """Rows of half precision, of which float32 is made when they are taken."""

    def __init__(self, half: Any) -> None:
        self._half = half
        self.shape: tuple[int, ...] = half.shape

    def __len__(self) -> int:
        return len(self._half)

    def __getitem__(self, chosen: Any, /) -> Vectors:
        taken: Vectors = self._half[chosen].astype(np.float32)
        return taken


def source_of(index: SealedVectors) -> Source:
    """The vectors of a segment as they are compared in the end, and its inverted lists, if they are of these vectors.

    Lists of rotated vectors (rabitq) are left out: a device compares with all rows in less time than it takes to
    rotate queries and look their lists up.
    """
    exact = index.exact.index if isinstance(index.exact, ExactVectors) else None
    vectors: RowsOf = DecodedRows(half_view(exact)) if isinstance(exact, faiss.IndexScalarQuantizer) else index.vectors
    lists = index.approximate
    if not isinstance(lists, InvertedLists) or (lists.rotated and not lists.reduced):
        return Source(vectors, index.metric)
    return Source(vectors, index.metric, lists.centroids, lists.list_of)
