"""Plan: by the LLM where there is one, by the rules where there is none or it fails."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal, TypeAlias

from models import LLM, ModelError
from promptql.answer import Notice, PlannerName
from promptql.context import Context
from promptql.errors import PlannerUnavailableError, QuestionError
from promptql.llm import LLMPlanningError, plan_by_llm
from promptql.planned import LLMUsage, Planned
from promptql.rules.planning import plan_by_rules
from promptql.rules.tabular import plan_by_tables

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
    """Tables are read as tables; where the question makes no sense so, and for all else, the words decide."""
    if context.tables is not None:
        planned = plan_by_tables(context.question.text, context.tables, context.catalog)
        if planned is not None:
            return planned
    return plan_by_rules(context.question.text, context.catalog)
