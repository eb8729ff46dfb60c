"""Steps on text that run here, without a language model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, TypeAlias

from promptql.errors import PlanError
from promptql.steps.record import Record

CATEGORIES_MAX = 100
EXAMPLES_MAX = 50
EXAMPLE_CHARACTERS_MAX = 2_000
SENTENCES_MAX = 50
CLUSTERS_MAX = 100

Categories: TypeAlias = tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True, slots=True)
class ClassifyLocal:
    """The category that the text of `fields` is nearest to, in `alias`; how sure in ``<alias>_confidence``.

    `categories` are names, each with examples (none: its name is the example).
    """

    op: ClassVar[str] = "classify_local"
    id: str
    input: str
    fields: tuple[str, ...]
    categories: Categories
    alias: str
    references: ClassVar[tuple[str, ...]] = ()

    @property
    def inputs(self) -> tuple[str, ...]:
        """The steps whose rows it reads."""
        return (self.input,)

    @classmethod
    def read(cls, data: object, pointer: str) -> ClassifyLocal:
        """From JSON: categories are a list of names, or an object of name → examples."""
        record = Record(data, pointer, ("id", "op", "input", "fields", "categories", "as"))
        categories = categories_from_json(record)
        return cls(record.text("id"), record.text("input"), record.names("fields"), categories, record.text("as"))

    def written(self) -> dict[str, Any]:
        """As JSON, without id and op."""
        categories = categories_to_json(self.categories)
        return {"input": self.input, "fields": list(self.fields), "categories": categories, "as": self.alias}


def categories_from_json(record: Record) -> Categories:
    """The record's "categories": a list of names, or an object of name → examples.

    Raises:
        PlanError: they are something else, too few or too many.
    """
    given = record.data.get("categories")
    pointer = f"{record.pointer}/categories"
    if isinstance(given, Mapping):
        inner = Record(given, pointer, tuple(map(str, given)))
        categories = tuple((str(name), _texts(inner, name)) for name in given)
    else:
        categories = tuple((name, ()) for name in record.names("categories"))
    if not 2 <= len(categories) <= CATEGORIES_MAX:
        raise PlanError(f"expected 2 to {CATEGORIES_MAX} categories", pointer=pointer)
    return categories


def categories_to_json(categories: Categories) -> Any:
    """The inverse: a list of names where none has examples."""
    if all(not examples for _, examples in categories):
        return [name for name, _ in categories]
    return {name: list(examples) for name, examples in categories}


def _texts(record: Record, key: str) -> tuple[str, ...]:
    if isinstance(record.data[key], str):
        return (record.text(key, EXAMPLE_CHARACTERS_MAX),)
    examples = record.items(key, least=0, most=EXAMPLES_MAX)
    for index, item in enumerate(examples):
        if not isinstance(item, str) or not 1 <= len(item) <= EXAMPLE_CHARACTERS_MAX:
            raise PlanError("an example is a string", pointer=f"{record.pointer}/{key}/{index}")
    return tuple(examples)


class ExtractKind(StrEnum):
    """What can be taken out of text."""

    NUMBER = "number"
    DATE = "date"
    EMAIL = "email"
    URL = "url"
    PHONE = "phone"
    MONEY = "money"
    PERCENT = "percent"
    QUOTED = "quoted"
    KEYPHRASE = "keyphrase"


@dataclass(frozen=True, slots=True)
class ExtractLocal:
    """All things of one kind in the text of `field`, as a list in the order of the text."""

    op: ClassVar[str] = "extract_local"
    id: str
    input: str
    field: str
    kind: ExtractKind
    alias: str
    references: ClassVar[tuple[str, ...]] = ()

    @property
    def inputs(self) -> tuple[str, ...]:
        """The steps whose rows it reads."""
        return (self.input,)

    @classmethod
    def read(cls, data: object, pointer: str) -> ExtractLocal:
        """From JSON."""
        record = Record(data, pointer, ("id", "op", "input", "field", "kind", "as"))
        kind = record.choice("kind", ExtractKind)
        return cls(record.text("id"), record.text("input"), record.text("field"), kind, record.text("as"))

    def written(self) -> dict[str, Any]:
        """As JSON, without id and op."""
        return {"input": self.input, "field": self.field, "kind": self.kind.value, "as": self.alias}


@dataclass(frozen=True, slots=True)
class SummarizeLocal:
    """The sentences that say most of the text of `fields`, each with its document and span.

    Columns: id, field, sentence, start, end, score; in the order of the text.
    """

    op: ClassVar[str] = "summarize_local"
    id: str
    input: str
    fields: tuple[str, ...]
    sentences: int = 5
    references: ClassVar[tuple[str, ...]] = ()

    @property
    def inputs(self) -> tuple[str, ...]:
        """The steps whose rows it reads."""
        return (self.input,)

    @classmethod
    def read(cls, data: object, pointer: str) -> SummarizeLocal:
        """From JSON."""
        record = Record(data, pointer, ("id", "op", "input", "fields", "sentences"))
        sentences = record.integer("sentences", 5, SENTENCES_MAX)
        return cls(record.text("id"), record.text("input"), record.names("fields"), sentences)

    def written(self) -> dict[str, Any]:
        """As JSON, without id and op."""
        return {"input": self.input, "fields": list(self.fields), "sentences": self.sentences}


@dataclass(frozen=True, slots=True)
class Cluster:
    """Rows of like meaning get the same number in `alias`, and its telling words in ``<alias>_label``.

    `fields` None: the collection's embedded text. `k` None: as many clusters as fit the data best, up to ten.
    """

    op: ClassVar[str] = "cluster"
    id: str
    input: str
    alias: str
    fields: tuple[str, ...] | None = None
    k: int | None = None
    references: ClassVar[tuple[str, ...]] = ()

    @property
    def inputs(self) -> tuple[str, ...]:
        """The steps whose rows it reads."""
        return (self.input,)

    @classmethod
    def read(cls, data: object, pointer: str) -> Cluster:
        """From JSON."""
        record = Record(data, pointer, ("id", "op", "input", "fields", "k", "as"))
        k = record.optional_integer("k", CLUSTERS_MAX)
        return cls(record.text("id"), record.text("input"), record.text("as"), record.optional_names("fields"), k)

    def written(self) -> dict[str, Any]:
        """As JSON, without id and op."""
        data: dict[str, Any] = {"input": self.input}
        if self.fields is not None:
            data["fields"] = list(self.fields)
        return data | ({} if self.k is None else {"k": self.k}) | {"as": self.alias}


@dataclass(frozen=True, slots=True)
class Dedupe:
    """The first of the rows whose meanings are at least `threshold` alike (cosine); it stands for all of them."""

    op: ClassVar[str] = "dedupe"
    id: str
    input: str
    threshold: float = 0.95
    fields: tuple[str, ...] | None = None
    references: ClassVar[tuple[str, ...]] = ()

    @property
    def inputs(self) -> tuple[str, ...]:
        """The steps whose rows it reads."""
        return (self.input,)

    @classmethod
    def read(cls, data: object, pointer: str) -> Dedupe:
        """From JSON."""
        record = Record(data, pointer, ("id", "op", "input", "threshold", "fields"))
        threshold = record.number("threshold", 0, 1) if record.has("threshold") else 0.95
        return cls(record.text("id"), record.text("input"), threshold, record.optional_names("fields"))

    def written(self) -> dict[str, Any]:
        """As JSON, without id and op."""
        data: dict[str, Any] = {"input": self.input, "threshold": self.threshold}
        return data if self.fields is None else data | {"fields": list(self.fields)}
