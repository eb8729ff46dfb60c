"""What the steps of an answer cost and missed, counted into the answer."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from promptql.answer import Answer, Band, LlmUse

_SUMMED = ("calls", "tokens_in", "tokens_out", "usd", "cache_hits", "proxy_decided")


def counted(answer: Answer) -> Answer:
    """The answer with the calls of its steps in its usage, and rows that could not be judged in its completeness.

    Of what is not whole nobody is surer than it is whole, and it is not without reserve.
    """
    asked = [(step.llm, step.rows_in or 0) for step in answer.steps if step.llm is not None]
    if not asked:
        return answer
    complete = answer.completeness
    for use, rows in asked:
        complete *= 1 - use.failed / max(rows, use.failed, 1)
    for step in answer.steps:
        complete *= reached(step.quality or {})
    uses = [use for use, _ in asked]
    usage = {**answer.usage, "llm": _added(answer.usage.get("llm", {}), uses)}
    sure, band = answer.confidence, answer.band
    if complete < answer.completeness:
        sure, band = min(sure, round(complete, 3)), Band.ASSUMPTIONS if band is Band.ANSWER else band
    return replace(answer, usage=usage, completeness=round(complete, 4), confidence=sure, band=band)


def reached(quality: Mapping[str, Any]) -> float:
    """How far a step came by what its report says of quality: below 1 where judging ended early."""
    if "target" in quality:
        return float(quality.get("completeness", 1.0))
    return math.prod(reached(item) for item in quality.values())


def _added(planning: Mapping[str, Any], uses: list[LlmUse]) -> dict[str, Any]:
    """What planning and steps took together; what only steps have stands beside it."""
    total = {name: sum(getattr(use, name) for use in uses) for name in _SUMMED}
    return {name: total.get(name, 0) + planning.get(name, 0) for name in dict.fromkeys((*planning, *total))}
