"""What a planner hands over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from promptql.answer import Band, Notice, PlannerName
from promptql.plan import Plan


@dataclass(frozen=True, slots=True)
class LLMUsage:
    """Calls to the language model and their tokens."""

    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0

    def to_json(self) -> dict[str, int]:
        """``{"calls", "tokens_in", "tokens_out"}``."""
        return {"calls": self.calls, "tokens_in": self.tokens_in, "tokens_out": self.tokens_out}


@dataclass(frozen=True, slots=True)
class Planned:
    """A valid plan, how sure the planner is of it (0 to 1), and what it cost to make."""

    plan: Plan
    confidence: float
    band: Band
    alternatives: tuple[Mapping[str, Any], ...] = ()
    planner: PlannerName = PlannerName.RULES
    warnings: tuple[Notice, ...] = ()
    usage: LLMUsage = LLMUsage()
