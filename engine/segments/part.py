"""What a snapshot is made of: a part answers for its own documents, whether it is sealed or still growing."""

from __future__ import annotations

from typing import Any, Protocol

from engine.arrays import Mask, Ordinals, Rows, Scores, Vectors
from engine.schema import Field
from engine.segments.rows import RowOrigins


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

    def search(
        self, queries: Vectors, k: int, *, allowed: Mask | None, ef_search: int, exact: bool, threads: int
    ) -> tuple[Scores, Rows, str]:
        """Scores (q, k) and rows (q, k), best first, -1 where there are no more; and how it was done."""


class Part(Protocol):
    """Some documents of a collection. Immutable; safe for many threads."""

    @property
    def ordinals(self) -> Ordinals:
        """(n,) ascending."""

    def column(self, name: str, field: Field) -> Any:
        """The Arrow column of a field (or of the id), n values, of the type that `field` says."""

    def ids(self, places: Any) -> list[str]:
        """Ids of the documents at some places."""

    def vector_part(self, name: str) -> VectorPart | None:
        """The rows of a vector field; None where no document of the part has one."""
