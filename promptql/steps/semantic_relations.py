"""Steps in which a language model looks at many rows together: the best, what they say, which belong together."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, TypeAlias

from promptql.errors import PlanError, nearest_name
from promptql.steps.local import SENTENCES_MAX
from promptql.steps.record import Record
from promptql.steps.semantic import (
    FIRST_MAX,
    INSTRUCTION_CHARACTERS_MAX,
    LlmClassify,
    LlmExtract,
    LlmFilter,
    LlmMap,
    ModelSize,
    Quality,
    model_of,
    options_to_json,
    required_quality,
)

TOPK_MAX = 50
CANDIDATES_MAX = 50  # of the other side that a row of a join is compared with
CANDIDATES = 10
CLASSES_MAX = 30  # right rows of a join that are shown to the model as a whole
FUSED_MAX = 10


@dataclass(frozen=True, slots=True)
class LlmTopk:
    """The k rows that fit the instruction best, the best first; how sure of each place in ``<as>_confidence``."""

    op: ClassVar[str] = "llm_topk"
    id: str
    input: str
    instruction: str
    fields: tuple[str, ...]
    k: int
    alias: str | None = None
    model: ModelSize | None = None
    references: ClassVar[tuple[str, ...]] = ()

    @property
    def inputs(self) -> tuple[str, ...]:
        """The steps whose rows it reads."""
        return (self.input,)

    @classmethod
    def read(cls, data: object, pointer: str) -> LlmTopk:
        """From JSON."""
        record = Record(data, pointer, ("id", "op", "input", "instruction", "fields", "k", "as", "model"))
        instruction = record.text("instruction", INSTRUCTION_CHARACTERS_MAX)
        k = record.integer("k", None, TOPK_MAX)
        alias = record.optional_text("as")
        return cls(
            record.text("id"), record.text("input"), instruction, record.names("fields"), k, alias, model_of(record)
        )

    def written(self) -> dict[str, Any]:
        """As JSON, without id and op."""
        data = {"input": self.input, "instruction": self.instruction, "fields": list(self.fields), "k": self.k}
        return data | options_to_json(self.model, self.alias)


@dataclass(frozen=True, slots=True)
class LlmSummarize:
    """What the rows say, in sentences of which each comes from the rows that it names.

    Columns: sentence, confidence. `instruction` says what is asked of the rows; None: what they say in common.
    """

    op: ClassVar[str] = "llm_summarize"
    id: str
    input: str
    fields: tuple[str, ...]
    instruction: str | None = None
    sentences: int = 5
    model: ModelSize | None = None
    references: ClassVar[tuple[str, ...]] = ()

    @property
    def inputs(self) -> tuple[str, ...]:
        """The steps whose rows it reads."""
        return (self.input,)

    @classmethod
    def read(cls, data: object, pointer: str) -> LlmSummarize:
        """From JSON."""
        record = Record(data, pointer, ("id", "op", "input", "fields", "instruction", "sentences", "model"))
        instruction = record.optional_text("instruction", INSTRUCTION_CHARACTERS_MAX)
        sentences = record.integer("sentences", 5, SENTENCES_MAX)
        return cls(
            record.text("id"), record.text("input"), record.names("fields"), instruction, sentences, model_of(record)
        )

    def written(self) -> dict[str, Any]:
        """As JSON, without id and op."""
        data: dict[str, Any] = {"input": self.input, "fields": list(self.fields)}
        if self.instruction is not None:
            data["instruction"] = self.instruction
        return data | {"sentences": self.sentences} | options_to_json(self.model)


@dataclass(frozen=True, slots=True)
class Blocking:
    """Which pairs of a join are judged: of each left row the `k` nearest right rows of at least this likeness.

    `threshold` is a cosine of the embeddings of both texts; None: however unlike.
    """

    k: int = CANDIDATES
    threshold: float | None = None

    @classmethod
    def read(cls, data: object, pointer: str) -> Blocking:
        """From JSON: ``{"k", "threshold"}``."""
        record = Record(data, pointer, ("k", "threshold"))
        threshold = record.number("threshold", -1, 1) if record.has("threshold") else None
        return cls(record.integer("k", CANDIDATES, CANDIDATES_MAX), threshold)

    def written(self) -> dict[str, Any]:
        """As JSON."""
        return {"k": self.k} | ({} if self.threshold is None else {"threshold": self.threshold})


class JoinMethod(StrEnum):
    """How pairs are found: each row is asked which of all right rows belong to it, or which of the nearest."""

    CLASSES = "classes"
    BLOCKING = "blocking"


@dataclass(frozen=True, slots=True)
class SemJoin:
    """Pairs of a left and a right row of which the instruction is true; how sure in ``<as>_confidence``.

    Columns of the right side whose name is taken get `prefix` before them, as in a join. `method` None leaves it to
    the number of right rows; `blocking` is of the method of that name.
    """

    op: ClassVar[str] = "sem_join"
    id: str
    left: str
    right: str
    instruction: str
    left_fields: tuple[str, ...]
    right_fields: tuple[str, ...]
    quality: Quality
    blocking: Blocking | None = None
    method: JoinMethod | None = None
    prefix: str | None = None
    alias: str | None = None
    model: ModelSize | None = None
    references: ClassVar[tuple[str, ...]] = ()

    @property
    def inputs(self) -> tuple[str, ...]:
        """The steps whose rows it reads."""
        return (self.left, self.right)

    @classmethod
    def read(cls, data: object, pointer: str) -> SemJoin:
        """From JSON."""
        keys = (
            "id", "op", "left", "right", "instruction", "left_fields", "right_fields", "quality", "blocking", "method",
            "prefix", "as", "model",
        )  # fmt: skip
        record = Record(data, pointer, keys)
        blocking = Blocking.read(record.data["blocking"], f"{pointer}/blocking") if record.has("blocking") else None
        return cls(
            record.text("id"),
            record.text("left"),
            record.text("right"),
            record.text("instruction", INSTRUCTION_CHARACTERS_MAX),
            record.names("left_fields"),
            record.names("right_fields"),
            required_quality(record),
            blocking,
            record.choice("method", JoinMethod) if record.has("method") else None,
            record.optional_text("prefix"),
            record.optional_text("as"),
            model_of(record),
        )

    def written(self) -> dict[str, Any]:
        """As JSON, without id and op."""
        data: dict[str, Any] = {"left": self.left, "right": self.right, "instruction": self.instruction}
        data |= {"left_fields": list(self.left_fields), "right_fields": list(self.right_fields)}
        data["quality"] = self.quality.written()
        if self.blocking is not None:
            data["blocking"] = self.blocking.written()
        if self.method is not None:
            data["method"] = self.method.value
        if self.prefix is not None:
            data["prefix"] = self.prefix
        return data | options_to_json(self.model, self.alias)


RowStep: TypeAlias = LlmFilter | LlmClassify | LlmExtract | LlmMap
_ROW_STEPS = {kind.op: kind for kind in (LlmFilter, LlmClassify, LlmExtract, LlmMap)}


@dataclass(frozen=True, slots=True)
class LlmFused:
    """Several steps over the same rows as one: a call asks of its rows all that they ask, as far as that saves.

    The optimizer makes it of steps that follow each other; each reads what those before it leave. In JSON they are
    "steps" without an input. `first`: as that of a filter, of all its filters together.
    """

    op: ClassVar[str] = "llm_fused"
    id: str
    input: str
    steps: tuple[RowStep, ...]
    first: int | None = None
    references: ClassVar[tuple[str, ...]] = ()

    @property
    def inputs(self) -> tuple[str, ...]:
        """The steps whose rows it reads."""
        return (self.input,)

    @classmethod
    def read(cls, data: object, pointer: str) -> LlmFused:
        """From JSON."""
        record = Record(data, pointer, ("id", "op", "input", "steps", "first"))
        input_id = record.text("input")
        steps = []
        for index, item in enumerate(record.items("steps", least=2, most=FUSED_MAX)):
            place = f"{pointer}/steps/{index}"
            op = item.get("op") if isinstance(item, Mapping) else None
            kind = _ROW_STEPS.get(op) if isinstance(op, str) else None
            if kind is None:
                hint = nearest_name(str(op), _ROW_STEPS)
                raise PlanError(f"no step to fuse: op={op!r:.60}", pointer=f"{place}/op", hint=hint)
            steps.append(kind.read({**item, "input": input_id}, place))
        return cls(record.text("id"), input_id, tuple(steps), record.optional_integer("first", FIRST_MAX))

    def written(self) -> dict[str, Any]:
        """As JSON, without id and op."""
        steps = []
        for step in self.steps:
            data = step.written()
            del data["input"]
            steps.append({"id": step.id, "op": step.op, **data})
        return {"input": self.input, "steps": steps} | ({} if self.first is None else {"first": self.first})
