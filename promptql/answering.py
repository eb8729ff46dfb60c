"""From a plan to its answer: optimize, execute, reason, with one more round where an LLM's plan needs it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass

from models import LLM, Embedder
from promptql.agreement import compared
from promptql.answer import Answer, PlannerName, Rewrite
from promptql.context import Context
from promptql.events import PlanMade, Tell
from promptql.executor import Executed
from promptql.llm.mending import is_nothing, mend
from promptql.llm.writing import Writer
from promptql.optimizer import optimize
from promptql.plan import Plan
from promptql.planned import Planned
from promptql.reasoner import ask_back, reason
from promptql.stages import Stages
from promptql.steps import Clarify


@dataclass(frozen=True, slots=True)
class Answering:
    """One question or plan, once it is planned.

    Attributes:
        context: what is known, of one snapshot.
        stages: keeps how long each takes.
        execute: runs a plan; what happens in it is told where a `Tell` is given.
        embedder_of: collection → its embedder.
        tell: is told what happens; None: nobody.
        cancelled: set when nobody waits any more.
        llm: mends plans of its own, and writes answers in prose; None: there is none, or it was not asked for.
    """

    context: Context
    stages: Stages
    execute: Callable[[Plan, Tell | None], Executed]
    embedder_of: Callable[[str], Embedder]
    tell: Tell | None = None
    cancelled: threading.Event | None = None
    llm: LLM | None = None

    def answer(self, planned: Planned) -> tuple[Answer, Planned]:
        """The answer of a valid plan, and that plan as it was mended, if it was.

        With an LLM there may be one more round, where a plan of its own finds nothing, and its answer is compared with
        that of the rules' plan, where they read the question otherwise.
        """
        if isinstance(planned.plan.by_id[planned.plan.output], Clarify):
            return ask_back(planned, planned.plan), planned
        plan, rewrites, executed = self._carried_out(planned)
        if self.llm is not None and planned.planner is PlannerName.LLM and is_nothing(executed):
            mended = self.stages.run("mend", mend, self.context, planned, self.llm, self.cancelled)
            if mended.plan != planned.plan:
                plan, rewrites, executed = self._carried_out(mended)
            planned = mended
        writer = None if self.llm is None or planned.deaf else Writer(self.llm, self.tell, self.cancelled)
        told = planned, plan, rewrites, executed, self.embedder_of, writer
        answer = self.stages.run("reason", reason, self.context, *told)
        if planned.rival is not None:
            answer = self.stages.run("compare", compared, answer, planned, self._tried)
        return answer, planned

    def _carried_out(self, planned: Planned) -> tuple[Plan, tuple[Rewrite, ...], Executed]:
        """The plan as it ran, what the optimizer did to it, and what it gave."""
        plan, rewrites = self.stages.run("optimize", optimize, planned.plan, self.context.catalog)
        if self.tell is not None:
            said = round(planned.confidence, 3), planned.band.value
            self.tell(PlanMade(plan.to_json(), plan.hash, planned.planner.value, *said))
        return plan, rewrites, self.stages.run("execute", self.execute, plan, self.tell)

    def _tried(self, planned: Planned) -> Answer:
        """The answer of another plan over the same snapshot; nothing is told of it."""
        plan, rewrites = optimize(planned.plan, self.context.catalog)
        return reason(self.context, planned, plan, rewrites, self.execute(plan, None), self.embedder_of)
