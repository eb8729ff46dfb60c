"""Two planners' answers to one question: equal ones make it surer, different ones are both told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from promptql.answer import Answer, Band, Notice
from promptql.errors import PromptQLError
from promptql.evaluation.scoring import same_values
from promptql.planned import Planned
from promptql.steps import SEMANTIC, Clarify, Search

CONFIDENCE_AGREED = 0.9  # two planners that read the question alike
VALUES_MAX = 20  # of an alternative, that are shown
SURE = 0.7  # a reading by rules that is surer than this is worth a warning where it is contradicted
RULES_TEXT = "the rules planner's reading"


def compared(answer: Answer, planned: Planned, run: Callable[[Planned], Answer]) -> Answer:
    """The answer, surer where the rival plan gives the same values; else with the rival's as an alternative.

    Args:
        answer: what the chosen plan gave.
        planned: the chosen plan, with its rival.
        run: executes another plan over the same snapshot.
    """
    rival = planned.rival
    if rival is None:
        return answer
    other = None if _is_vague(rival) or _is_dear(rival) else _tried(rival, run)
    if other is not None and other.values and same_values(other.values, answer.values):
        band = Band.ANSWER if answer.band is Band.ASSUMPTIONS and not answer.assumptions else answer.band
        return replace(answer, confidence=max(answer.confidence, CONFIDENCE_AGREED), band=band)
    alternative = _alternative(rival, other)
    warnings = answer.warnings
    if other is not None and rival.confidence >= SURE:
        detail = "the rules read the question otherwise and come to another answer: see the alternatives"
        warnings = (*warnings, Notice("planners_disagree", detail))
    return replace(answer, alternatives=(alternative, *answer.alternatives), warnings=warnings)


def rival_of(planned: Planned) -> Mapping[str, Any]:
    """The rival plan as an alternative, not run."""
    assert planned.rival is not None
    return _alternative(planned.rival, None)


def _is_vague(rival: Planned) -> bool:
    """Whether its answer is no denotation that could be compared: a search, or a question back."""
    return any(isinstance(step, (Search, Clarify)) for step in rival.plan.steps)


def _is_dear(rival: Planned) -> bool:
    """Whether it would ask a language model again, for what is only a comparison (a follow-up of such a plan may)."""
    return any(isinstance(step, SEMANTIC) for step in rival.plan.steps)


def _tried(rival: Planned, run: Callable[[Planned], Answer]) -> Answer | None:
    try:
        return run(rival)
    except PromptQLError:
        return None


def _alternative(rival: Planned, answer: Answer | None) -> Mapping[str, Any]:
    shown = {"text": RULES_TEXT, "confidence": round(rival.confidence, 3), "plan": rival.plan.to_json()}
    if answer is None:
        return shown
    return {**shown, "values": [list(row) if isinstance(row, tuple) else row for row in answer.values[:VALUES_MAX]]}
