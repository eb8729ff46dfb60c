"""limit with ties: the first rows, with those that tie with the last of them."""

from __future__ import annotations

from dataclasses import replace

from promptql.answer import Notice
from promptql.operators.rows import Rows
from promptql.steps import Limit, Sort

TIES_MAX = 20  # rows kept beyond n because they tie; more say nothing to a reader


def run_ties(step: Limit, rows: Rows, before: Sort) -> Rows:
    """N rows, and those level with the last of them under the first key of the sort before.

    The later keys only make the order repeatable; what a superlative ranks by is the first.
    """
    last = step.offset + step.n
    kept = step.n
    if len(rows.relation) > last:
        level = rows.relation.limit(1, last - 1).column(before.by[0].field)[0]
        if level is not None:
            values = rows.relation.skip(last).column(before.by[0].field)
            kept += next((place for place, value in enumerate(values) if value != level), len(values))
    cut = kept - step.n - TIES_MAX
    if cut > 0:
        kept -= cut
        notice = Notice("ties_cut", f"{cut} more rows tie with the last one shown")
        rows = replace(rows, notices=(*rows.notices, notice))
    return rows.over(rows.relation.limit(kept, step.offset))
