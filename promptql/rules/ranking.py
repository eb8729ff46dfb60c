"""How sure a draft is: mostly, how many of the question's words it explains."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from promptql.answer import Band
from promptql.plan import Assumption, Support
from promptql.rules.reading import Reading
from promptql.rules.templates import Draft, Template
from promptql.rules.values import Trust

# First weights, set by hand; the issue on measured accuracy trains them.
PRIOR = {Template.FIGURE: 0.95, Template.GROUPS: 0.95, Template.TOP: 0.93, Template.LIST: 0.85}
SEARCH_SCORE = 0.6  # a structured reading must be surer than this
INFERRED_COST = 0.1
HINTED_COST = 0.05
NAMED_BONUS = 0.04
ANSWER_CONFIDENCE_MIN = 0.8


@dataclass(frozen=True, slots=True)
class Candidate:
    """A draft with its score, 0 to 1."""

    reading: Reading
    draft: Draft
    score: float


def score(reading: Reading, draft: Draft) -> float:
    """How well the draft accounts for the question, 0 to 1."""
    named = NAMED_BONUS if any(reading.names_collection(i) for i in range(len(reading.tokens))) else 0.0
    if draft.template is Template.SEARCH:
        return SEARCH_SCORE + named + 0.1 * (reading.coverage() if reading.content() else 0.0)
    costs = sum(INFERRED_COST for item in reading.assumptions if item.support is Support.INFERRED)
    costs += sum(HINTED_COST for item in reading.conditions if item.trust is Trust.HINTED)
    light = reading.ignorable() is not None
    unexplained = 0.0 if light else 1.0 - reading.coverage()
    costs += INFERRED_COST if light else 0.0
    fit = PRIOR[draft.template] - 1.2 * unexplained - costs
    if draft.template is Template.LIST and not reading.conditions:
        fit -= 0.1
    return max(0.0, min(0.99, fit + named))


def band(candidate: Candidate, assumptions: Sequence[Assumption]) -> Band:
    """How far an answer from this candidate commits itself."""
    if candidate.draft.template is Template.SEARCH:
        return Band.SEARCH
    guessed = any(item.support in {Support.INFERRED, Support.DEFAULT} for item in assumptions)
    return Band.ANSWER if candidate.score >= ANSWER_CONFIDENCE_MIN and not guessed else Band.ASSUMPTIONS
