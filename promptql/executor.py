"""Execute: a plan over one snapshot of the database, within limits.

Steps run as soon as those that they read are done, independent ones beside each other. A run of relational steps over
many rows becomes one query of SQL (`relating`).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

from engine import (
    InvalidInputError,
    MemoryLimitError,
    QueryCancelledError,
    Snapshot,
    SqlEngine,
    TimeLimitError,
)
from models import Embedder
from promptql.answer import StepReport
from promptql.counting import reached
from promptql.errors import LimitExceededError, PlanCancelledError, PlanError, PlanStoppedError
from promptql.events import StepFinished, StepProgress, StepStarted, Tell
from promptql.judgements import Judgements
from promptql.language_models import LanguageModels, check_models
from promptql.operators.local import run_local
from promptql.operators.rows import Reranking, Rows, Scope
from promptql.operators.scalars import run_compare, run_lookup
from promptql.operators.scan import run_scan
from promptql.operators.search import run_search
from promptql.operators.semantic.running import run_semantic
from promptql.outputs import Outputs
from promptql.plan import Plan
from promptql.relating import RELATIONAL, SQL_ROWS_MIN, Relating, Way
from promptql.steps import (
    SEMANTIC,
    AnswerStep,
    AssertStep,
    Clarify,
    ClassifyLocal,
    Cluster,
    CompareStep,
    Dedupe,
    ExtractLocal,
    LookupStep,
    Scan,
    Search,
    Step,
    SummarizeLocal,
    Visualize,
    dependencies_of,
)
from promptql.watch import Progressed, Watch

__all__ = ["SQL_ROWS_MIN", "Executed", "Limits", "Way", "execute"]

log = logging.getLogger(__name__)

PARALLEL_STEPS_MAX = 4
_LOCAL = (ClassifyLocal, ExtractLocal, SummarizeLocal, Cluster, Dedupe)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one plan may use.

    Attributes:
        rows_max: documents read by one scan, and rows that a join may give.
        seconds_max: time from the first step on, looked at between steps, within queries of SQL, and between pieces
            of what is long.
        llm_seconds_max: time that a plan may take besides, if steps of it ask a language model.
        bytes_max: of the rows that are held at one time, besides whole collections, which are mapped from files.
    """

    rows_max: int = 1_000_000
    seconds_max: float = 30.0
    llm_seconds_max: float = 600.0
    bytes_max: int = 2 << 30


@dataclass(frozen=True, slots=True)
class Executed:
    """The rows that the answer is made from, and what each step did.

    Attributes:
        rows: of the answer step; of a question back, of no columns.
        reports: in the order in which the steps ended.
        charts: what is to be drawn, each with its rows.
        clarify: the question back that the plan ends in.
    """

    rows: Rows
    reports: tuple[StepReport, ...]
    charts: tuple[tuple[Visualize, Rows], ...] = ()
    clarify: Clarify | None = None


def execute(
    plan: Plan,
    snapshots: Mapping[str, Snapshot],
    embedder_of: Callable[[str], Embedder],
    limits: Limits,
    *,
    rerank: Reranking | None = None,
    models: LanguageModels | None = None,
    judgements: Judgements | None = None,
    sql: SqlEngine | None = None,
    way: Way = Way.AUTO,
    tell: Tell | None = None,
    cancelled: threading.Event | None = None,
    outputs: Outputs | None = None,
) -> Executed:
    """Run the steps that lead to the output; the plan must be valid for these snapshots.

    Args:
        plan: what to run.
        snapshots: of the collections, of one moment.
        embedder_of: collection → its embedder.
        limits: what it may use.
        rerank: orders the best hits of searches anew, where a search asks for it.
        models: the language models that steps may ask; without any a plan with such steps is refused.
        judgements: what those said before, and a place for what they say now.
        sql: runs what is a query; without it all goes over Arrow.
        way: how relational steps run.
        tell: told, in the thread that called, of each step that begins, gets on and ends.
        cancelled: stops the plan when it is set: between steps, within queries, and between pieces of long steps.
        outputs: what steps gave before, and a place for what they give now.

    Raises:
        LimitExceededError: too many rows, too much memory, or out of time.
        PlanError: a parameter has no value, a lookup has several rows, or a step needs a language model.
        LLMError: nothing could be had of the language model (from models).
        PlanStoppedError: an assert does not hold.
        PlanCancelledError: `cancelled` was set.
    """
    advanced = None if tell is None else lambda step, done, total: tell(StepProgress(step, done, total))
    asks = any(isinstance(step, SEMANTIC) for step in plan.steps)
    seconds = limits.seconds_max + (limits.llm_seconds_max if asks else 0.0)
    watch = Watch(cancelled or threading.Event(), seconds, advanced)
    params = {name: parameter.value for name, parameter in plan.params.items()}
    scope = Scope(
        snapshots, embedder_of, params, limits.rows_max, rerank, models,
        Judgements() if judgements is None else judgements, watch,
    )  # fmt: skip
    return _Execution(plan, scope, limits, Relating(plan, scope, watch, sql, way), watch, tell, outputs).run()


@dataclass(slots=True)
class _Execution:
    """One plan on its way. Only the thread that called changes what is here; steps run on threads beside it."""

    plan: Plan
    scope: Scope
    limits: Limits
    relating: Relating
    watch: Watch
    tell: Tell | None
    outputs: Outputs | None
    steps: tuple[Step, ...] = ()
    reports: list[StepReport] = field(default_factory=list)
    charts: list[tuple[Visualize, Rows]] = field(default_factory=list)
    partial: set[str] = field(default_factory=set)  # steps without some rows that a language model could not judge
    mapped: set[int] = field(default_factory=set)  # addresses of what a whole collection's columns lie in

    def run(self) -> Executed:
        """All steps, each when its inputs are there."""
        began = time.monotonic()
        steps = self.steps = self.plan.needed()
        end = self.plan.by_id[self.plan.output]
        check_models(self.plan, self.scope.models)
        if isinstance(end, Clarify):
            return Executed(_nothing(self.scope.snapshots), (), clarify=end)
        if sum(isinstance(step, Scan | Search) for step in steps) > 1:
            self._run_parallel(list(steps))
        else:
            for step in steps:
                self._begun(step)
                self._ended(step, *self._timed(step))
        log.info("plan.executed", extra={"steps": len(steps), "seconds": round(time.monotonic() - began, 4)})
        return Executed(self.scope.done[self.plan.output], tuple(self.reports), tuple(self.charts))

    def _run_parallel(self, waiting: list[Step]) -> None:
        running: dict[object, Step] = {}
        with ThreadPoolExecutor(PARALLEL_STEPS_MAX, thread_name_prefix="promptql-step") as pool:
            try:
                while waiting or running:
                    there = {report.id for report in self.reports}
                    for step in [step for step in waiting if set(dependencies_of(step)) <= there]:
                        waiting.remove(step)
                        self._begun(step)
                        future = pool.submit(self._timed, step)
                        running[future] = step
                        future.add_done_callback(self.watch.inbox.put)
                    item = self.watch.inbox.get()  # what has ended, or got on
                    if isinstance(item, Progressed):
                        self.watch.tell(item)
                    elif isinstance(item, Future):
                        self._ended(running.pop(item), *item.result())
            except BaseException:
                self.watch.failed.set()  # the others stop at their next look
                raise

    def _begun(self, step: Step) -> None:
        if self.tell is not None:
            self.tell(StepStarted(step.id, step.op))

    def _timed(self, step: Step) -> tuple[Rows | None, StepReport]:
        """What a step gives, None where it only adds to a query, and its report."""
        self.watch.check(step.id)
        began = time.perf_counter()
        snapshots = self.scope.snapshots
        known = None if self.outputs is None else self.outputs.get(self.plan, step, snapshots)
        rows: Rows | None = known
        query: str | None = None
        if known is None:
            try:
                rows, query = self._result(step)
            except (InvalidInputError, MemoryLimitError, TimeLimitError, QueryCancelledError) as error:
                raise self._meaning(error, step) from error
        milliseconds = round(1000 * (time.perf_counter() - began), 3)
        coverage = None if rows is None or rows.coverage is None else rows.coverage.to_json()
        rows_out = None if rows is None else len(rows.relation)
        asked = rows if isinstance(step, SEMANTIC) else None  # others hand their input's on
        report = StepReport(
            step.id, step.op, self._rows_in(step, rows), rows_out, milliseconds, coverage, query, known is not None,
            None if asked is None or known is not None else asked.llm, None if asked is None else asked.quality,
        )  # fmt: skip
        return rows, report

    def _ended(self, step: Step, rows: Rows | None, report: StepReport) -> None:
        if rows is not None:
            self.scope.done[step.id] = rows
            if isinstance(step, Scan) and len(rows.relation) == self.scope.snapshots[step.collection].count():
                self.mapped |= rows.relation.buffers().keys()
            ended_early = report.quality is not None and reached(report.quality) < 1
            lacking = report.llm is not None and (report.llm.failed > 0 or ended_early)
            if lacking or self.partial & set(dependencies_of(step)):
                self.partial.add(step.id)  # the rest may be had the next time
            elif self.outputs is not None and not report.cached:
                self.outputs.put(self.plan, step, self.scope.snapshots, rows)
            if isinstance(step, LookupStep | CompareStep):
                self._look_up(step, rows)
            if isinstance(step, Visualize):
                self.charts.append((step, rows))
            self._check_bytes(step)
        self.reports.append(report)
        self._release(step)
        if self.tell is not None:
            self.tell(StepFinished(report))

    def _look_up(self, step: LookupStep | CompareStep, rows: Rows) -> None:
        name = step.field if isinstance(step, LookupStep) else step.alias
        if isinstance(step, LookupStep) or not step.keys:
            values = rows.relation.column(name)
            self.scope.lookups[step.id] = values[0] if values else None

    def _release(self, step: Step) -> None:
        """Let go of rows that all their readers have read."""
        ended = {report.id for report in self.reports}
        for name in dependencies_of(step):
            if all(reader.id in ended for reader in self.plan.consumers(name) if reader in self.steps):
                self.scope.done.pop(name, None)

    def _check_bytes(self, step: Step) -> None:
        buffers = {at: size for rows in self.scope.done.values() for at, size in rows.relation.buffers().items()}
        held = sum(size for at, size in buffers.items() if at not in self.mapped)
        if held > self.limits.bytes_max:
            raise LimitExceededError(
                f"the plan needs too much memory: got={held} limit={self.limits.bytes_max} bytes step={step.id}"
            )

    def _meaning(self, error: Exception, step: Step) -> Exception:
        """An error of the engine's in terms of the plan."""
        match error:
            case TimeLimitError():
                return self.watch.out_of_time(step.id)
            case QueryCancelledError():
                return PlanCancelledError(f"the plan was cancelled: step={step.id}")
            case MemoryLimitError():
                return LimitExceededError(f"{error} step={step.id}")
            case _:
                return PlanError(str(error), pointer=f"/steps/{self.plan.steps.index(step)}")

    def _rows_in(self, step: Step, rows: Rows | None) -> int | None:
        """Documents that a source looked at, or rows of the first input."""
        if isinstance(step, Scan | Search):
            return self.scope.snapshots[step.collection].count()
        found = self.scope.done.get(step.inputs[0]) if step.inputs else rows
        return None if found is None else len(found.relation)

    def _result(self, step: Step) -> tuple[Rows | None, str | None]:
        """What a step gives, or None and a query that waits; and the query that ran."""
        if isinstance(step, Scan):
            return run_scan(step, self.scope), None
        if isinstance(step, Search):
            return run_search(step, self.scope), None
        if isinstance(step, RELATIONAL):
            return self.relating.run(step)
        rows = self.scope.done[step.inputs[0]]
        match step:
            case LookupStep():
                return run_lookup(step, rows)[0], None
            case CompareStep():
                return run_compare(step, rows, self.scope.done[step.right])[0], None
            case AssertStep():
                _check_rows(step, len(rows.relation))
                return rows, None
            case AnswerStep() | Visualize() | Clarify():
                return rows, None
        if isinstance(step, _LOCAL):
            return run_local(step, rows, self.scope), None
        return run_semantic(step, self.plan, self.scope), None


def _check_rows(step: AssertStep, rows: int) -> None:
    if step.min_rows is not None and rows < step.min_rows:
        raise PlanStoppedError(f"step {step.id} needs at least {step.min_rows} rows: got={rows}")
    if step.max_rows is not None and rows > step.max_rows:
        raise PlanStoppedError(f"step {step.id} takes at most {step.max_rows} rows: got={rows}")


def _nothing(snapshots: Mapping[str, Snapshot]) -> Rows:
    """No rows, for a plan that only asks back."""
    name, snapshot = next(iter(snapshots.items()))
    return Rows(snapshot.relation([]).limit(0), name)
