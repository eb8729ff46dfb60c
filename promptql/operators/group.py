"""group: one row for each value, with figures."""

from __future__ import annotations

from dataclasses import replace

from engine import Aggregate
from promptql.operators.rows import Rows
from promptql.steps import Group


def run_group(step: Group, rows: Rows) -> Rows:
    """One row a group; each keeps the documents that it was made from."""
    aggregates = [Aggregate(item.fn.value, item.field, item.alias) for item in step.aggs]
    return replace(rows, relation=rows.relation.group(step.names, aggregates), passages=None, grouped=True)
