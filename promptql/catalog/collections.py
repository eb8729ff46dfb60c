"""A collection, and all that a question may be about."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from promptql.catalog.fields import ID, FieldInfo
from promptql.catalog.relationships import Relationship
from promptql.expressions import Scalar
from promptql.rules.words import normalize


@dataclass(frozen=True, slots=True)
class CollectionInfo:
    """A collection.

    Attributes:
        rows: documents.
        searchable: some vector field is made from text by a model.
        label: the field that names a document to a reader; "id" where there is none.
        description, synonyms: as declared.
    """

    name: str
    rows: int
    sequence: int
    fields: Mapping[str, FieldInfo] = field(default_factory=dict)
    searchable: bool = False
    label: str = ID
    description: str | None = None
    synonyms: tuple[str, ...] = ()

    def naming(self, label: Scalar, id_: str, *, repeated: bool = False) -> str:
        """What a document is called: its label, with its id where several documents have that label."""
        if label is None or label == "" or self.label == ID:
            return id_
        name = str(label)
        known = self.fields[self.label].index.get(normalize(name)) if self.label in self.fields else None
        if not repeated and (known is None or known[1] <= 1):
            return name
        return id_ if id_.endswith(name) else f"{name} ({id_})"


@dataclass(frozen=True)
class Catalog:
    """The collections that the question may be about.

    Attributes:
        detect: finds how the collections lead to each other; asked when that is first wanted.
    """

    collections: Mapping[str, CollectionInfo]
    detect: Callable[[], tuple[Relationship, ...]] = field(default=tuple, compare=False, repr=False)

    @cached_property
    def relationships(self) -> tuple[Relationship, ...]:
        """How the collections lead to each other: declared ones first, then the surest."""
        return self.detect()

    def between(self, left: str, right: str) -> tuple[Relationship, ...]:
        """The relationships between two collections, whichever has the key."""
        pair = {left, right}
        return tuple(item for item in self.relationships if {item.left_collection, item.right_collection} == pair)
