"""scan: documents as rows."""

from __future__ import annotations

from engine import Filter, FilterError, Snapshot
from promptql.catalog import ID
from promptql.errors import LimitExceededError
from promptql.expressions import Predicate, fields_of
from promptql.operators.binding import bound
from promptql.operators.rows import Rows, Scope, filter_of
from promptql.predicate import conjunction, conjuncts
from promptql.steps import Scan


def run_scan(step: Scan, scope: Scope) -> Rows:
    """The documents of a collection that `where` admits.

    What the engine's filter can say of `where` goes to its indexes; the rest is looked at row by row.

    Raises:
        LimitExceededError: they are more than a plan may read.
    """
    snapshot = scope.snapshots[step.collection]
    where = None if step.where is None else bound(step.where, scope)
    pushed, rest = split(where, snapshot)
    fields = tuple(snapshot.fields) if step.fields is None else step.fields
    rows = snapshot.count(pushed)
    if rows > scope.rows_max:
        raise LimitExceededError(f"the plan would read too many rows: got={rows} limit={scope.rows_max}")
    if rest is None:
        return Rows(snapshot.relation(fields, pushed), step.collection)
    read = list(dict.fromkeys([*fields, *sorted(fields_of(rest))]))
    relation = snapshot.relation(read, pushed).where(rest).project(list(dict.fromkeys([ID, *fields])))
    return Rows(relation, step.collection)


def split(where: Predicate | None, snapshot: Snapshot) -> tuple[Filter | None, Predicate | None]:
    """A condition on documents as a filter for the engine's indexes, and what that cannot say."""
    pushed: list[Predicate] = []
    rest: list[Predicate] = []
    for part in conjuncts(where):
        (pushed if _fits(part, snapshot) else rest).append(part)
    return filter_of(conjunction(*pushed), {}, snapshot), conjunction(*rest)


def _fits(part: Predicate, snapshot: Snapshot) -> bool:
    try:
        return filter_of(part, {}, snapshot) is not None
    except FilterError:  # a limit of filters, such as on the length of patterns
        return False
