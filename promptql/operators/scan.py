"""scan: documents as rows."""

from __future__ import annotations

from promptql.errors import LimitExceededError
from promptql.operators.rows import Rows, Scope, filter_of
from promptql.steps import Scan


def run_scan(step: Scan, scope: Scope) -> Rows:
    """The documents of a collection that `where` admits.

    Raises:
        LimitExceededError: they are more than a plan may read.
    """
    snapshot = scope.snapshots[step.collection]
    where = filter_of(step.where, scope.params, snapshot.schema)
    rows = snapshot.count(where)
    if rows > scope.rows_max:
        raise LimitExceededError(f"the plan would read too many rows: got={rows} limit={scope.rows_max}")
    return Rows(snapshot.relation(step.fields, where), step.collection)
