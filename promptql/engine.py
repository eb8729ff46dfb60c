"""PromptQL: question → answer, in five stages. No stage calls back into an earlier one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

from engine import Database
from models import LLM, Embedder
from promptql.answer import Answer
from promptql.catalog import CatalogReader
from promptql.context import Context, gather
from promptql.conversation import Conversations, check_conversation
from promptql.events import Event, PlanMade, Tell
from promptql.executor import Limits, execute
from promptql.followup import follow_up
from promptql.optimizer import optimize
from promptql.planned import Planned
from promptql.planner import PlannerMode, check_mode, plan_question
from promptql.question import read_question
from promptql.reasoner import reason
from promptql.stages import Stages
from promptql.streaming import stream, tell_answer

log = logging.getLogger(__name__)


class PromptQL:
    """Answers questions about a database. Safe for many threads: it keeps catalogs, and plans of conversations.

    Args:
        database: what is asked.
        embedder_of: collection name → the embedder of that collection; called only when a search runs.
        llm: writes plans where it is given; without it the rules do.
        limits: rows and seconds that one plan may use.
        conversations: where the last plans are kept; of its own if not given.
    """

    def __init__(
        self,
        database: Database,
        embedder_of: Callable[[str], Embedder],
        llm: LLM | None = None,
        *,
        limits: Limits | None = None,
        conversations: Conversations | None = None,
    ) -> None:
        self._database = database
        self._embedder_of = embedder_of
        self._llm = llm
        self._reader = CatalogReader()
        self._conversations = Conversations() if conversations is None else conversations
        self._limits = limits if limits is not None else Limits()

    def ask(
        self,
        question: str,
        *,
        collections: Sequence[str] | None = None,
        planner: PlannerMode = "auto",
        conversation: str | None = None,
        tell: Tell | None = None,
    ) -> Answer:
        """Answer a question from one snapshot of the collections (None: all of them).

        In a `conversation`, a name of the caller's choice, a question may go on from the one before: "only those from
        France", "and in 1999?", "sort them by year". What was planned last is kept for half an hour. `tell` is called
        with each event as it happens, in this thread; what it raises ends the work.

        Raises:
            QuestionError: the question cannot be asked.
            PlannerUnavailableError: planner is "llm" and there is no LLM.
            LimitExceededError: the plan would read too many rows or ran out of time.
            CollectionNotFoundError: a collection is unknown (from the engine).
        """
        stages = Stages()
        asked = read_question(question)
        check_mode(self._llm, planner)
        name = None if conversation is None else check_conversation(conversation)
        context = stages.run("gather", gather, self._database, self._reader, asked, collections)
        planned = stages.run("plan", self._planned, context, planner, name)
        plan, rewrites = stages.run("optimize", optimize, planned.plan, context.catalog)
        if tell is not None:
            said = planned.confidence, planned.band.value
            tell(PlanMade(plan.to_json(), plan.hash, planned.planner.value, *said))
        executed = stages.run("execute", execute, plan, context.snapshots, self._embedder_of, self._limits, tell)
        answer = stages.run("reason", reason, context, planned, plan, rewrites, executed, self._embedder_of)
        log.info("question.answered", extra={"planner": answer.planner.value, **stages.milliseconds})
        answer = replace(answer, conversation=name, usage={**answer.usage, "milliseconds": stages.milliseconds})
        return answer if tell is None else tell_answer(answer, tell)

    def ask_stream(
        self,
        question: str,
        *,
        collections: Sequence[str] | None = None,
        planner: PlannerMode = "auto",
        conversation: str | None = None,
    ) -> Iterator[Event]:
        """The events of answering a question, as they happen; the last is the answer. See `ask`."""
        return stream(
            lambda tell: self.ask(
                question, collections=collections, planner=planner, conversation=conversation, tell=tell
            )
        )

    def _planned(self, context: Context, planner: PlannerMode, conversation: str | None) -> Planned:
        """The plan of a question of its own, or of one that goes on from the last."""
        before = None if conversation is None else self._conversations.last(conversation)
        followed = None if before is None else follow_up(context.question.text, before, context.catalog)
        planned = plan_question(context, self._llm, planner) if followed is None else followed
        if conversation is not None:
            self._conversations.keep(conversation, planned)
        return planned
