"""project: some columns."""

from __future__ import annotations

from promptql.operators.rows import Rows
from promptql.steps import Project


def run_project(step: Project, rows: Rows) -> Rows:
    """The named columns, in that order."""
    return rows.over(rows.relation.project(step.fields))
