"""Steps in which a language model judges, classifies, reads or writes one row at a time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

from promptql.errors import PlanError, nearest_name
from promptql.steps.local import Categories, categories_from_json, categories_to_json
from promptql.steps.record import Record, is_text

INSTRUCTION_CHARACTERS_MAX = 2_000
COLUMNS_MAX = 20  # that one extraction may give
ENUM_MAX = 100
FIRST_MAX = 2_000_000
DELTA = 0.1  # the chance that a guarantee does not hold, where none is given


class QualityTarget(StrEnum):
    """Of what a step promises a share: rows that are right and found, found rows that are right, rows judged right."""

    RECALL = "recall"
    PRECISION = "precision"
    ACCURACY = "accuracy"


@dataclass(frozen=True, slots=True)
class Quality:
    """What a step must reach with a probability of 1 − `delta`, against the model's own judgement of every row.

    A `value` of 1 has every row judged.
    """

    target: QualityTarget
    value: float
    delta: float = DELTA

    @classmethod
    def read(cls, data: object, pointer: str, allowed: tuple[QualityTarget, ...]) -> Quality:
        """From JSON: ``{"target", "value", "delta"}``.

        Raises:
            PlanError: a target that is not among those `allowed`, or a value or delta out of bounds.
        """
        record = Record(data, pointer, ("target", "value", "delta"))
        target = record.choice("target", QualityTarget)
        if target not in allowed:
            raise PlanError(
                f'this step has no target "{target.value}"',
                pointer=f"{pointer}/target",
                hint=f"one of: {', '.join(item.value for item in allowed)}",
            )
        value = record.number("value", 0, 1)
        delta = record.number("delta", 0, 1) if record.has("delta") else DELTA
        for key, number in (("value", value), ("delta", delta)):
            if number == 0 or (key == "delta" and number == 1):
                raise PlanError(f'"{key}" lies between 0 and 1', pointer=f"{pointer}/{key}")
        return cls(target, value, delta)

    def written(self) -> dict[str, Any]:
        """As JSON."""
        return {"target": self.target.value, "value": self.value, "delta": self.delta}


class ModelSize(StrEnum):
    """Which of two language models a step asks, where there are two; the large one where a step does not say."""

    SMALL = "small"
    LARGE = "large"


FOUND = (QualityTarget.RECALL, QualityTarget.PRECISION)


def required_quality(record: Record) -> Quality:
    """The quality target of a step that must have one.

    Raises:
        PlanError: it has none, or one that does not fit.
    """
    if not record.has("quality"):
        raise PlanError(
            "the step names no quality target",
            pointer=f"{record.pointer}/quality",
            hint='{"target": "recall", "value": 0.9, "delta": 0.1}; a value of 1 has every row judged',
        )
    return Quality.read(record.data["quality"], f"{record.pointer}/quality", FOUND)


def model_of(record: Record) -> ModelSize | None:
    """The size of model that a step names."""
    return record.choice("model", ModelSize) if record.has("model") else None


def options_to_json(model: ModelSize | None, alias: str | None = None) -> dict[str, Any]:
    """Options that most of these steps have; absent ones are left out."""
    data: dict[str, Any] = {} if alias is None else {"as": alias}
    return data if model is None else data | {"model": model.value}


@dataclass(frozen=True, slots=True)
class LlmFilter:
    """The rows of which the `instruction`, a statement about a row, is true; how sure in ``<as>_confidence``.

    Without `alias` that column is called by the step's id. Rows that could not be judged stay where the target is
    recall, with no confidence, and go where it is precision; a warning counts them. Rows without text go. With `first`
    rows are judged in their order until so many have passed, each of them, whatever the target.
    """

    op: ClassVar[str] = "llm_filter"
    id: str
    input: str
    instruction: str
    fields: tuple[str, ...]
    quality: Quality
    alias: str | None = None
    model: ModelSize | None = None
    first: int | None = None
    references: ClassVar[tuple[str, ...]] = ()

    @property
    def inputs(self) -> tuple[str, ...]:
        """The steps whose rows it reads."""
        return (self.input,)

    @classmethod
    def read(cls, data: object, pointer: str) -> LlmFilter:
        """From JSON."""
        record = Record(
            data, pointer, ("id", "op", "input", "instruction", "fields", "quality", "as", "model", "first")
        )
        return cls(
            record.text("id"),
            record.text("input"),
            record.text("instruction", INSTRUCTION_CHARACTERS_MAX),
            record.names("fields"),
            required_quality(record),
            record.optional_text("as"),
            model_of(record),
            record.optional_integer("first", FIRST_MAX),
        )

    def written(self) -> dict[str, Any]:
        """As JSON, without id and op."""
        data = {"input": self.input, "instruction": self.instruction, "fields": list(self.fields)}
        data |= {"quality": self.quality.written()} | options_to_json(self.model, self.alias)
        return data if self.first is None else data | {"first": self.first}


@dataclass(frozen=True, slots=True)
class LlmClassify:
    """One of the categories in `alias`; how sure in ``<as>_confidence``.

    `categories` are names, each with descriptions or examples, or none. Rows that could not be classified, and rows
    without text, have none.
    """

    op: ClassVar[str] = "llm_classify"
    id: str
    input: str
    fields: tuple[str, ...]
    categories: Categories
    alias: str
    instruction: str | None = None
    quality: Quality | None = None
    model: ModelSize | None = None
    references: ClassVar[tuple[str, ...]] = ()

    @property
    def inputs(self) -> tuple[str, ...]:
        """The steps whose rows it reads."""
        return (self.input,)

    @classmethod
    def read(cls, data: object, pointer: str) -> LlmClassify:
        """From JSON: categories as those of `classify_local`; one example may be a string."""
        keys = ("id", "op", "input", "fields", "categories", "as", "instruction", "quality", "model")
        record = Record(data, pointer, keys)
        quality = None
        if record.has("quality"):
            quality = Quality.read(record.data["quality"], f"{pointer}/quality", (QualityTarget.ACCURACY,))
        return cls(
            record.text("id"),
            record.text("input"),
            record.names("fields"),
            categories_from_json(record),
            record.text("as"),
            record.optional_text("instruction", INSTRUCTION_CHARACTERS_MAX),
            quality,
            model_of(record),
        )

    def written(self) -> dict[str, Any]:
        """As JSON, without id and op."""
        data: dict[str, Any] = {"input": self.input, "fields": list(self.fields)}
        data |= {"categories": categories_to_json(self.categories), "as": self.alias}
        if self.instruction is not None:
            data["instruction"] = self.instruction
        if self.quality is not None:
            data["quality"] = self.quality.written()
        return data | options_to_json(self.model)


class ColumnType(StrEnum):
    """Types of extracted values: JSON Schema's, and its two formats of strings."""

    STRING = "string"
    NUMBER = "number"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    DATE = "date"
    DATETIME = "date-time"


@dataclass(frozen=True, slots=True)
class ExtractedColumn:
    """A column that an extraction gives: a value or a list of values; strings may be of a few."""

    name: str
    type: ColumnType
    many: bool = False
    description: str | None = None
    enum: tuple[str, ...] = ()

    @classmethod
    def read(cls, name: str, data: object, pointer: str) -> ExtractedColumn:
        """From a JSON Schema of a property.

        Raises:
            PlanError: it is none of the few forms that are understood.
        """
        if not 1 <= len(name) <= 256:
            raise PlanError("a column's name has 1 to 256 characters", pointer=pointer)
        record = Record(data, pointer, ("type", "items", "description", "enum", "format"))
        description = record.optional_text("description", INSTRUCTION_CHARACTERS_MAX)
        if record.data.get("type") == "array":
            items = Record(record.data.get("items"), f"{pointer}/items", ("type", "enum", "format", "description"))
            return cls(name, _type_of(items), True, description, _enum_of(items))
        return cls(name, _type_of(record), False, description, _enum_of(record))

    def written(self) -> dict[str, Any]:
        """As a JSON Schema."""
        dates = self.type in (ColumnType.DATE, ColumnType.DATETIME)
        value: dict[str, Any] = {"type": "string", "format": self.type.value} if dates else {"type": self.type.value}
        if self.enum:
            value["enum"] = list(self.enum)
        data: dict[str, Any] = {"type": "array", "items": value} if self.many else value
        return data if self.description is None else data | {"description": self.description}


def _type_of(record: Record) -> ColumnType:
    kinds = [kind for kind in ColumnType if kind not in (ColumnType.DATE, ColumnType.DATETIME)]
    name = record.data.get("type", "string" if record.has("enum") else None)
    if not isinstance(name, str) or name not in kinds:
        raise PlanError(
            f'unknown type "{name!s:.60}"',
            pointer=f"{record.pointer}/type",
            hint=nearest_name(str(name), [*kinds, "array"]),
        )
    if not record.has("format"):
        return ColumnType(name)
    given = record.data["format"]
    if name != "string" or given not in (ColumnType.DATE, ColumnType.DATETIME):
        raise PlanError(
            f'unknown format "{given!s:.60}"', pointer=f"{record.pointer}/format", hint="strings: date, date-time"
        )
    return ColumnType(given)


def _enum_of(record: Record) -> tuple[str, ...]:
    if not record.has("enum"):
        return ()
    values = record.items("enum", most=ENUM_MAX)
    texts = [value for value in values if isinstance(value, str) and value and is_text(value)]
    if len(set(texts)) < len(values):
        raise PlanError("an enum is a list of different strings", pointer=f"{record.pointer}/enum")
    return tuple(texts)


@dataclass(frozen=True, slots=True)
class LlmExtract:
    """Typed columns read out of text; how sure in ``<as>_confidence``, by the step's id without `alias`.

    In JSON they are the properties of "schema", a JSON Schema of an object: strings (also ``"format": "date"`` or
    ``"date-time"``, or with an enum), numbers, integers, booleans, and arrays of these. What the text does not say is
    missing; so is all of a row that could not be read.
    """

    op: ClassVar[str] = "llm_extract"
    id: str
    input: str
    fields: tuple[str, ...]
    columns: tuple[ExtractedColumn, ...]
    instruction: str | None = None
    alias: str | None = None
    model: ModelSize | None = None
    references: ClassVar[tuple[str, ...]] = ()

    @property
    def inputs(self) -> tuple[str, ...]:
        """The steps whose rows it reads."""
        return (self.input,)

    @classmethod
    def read(cls, data: object, pointer: str) -> LlmExtract:
        """From JSON."""
        record = Record(data, pointer, ("id", "op", "input", "fields", "schema", "instruction", "as", "model"))
        place = f"{pointer}/schema"
        schema = Record(
            record.data.get("schema"), place, ("type", "properties", "required", "additionalProperties", "description")
        )
        properties = schema.data.get("properties")
        if schema.data.get("type", "object") != "object" or not isinstance(properties, Mapping):
            raise PlanError('a schema is of an object with "properties"', pointer=place)
        if not 1 <= len(properties) <= COLUMNS_MAX:
            raise PlanError(f"expected 1 to {COLUMNS_MAX} properties", pointer=f"{place}/properties")
        columns = tuple(
            ExtractedColumn.read(str(name), item, f"{place}/properties/{name}") for name, item in properties.items()
        )
        return cls(
            record.text("id"),
            record.text("input"),
            record.names("fields"),
            columns,
            record.optional_text("instruction", INSTRUCTION_CHARACTERS_MAX),
            record.optional_text("as"),
            model_of(record),
        )

    def written(self) -> dict[str, Any]:
        """As JSON, without id and op."""
        schema = {"type": "object", "properties": {column.name: column.written() for column in self.columns}}
        data: dict[str, Any] = {"input": self.input, "fields": list(self.fields), "schema": schema}
        if self.instruction is not None:
            data["instruction"] = self.instruction
        return data | options_to_json(self.model, self.alias)


@dataclass(frozen=True, slots=True)
class LlmMap:
    """A text made of each row in `alias`, as the instruction says; how sure in ``<as>_confidence``."""

    op: ClassVar[str] = "llm_map"
    id: str
    input: str
    instruction: str
    fields: tuple[str, ...]
    alias: str
    model: ModelSize | None = None
    references: ClassVar[tuple[str, ...]] = ()

    @property
    def inputs(self) -> tuple[str, ...]:
        """The steps whose rows it reads."""
        return (self.input,)

    @classmethod
    def read(cls, data: object, pointer: str) -> LlmMap:
        """From JSON."""
        record = Record(data, pointer, ("id", "op", "input", "instruction", "fields", "as", "model"))
        instruction = record.text("instruction", INSTRUCTION_CHARACTERS_MAX)
        return cls(
            record.text("id"), record.text("input"), instruction, record.names("fields"), record.text("as"),
            model_of(record),
        )  # fmt: skip

    def written(self) -> dict[str, Any]:
        """As JSON, without id and op."""
        data = {"input": self.input, "instruction": self.instruction, "fields": list(self.fields), "as": self.alias}
        return data | options_to_json(self.model)
