"""What a planner hands over."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from models import Usage
from promptql.answer import Band, Notice, PlannerName
from promptql.plan import Plan


@dataclass(frozen=True, slots=True)
class LLMUsage:
    """What the language model was asked, and what that cost.

    Attributes:
        usd: by the table of prices; 0 where none is known.
        cache_hits: what was not asked because the reply was known.
    """

    calls: int = 0
    tokens_in: int = 0
    tokens_out: int = 0
    usd: float = 0.0
    cache_hits: int = 0

    def __add__(self, other: LLMUsage) -> LLMUsage:
        return LLMUsage(
            self.calls + other.calls,
            self.tokens_in + other.tokens_in,
            self.tokens_out + other.tokens_out,
            self.usd + other.usd,
            self.cache_hits + other.cache_hits,
        )

    @classmethod
    def of(cls, usage: Usage) -> LLMUsage:
        """What a reply, or a failure, says that it cost."""
        return cls(usage.calls, usage.tokens_in, usage.tokens_out, usage.dollars)

    def to_json(self) -> dict[str, Any]:
        """``{"calls", "tokens_in", "tokens_out", "usd", "cache_hits"}``."""
        return {
            "calls": self.calls,
            "tokens_in": self.tokens_in,
            "tokens_out": self.tokens_out,
            "usd": round(self.usd, 6),
            "cache_hits": self.cache_hits,
        }


@dataclass(frozen=True, slots=True)
class Planned:
    """A valid plan, how sure the planner is of it (0 to 1), and what it cost to make.

    Attributes:
        rival: what another planner made of the question; both are run, and their answers compared.
        deaf: the language model refused such requests or could not be reached: it is not asked to write either.
        told: the question in full, where it is made of several: what goes on from it is put into its words.
    """

    plan: Plan
    confidence: float
    band: Band
    alternatives: tuple[Mapping[str, Any], ...] = ()
    planner: PlannerName = PlannerName.RULES
    warnings: tuple[Notice, ...] = ()
    usage: LLMUsage = LLMUsage()
    rival: Planned | None = None
    deaf: bool = False
    told: str | None = None
