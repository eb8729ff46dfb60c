"""Relational steps, over Arrow or as queries of SQL: the steps of a run only add to a query, the last has it run."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import StrEnum

from engine import Coverage, NotInSqlError, Relation, SqlEngine, SqlRelation
from promptql.answer import Notice
from promptql.operators.relational import AnyRelation, relate
from promptql.operators.rows import Rows, Scope
from promptql.operators.ties import run_ties
from promptql.plan import Plan
from promptql.steps import (
    Compute,
    Distinct,
    Filter,
    Group,
    Join,
    JoinType,
    Limit,
    Project,
    Relational,
    SetOperation,
    Sort,
    Step,
    Window,
)
from promptql.watch import Watch

SQL_ROWS_MIN = 2_000_000  # up to a million groups, joins and sorts took less time over Arrow (2026-11-30, two cores)
RELATIONAL = (Filter, Project, Compute, Join, Group, Sort, Limit, Distinct, SetOperation, Window)
_HEAVY = (Join, Group, Sort, Distinct, SetOperation, Window)  # worth a query of SQL


class Way(StrEnum):
    """How relational steps run; both ways give the same. AUTO takes SQL where the rows are many."""

    AUTO = "auto"
    ARROW = "arrow"
    SQL = "sql"


@dataclass(slots=True)
class Relating:
    """The relational steps of one plan on its way.

    Attributes:
        plan: whose steps they are.
        scope: what steps before have given.
        watch: ends a query that nobody waits for.
        sql: runs what is a query; without it all goes over Arrow.
        way: how they run.
        queries: of steps that have not run yet, with what is known of the rows that they were made of.
    """

    plan: Plan
    scope: Scope
    watch: Watch
    sql: SqlEngine | None
    way: Way
    queries: dict[str, tuple[SqlRelation, Rows]] = field(default_factory=dict)

    def run(self, step: Relational) -> tuple[Rows | None, str | None]:
        """What a step gives, or None and a query that waits; and the query that ran."""
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
        if len(readers) == 1 and isinstance(readers[0], RELATIONAL) and step.id in readers[0].inputs:
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
        seconds = max(0.001, self.watch.seconds_left)
        relation, coverages = self.sql.collect(
            query, rows_max=self.scope.rows_max, timeout_seconds=seconds, cancelled=self.watch.stopped
        )
        joins = [item for item in self._run_of(step) if isinstance(item, Join)]
        notices = [_loss(join, found) for join, found in zip(joins, coverages, strict=False)]
        rows = replace(origin, relation=relation, notices=(*origin.notices, *(n for n in notices if n is not None)))
        if isinstance(step, Join) and coverages:
            rows = replace(rows, coverage=coverages[-1])
        return rows, query.query(self.scope.rows_max)

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
