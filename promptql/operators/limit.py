"""limit: the first rows, with those that tie with the last of them."""

from __future__ import annotations

from dataclasses import replace

from promptql.answer import Notice
from promptql.operators.rows import Rows
from promptql.steps import Limit, Sort

TIES_MAX = 20  # rows kept beyond n because they tie; more say nothing to a reader


def run_limit(step: Limit, rows: Rows, before: Sort | None) -> Rows:
    """The first n rows; with ties also those level with the n-th under the first key of the sort before.

    The later keys only make the order repeatable; what a superlative ranks by is the first.
    """
    kept = step.n
    if step.ties and before is not None and len(rows.relation) > step.n:
        values = rows.relation.column(before.by[0].field)
        level = values[step.n - 1]
        while kept < len(values) and level is not None and values[kept] == level:
            kept += 1
    cut = kept - step.n - TIES_MAX
    if cut > 0:
        kept -= cut
        notice = Notice("ties_cut", f"{cut} more rows tie with the last one shown")
        rows = replace(rows, notices=(*rows.notices, notice))
    return rows.over(rows.relation.limit(kept))
