"""Execute: a plan over one snapshot of the database, within limits.

Steps run as soon as those that they read are done, independent ones beside each other. A run of relational steps over
many rows becomes one query of SQL: its steps only add to the query, and the last one has it run.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from enum import StrEnum
from threading import Event

from engine import (
    Coverage,
    InvalidInputError,
    MemoryLimitError,
    NotInSqlError,
    QueryCancelledError,
    Relation,
    Snapshot,
    SqlEngine,
    SqlRelation,
    TimeLimitError,
)
from models import Embedder
from promptql.answer import Notice, StepReport
from promptql.errors import LimitExceededError, PlanCancelledError, PlanError, PlanStoppedError
from promptql.operators.local import run_local
from promptql.operators.relational import AnyRelation, relate
from promptql.operators.rows import Rows, Scope
from promptql.operators.scalars import run_compare, run_lookup
from promptql.operators.scan import run_scan
from promptql.operators.search import run_search
from promptql.operators.ties import run_ties
from promptql.outputs import Outputs
from promptql.plan import Plan
from promptql.steps import (
    AnswerStep,
    AssertStep,
    Clarify,
    ClassifyLocal,
    Cluster,
    CompareStep,
    Compute,
    Dedupe,
    Distinct,
    ExtractLocal,
    Filter,
    Group,
    Join,
    JoinType,
    Limit,
    LookupStep,
    Project,
    Relational,
    Scan,
    Search,
    SetOperation,
    Sort,
    Step,
    SummarizeLocal,
    Visualize,
    Window,
    dependencies_of,
)

log = logging.getLogger(__name__)

PARALLEL_STEPS_MAX = 4
SQL_ROWS_MIN = 2_000_000  # up to a million groups, joins and sorts took less time over Arrow (2026-11-30, two cores)
_RELATIONAL = (Filter, Project, Compute, Join, Group, Sort, Limit, Distinct, SetOperation, Window)
_LOCAL = (ClassifyLocal, ExtractLocal, SummarizeLocal, Cluster, Dedupe)
_HEAVY = (Join, Group, Sort, Distinct, SetOperation, Window)  # worth a query of SQL
Progress = Callable[[StepReport], None]
Started = Callable[[Step], None]


class Way(StrEnum):
    """How relational steps run; both ways give the same. AUTO takes SQL where the rows are many."""

    AUTO = "auto"
    ARROW = "arrow"
    SQL = "sql"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one plan may use.

    Attributes:
        rows_max: documents read by one scan, and rows that a join may give.
        seconds_max: time from the first step on, looked at between steps, and within queries of SQL.
        bytes_max: of the rows that are held at one time, besides whole collections, which are mapped from files.
    """

    rows_max: int = 1_000_000
    seconds_max: float = 30.0
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
    sql: SqlEngine | None = None,
    way: Way = Way.AUTO,
    progress: Progress | None = None,
    cancelled: Event | None = None,
    outputs: Outputs | None = None,
    started: Started | None = None,
) -> Executed:
    """Run the steps that lead to the output; the plan must be valid for these snapshots.

    Args:
        plan: what to run.
        snapshots: of the collections, of one moment.
        embedder_of: collection → its embedder.
        limits: what it may use.
        sql: runs what is a query; without it all goes over Arrow.
        way: how relational steps run.
        progress: told of each step that has ended, in the thread that called.
        cancelled: stops the plan when it is set.
        outputs: what steps gave before, and a place for what they give now.
        started: told of each step that begins, in the thread that called.

    Raises:
        LimitExceededError: too many rows, too much memory, or out of time.
        PlanError: a parameter has no value, or a lookup has several rows.
        PlanStoppedError: an assert does not hold.
        PlanCancelledError: `cancelled` was set.
    """
    told = progress, cancelled or Event(), outputs, started
    return _Execution(plan, snapshots, embedder_of, limits, sql, way, *told).run()


@dataclass(slots=True)
class _Execution:
    """One plan on its way. Only the thread that called changes what is here; steps run on threads beside it."""

    plan: Plan
    snapshots: Mapping[str, Snapshot]
    embedder_of: Callable[[str], Embedder]
    limits: Limits
    sql: SqlEngine | None
    way: Way
    progress: Progress | None
    cancelled: Event
    outputs: Outputs | None
    started: Started | None
    scope: Scope = field(init=False)
    until: float = field(init=False)
    steps: tuple[Step, ...] = ()
    reports: list[StepReport] = field(default_factory=list)
    queries: dict[str, tuple[SqlRelation, Rows]] = field(default_factory=dict)  # of steps that have not run yet
    charts: list[tuple[Visualize, Rows]] = field(default_factory=list)
    failed: Event = field(default_factory=Event)  # a step beside the others has
    mapped: set[int] = field(default_factory=set)  # addresses of what a whole collection's columns lie in

    def run(self) -> Executed:
        """All steps, each when its inputs are there."""
        params = {name: parameter.value for name, parameter in self.plan.params.items()}
        self.scope = Scope(self.snapshots, self.embedder_of, params, self.limits.rows_max)
        began = time.monotonic()
        self.until = began + self.limits.seconds_max
        steps = self.steps = self.plan.needed()
        end = self.plan.by_id[self.plan.output]
        if isinstance(end, Clarify):
            return Executed(_nothing(self.snapshots), (), clarify=end)
        if sum(isinstance(step, Scan | Search) for step in steps) > 1:
            self._run_parallel(list(steps))
        else:
            for step in steps:
                self._begun(step)
                self._ended(step, *self._timed(step))
        log.info("plan.executed", extra={"steps": len(steps), "seconds": round(time.monotonic() - began, 4)})
        return Executed(self.scope.done[self.plan.output], tuple(self.reports), tuple(self.charts))

    def _run_parallel(self, waiting: list[Step]) -> None:
        running: dict[Future[tuple[Rows | None, StepReport]], Step] = {}
        with ThreadPoolExecutor(PARALLEL_STEPS_MAX, thread_name_prefix="promptql-step") as pool:
            try:
                while waiting or running:
                    there = {report.id for report in self.reports}
                    for step in [step for step in waiting if set(dependencies_of(step)) <= there]:
                        waiting.remove(step)
                        self._begun(step)
                        running[pool.submit(self._timed, step)] = step
                    for future in wait(running, return_when=FIRST_COMPLETED).done:
                        self._ended(running.pop(future), *future.result())
            except BaseException:
                self.failed.set()  # the others stop at their next look
                raise

    def _begun(self, step: Step) -> None:
        if self.started is not None:
            self.started(step)

    def _timed(self, step: Step) -> tuple[Rows | None, StepReport]:
        """What a step gives, None where it only adds to a query, and its report."""
        self._check(step)
        began = time.perf_counter()
        known = None if self.outputs is None else self.outputs.get(self.plan, step, self.snapshots)
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
        report = StepReport(
            step.id, step.op, self._rows_in(step, rows), rows_out, milliseconds, coverage, query, known is not None
        )
        return rows, report

    def _ended(self, step: Step, rows: Rows | None, report: StepReport) -> None:
        if rows is not None:
            self.scope.done[step.id] = rows
            if isinstance(step, Scan) and len(rows.relation) == self.snapshots[step.collection].count():
                self.mapped |= rows.relation.buffers().keys()
            if self.outputs is not None and not report.cached:
                self.outputs.put(self.plan, step, self.snapshots, rows)
            if isinstance(step, LookupStep | CompareStep):
                self._look_up(step, rows)
            if isinstance(step, Visualize):
                self.charts.append((step, rows))
            self._check_bytes(step)
        self.reports.append(report)
        self._release(step)
        if self.progress is not None:
            self.progress(report)

    def _look_up(self, step: LookupStep | CompareStep, rows: Rows) -> None:
        name = step.field if isinstance(step, LookupStep) else step.alias
        if isinstance(step, LookupStep) or not step.keys:
            values = rows.relation.column(name)
            self.scope.lookups[step.id] = values[0] if values else None

    def _stopped(self) -> bool:
        return self.cancelled.is_set() or self.failed.is_set()

    def _check(self, step: Step) -> None:
        if self._stopped():
            raise PlanCancelledError(f"the plan was cancelled: step={step.id}")
        if time.monotonic() > self.until:
            raise self._out_of_time(step)

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

    def _out_of_time(self, step: Step) -> LimitExceededError:
        return LimitExceededError(f"the plan ran out of time: limit={self.limits.seconds_max} seconds step={step.id}")

    def _meaning(self, error: Exception, step: Step) -> Exception:
        """An error of the engine's in terms of the plan."""
        match error:
            case TimeLimitError():
                return self._out_of_time(step)
            case QueryCancelledError():
                return PlanCancelledError(f"the plan was cancelled: step={step.id}")
            case MemoryLimitError():
                return LimitExceededError(f"{error} step={step.id}")
            case _:
                return PlanError(str(error), pointer=f"/steps/{self.plan.steps.index(step)}")

    def _rows_in(self, step: Step, rows: Rows | None) -> int | None:
        """Documents that a source looked at, or rows of the first input."""
        if isinstance(step, Scan | Search):
            return self.snapshots[step.collection].count()
        found = self.scope.done.get(step.inputs[0]) if step.inputs else rows
        return None if found is None else len(found.relation)

    # ── steps ──

    def _result(self, step: Step) -> tuple[Rows | None, str | None]:
        """What a step gives, or None and a query that waits; and the query that ran."""
        if isinstance(step, Scan):
            return run_scan(step, self.scope), None
        if isinstance(step, Search):
            return run_search(step, self.scope), None
        if isinstance(step, _RELATIONAL):
            return self._relational(step)
        rows = self.scope.done[step.inputs[0]]
        match step:
            case LookupStep():
                return run_lookup(step, rows)[0], None
            case CompareStep():
                return run_compare(step, rows, self.scope.done[step.right])[0], None
            case AssertStep():
                _check_rows(step, len(rows.relation))
                return rows, None
            case AnswerStep() | Visualize():
                return rows, None
        assert isinstance(step, _LOCAL)
        return run_local(step, rows, self.scope), None

    def _relational(self, step: Relational) -> tuple[Rows | None, str | None]:
        if isinstance(step, Limit) and step.ties:
            before = self.plan.by_id[step.input]
            assert isinstance(before, Sort)
            return run_ties(step, self.scope.done[step.input], before), None
        first = self._origin(step.inputs[0])
        if self.sql is not None and self._takes_sql(step):
            try:
                query, _ = relate(step, [self._query(name) for name in step.inputs], self.plan, self.scope)
            except NotInSqlError:  # not exactly: over Arrow, then
                for name in step.inputs:
                    self._finish(name)
            else:
                assert isinstance(query, SqlRelation)
                return self._queried(step, query, first)
        inputs: list[AnyRelation] = [self.scope.done[name].relation for name in step.inputs]
        relation, coverage = relate(step, inputs, self.plan, self.scope)
        assert isinstance(relation, Relation)
        return self._over(step, first, relation, coverage), None

    def _takes_sql(self, step: Relational) -> bool:
        if any(name in self.queries for name in step.inputs):
            return True
        if self.way is Way.AUTO:
            many = any(len(self.scope.done[name].relation) >= SQL_ROWS_MIN for name in step.inputs)
            return many and isinstance(step, _HEAVY)
        return self.way is Way.SQL

    def _origin(self, name: str) -> Rows:
        """The rows of a step, or of one that its query was made of."""
        return self.queries[name][1] if name in self.queries else self.scope.done[name]

    def _query(self, name: str) -> SqlRelation:
        return self.queries[name][0] if name in self.queries else SqlRelation.of(self.scope.done[name].relation)

    def _queried(self, step: Relational, query: SqlRelation, first: Rows) -> tuple[Rows | None, str | None]:
        """Let the query wait for its only reader, if that can add to it; run it else."""
        readers = self.plan.consumers(step.id)
        origin = self._over(step, first, first.relation, None)
        for name in step.inputs[1:]:
            origin = replace(origin, notices=(*origin.notices, *self._origin(name).notices))
        if len(readers) == 1 and isinstance(readers[0], _RELATIONAL) and step.id in readers[0].inputs:
            ties = isinstance(readers[0], Limit) and readers[0].ties
            if not ties:
                self.queries[step.id] = (query, origin)
                return None, None
        return self._collected(step, query, origin)

    def _finish(self, name: str) -> None:
        """Run a query that its reader cannot add to."""
        if name in self.queries:
            query, origin = self.queries.pop(name)
            step = self.plan.by_id[name]
            self.scope.done[name] = self._collected(step, query, origin)[0]

    def _collected(self, step: Step, query: SqlRelation, origin: Rows) -> tuple[Rows, str]:
        assert self.sql is not None
        seconds = max(0.001, self.until - time.monotonic())
        relation, coverages = self.sql.collect(
            query, rows_max=self.limits.rows_max, timeout_seconds=seconds, cancelled=self._stopped
        )
        joins = [item for item in self._run_of(step) if isinstance(item, Join)]
        notices = [_loss(join, found) for join, found in zip(joins, coverages, strict=False)]
        rows = replace(origin, relation=relation, notices=(*origin.notices, *(n for n in notices if n is not None)))
        if isinstance(step, Join) and coverages:
            rows = replace(rows, coverage=coverages[-1])
        return rows, query.query(self.limits.rows_max)

    def _run_of(self, step: Step) -> list[Step]:
        """The steps that a query is made of, each after those before it."""
        before = [item for name in step.inputs if name in self.queries for item in self._run_of(self.plan.by_id[name])]
        return [*before, step]

    def _over(self, step: Relational, first: Rows, relation: Relation, coverage: Coverage | None) -> Rows:
        """The rows of a step, with what is known of those that they were made of."""
        rows = first.over(relation)
        if isinstance(step, Group | SetOperation | Distinct) or (
            isinstance(step, Join) and step.type in (JoinType.INNER, JoinType.LEFT)
        ):
            rows = replace(rows, passages=None, grouped=True)
        if coverage is None:
            return rows
        loss = _loss(step, coverage) if isinstance(step, Join) else None
        others = tuple(notice for name in step.inputs[1:] for notice in self._origin(name).notices)
        return replace(rows, coverage=coverage, notices=(*rows.notices, *others, *(() if loss is None else (loss,))))


def _loss(step: Step, found: Coverage) -> Notice | None:
    """Said of an inner join that leaves rows of its left side out."""
    if not isinstance(step, Join) or step.type is not JoinType.INNER or found.left_matched == found.left_rows:
        return None
    return Notice("join_row_loss", f"{found.left_matched:,} of {found.left_rows:,} left rows matched in step {step.id}")


def _check_rows(step: AssertStep, rows: int) -> None:
    if step.min_rows is not None and rows < step.min_rows:
        raise PlanStoppedError(f"step {step.id} needs at least {step.min_rows} rows: got={rows}")
    if step.max_rows is not None and rows > step.max_rows:
        raise PlanStoppedError(f"step {step.id} takes at most {step.max_rows} rows: got={rows}")


def _nothing(snapshots: Mapping[str, Snapshot]) -> Rows:
    """No rows, for a plan that only asks back."""
    name, snapshot = next(iter(snapshots.items()))
    return Rows(snapshot.relation([]).limit(0), name)
