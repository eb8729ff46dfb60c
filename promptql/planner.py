"""Plan: by the rules where they are sure or there is no LLM, else by the LLM, and by the rules where that fails."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Literal, TypeAlias

from models import LLM, LLMBudgetError, LLMCancelledError, LLMError, LLMReplyError, ModelError
from promptql.answer import Band, Notice, PlannerName
from promptql.catalog import Catalog
from promptql.compounds import retold
from promptql.context import Context
from promptql.errors import LLMPlanningError, PlanCancelledError, PlannerUnavailableError, QuestionError
from promptql.followup import follow_up, leans_back
from promptql.lessons import NO_LESSONS, Lessons
from promptql.llm.cache import PlanCache
from promptql.llm.planning import plan_by_llm
from promptql.llm.request import PlanRequest
from promptql.plan import Assumption, Plan, Support
from promptql.planned import LLMUsage, Planned
from promptql.steps import Scan, Search
from promptql.unaided import plan_without_llm

PlannerMode: TypeAlias = Literal["auto", "rules", "llm"]


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
    admit: Callable[[Plan], None] | None = None,
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
        admit: raises for a plan of the LLM's that the budget cannot bear.

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
    hints = lessons.hints(context.catalog)
    request = PlanRequest(context.question.text, context.catalog, draft, known, lessons.examples, hints, admit)
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
        deaf = isinstance(error, LLMError) and not isinstance(error, LLMReplyError | LLMBudgetError)
        told = (*draft.warnings, notice)
        return replace(draft, planner=PlannerName.FALLBACK, warnings=told, usage=usage, deaf=deaf)


def _draft(context: Context, before: Planned | None, lessons: Lessons) -> tuple[Planned | None, QuestionError | None]:
    """What was learned, a follow-up, or the rules' reading; or why there is none."""
    question, catalog = context.question.text, context.catalog
    learned = lessons.plan_of(question, catalog)
    if learned is not None:
        return learned, None
    followed = None if before is None else _gone_on(context, before)
    if followed is not None:
        return followed, None
    try:
        planned = plan_without_llm(context)
    except QuestionError as error:
        return None, error
    return planned if before is None else _anew(planned, question, catalog), None


def _anew(planned: Planned, question: str, catalog: Catalog) -> Planned:
    """A question that leans on the one before, but could not be read as a change of it, says so and is less sure."""
    word = leans_back(question, catalog)
    if word is None or planned.band is Band.SEARCH:
        return planned
    said = Assumption(f"'{word}' was read without what was said before", Support.INFERRED)
    plan = replace(planned.plan, assumptions=(said, *planned.plan.assumptions))
    return replace(planned, plan=plan, band=Band.ASSUMPTIONS if planned.band is Band.ANSWER else planned.band)


def _gone_on(context: Context, before: Planned) -> Planned | None:
    """The plan of a question that goes on from the one before; None where it is one of its own."""
    question, catalog, asked_at = context.question.text, context.catalog, context.question.asked_at
    again = None if before.told is None else retold(question, before.told, catalog, asked_at)
    if again is not None:
        try:
            planned = plan_without_llm(replace(context, question=replace(context.question, text=again), heard=None))
        except QuestionError:
            planned = None
        if planned is not None and planned.told is not None:
            said = Assumption(f"'{question[:200]}' = {again[:400]}", Support.EXACT)
            plan = replace(planned.plan, question=question, assumptions=(said, *planned.plan.assumptions))
            return replace(planned, plan=plan)
    followed = follow_up(question, before, catalog, asked_at)
    return followed if followed is None or before.told is None else replace(followed, told=before.told)


def _is_sure(draft: Planned) -> bool:
    return draft.band is Band.ANSWER


def _is_within(plan: Plan, catalog: Catalog) -> bool:
    """Whether all that a plan reads may be asked about."""
    read = {step.collection for step in plan.steps if isinstance(step, (Scan, Search))}
    return read <= set(catalog.collections)


def _spent(error: ModelError) -> LLMUsage:
    return LLMUsage.of(error.usage) if isinstance(error, LLMError) else LLMUsage()
