"""sort: rows in order."""

from __future__ import annotations

from engine import SortKey
from promptql.operators.rows import Rows
from promptql.steps import Sort


def run_sort(step: Sort, rows: Rows) -> Rows:
    """Stable, rows without a value last."""
    return rows.over(rows.relation.sort([SortKey(key.field, key.descending) for key in step.by]))
