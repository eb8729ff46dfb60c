"""filter: rows for which a predicate holds."""

from __future__ import annotations

from promptql.operators.rows import Rows, Scope, filter_of
from promptql.steps import Filter


def run_filter(step: Filter, rows: Rows, scope: Scope) -> Rows:
    """The rows for which `where` holds, in their order."""
    where = filter_of(step.where, scope.params, types=rows.relation.types)
    assert where is not None
    return rows.over(rows.relation.filter(where))
