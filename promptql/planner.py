"""Plan: by the rules where they are sure or there is no LLM, else by the LLM, and by the rules where that fails."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import replace
from typing import Literal, TypeAlias

from engine import FieldType
from models import LLM, LLMCancelledError, LLMError, ModelError
from promptql.answer import Band, Notice, PlannerName
from promptql.catalog import Catalog
from promptql.context import Context
from promptql.errors import LLMPlanningError, PlanCancelledError, PlannerUnavailableError, QuestionError
from promptql.followup import follow_up
from promptql.lessons import NO_LESSONS, Lessons
from promptql.llm.cache import PlanCache
from promptql.llm.planning import plan_by_llm
from promptql.llm.request import PlanRequest
from promptql.plan import Assumption, Plan, Support
from promptql.planned import LLMUsage, Planned
from promptql.rules.periods import speaks_of_time
from promptql.rules.planning import plan_by_rules
from promptql.rules.relevance import nearest_collections
from promptql.rules.respelling import Respelling, respellings
from promptql.rules.tabular import plan_by_tables
from promptql.steps import Group, Scan, Search

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


def plan_question(
    context: Context,
    llm: LLM | None,
    mode: PlannerMode,
    *,
    before: Planned | None = None,
    plans: PlanCache | None = None,
    lessons: Lessons = NO_LESSONS,
    cancelled: threading.Event | None = None,
) -> Planned:
    """A valid plan for the question; the mode has been checked.

    With an LLM, "auto" takes the rules' plan where they are sure of it, and asks the LLM otherwise; where that fails,
    the rules' plan is taken all the same, marked as a fallback. "llm" always asks it, and raises where that fails.

    Args:
        context: what there is to know.
        llm: None where there is none.
        mode: who plans.
        before: what the last question of the conversation was planned as.
        plans: those that the LLM has made before.
        lessons: what was learned from feedback.
        cancelled: gives a call to the LLM up when it is set.

    Raises:
        QuestionError: no planner finds a reading.
        LLMPlanningError, LLMError: mode is "llm", and it failed.
        PlanCancelledError: `cancelled` was set.
    """
    draft, refusal = _draft(context, before, lessons)
    sure = draft is not None and (mode == "rules" or (mode == "auto" and _is_sure(draft)))
    if llm is None or mode == "rules" or sure:
        if draft is None:
            assert refusal is not None
            raise refusal
        return draft
    known = before.plan if before is not None and _is_within(before.plan, context.catalog) else None
    request = PlanRequest(
        context.question.text, context.catalog, draft, known, lessons.examples, lessons.hints(context.catalog)
    )
    try:
        return plan_by_llm(request, llm, plans if plans is not None else PlanCache(), cancelled)
    except LLMCancelledError as error:
        raise PlanCancelledError("the question was given up") from error
    except (ModelError, LLMPlanningError) as error:
        if mode == "llm":
            raise
        if draft is None:
            assert refusal is not None
            raise refusal from error
        usage = error.usage if isinstance(error, LLMPlanningError) else _spent(error)
        notice = Notice("llm_failed", f"the rules planner took over: {error}")
        return replace(draft, planner=PlannerName.FALLBACK, warnings=(*draft.warnings, notice), usage=usage)


def _draft(context: Context, before: Planned | None, lessons: Lessons) -> tuple[Planned | None, QuestionError | None]:
    """What was learned, a follow-up, or the rules' reading; or why there is none."""
    question, catalog = context.question.text, context.catalog
    learned = lessons.plan_of(question, catalog)
    if learned is not None:
        return learned, None
    followed = None if before is None else follow_up(question, before, catalog, context.question.asked_at)
    if followed is not None:
        return followed, None
    try:
        return _by_rules(context), None
    except QuestionError as error:
        return None, error


def _is_sure(draft: Planned) -> bool:
    return draft.band is Band.ANSWER


def _is_within(plan: Plan, catalog: Catalog) -> bool:
    """Whether all that a plan reads may be asked about."""
    read = {step.collection for step in plan.steps if isinstance(step, (Scan, Search))}
    return read <= set(catalog.collections)


def _spent(error: ModelError) -> LLMUsage:
    return LLMUsage.of(error.usage) if isinstance(error, LLMError) else LLMUsage()


def _by_rules(context: Context) -> Planned:
    """The reading by rules; where there is none, that of the question with a name spelt as the data has it."""
    question = context.question.text
    if context.heard is not None and context.heard.text != question:
        planned = _read_by_rules(context, context.heard.text)
        assumptions = (*context.heard.assumptions, *planned.plan.assumptions)
        return replace(planned, plan=replace(planned.plan, question=question, assumptions=assumptions))
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
                return plan_by_rules(question, nearest_collections(question, context.catalog), asked_at)
        planned = plan_by_tables(question, context.tables, context.catalog)
        if planned is not None:
            second = context.tables.joined is None and planned.band is not Band.ANSWER
            return (_surer(context, question, planned, timed=timed) or planned) if second else planned
    return plan_by_rules(question, nearest_collections(question, context.catalog), asked_at)


def _surer(context: Context, question: str, doubtful: Planned, *, timed: bool) -> Planned | None:
    """The reading by words, where it explains all of them, and groups or stands against mere guesses.

    "Per year" and "the top two by rating" are rare in what the tables' weights were fitted to, and times are not in it.
    """
    try:
        planned = plan_by_rules(question, nearest_collections(question, context.catalog), context.question.asked_at)
    except QuestionError:
        return None
    groups = any(isinstance(step, Group) and step.by for step in planned.plan.steps)
    sure = groups or timed or doubtful.confidence < GUESS_CONFIDENCE_MAX
    return planned if sure and planned.band is Band.ANSWER else None
