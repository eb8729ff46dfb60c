"""Execute: a plan over one snapshot of the database, step by step, within limits."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from engine import Snapshot
from models import Embedder
from promptql.answer import StepReport
from promptql.errors import LimitExceededError, PlanError
from promptql.operators.filter import run_filter
from promptql.operators.group import run_group
from promptql.operators.limit import run_limit
from promptql.operators.project import run_project
from promptql.operators.rows import Rows, Scope
from promptql.operators.scan import run_scan
from promptql.operators.search import run_search
from promptql.operators.sort import run_sort
from promptql.plan import Plan
from promptql.steps import AnswerStep, Filter, Group, Limit, Project, Scan, Search, Sort, Step

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """What one plan may use.

    Attributes:
        rows_max: documents read by one scan.
        seconds_max: time from the first step on, looked at between steps.
    """

    rows_max: int = 1_000_000
    seconds_max: float = 30.0


@dataclass(frozen=True, slots=True)
class Executed:
    """The rows that the answer is made from, and what each step did."""

    rows: Rows
    reports: tuple[StepReport, ...]


def execute(
    plan: Plan,
    snapshots: Mapping[str, Snapshot],
    embedder_of: Callable[[str], Embedder],
    limits: Limits,
) -> Executed:
    """Run the steps that lead to the output; the plan must be valid for these snapshots.

    Raises:
        LimitExceededError: too many rows, or out of time.
        PlanError: a parameter has no value.
    """
    params = {name: parameter.value for name, parameter in plan.params.items()}
    scope = Scope(snapshots, embedder_of, params, limits.rows_max)
    started = time.perf_counter()
    rows: Rows | None = None
    reports: list[StepReport] = []
    for step in plan.path():
        begun = time.perf_counter()
        if begun - started > limits.seconds_max:
            raise LimitExceededError(f"the plan ran out of time: limit={limits.seconds_max} seconds step={step.id}")
        result = _run(step, rows, plan, scope)
        milliseconds = round(1000 * (time.perf_counter() - begun), 3)
        rows_in = _read(step, result, scope) if rows is None else len(rows.relation)
        reports.append(StepReport(step.id, step.op, rows_in, len(result.relation), milliseconds))
        rows = result
    assert rows is not None
    log.info("plan.executed", extra={"steps": len(reports), "seconds": round(time.perf_counter() - started, 4)})
    return Executed(rows, tuple(reports))


def _read(step: Step, result: Rows, scope: Scope) -> int:
    """Documents that a source looked at."""
    assert isinstance(step, (Scan, Search))
    return scope.snapshots[result.collection].count()


def _run(step: Step, rows: Rows | None, plan: Plan, scope: Scope) -> Rows:
    if isinstance(step, Scan):
        return run_scan(step, scope)
    if isinstance(step, Search):
        return run_search(step, scope)
    assert rows is not None, "a path begins with a source"
    match step:
        case Filter():
            return run_filter(step, rows, scope)
        case Project():
            return run_project(step, rows)
        case Group():
            return run_group(step, rows)
        case Sort():
            return run_sort(step, rows)
        case Limit():
            before = plan.by_id[step.input]
            return run_limit(step, rows, before if isinstance(before, Sort) else None)
        case AnswerStep():
            return rows
        case _:
            raise PlanError(f"this step does not run yet: op={step.op}")
