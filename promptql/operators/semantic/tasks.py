"""What is asked of one row: the question in words, the schema of the answer, and how an answer is read."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from models import JSON
from promptql.operators.semantic.prompt import closed
from promptql.steps import ColumnType, ExtractedColumn, LlmClassify, LlmExtract, LlmFilter, LlmMap, RowStep

TEXT_CHARACTERS_MAX = 20_000
ITEMS_MAX = 100
_TOKENS = {"boolean": 12, "category": 24, "column": 60, "text": 300}  # of an answer about one row, at most


@dataclass(frozen=True, slots=True)
class Task:
    """One question about rows.

    Attributes:
        kind: the operation.
        words: what is asked.
        schema: JSON Schema of the answer about one row.
        read: (answer, input) → the value; raises ValueError where it is none.
        tokens: of an answer, at most.
        shared: data that all rows are compared with.
    """

    kind: str
    words: str
    schema: Mapping[str, Any]
    read: Callable[[JSON, str], JSON]
    tokens: int
    shared: tuple[str, ...] = ()

    @property
    def asked(self) -> Mapping[str, Any]:
        """What an answer depends on besides model and input."""
        return {"kind": self.kind, "words": self.words, "schema": self.schema, "shared": self.shared}


def task_of(step: RowStep) -> Task:
    """The question of a step."""
    match step:
        case LlmFilter(instruction=instruction):
            words = f"Is this statement true of the row? {json.dumps(instruction, ensure_ascii=False)}"
            return Task(step.op, words, {"type": "boolean"}, _boolean, _TOKENS["boolean"])
        case LlmClassify():
            return _classification(step)
        case LlmExtract():
            return _extraction(step)
        case LlmMap(instruction=instruction):
            words = f"Write a text about the row: {json.dumps(instruction, ensure_ascii=False)}"
            return Task(step.op, words, {"type": "string"}, _written, _TOKENS["text"])


def _boolean(value: JSON, text: str) -> JSON:  # noqa: ARG001  (every reader takes the input)
    if value is True or value is False:
        return value
    raise ValueError("not a boolean")


def _written(value: JSON, text: str) -> JSON:  # noqa: ARG001
    if not isinstance(value, str) or not value.strip():
        raise ValueError("not a text")
    return _clean(value)[:TEXT_CHARACTERS_MAX]


def _clean(text: str) -> str:
    """The text without what no column can hold: lone surrogates, which JSON can spell."""
    return text.encode(errors="replace").decode()


def _classification(step: LlmClassify) -> Task:
    names = [name for name, _ in step.categories]
    listed = "; ".join(
        json.dumps(name, ensure_ascii=False) + (f" ({' / '.join(examples)})" if examples else "")
        for name, examples in step.categories
    )
    about = f" {json.dumps(step.instruction, ensure_ascii=False)}" if step.instruction else ""
    words = f"Which of these categories fits the row best?{about} Categories: {listed}"
    folded = {name.casefold(): name for name in names}

    def read(value: JSON, text: str) -> JSON:  # noqa: ARG001
        if isinstance(value, str) and value in names:
            return value
        if isinstance(value, str) and len(folded) == len(names) and value.strip().casefold() in folded:
            return folded[value.strip().casefold()]
        raise ValueError("no such category")

    return Task(step.op, words, {"type": "string", "enum": names}, read, _TOKENS["category"])


def _extraction(step: LlmExtract) -> Task:
    columns = step.columns
    about = f" {json.dumps(step.instruction, ensure_ascii=False)}" if step.instruction else ""
    told = "; ".join(f"{column.name}: {_told(column)}" for column in columns)
    words = f"What does the row say of these?{about} Give null where it does not say. {told}"
    schema = closed({column.name: _nullable(column) for column in columns})

    def read(value: JSON, text: str) -> JSON:  # noqa: ARG001
        if not isinstance(value, dict) or not set(value) >= {column.name for column in columns}:
            raise ValueError("not an object of all columns")
        return {column.name: _cell(column, value[column.name]) for column in columns}

    return Task(step.op, words, schema, read, _TOKENS["column"] * len(columns))


def _told(column: ExtractedColumn) -> str:
    kind = f"list of {column.type.value}" if column.many else column.type.value
    formats = {ColumnType.DATE: " as YYYY-MM-DD", ColumnType.DATETIME: " as ISO 8601"}
    return f"{kind}{formats.get(column.type, '')}" + (f", {column.description}" if column.description else "")


def _nullable(column: ExtractedColumn) -> dict[str, Any]:
    is_date = column.type in (ColumnType.DATE, ColumnType.DATETIME)
    kind = "string" if is_date else column.type.value
    if column.many:
        item: dict[str, Any] = {"type": kind}
        return {"type": "array", "items": item | ({"enum": list(column.enum)} if column.enum else {})}
    value: dict[str, Any] = {"type": [kind, "null"]}
    return value | ({"enum": [*column.enum, None]} if column.enum else {})


def _cell(column: ExtractedColumn, value: JSON) -> JSON:
    if column.many:
        items = [] if value is None else value if isinstance(value, list) else [value]
        cells = [_scalar(column, item) for item in items[:ITEMS_MAX]]
        return [cell for cell in cells if cell is not None]
    return _scalar(column, value)


def _scalar(column: ExtractedColumn, value: JSON) -> JSON:
    """A value of the column's type; None for what says nothing.

    Raises:
        ValueError: it is of another type.
    """
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if column.enum and value not in column.enum:
        raise ValueError("not one of the values")
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    match column.type:
        case ColumnType.STRING if isinstance(value, str):
            return _clean(value)[:TEXT_CHARACTERS_MAX]
        case ColumnType.BOOLEAN if isinstance(value, bool):
            return value
        case ColumnType.NUMBER if abs(number) < math.inf:  # not so of nan
            return float(number)
        case ColumnType.INTEGER if abs(number) < 1 << 63 and number == int(number):
            return int(number)
        case ColumnType.DATE | ColumnType.DATETIME if isinstance(value, str):
            return _moment(value)
    raise ValueError(f"not of type {column.type.value}")


def _moment(text: str) -> str:
    moment = datetime.fromisoformat(text.strip())
    moment = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return moment.isoformat().replace("+00:00", "Z")
