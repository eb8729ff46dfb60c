"""PromptQL: question → answer, in five stages. No stage calls back into an earlier one.

One more round, bounded, is in `answering`.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from engine import Database, SqlEngine
from models import LLM, Embedder
from promptql.agreement import rival_of
from promptql.answer import Answer, Band, PlannerName
from promptql.answering import Answering
from promptql.catalog import CatalogReader
from promptql.context import Context, gather
from promptql.conversation import Conversations, check_conversation
from promptql.counting import counted
from promptql.errors import ArgumentError, PlanError, QuestionError, nearest_name
from promptql.estimating import StepEstimate, admit, estimate, totals, values_of
from promptql.evaluation.questions import EvaluationQuestion
from promptql.events import Event, Tell
from promptql.executor import SQL_ROWS_MIN, Executed, Limits, execute
from promptql.judgements import Judgements
from promptql.language_models import LanguageModels, check_models, models_of
from promptql.learning import Learning
from promptql.lessons import Lessons
from promptql.llm.cache import PlanCache
from promptql.meanings import Meanings
from promptql.operators.rows import Reranking
from promptql.optimizer import optimize
from promptql.outputs import Outputs
from promptql.plan import Plan
from promptql.planned import Planned
from promptql.planner import PlannerMode, check_mode, plan_question
from promptql.program_store import ProgramStore
from promptql.programs import Program, bound, check_program_name, with_parameters
from promptql.proposal import Explanation, PlanCheck, PlanFault, Proposal
from promptql.question import Question, read_question
from promptql.stages import Stages
from promptql.steps import SEMANTIC, AnswerStep, Clarify, LlmFused, Scan
from promptql.streaming import Telling, stream, tell_answer
from promptql.validation import Columns, columns_of, validate
from promptql.wording import described

log = logging.getLogger(__name__)

EARLIER_MAX = 20  # questions before the last one of a conversation that are looked at


class PromptQL:
    """Answers questions about a database. Safe for many threads: it keeps catalogs, and plans of conversations.

    Args:
        database: what is asked.
        embedder_of: collection name → the embedder of that collection; called only when a search runs.
        llm: writes plans and is asked by steps; without it the rules plan, and such steps are refused.
        judgements: what models said of rows before, shared by questions; of its own if not given.
        limits: rows and seconds that one plan may use.
        conversations: where the last plans are kept; of its own if not given.
        sql: gives what runs steps over many rows as queries; without it all goes over Arrow.
        rerank: orders the best hits of searches anew where a plan asks for it.
        meanings: tells the rules what words mean that name nothing in the data.
    """

    def __init__(
        self,
        database: Database,
        embedder_of: Callable[[str], Embedder],
        llm: LLM | None = None,
        *,
        judgements: Judgements | None = None,
        limits: Limits | None = None,
        conversations: Conversations | None = None,
        sql: Callable[[], SqlEngine] | None = None,
        rerank: Reranking | None = None,
        meanings: Meanings | None = None,
    ) -> None:
        self._database = database
        self._embedder_of = embedder_of
        self._llm = llm
        self._judgements = Judgements() if judgements is None else judgements
        self._reader = CatalogReader()
        self._conversations = Conversations() if conversations is None else conversations
        self._limits = limits if limits is not None else Limits()
        self._outputs = Outputs()
        self._plans = PlanCache()
        self._sql = sql
        self._rerank = rerank
        self._meanings = meanings
        self.programs = ProgramStore(database)
        self.learning = Learning(
            database, lambda question, names: self._context(question, names).catalog, self._asked_with
        )

    def ask(
        self,
        question: str,
        *,
        collections: Sequence[str] | None = None,
        planner: PlannerMode = "auto",
        conversation: str | None = None,
        time_zone: str | None = None,
        asker: str = "",
        earlier: Sequence[str] | None = None,
        tell: Tell | None = None,
        cancelled: threading.Event | None = None,
    ) -> Answer:
        """Answer a question from one snapshot of the collections (None: all of them).

        In a `conversation`, a name of the caller's choice, a question may go on from the one before: "only those from
        France", "and in 1999?", "sort them by year". What was planned last is kept for half an hour, for that `asker`
        alone. Who keeps the conversation himself gives all its `earlier` questions, oldest first, of which the last
        20 count; what they were planned as is remembered likewise, or planned again. `tell` is called with each event
        as it happens, in this thread; what it raises ends the work. So does setting `cancelled`, also in the middle
        of long steps. "Today" is that of the `time_zone` (IANA; None: UTC).

        Raises:
            QuestionError: the question cannot be asked.
            PlanCancelledError: `cancelled` was set.
            PlannerUnavailableError: planner is "llm" and there is no LLM.
            LimitExceededError: the plan would read too many rows or ran out of time.
            CollectionNotFoundError: a collection is unknown (from the engine).
        """
        stages = Stages()
        asked = read_question(question, time_zone)
        check_mode(self._llm, planner)
        name = None if conversation is None else check_conversation(conversation)
        lessons = self.learning.active()
        context = stages.run(
            "gather",
            gather,
            self._database,
            self._reader,
            asked,
            collections,
            lessons=lessons,
            meanings=self._meanings,
        )
        kept_as = None if name is None else f"{asker}\0{name}"
        models = self._language_models()
        planning = _Planning(planner, _planning_model(models, planner), lessons, cancelled)
        before = self._before(earlier, collections, planning, asker)
        if kept_as is not None:
            before = self._conversations.last(kept_as)
        planned = stages.run("plan", self._planned, context, planning, before)
        telling = None if tell is None else Telling(tell)
        answer, ran = self._run(context, planned, stages, telling, cancelled, models=models, llm=planning.llm)
        if kept_as is not None:
            self._conversations.keep(kept_as, ran)
        if earlier is not None:
            said = [*earlier, asked.text][-EARLIER_MAX:]
            self._conversations.keep(_kept_as(said, collections, planner, asker), ran)
        answer = replace(answer, conversation=name)
        self.learning.remember(answer, asker)
        return answer if telling is None else tell_answer(answer, telling)

    def ask_stream(
        self,
        question: str,
        *,
        collections: Sequence[str] | None = None,
        planner: PlannerMode = "auto",
        conversation: str | None = None,
        time_zone: str | None = None,
    ) -> Iterator[Event]:
        """The events of answering a question, as they happen; the last is the answer. See `ask`."""
        return stream(
            lambda tell, gone: self.ask(
                question,
                collections=collections,
                planner=planner,
                conversation=conversation,
                time_zone=time_zone,
                tell=tell,
                cancelled=gone,
            )
        )

    def plan(
        self,
        question: str,
        *,
        collections: Sequence[str] | None = None,
        planner: PlannerMode = "auto",
        time_zone: str | None = None,
    ) -> Proposal:
        """The plan of a question, not run.

        Raises:
            QuestionError, PlannerUnavailableError, CollectionNotFoundError: as `ask`.
        """
        asked = read_question(question, time_zone)
        check_mode(self._llm, planner)
        lessons = self.learning.active()
        context = gather(self._database, self._reader, asked, collections, lessons=lessons, meanings=self._meanings)
        llm = _planning_model(self._language_models(), planner)
        planned = plan_question(context, llm, planner, plans=self._plans, lessons=lessons)
        output = planned.plan.by_id[planned.plan.output]
        return Proposal(
            plan=planned.plan.to_json(),
            plan_hash=planned.plan.hash,
            planner=planned.planner,
            confidence=round(planned.confidence, 3),
            band=planned.band,
            assumptions=planned.plan.assumptions,
            warnings=planned.warnings,
            alternatives=planned.alternatives if planned.rival is None else (rival_of(planned), *planned.alternatives),
            options=tuple(item.written() for item in output.options) if isinstance(output, Clarify) else (),
            estimate=_estimated(self._estimates(planned.plan, context, self._language_models())),
        )

    def validate(self, plan: object, *, collections: Sequence[str] | None = None) -> PlanCheck:
        """Whether a plan could run over these collections (None: all), and what is wrong with it if it could not.

        Raises:
            CollectionNotFoundError: a name in `collections` is unknown.
        """
        try:
            read = _read(plan)
            context = self._context(read.question, collections)
            columns = columns_of(read, context.catalog)
        except PlanError as error:
            return PlanCheck((PlanFault(error.pointer, str(error), error.hint),))
        return PlanCheck((), _shown(columns), read.hash)

    def execute(
        self,
        plan: object,
        *,
        params: Mapping[str, Any] | None = None,
        from_step: str | None = None,
        collections: Sequence[str] | None = None,
        partial: bool = False,
        tell: Tell | None = None,
        cancelled: threading.Event | None = None,
    ) -> Answer:
        """Run a plan, edited or not, and answer with what it gives.

        Args:
            plan: a `Plan`, or its JSON.
            params: values of its parameters, by name.
            from_step: run this step and those that read it again; what others gave is taken from the last time, where
                that is still known and the documents are the same. None: run all.
            collections: what it may read; None for all.
            partial: begin though the budget of the language model will probably not suffice; when it ends, the answer
                is what was found until then, with bounds.
            tell: called with each event as it happens.
            cancelled: ends the work when it is set.

        Raises:
            PlanError: it is not valid; `pointer` says where, `hint` what would be right.
            LimitExceededError: it would read too many rows, ran out of time, or would take more of a language model
                than its budget has.
            PlanStoppedError: an assert of its own does not hold.
            PlanCancelledError: `cancelled` was set.
            CollectionNotFoundError: a name in `collections` is unknown.
        """
        stages = Stages()
        read = bound(_read(plan), params or {})
        if from_step is not None and from_step not in read.by_id:
            raise ArgumentError(
                f'unknown step "{from_step!s:.80}"', pointer="/from_step", hint=nearest_name(str(from_step), read.by_id)
            )
        context = stages.run("gather", self._context, read.question, collections)
        stages.run("validate", validate, read, context.catalog)
        models = self._language_models()
        check_models(read, models)
        if not partial:
            admit(self._estimates(read, context, models), models)
        planned = Planned(read, 1.0, Band.ANSWER, planner=PlannerName.GIVEN)
        again = [step.id for step in read.steps if not step.inputs] if from_step is None else [from_step]
        telling = None if tell is None else Telling(tell)
        answer, _ = self._run(context, planned, stages, telling, cancelled, again, models=models)
        return answer if telling is None else tell_answer(answer, telling)

    def explain(self, plan: object, *, collections: Sequence[str] | None = None) -> Explanation:
        """What would run for a plan, and what the optimizer did to it.

        Raises:
            PlanError: it is not valid.
            CollectionNotFoundError: a name in `collections` is unknown.
        """
        read = _read(plan)
        context = self._context(read.question, collections)
        validate(read, context.catalog)
        optimized, rewrites = optimize(read, context.catalog)
        columns = _shown(columns_of(optimized, context.catalog))
        cost = _estimated(estimate(optimized, context.snapshots, self._language_models(), values_of(optimized)))
        return Explanation(optimized.to_json(), optimized.hash, rewrites, columns, described(optimized), cost)

    def save_program(
        self,
        name: str,
        plan: object,
        *,
        params: Mapping[str, Any] | None = None,
        description: str | None = None,
    ) -> tuple[Program, bool]:
        """Keep a plan as a program, and tell whether that made a new version.

        Args:
            name: letters, digits, `_`, `.` and `-`.
            plan: a `Plan`, or its JSON.
            params: constants of the plan that become parameters: `{"genre": "drama"}`.
            description: what it is for.

        Raises:
            PlanError: the plan is not valid, or has no such constant.
            ProgramError: a malformed name or description, or too many programs.
        """
        check_program_name(name)
        read = with_parameters(_read(plan), params or {})
        columns = columns_of(read, self._context(read.question, None).catalog)
        output = read.by_id[read.output]
        if not isinstance(output, AnswerStep):
            raise PlanError("a program ends with an answer", pointer="/output")
        found = columns[output.id]
        wanted = {key: found[key] for key in output.fields} if output.fields is not None else found
        return self.programs.save(name, read, wanted, description)

    def _asked_with(self, question: EvaluationQuestion, lessons: Lessons) -> Answer:
        """The rules' answer to a question with a known answer, with lessons in force."""
        asked, stages = read_question(question.question), Stages()
        context = gather(self._database, self._reader, asked, question.collections, lessons=lessons)
        return self._run(context, plan_question(context, None, "rules", lessons=lessons), stages, None, None)[0]

    def _context(self, question: str, collections: Sequence[str] | None) -> Context:
        """What a plan may read, without looking words up in it."""
        return gather(self._database, self._reader, Question(question), collections, phrases=False)

    def _run(
        self,
        context: Context,
        planned: Planned,
        stages: Stages,
        tell: Tell | None,
        cancelled: threading.Event | None,
        again: Sequence[str] | None = None,
        *,
        models: LanguageModels | None = None,
        llm: LLM | None = None,
    ) -> tuple[Answer, Planned]:
        """Optimize, execute, reason; `again`: keep what steps give, and take it from the last time but for these.

        Returns:
            The answer, and what it is the answer of, which a language model may have mended.
        """

        def executed(plan: Plan, told: Tell | None) -> Executed:
            return self._executed(plan, context, told, cancelled, again, models)

        answering = Answering(context, stages, executed, self._embedder_of, tell, cancelled, llm)
        answer, planned = answering.answer(planned)
        log.info("question.answered", extra={"planner": answer.planner.value, **stages.milliseconds})
        return counted(replace(answer, usage={**answer.usage, "milliseconds": stages.milliseconds})), planned

    def _executed(
        self,
        plan: Plan,
        context: Context,
        tell: Tell | None,
        cancelled: threading.Event | None,
        again: Sequence[str] | None,
        models: LanguageModels | None,
    ) -> Executed:
        fused = {item.id: step.id for step in plan.steps if isinstance(step, LlmFused) for item in step.steps}
        for name in again or ():
            if (found := fused.get(name, name)) in plan.by_id:  # the optimizer may have made one of it and another
                self._outputs.forget(plan, found, context.snapshots)
        return execute(
            plan,
            context.snapshots,
            self._embedder_of,
            self._limits,
            rerank=self._rerank,
            models=models,
            judgements=self._judgements,
            tell=tell,
            cancelled=cancelled,
            outputs=None if again is None else self._outputs,
            sql=self._sql() if self._sql is not None and _is_large(plan, context) else None,
        )

    def _estimates(self, plan: Plan, context: Context, models: LanguageModels | None) -> tuple[StepEstimate, ...]:
        """What the plan as it would run asks of a language model."""
        if not any(isinstance(step, SEMANTIC) for step in plan.steps):
            return ()
        optimized, _ = optimize(plan, context.catalog)
        return estimate(optimized, context.snapshots, models, values_of(plan))

    def _language_models(self) -> LanguageModels | None:
        """The language models as one question may use them: with a budget of its own, if there is one."""
        return models_of(self._llm)

    def _before(
        self, earlier: Sequence[str] | None, collections: Sequence[str] | None, planning: _Planning, asker: str
    ) -> Planned | None:
        """What the last of these questions was planned as, each going on from the one before it."""
        said = list(earlier or ())[-EARLIER_MAX:]
        names = [_kept_as(said[: count + 1], collections, planning.mode, asker) for count in range(len(said))]
        kept = [self._conversations.last(name) for name in names]
        known = max((count for count, planned in enumerate(kept) if planned is not None), default=-1)
        found = kept[known] if known >= 0 else None
        for text, name in zip(said[known + 1 :], names[known + 1 :], strict=True):
            try:
                question = read_question(text)
            except QuestionError:  # it was refused when it was asked
                continue
            context = gather(
                self._database,
                self._reader,
                question,
                collections,
                lessons=planning.lessons,
                meanings=self._meanings,
            )
            found = self._planned(context, planning, found)
            self._conversations.keep(name, found)
        return found

    def _planned(self, context: Context, planning: _Planning, before: Planned | None) -> Planned:
        """The plan of a question of its own, or of one that goes on from the last."""
        return plan_question(
            context,
            planning.llm,
            planning.mode,
            before=before,
            plans=self._plans,
            lessons=planning.lessons,
            cancelled=planning.cancelled,
        )


@dataclass(frozen=True, slots=True)
class _Planning:
    """What the questions of one call are planned with."""

    mode: PlannerMode
    llm: LLM | None
    lessons: Lessons
    cancelled: threading.Event | None


def _planning_model(models: LanguageModels | None, planner: PlannerMode) -> LLM | None:
    """The language model that plans and writes answers, where it may."""
    return None if planner == "rules" or models is None else models.large


def _kept_as(questions: Sequence[str], collections: Sequence[str] | None, planner: str, asker: str) -> str:
    """The name that the plan of the last of these questions is kept under; no conversation has a NUL in its name."""
    parts = [planner, *(sorted(collections) if collections is not None else ["*"]), "", *questions]
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        raw = part.strip().encode(errors="surrogatepass")
        digest.update(len(raw).to_bytes(8, "little") + raw)
    return f"{asker}\0\0{digest.hexdigest()}"


def _estimated(estimates: tuple[StepEstimate, ...]) -> dict[str, Any] | None:
    return totals(estimates) if estimates else None


def _is_large(plan: Plan, context: Context) -> bool:
    """Whether a query could be worth starting DuckDB for."""
    read = [step.collection for step in plan.steps if isinstance(step, Scan)]
    return any(context.snapshots[name].count() >= SQL_ROWS_MIN for name in read)


def _read(plan: object) -> Plan:
    return plan if isinstance(plan, Plan) else Plan.from_json(plan)


def _shown(columns: Mapping[str, Columns]) -> dict[str, dict[str, str]]:
    """The types of columns by name, of each step."""
    return {
        step: {name: f"list of {field.type.value}" if field.many else field.type.value for name, field in found.items()}
        for step, found in columns.items()
    }
