"""What a search found."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from engine.arrays import Ordinals, Scores
from engine.document import Passage, decode
from engine.schema import JSON

if TYPE_CHECKING:
    from engine.search.grouping import Group


@dataclass(frozen=True)
class Hits:
    """Parallel arrays over the documents found, best first.

    Attributes:
        ordinals: (n,) uint32.
        scores: (n,) float32, larger is better: cosine similarity, dot product, or minus the Euclidean distance.
        parts: (n,) place of the part in the snapshot.
        places: (n,) place of the document in its part.
        passages: the best passage of each; None where the whole document matched.
        explain: what ran.
        groups: where it was grouped: whose the first documents are, whose the next, and how many.
    """

    ordinals: Ordinals
    scores: Scores
    parts: npt.NDArray[np.int64]
    places: npt.NDArray[np.int64]
    passages: list[Passage | None]
    ids_of: Callable[[Any, Any], list[str]] = field(repr=False)
    bodies_of: Callable[[Ordinals], list[bytes]] = field(repr=False)
    values_of: Callable[[str, Any, Any], list[JSON]] = field(repr=False)
    explain: dict[str, JSON] = field(default_factory=dict, repr=False)
    groups: tuple[Group, ...] | None = None

    def __len__(self) -> int:
        return len(self.ordinals)

    @cached_property
    def ids(self) -> list[str]:
        """The documents' ids."""
        return self.ids_of(self.parts, self.places)

    def values(self, name: str) -> list[JSON]:
        """One field of each document, as JSON values; None where it has none. Cheaper than whole documents.

        Raises:
            InvalidInputError: there is no such field.
        """
        return self.values_of(name, self.parts, self.places)

    def documents_raw(self) -> list[bytes]:
        """The documents as the JSON bytes that are stored."""
        return self.bodies_of(self.ordinals)

    def documents(self) -> list[dict[str, JSON]]:
        """The documents."""
        return [decode(body) for body in self.documents_raw()]
