"""What happens while a question is answered, as it happens. Pure data, no engine needed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, TypeAlias

from promptql.answer import Answer, Artifact, Chart, Notice, StepReport


@dataclass(frozen=True, slots=True)
class PlanMade:
    """The plan that will run, and how sure the planner is of it."""

    type: ClassVar[str] = "plan"
    plan: Mapping[str, Any]
    plan_hash: str
    planner: str
    confidence: float
    band: str

    def to_json(self) -> dict[str, Any]:
        """``{"plan", "plan_hash", "planner", "confidence", "band"}``."""
        return {
            "plan": dict(self.plan),
            "plan_hash": self.plan_hash,
            "planner": self.planner,
            "confidence": self.confidence,
            "band": self.band,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> PlanMade:
        """The inverse of `to_json`."""
        return cls(dict(data["plan"]), data["plan_hash"], data["planner"], data["confidence"], data["band"])


@dataclass(frozen=True, slots=True)
class StepStarted:
    """A step begins to run."""

    type: ClassVar[str] = "step_started"
    id: str
    op: str

    def to_json(self) -> dict[str, Any]:
        """``{"id", "op"}``."""
        return {"id": self.id, "op": self.op}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> StepStarted:
        """The inverse of `to_json`."""
        return cls(data["id"], data["op"])


@dataclass(frozen=True, slots=True)
class StepProgress:
    """How far a long step has come: `done` of `total` rows."""

    type: ClassVar[str] = "step_progress"
    id: str
    done: int
    total: int

    def to_json(self) -> dict[str, Any]:
        """``{"id", "done", "total"}``."""
        return {"id": self.id, "done": self.done, "total": self.total}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> StepProgress:
        """The inverse of `to_json`."""
        return cls(data["id"], data["done"], data["total"])


@dataclass(frozen=True, slots=True)
class StepFinished:
    """What a step did."""

    type: ClassVar[str] = "step_finished"
    report: StepReport

    def to_json(self) -> dict[str, Any]:
        """The step's report."""
        return self.report.to_json()

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> StepFinished:
        """The inverse of `to_json`."""
        return cls(StepReport.from_json(data))


@dataclass(frozen=True, slots=True)
class ArtifactMade:
    """A table or a chart of the answer."""

    type: ClassVar[str] = "artifact"
    artifact: Artifact | Chart

    def to_json(self) -> dict[str, Any]:
        """The artifact."""
        return self.artifact.to_json()

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> ArtifactMade:
        """The inverse of `to_json`."""
        return cls(Chart.from_json(data) if data["type"] == "chart" else Artifact.from_json(data))


@dataclass(frozen=True, slots=True)
class AnswerDelta:
    """The next piece of the answer's text; joined, the pieces are the text."""

    type: ClassVar[str] = "answer_delta"
    text: str

    def to_json(self) -> dict[str, Any]:
        """``{"text"}``."""
        return {"text": self.text}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> AnswerDelta:
        """The inverse of `to_json`."""
        return cls(data["text"])


@dataclass(frozen=True, slots=True)
class Warned:
    """Something that the reader should know."""

    type: ClassVar[str] = "warning"
    notice: Notice

    def to_json(self) -> dict[str, Any]:
        """``{"code", "detail"}``."""
        return self.notice.to_json()

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Warned:
        """The inverse of `to_json`."""
        return cls(Notice.from_json(data))


@dataclass(frozen=True, slots=True)
class Answered:
    """The whole answer; the last event."""

    type: ClassVar[str] = "answer"
    answer: Answer

    def to_json(self) -> dict[str, Any]:
        """The answer."""
        return self.answer.to_json()

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Answered:
        """The inverse of `to_json`."""
        return cls(Answer.from_json(data))


Event: TypeAlias = PlanMade | StepStarted | StepProgress | StepFinished | ArtifactMade | AnswerDelta | Warned | Answered
Tell: TypeAlias = Callable[[Event], None]  # called as things happen; what it raises ends the work

_KINDS: dict[str, Callable[[Mapping[str, Any]], Event]] = {
    kind.type: kind.from_json
    for kind in (PlanMade, StepStarted, StepProgress, StepFinished, ArtifactMade, AnswerDelta, Warned, Answered)
}


def event_from_json(type_: str, data: Mapping[str, Any]) -> Event | None:
    """The event of a type; None for a type that is not known, as a newer service may send.

    Raises:
        KeyError, TypeError, ValueError: the data is not of that type.
    """
    kind = _KINDS.get(type_)
    return None if kind is None else kind(data)
