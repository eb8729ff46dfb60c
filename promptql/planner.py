"""Plan: by the LLM where there is one, by the rules where there is none or it fails."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from typing import Literal, TypeAlias

from engine import FieldType
from models import LLM, ModelError
from promptql.answer import Band, Notice, PlannerName
from promptql.context import Context
from promptql.errors import PlannerUnavailableError, QuestionError
from promptql.llm import LLMPlanningError, plan_by_llm
from promptql.plan import Assumption, Support
from promptql.planned import LLMUsage, Planned
from promptql.rules.periods import speaks_of_time
from promptql.rules.planning import plan_by_rules
from promptql.rules.respelling import Respelling, respellings
from promptql.rules.tabular import plan_by_tables
from promptql.steps import Group

PlannerMode: TypeAlias = Literal["auto", "rules", "llm"]
GUESS_CONFIDENCE_MAX = 0.45  # of a reading by tables
RESPELT_FACTOR = 0.8  # what a name costs that had to be spelt otherwise


def check_mode(llm: LLM | None, mode: PlannerMode) -> None:
    """Refuse what cannot be planned before anything is read.

    Raises:
        PlannerUnavailableError: mode is "llm" and there is no LLM.
        QuestionError: the mode is unknown.
    """
    if mode not in ("auto", "rules", "llm"):
        raise QuestionError(f"unknown planner: expected=auto, rules or llm got={mode!r}", code="planner_unknown")
    if mode == "llm" and llm is None:
        raise PlannerUnavailableError("planner=llm was asked for, but no LLM is configured")


def plan_question(context: Context, llm: LLM | None, mode: PlannerMode) -> Planned:
    """A valid plan for the question; the mode has been checked.

    Raises:
        QuestionError: no planner finds a reading.
    """
    if mode == "rules" or llm is None:
        return _by_rules(context)
    return _by_llm(context, llm)


def _by_llm(context: Context, llm: LLM) -> Planned:
    question = context.question.text
    try:
        draft: Planned | None = _by_rules(context)
        refusal: QuestionError | None = None
    except QuestionError as error:
        draft, refusal = None, error
    try:
        return plan_by_llm(question, context.catalog, llm, draft)
    except (ModelError, LLMPlanningError) as error:
        if draft is None:
            assert refusal is not None
            raise refusal from error
        usage = error.usage if isinstance(error, LLMPlanningError) else LLMUsage()
        notice = Notice("llm_failed", f"the rules planner took over: {error}")
        return replace(draft, planner=PlannerName.FALLBACK, warnings=(notice,), usage=usage)


def _by_rules(context: Context) -> Planned:
    """The reading by rules; where there is none, that of the question with a name spelt as the data has it."""
    question = context.question.text
    try:
        return _read_by_rules(context, question)
    except QuestionError:
        for respelt in respellings(question, context.catalog):
            with suppress(QuestionError):
                return _corrected(_read_by_rules(context, respelt.question), question, respelt)
        raise


def _corrected(planned: Planned, question: str, respelt: Respelling) -> Planned:
    said = f"'{respelt.said}' is not in the data: {respelt.field} = {respelt.value}"
    assumptions = (Assumption(said, Support.FUZZY), *planned.plan.assumptions)
    plan = replace(planned.plan, question=question, assumptions=assumptions)
    band = Band.ASSUMPTIONS if planned.band is Band.ANSWER else planned.band
    return replace(planned, plan=plan, band=band, confidence=RESPELT_FACTOR * planned.confidence)


def _read_by_rules(context: Context, question: str) -> Planned:
    """Tables are read as tables; where the question makes no sense so, and for all else, the words decide.

    So they do where the question speaks of times: the tables' weights were fitted to data without them.
    """
    asked_at = context.question.asked_at
    if context.tables is not None:
        infos = list(context.catalog.collections.values())
        timed = any(field.type is FieldType.DATETIME for info in infos for field in info.fields.values())
        if timed and any(speaks_of_time(question, info, asked_at) for info in infos):
            with suppress(QuestionError):
                return plan_by_rules(question, context.catalog, asked_at)
        planned = plan_by_tables(question, context.tables, context.catalog)
        if planned is not None:
            second = context.tables.joined is None and planned.band is not Band.ANSWER
            return (_surer(context, question, planned, timed=timed) or planned) if second else planned
    return plan_by_rules(question, context.catalog, asked_at)


def _surer(context: Context, question: str, doubtful: Planned, *, timed: bool) -> Planned | None:
    """The reading by words, where it explains all of them, and groups or stands against mere guesses.

    "Per year" and "the top two by rating" are rare in what the tables' weights were fitted to, and times are not in it.
    """
    try:
        planned = plan_by_rules(question, context.catalog, context.question.asked_at)
    except QuestionError:
        return None
    groups = any(isinstance(step, Group) and step.by for step in planned.plan.steps)
    sure = groups or timed or doubtful.confidence < GUESS_CONFIDENCE_MAX
    return planned if sure and planned.band is Band.ANSWER else None
