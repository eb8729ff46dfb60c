"""A field of a collection, and what it holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from engine import FieldType
from promptql.catalog.semantics import SemanticType
from promptql.expressions import Scalar

ID = "id"  # the field that every document has
CATEGORY_VALUES_MAX = 30  # a field with at most so many values is a small category
NUMBER_TYPES = frozenset({FieldType.INTEGER, FieldType.NUMBER})
STRING_TYPES = frozenset({FieldType.TEXT, FieldType.KEYWORD})
ORDERED_TYPES = NUMBER_TYPES | {FieldType.DATETIME}
LABEL_NAMES = ("qualified_name", "title", "name", "headline", "subject", "label")


@dataclass(frozen=True, slots=True)
class FieldInfo:
    """A field and what it holds.

    Attributes:
        values: distinct values with the number of documents, most frequent first; empty for numbers and text.
        index: the strings among them by their normalized words; made once, as questions look values up.
        complete: `values` are all that there are.
        filled: documents that have a value; known for ordered fields and for those whose values are read.
        least, greatest: for numbers and datetimes; None where the field is empty.
        identifier: its values (nearly) tell documents apart, as names and titles do.
        semantic: what its values stand for, by its name and a sample of them.
        unit: that quantities and money are in, such as "km²" or "USD".
        samples: some of its values, from all over the collection.
        description, synonyms: declared, the synonyms also inferred from abbreviations in the name.
        keys: of a leaf of objects, those that lead to it: `venue`, `city`; none for a field of the documents.
        unfolded: it holds objects, all of whose leaves are fields of their own, of one value each.
        names: the object whose name it holds, as `venue.name` does that of `venue`.
    """

    name: str
    type: FieldType
    many: bool = False
    values: tuple[tuple[Scalar, int], ...] = ()
    complete: bool = True
    filled: int | None = None
    least: Scalar = None
    greatest: Scalar = None
    identifier: bool = False
    index: Mapping[str, tuple[Scalar, int]] = field(default_factory=dict, compare=False, repr=False)
    semantic: SemanticType = SemanticType.TEXT
    unit: str | None = None
    samples: tuple[Scalar, ...] = field(default=(), repr=False)
    description: str | None = None
    synonyms: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    unfolded: bool = False
    names: str | None = None

    @property
    def own_name(self) -> str:
        """The name, of a leaf its last key."""
        return self.keys[-1] if self.keys else self.name

    @property
    def numeric(self) -> bool:
        """Whether it can be summed and averaged."""
        return self.type in NUMBER_TYPES and not self.many

    @property
    def ordered(self) -> bool:
        """Whether it can be compared with < and sorted usefully."""
        return self.type in ORDERED_TYPES and not self.many

    @property
    def small(self) -> bool:
        """Whether it is a category of few values, so that each of them is a telling word."""
        return not self.identifier and self.complete and 0 < len(self.values) <= CATEGORY_VALUES_MAX

    @property
    def groupable(self) -> bool:
        """Whether rows can be grouped by it in a useful way."""
        return self.type not in {FieldType.GEO, FieldType.JSON, FieldType.TEXT} or bool(self.values)

    @property
    def about(self) -> str:
        """What it is: as declared, else what its kind, unit, range and values say."""
        if self.description:
            return self.description
        kind = f"{self.semantic.value} in {self.unit}" if self.unit else self.semantic.value
        if self.least is not None:
            return f"{kind}, {self.least} to {self.greatest}"
        shown = [str(value) for value, _ in self.values[:3]] or [str(value) for value in self.samples[:2]]
        return f"{kind}, such as {', '.join(text[:40] for text in shown)}" if shown else kind
