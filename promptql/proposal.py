"""What planning, checking and explaining answer with. Pure data, no engine needed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from promptql.answer import Band, Notice, PlannerName, Rewrite
from promptql.plan import Assumption


@dataclass(frozen=True, slots=True)
class Proposal:
    """The plan of a question, not run: read it, change it, execute it.

    Attributes:
        plan: as JSON; `plan_hash` is its hash.
        options: where the question can be read in several ways, what to choose from.
        alternatives: other readings: ``{"text", "confidence", "plan"}``.
        estimate: what its steps will ask of a language model: ``{"calls", "calls_max", "tokens_in", "tokens_out",
            "usd", "seconds", "steps"}``; None where they ask nothing.
    """

    plan: Mapping[str, Any]
    plan_hash: str
    planner: PlannerName
    confidence: float
    band: Band
    assumptions: tuple[Assumption, ...] = ()
    warnings: tuple[Notice, ...] = ()
    alternatives: tuple[Mapping[str, Any], ...] = ()
    options: tuple[Mapping[str, Any], ...] = ()
    estimate: Mapping[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """The proposal as the HTTP API shows it."""
        data: dict[str, Any] = {
            "plan": dict(self.plan),
            "plan_hash": self.plan_hash,
            "planner": self.planner.value,
            "confidence": self.confidence,
            "band": self.band.value,
            "assumptions": [item.to_json() for item in self.assumptions],
            "warnings": [item.to_json() for item in self.warnings],
            "alternatives": [dict(item) for item in self.alternatives],
            "options": [dict(item) for item in self.options],
        }
        return data if self.estimate is None else data | {"estimate": dict(self.estimate)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Proposal:
        """The inverse of `to_json`."""
        return cls(
            plan=dict(data["plan"]),
            plan_hash=data["plan_hash"],
            planner=PlannerName(data["planner"]),
            confidence=data["confidence"],
            band=Band(data["band"]),
            assumptions=tuple(Assumption.from_json(item) for item in data["assumptions"]),
            warnings=tuple(Notice.from_json(item) for item in data["warnings"]),
            alternatives=tuple(dict(item) for item in data["alternatives"]),
            options=tuple(dict(item) for item in data["options"]),
            estimate=data.get("estimate"),
        )


@dataclass(frozen=True, slots=True)
class PlanFault:
    """What is wrong with a plan: where (JSON Pointer), and what would be right."""

    pointer: str
    message: str
    hint: str | None = None

    def to_json(self) -> dict[str, Any]:
        """``{"pointer", "message", "hint"}``."""
        return {"pointer": self.pointer, "message": self.message, "hint": self.hint}


@dataclass(frozen=True, slots=True)
class PlanCheck:
    """Whether a plan could run, and if so, what columns each of its steps has.

    Attributes:
        faults: the first thing that is wrong; empty where nothing is.
        columns: of each step, the type of each column by its name.
        plan_hash: None where the plan is not valid.
    """

    faults: tuple[PlanFault, ...] = ()
    columns: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    plan_hash: str | None = None

    @property
    def valid(self) -> bool:
        """Whether it could run."""
        return not self.faults

    def to_json(self) -> dict[str, Any]:
        """The check as the HTTP API shows it."""
        return {
            "valid": self.valid,
            "errors": [fault.to_json() for fault in self.faults],
            "columns": {name: dict(columns) for name, columns in self.columns.items()},
            "plan_hash": self.plan_hash,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> PlanCheck:
        """The inverse of `to_json`."""
        faults = tuple(PlanFault(item["pointer"], item["message"], item["hint"]) for item in data["errors"])
        return cls(faults, {name: dict(columns) for name, columns in data["columns"].items()}, data["plan_hash"])


@dataclass(frozen=True, slots=True)
class Explanation:
    """What would run for a plan, and what the optimizer did to it.

    Attributes:
        plan: as it would run.
        rewrites: what each rule did, by the plan's hash before and after.
        columns: of each step, the type of each column.
        text: the steps in words, one a line.
        estimate: what its steps will ask of a language model, as in a proposal; None where they ask nothing.
    """

    plan: Mapping[str, Any]
    plan_hash: str
    rewrites: tuple[Rewrite, ...]
    columns: Mapping[str, Mapping[str, str]]
    text: str
    estimate: Mapping[str, Any] | None = None

    def to_json(self) -> dict[str, Any]:
        """The explanation as the HTTP API shows it."""
        data: dict[str, Any] = {
            "plan": dict(self.plan),
            "plan_hash": self.plan_hash,
            "rewrites": [item.to_json() for item in self.rewrites],
            "columns": {name: dict(columns) for name, columns in self.columns.items()},
            "text": self.text,
        }
        return data if self.estimate is None else data | {"estimate": dict(self.estimate)}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Explanation:
        """The inverse of `to_json`."""
        return cls(
            plan=dict(data["plan"]),
            plan_hash=data["plan_hash"],
            rewrites=tuple(Rewrite.from_json(item) for item in data["rewrites"]),
            columns={name: dict(columns) for name, columns in data["columns"].items()},
            text=data["text"],
            estimate=data.get("estimate"),
        )
