"""What a snapshot is made of: a part answers for its own documents, whether it is sealed or still growing."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from pyroaring import BitMap

from engine.arrays import Mask, Ordinals, Rows, Scores, Vectors
from engine.schema import JSON, Field
from engine.segments.nulls import NullPlaces
from engine.segments.rows import RowOrigins
from engine.vector.allowed import Allowed
from engine.vector.parameters import SearchParameters
from engine.writes.expiry import Expiries


class VectorPart(Protocol):
    """The rows of one vector field in one part. Immutable."""

    @property
    def origins(self) -> RowOrigins:
        """Where each row came from."""

    @property
    def vectors(self) -> Vectors:
        """(rows, dim), prepared for their metric. Do not write."""

    @property
    def one_row_a_document(self) -> bool:
        """Whether no document has two rows."""

    @property
    def reason(self) -> str:
        """Why it is searched by the kind of index that it has."""

    def allowed(self, mask: Mask) -> Allowed:
        """The rows of the documents that `mask` (n,) marks. Do not write to it any more."""

    def search(
        self, queries: Vectors, k: int, *, allowed: Allowed | None, parameters: SearchParameters, threads: int
    ) -> tuple[Scores, Rows, str]:
        """Scores (q, k) and rows (q, k), best first, -1 where there are no more; and how it was done.

        Args:
            queries: (q, dim) float32, prepared.
            k: rows; at most as many as are allowed.
            allowed: which rows may be returned; None for all.
            parameters: how hard to search.
            threads: processors to use.
        """


class Part(Protocol):
    """Some documents of a collection. Immutable; safe for many threads."""

    @property
    def ordinals(self) -> Ordinals:
        """(n,) ascending."""

    @property
    def bitmap(self) -> BitMap:
        """The same. Do not write."""

    @property
    def expiries(self) -> Expiries | None:
        """When the documents expire; None where none does."""

    def column(self, name: str, field: Field) -> Any:
        """The Arrow column of a field (or of the id), n values, of the type that `field` says."""

    @property
    def lasts(self) -> bool:
        """Whether it stays long enough for indexes of its fields to pay."""

    def nulls(self) -> NullPlaces:
        """Places of documents that have a field with null in it, by field."""

    def values(self, name: str, places: Any) -> list[JSON]:
        """What the documents at some places have in a field, from the documents themselves."""

    def taken(self, name: str, field: Field, places: Any) -> Any:
        """The values that `column` has at some places, (n,); cheap for a few."""

    def numbers(self, name: str, field: Field) -> Any | None:
        """The column of a field of integers or numbers as an array, (n,), where no document lacks it; None else."""

    def ids(self, places: Any) -> list[str]:
        """Ids of the documents at some places."""

    def vector_part(self, name: str) -> VectorPart | None:
        """The rows of a vector field; None where no document of the part has one."""


def live_mask(ordinals: Ordinals, deleted: BitMap) -> Mask | None:
    """Which of a part's documents are not deleted; None for all."""
    if not len(ordinals):
        return None
    first, end = int(ordinals[0]), int(ordinals[-1]) + 1
    if not deleted.range_cardinality(first, end):
        return None
    dead = np.array(deleted & BitMap(range(first, end)), dtype=np.uint32)
    mask: Mask = ~np.isin(ordinals, dead, assume_unique=True)
    return None if mask.all() else mask
