"""PromptQL: question → answer, in five stages. No stage calls back into an earlier one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace

from engine import Database
from models import LLM, Embedder
from promptql.answer import Answer
from promptql.catalog import CatalogReader
from promptql.context import gather
from promptql.executor import Limits, execute
from promptql.optimizer import optimize
from promptql.planner import PlannerMode, check_mode, plan_question
from promptql.question import read_question
from promptql.reasoner import reason
from promptql.stages import Stages

log = logging.getLogger(__name__)


class PromptQL:
    """Answers questions about a database. Safe to use from many threads: its only state is a cache of catalogs.

    Args:
        database: what is asked.
        embedder_of: collection name → the embedder of that collection; called only when a search runs.
        llm: writes plans where it is given; without it the rules do.
        limits: rows and seconds that one plan may use.
    """

    def __init__(
        self,
        database: Database,
        embedder_of: Callable[[str], Embedder],
        llm: LLM | None = None,
        *,
        limits: Limits | None = None,
    ) -> None:
        self._database = database
        self._embedder_of = embedder_of
        self._llm = llm
        self._reader = CatalogReader()
        self._limits = limits if limits is not None else Limits()

    def ask(
        self,
        question: str,
        *,
        collections: Sequence[str] | None = None,
        planner: PlannerMode = "auto",
    ) -> Answer:
        """Answer a question from one snapshot of the collections (None: all of them).

        Raises:
            QuestionError: the question cannot be asked.
            PlannerUnavailableError: planner is "llm" and there is no LLM.
            LimitExceededError: the plan would read too many rows or ran out of time.
            CollectionNotFoundError: a collection is unknown (from the engine).
        """
        stages = Stages()
        asked = read_question(question)
        check_mode(self._llm, planner)
        context = stages.run("gather", gather, self._database, self._reader, asked, collections)
        planned = stages.run("plan", plan_question, context, self._llm, planner)
        plan, rewrites = stages.run("optimize", optimize, planned.plan, context.catalog)
        executed = stages.run("execute", execute, plan, context.snapshots, self._embedder_of, self._limits)
        answer = stages.run("reason", reason, context, planned, plan, rewrites, executed, self._embedder_of)
        log.info("question.answered", extra={"planner": answer.planner.value, **stages.milliseconds})
        return replace(answer, usage={**answer.usage, "milliseconds": stages.milliseconds})
