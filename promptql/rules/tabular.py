"""Planning over tables: the likeliest reading as a plan, with a calibrated confidence and its rivals."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from promptql.answer import Band
from promptql.catalog import Catalog
from promptql.errors import PlanError
from promptql.plan import Plan, ignored_words
from promptql.planned import Planned
from promptql.rules.asked import take_apart
from promptql.rules.compile import compile_sketch
from promptql.rules.confidence import confidence
from promptql.rules.generate import Candidate, read, understood
from promptql.rules.model import shipped_model
from promptql.rules.naming import named
from promptql.rules.outcomes import Outcome, by_outcome
from promptql.rules.saying import assumptions, say
from promptql.rules.stored_values import CannotCompileError
from promptql.rules.tables import Tables
from promptql.steps import Clarify, Filter, Group, Limit, Option, SetOperation, Sort, Step
from promptql.validation import validate

ALTERNATIVES_MAX = 3
ALTERNATIVE_PROBABILITY_MIN = 0.05
COMPILED_MAX = 6  # readings that are made plans of, until one is valid
CLARIFY_CONFIDENCE_MAX = 0.25  # less sure readings are offered to choose from, where others are close
CLOSE_SHARE = 0.75  # of the likeliest answer's probability
WHOLE_CONFIDENCE_MAX = 0.6  # of all documents, where words of the question were left out
CLARIFICATION = "Which of these do you mean?"


def plan_by_tables(question: str, tables: Tables, catalog: Catalog) -> Planned | None:
    """The likeliest reading of the question; None where no reading makes sense."""
    model = shipped_model().over(len(tables.view.names))
    outcomes = by_outcome(read(question, tables.view, tables.headers, model, tables.joined))
    asked = understood(question, tables.view)
    for outcome in outcomes[:COMPILED_MAX]:
        best = outcome.readings[0]
        plan = _plan(question, best, tables, catalog)
        if plan is None:
            continue
        found = assumptions(asked, tables.view, best.parts, best.mask)
        sure = confidence(model, asked, tables.view, outcomes, outcome)
        whole = _takes_all(plan) and bool(ignored_words(found))
        sure = min(sure, WHOLE_CONFIDENCE_MAX) if whole else sure
        reserved = whole or sure < model.answer_confidence_min
        band = Band.ASSUMPTIONS if reserved else Band.ANSWER
        planned = Plan(question, plan.steps, plan.output, assumptions=found)
        if sure < CLARIFY_CONFIDENCE_MAX and (close := _close(question, outcomes, outcome, tables, catalog)):
            chosen = {"text": say(best.sketch, tables.view), "confidence": outcome.probability, "plan": plan.to_json()}
            return _ask_back(question, [chosen, *close], sure)
        return Planned(planned, sure, band, _alternatives(question, outcomes, outcome, tables, catalog))
    return None


def _close(
    question: str, outcomes: Sequence[Outcome], chosen: Outcome, tables: Tables, catalog: Catalog
) -> list[Mapping[str, Any]]:
    """Rival readings that are nearly as likely."""
    rivals = _alternatives(question, outcomes, chosen, tables, catalog)
    return [item for item in rivals if item["confidence"] >= CLOSE_SHARE * chosen.probability]


def _takes_all(plan: Plan) -> bool:
    """Whether nothing narrows, groups or orders the documents: what was left out of the question may have."""
    tells = (Filter, Group, Sort, Limit, SetOperation)
    return not any(isinstance(step, tells) and not _is_total(step) for step in plan.steps)


def _is_total(step: Step) -> bool:
    return isinstance(step, Group) and not step.by


def _ask_back(question: str, options: Sequence[Mapping[str, Any]], confidence: float) -> Planned:
    """Readings that are about equally likely, to choose from."""
    written = tuple(Option(item["text"], json.dumps(item["plan"], sort_keys=True)) for item in options)
    step = Clarify("s1", CLARIFICATION, written)
    return Planned(Plan(question, (step,), step.id), confidence, Band.CLARIFY, tuple(options[1:]))


def _plan(question: str, candidate: Candidate, tables: Tables, catalog: Catalog) -> Plan | None:
    sketch = named(take_apart(question), candidate.sketch, tables.view, tables.joined)
    for listed in (False, True):
        try:
            steps = compile_sketch(sketch, tables.view, tables.joined, listed=listed)
            plan = Plan(question, steps, steps[-1].id)
            validate(plan, catalog)
        except (CannotCompileError, PlanError):
            continue
        return plan
    return None


def _alternatives(
    question: str, outcomes: Sequence[Outcome], chosen: Outcome, tables: Tables, catalog: Catalog
) -> tuple[Mapping[str, Any], ...]:
    """Rival readings that give something else, in words and as plans."""
    found: list[Mapping[str, Any]] = []
    for outcome in outcomes[:COMPILED_MAX]:
        if outcome is chosen or outcome.probability < ALTERNATIVE_PROBABILITY_MIN:
            continue
        plan = _plan(question, outcome.readings[0], tables, catalog)
        if plan is not None:
            text = say(outcome.readings[0].sketch, tables.view)
            found.append({"text": text, "confidence": round(outcome.probability, 3), "plan": plan.to_json()})
    return tuple(found[:ALTERNATIVES_MAX])
