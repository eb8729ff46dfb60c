"""Questions to what is open: one PromptQL, which keeps catalogs and conversations, over the database in use."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, cast

import engine
import models
from lumaai.asked import Asked, Execution, ProgramRun, Question
from lumaai.language_model import close_language_model
from lumaai.opened import Opened
from lumaai.translation import translate, translated

if TYPE_CHECKING:
    from promptql import Answer, Event, Explanation, PlanCheck, Program, PromptQL, Proposal, Tell

_log = logging.getLogger("lumaai")

SPENT = ("calls", "cache_hits", "tokens_in", "tokens_out", "usd")

LLMSource: TypeAlias = models.LLM | Callable[[], models.LLM | None] | None
PlannerMode: TypeAlias = Literal["auto", "rules", "llm"]


@dataclass(frozen=True, slots=True)
class Scope:
    """What may be asked, and by whom.

    Attributes:
        collections: their names; None for all.
        asker: whose conversations go on.
    """

    collections: list[str] | None
    asker: str


class Questions:
    """Answers questions over what is open. Made anew after a restore, and when the language model is there.

    `_lock` guards which database and model are asked.

    Args:
        opened: the database.
        embedder_of: collection name → the model that its searches are embedded with.
        llm: the language model that plans, or how to get it when it is first wanted.
        sql: gives what runs large plans as queries.
        rerank: how the best hits of (snapshot, query, k) are ordered anew.
        words_embedder: gives the model that words of questions and names of fields are compared by.
    """

    def __init__(
        self,
        opened: Opened,
        embedder_of: Callable[[str], models.Embedder],
        llm: LLMSource,
        sql: Callable[[], engine.SqlEngine],
        rerank: Callable[[engine.Snapshot, str, int], engine.Rerank],
        words_embedder: Callable[[], models.Embedder],
    ) -> None:
        self._sql = sql
        self._rerank = rerank
        self._words_embedder = words_embedder
        self._opened = opened
        self._embedder_of = embedder_of
        self._llm, self._makes_llm = llm, callable(llm)
        self._lock = threading.Lock()
        self._conversations: Any = None
        self._answers: Counter[tuple[str, str]] = Counter()
        self._spent = dict.fromkeys(SPENT, 0.0)
        self._made: tuple[engine.Database, models.LLM | None, PromptQL] | None = None

    def running(self, planner: str = "rules") -> PromptQL:
        """PromptQL over the database that is open now."""
        from promptql import Conversations, Meanings, PromptQL

        native, llm = self._opened.native, self._language_model(planner)
        with self._lock:
            if self._conversations is None:
                self._conversations = Conversations()
            if self._made is None or self._made[0] is not native or (llm is not None and self._made[1] is not llm):
                native.collections()  # of a closed one there is nothing to ask
                promptql = PromptQL(
                    native,
                    self._embedder_of,
                    llm,
                    conversations=self._conversations,
                    sql=self._sql,
                    rerank=self._rerank,
                    meanings=Meanings(self._words_embedder),
                )
                self._made = native, llm, promptql
            return self._made[2]

    def answer(
        self, asked: Asked, scope: Scope, tell: Tell | None = None, cancelled: threading.Event | None = None
    ) -> Answer:
        """The answer; `tell` gets each event in this thread, and ends the work by raising, `cancelled` by being set."""
        answer = self._answered(asked, scope, tell, cancelled)
        spent = answer.usage.get("llm", {})
        with self._lock:
            self._answers[answer.planner.value, answer.band.value] += 1
            self._spent = {name: before + float(spent.get(name, 0)) for name, before in self._spent.items()}
        return answer

    def figures(self) -> dict[str, Any]:
        """Answers by planner and band; what the language model did for them: calls, cache hits, tokens, dollars."""
        with self._lock:
            return {"answers": dict(self._answers), **self._spent}

    def _answered(self, asked: Asked, scope: Scope, tell: Tell | None, cancelled: threading.Event | None) -> Answer:
        match asked:
            case Question(text, _, planner, conversation, time_zone, earlier):
                return self.running(planner).ask(
                    text,
                    collections=scope.collections,
                    planner=cast("PlannerMode", planner),
                    conversation=conversation,
                    time_zone=time_zone,
                    asker=scope.asker,
                    earlier=earlier,
                    tell=tell,
                    cancelled=cancelled,
                )
            case Execution(plan, params, from_step, _, partial):
                return self.running(_planner_of(plan)).execute(
                    plan,
                    params=params,
                    from_step=from_step,
                    collections=scope.collections,
                    partial=partial,
                    tell=tell,
                    cancelled=cancelled,
                )
            case ProgramRun(name, params, version):
                program = self.running().programs.get(name, version)
                return self.running(_planner_of(program.plan)).execute(
                    program.plan, params=params, collections=scope.collections, tell=tell, cancelled=cancelled
                )

    def events(self, asked: Asked, scope: Scope) -> Iterator[Event]:
        """What happens while it is answered, as it happens; the work has a thread of its own."""
        from promptql import stream

        return stream(lambda tell, gone: self.answer(asked, scope, tell, gone))

    def proposal(self, question: Question, scope: Scope) -> Proposal:
        """The plan of a question."""
        return self.running(question.planner).plan(
            question.text,
            collections=scope.collections,
            planner=cast("PlannerMode", question.planner),
            time_zone=question.time_zone,
        )

    def check(self, execution: Execution, scope: Scope) -> PlanCheck:
        """Whether a plan could run."""
        return self.running().validate(execution.plan, collections=scope.collections)

    def explanation(self, execution: Execution, scope: Scope) -> Explanation:
        """What would run for a plan."""
        return self.running().explain(execution.plan, collections=scope.collections)

    @translated
    def save_program(
        self, name: str, plan: Mapping[str, Any], params: Mapping[str, Any], description: str | None
    ) -> tuple[Program, bool]:
        """Keep a plan under a name, and tell whether that made a new version."""
        return self.running().save_program(name, plan, params=params, description=description)

    @translated
    def get_program(self, name: str, version: int | None) -> Program:
        """A program."""
        return self.running().programs.get(name, version)

    @translated
    def list_programs(self) -> list[Program]:
        """All programs, by name."""
        return self.running().programs.all()

    @translated
    def delete_program(self, name: str) -> None:
        """Forget a program."""
        self.running().programs.delete(name)

    def close(self) -> None:
        """Forget the database, and end what the language model was asked, if it was made here."""
        with self._lock:
            self._made = None
        if self._makes_llm and not callable(self._llm):
            close_language_model(self._llm)

    def _language_model(self, planner: str) -> models.LLM | None:
        """The model that plans; None where rules are asked for, or will do because it cannot be had."""
        if planner == "rules" or not callable(self._llm):
            return None if callable(self._llm) else self._llm
        try:
            self._llm = self._llm()
        except Exception as error:
            luma_error = translate(error)
            if planner != "auto" or luma_error is None:
                raise
            _log.warning("llm.unavailable", extra={"code": luma_error.code})
            return None
        return self._llm


def _planner_of(plan: object) -> str:
    """Whether a plan that is given needs the language model, whose steps it may have."""
    from promptql import asks_language_model

    return "llm" if asks_language_model(plan) else "rules"
