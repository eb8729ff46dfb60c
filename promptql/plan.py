"""The typed plan: a DAG of steps that can be read, edited, checked, hashed and run again."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any

from promptql.errors import PlanError, nearest_name
from promptql.expressions import Scalar
from promptql.steps import (
    AnswerStep,
    AssertStep,
    Clarify,
    Record,
    Step,
    Visualize,
    dependencies_of,
    input_of,
    step_from_json,
    step_to_json,
)

VERSION = 1
STEPS_MAX = 64
QUESTION_CHARACTERS_MAX = 2_000


class Support(StrEnum):
    """What an assumption rests on."""

    EXACT = "exact"
    FUZZY = "fuzzy"
    INFERRED = "inferred"
    DEFAULT = "default"


IGNORED = "ignored: "  # begins what is assumed of a word that nothing was made of


@dataclass(frozen=True, slots=True)
class Assumption:
    """How a word of the question was read: ``'functions' = kind is function``."""

    text: str
    support: Support

    def to_json(self) -> dict[str, str]:
        """``{"text", "support"}``."""
        return {"text": self.text, "support": self.support.value}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Assumption:
        """The inverse of `to_json`."""
        return cls(data["text"], Support(data["support"]))


def ignored_words(assumptions: Iterable[Assumption]) -> list[str]:
    """The words of a question that nothing was made of, as its plan's assumptions say."""
    texts = (item.text for item in assumptions if item.text.startswith(IGNORED))
    return [text.removeprefix(IGNORED).strip("'") for text in texts]


class ParameterType(StrEnum):
    """Types of plan parameters."""

    TEXT = "text"
    NUMBER = "number"
    BOOLEAN = "boolean"
    DATE = "date"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A parameter of a plan; `value` None means that one must be bound before it runs."""

    type: ParameterType
    value: Scalar = None


@dataclass(frozen=True)
class Plan:
    """Steps by id; `output` names the answer step.

    `from_json` checks the shape and that the steps form a DAG; `validate` checks it against a catalog.
    """

    question: str
    steps: tuple[Step, ...]
    output: str
    params: Mapping[str, Parameter] = field(default_factory=dict)
    assumptions: tuple[Assumption, ...] = ()

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the canonical JSON (sorted keys, no spaces, ASCII)."""
        canonical = json.dumps(self.to_json(), sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(canonical.encode()).hexdigest()

    @cached_property
    def by_id(self) -> dict[str, Step]:
        """The steps by their ids."""
        return {step.id: step for step in self.steps}

    def consumers(self, step_id: str) -> tuple[Step, ...]:
        """The steps that read this one's rows or value."""
        return tuple(step for step in self.steps if step_id in dependencies_of(step))

    def path(self) -> tuple[Step, ...]:
        """The steps from a source to the output, along the first input of each, in the order in which they run."""
        path: list[Step] = []
        name: str | None = self.output
        while name is not None:
            step = self.by_id[name]
            path.append(step)
            name = input_of(step)
        return tuple(reversed(path))

    def order(self) -> tuple[Step, ...]:
        """All steps, each after those that it reads.

        Raises:
            PlanError: an id is used twice, an input is unknown, or the steps form a cycle.
        """
        self._check_ids()
        done: dict[str, Step] = {}
        waiting = list(self.steps)
        while waiting:
            ready = [step for step in waiting if all(name in done for name in dependencies_of(step))]
            if not ready:
                index = self.steps.index(waiting[0])
                raise PlanError(f"steps form a cycle: {waiting[0].id}", pointer=f"/steps/{index}/input")
            done |= {step.id: step for step in ready}
            waiting = [step for step in waiting if step.id not in done]
        return tuple(done.values())

    def needed(self) -> tuple[Step, ...]:
        """The steps that must run, each after those that it reads: what the output, charts and asserts read."""
        wanted = {self.output} | {step.id for step in self.steps if isinstance(step, (Visualize, AssertStep))}
        for step in reversed(self.order()):
            if step.id in wanted:
                wanted |= set(dependencies_of(step))
        return tuple(step for step in self.order() if step.id in wanted)

    def _check_ids(self) -> None:
        seen: set[str] = set()
        for index, step in enumerate(self.steps):
            if step.id in seen:
                raise PlanError(f'two steps have the id "{step.id}"', pointer=f"/steps/{index}/id")
            seen.add(step.id)
        for index, step in enumerate(self.steps):
            for name in dependencies_of(step):
                if name not in seen:
                    raise PlanError(
                        f'unknown step "{name}"',
                        pointer=f"/steps/{index}{_place_of(step, name)}",
                        hint=nearest_name(name, seen - {step.id}),
                    )

    def to_json(self) -> dict[str, Any]:
        """The plan as a JSON document (see `promptql.md`)."""
        return {
            "version": VERSION,
            "question": self.question,
            "params": {
                name: {"type": item.type.value} | ({} if item.value is None else {"value": item.value})
                for name, item in self.params.items()
            },
            "steps": [step_to_json(step) for step in self.steps],
            "output": self.output,
            "assumptions": [item.to_json() for item in self.assumptions],
        }

    @classmethod
    def from_json(cls, data: object) -> Plan:
        """Read a plan.

        Raises:
            PlanError: the shape is wrong; `pointer` says where and `hint` what would be right.
        """
        known = ("version", "question", "params", "steps", "output", "assumptions")
        record = Record(data, "", known)
        if record.data.get("version", VERSION) != VERSION:
            raise PlanError(f"unknown version: expected={VERSION}", pointer="/version")
        items = record.items("steps")
        if len(items) > STEPS_MAX:
            raise PlanError(f"too many steps: got={len(items)} limit={STEPS_MAX}", pointer="/steps")
        plan = cls(
            question=_question(record.data.get("question", "")),
            steps=tuple(step_from_json(item, f"/steps/{index}") for index, item in enumerate(items)),
            output=record.text("output"),
            params=_params(record.data.get("params") or {}),
            assumptions=_assumptions(record.data.get("assumptions") or []),
        )
        plan.order()
        plan.check_output()
        return plan

    def check_output(self) -> None:
        """The output is an answer step, or a question back, and there is no other.

        Raises:
            PlanError: it is not.
        """
        ends = [step.id for step in self.steps if isinstance(step, (AnswerStep, Clarify))]
        if ends != [self.output]:
            raise PlanError(
                f"a plan has one answer step and it is the output: answers={ends} output={self.output!r}",
                pointer="/output",
                hint=f'"{ends[0]}"' if len(ends) == 1 else "add one step with op answer",
            )
        if self.consumers(self.output):
            raise PlanError("a step reads the answer step", pointer="/output")


def _place_of(step: Step, name: str) -> str:
    """Where in a step's JSON another is named."""
    for key in ("input", "left", "right"):
        if getattr(step, key, None) == name:
            return f"/{key}"
    return ""


def _question(data: object) -> str:
    if not isinstance(data, str) or len(data) > QUESTION_CHARACTERS_MAX:
        raise PlanError(f"not a string of at most {QUESTION_CHARACTERS_MAX} characters", pointer="/question")
    return data


def _params(data: object) -> dict[str, Parameter]:
    if not isinstance(data, Mapping):
        raise PlanError("expected an object", pointer="/params")
    params = {}
    for name, item in data.items():
        record = Record(item, f"/params/{name}", ("type", "value"))
        kind = record.text("type")
        if kind not in set(ParameterType):
            raise PlanError(
                f'unknown type "{kind}"',
                pointer=f"/params/{name}/type",
                hint=nearest_name(kind, ParameterType),
            )
        value = record.data.get("value")
        if value is not None and not isinstance(value, (bool, int, float, str)):
            raise PlanError("not a constant", pointer=f"/params/{name}/value")
        params[str(name)] = Parameter(ParameterType(kind), value)
    return params


def _assumptions(data: object) -> tuple[Assumption, ...]:
    if not isinstance(data, list):
        raise PlanError("expected a list", pointer="/assumptions")
    assumptions = []
    for index, item in enumerate(data):
        record = Record(item, f"/assumptions/{index}", ("text", "support"))
        support = record.text("support")
        if support not in set(Support):
            raise PlanError(
                f'unknown support "{support}"',
                pointer=f"/assumptions/{index}/support",
                hint=nearest_name(support, Support),
            )
        assumptions.append(Assumption(record.text("text", 2_000), Support(support)))
    return tuple(assumptions)
