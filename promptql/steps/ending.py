"""Steps that end a plan, or look at rows and hand them on as they are."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

from promptql.errors import PlanError
from promptql.expressions import Scalar
from promptql.steps.record import Record

TEMPLATE_CHARACTERS_MAX = 8_000
ROWS_MAX = 1_000_000_000
OPTIONS_MAX = 20
TEXT_CHARACTERS_MAX = 2_000


class ChartKind(StrEnum):
    """What a chart is drawn with; `auto` leaves it to the types of the columns."""

    AUTO = "auto"
    BAR = "bar"
    LINE = "line"
    POINT = "point"
    AREA = "area"
    HEATMAP = "heatmap"


@dataclass(frozen=True, slots=True)
class Visualize:
    """A chart of the rows, as an artifact of the answer; hands the rows on."""

    op: ClassVar[str] = "visualize"
    id: str
    input: str
    kind: ChartKind = ChartKind.AUTO
    x: str | None = None
    y: str | None = None
    color: str | None = None
    references: ClassVar[tuple[str, ...]] = ()

    @property
    def inputs(self) -> tuple[str, ...]:
        """The steps whose rows it reads."""
        return (self.input,)

    @classmethod
    def read(cls, data: object, pointer: str) -> Visualize:
        """From JSON."""
        record = Record(data, pointer, ("id", "op", "input", "kind", "x", "y", "color"))
        return cls(
            record.text("id"),
            record.text("input"),
            record.choice("kind", ChartKind, ChartKind.AUTO),
            record.optional_text("x"),
            record.optional_text("y"),
            record.optional_text("color"),
        )

    def written(self) -> dict[str, Any]:
        """As JSON, without id and op."""
        data: dict[str, Any] = {"input": self.input, "kind": self.kind.value}
        channels = (("x", self.x), ("y", self.y), ("color", self.color))
        return data | {key: value for key, value in channels if value is not None}


@dataclass(frozen=True, slots=True)
class AnswerStep:
    """The end of a plan.

    Attributes:
        fields: the columns that are the answer's values (None: all).
        template: text with ``{column}`` for values of the first row and ``{rows}`` for how many there are.
    """

    op: ClassVar[str] = "answer"
    id: str
    input: str
    fields: tuple[str, ...] | None = None
    template: str | None = None
    references: ClassVar[tuple[str, ...]] = ()

    @property
    def inputs(self) -> tuple[str, ...]:
        """The steps whose rows it reads."""
        return (self.input,)

    @classmethod
    def read(cls, data: object, pointer: str) -> AnswerStep:
        """From JSON."""
        record = Record(data, pointer, ("id", "op", "input", "fields", "template"))
        template = record.optional_text("template", TEMPLATE_CHARACTERS_MAX)
        return cls(record.text("id"), record.text("input"), record.optional_names("fields"), template)

    def written(self) -> dict[str, Any]:
        """As JSON, without id and op."""
        data: dict[str, Any] = {"input": self.input}
        if self.fields is not None:
            data["fields"] = list(self.fields)
        return data if self.template is None else data | {"template": self.template}


@dataclass(frozen=True, slots=True)
class AssertStep:
    """Stops the plan where the rows are fewer or more than they must be; hands them on else."""

    op: ClassVar[str] = "assert"
    id: str
    input: str
    min_rows: int | None = None
    max_rows: int | None = None
    references: ClassVar[tuple[str, ...]] = ()

    @property
    def inputs(self) -> tuple[str, ...]:
        """The steps whose rows it reads."""
        return (self.input,)

    @classmethod
    def read(cls, data: object, pointer: str) -> AssertStep:
        """From JSON."""
        record = Record(data, pointer, ("id", "op", "input", "min_rows", "max_rows"))
        least = record.optional_integer("min_rows", ROWS_MAX, 0)
        most = record.optional_integer("max_rows", ROWS_MAX, 0)
        if least is None and most is None:
            raise PlanError('an assert needs "min_rows" or "max_rows"', pointer=f"{pointer}/min_rows")
        if least is not None and most is not None and least > most:
            raise PlanError(f"no number of rows is from {least} to {most}", pointer=f"{pointer}/max_rows")
        return cls(record.text("id"), record.text("input"), least, most)

    def written(self) -> dict[str, Any]:
        """As JSON, without id and op."""
        bounds = (("min_rows", self.min_rows), ("max_rows", self.max_rows))
        return {"input": self.input} | {key: value for key, value in bounds if value is not None}


@dataclass(frozen=True, slots=True)
class Option:
    """One way to read a question.

    Attributes:
        text: for people.
        plan: what to run if it is chosen, as canonical JSON; None where it is a value.
        value: what to put in place if it is chosen.
    """

    text: str
    plan: str | None = None
    value: Scalar = None

    def written(self) -> dict[str, Any]:
        """As JSON."""
        return {"text": self.text} | ({"value": self.value} if self.plan is None else {"plan": json.loads(self.plan)})


@dataclass(frozen=True, slots=True)
class Clarify:
    """Ends a plan with a question to whoever asks, and the answers that there are."""

    op: ClassVar[str] = "clarify"
    id: str
    question: str
    options: tuple[Option, ...]
    inputs: ClassVar[tuple[str, ...]] = ()
    references: ClassVar[tuple[str, ...]] = ()

    @classmethod
    def read(cls, data: object, pointer: str) -> Clarify:
        """From JSON."""
        record = Record(data, pointer, ("id", "op", "question", "options"))
        options = tuple(
            _option(item, f"{pointer}/options/{index}")
            for index, item in enumerate(record.items("options", least=2, most=OPTIONS_MAX))
        )
        return cls(record.text("id"), record.text("question", TEXT_CHARACTERS_MAX), options)

    def written(self) -> dict[str, Any]:
        """As JSON, without id and op."""
        return {"question": self.question, "options": [option.written() for option in self.options]}


def _option(data: object, pointer: str) -> Option:
    record = Record(data, pointer, ("text", "plan", "value"))
    text = record.text("text", TEXT_CHARACTERS_MAX)
    if record.has("plan") == ("value" in record.data):
        raise PlanError('an option has "plan" or "value"', pointer=pointer)
    if not record.has("plan"):
        value = record.data["value"]
        if value is not None and not isinstance(value, (bool, int, float, str)):
            raise PlanError("not a constant", pointer=f"{pointer}/value")
        return Option(text, value=value)
    plan = record.data["plan"]
    if not isinstance(plan, Mapping):
        raise PlanError("a plan is an object", pointer=f"{pointer}/plan")
    try:
        return Option(text, json.dumps(plan, sort_keys=True, separators=(",", ":"), allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise PlanError("a plan is JSON", pointer=f"{pointer}/plan") from error
