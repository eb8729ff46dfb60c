"""What readings of one form over tables have in common: what words name, what documents are called, how joins lead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cached_property

from promptql.answer import Band
from promptql.catalog import ID, Catalog
from promptql.errors import PlanError
from promptql.plan import Assumption, Plan, Support
from promptql.planned import Planned
from promptql.rules.asked import Asked
from promptql.rules.compile import compile_sketch
from promptql.rules.entities import key_column, label_columns, link_entities
from promptql.rules.generate import Reading
from promptql.rules.joins import NotJoinedError
from promptql.rules.model import shipped_model
from promptql.rules.parts import Part
from promptql.rules.sketch import Clause, Sketch
from promptql.rules.stored_values import CannotCompileError
from promptql.rules.tables import Tables
from promptql.steps import AnswerStep, Project, Step
from promptql.validation import validate

CONFIDENCE = 0.9  # of a reading of a form that explains every word
ONE_NAME = frozenset({"name", "title"})


class Form:
    """One question over tables, for a reading of a known form."""

    def __init__(self, asked: Asked, tables: Tables, catalog: Catalog) -> None:
        self.asked = asked
        self.tables = tables
        self.view = tables.view
        self.catalog = catalog
        self.entities = link_entities(asked, self.view)
        self.assumed: list[Assumption] = []

    @cached_property
    def reading(self) -> Reading:
        """What its words link to; made when a form is likely, as it takes milliseconds."""
        model = shipped_model().over(len(self.view.names))
        return Reading(self.asked, self.view, self.tables.headers, model, self.tables.joined)

    def planned(self, sketch: Sketch, *, by_id: bool = False) -> Planned | None:
        """The plan of a sketch, with the documents' ids where they have no name; None where it cannot be one."""
        try:
            steps = compile_sketch(sketch, self.view, self.tables.joined)
            steps = _with_ids(steps) if by_id else steps
            plan = Plan(self.asked.text, steps, steps[-1].id, assumptions=tuple(dict.fromkeys(self.assumed)))
            validate(plan, self.catalog)
        except (CannotCompileError, NotJoinedError, PlanError):
            return None
        guessed = any(item.support in (Support.INFERRED, Support.DEFAULT) for item in plan.assumptions)
        return Planned(plan, CONFIDENCE, Band.ASSUMPTIONS if guessed else Band.ANSWER)

    def names(self, table: int) -> list[int]:
        """What documents are called: their name, or both parts of it; else what tells them apart, if anything."""
        columns = self.view.columns
        parts = [n for n in self.view.of_table(table) if {"first", "last"} & set(columns[n].words)]
        parts = [n for n in parts if ONE_NAME & set(columns[n].words) and columns[n].kind == "text"]
        if len(parts) == 2:
            return parts
        for number in label_columns(self.view, table)[:1]:
            named = ONE_NAME & set(columns[number].words)
            if columns[number].kind == "text" and (named or columns[number].distinct_share > 0.9):
                return [number]
        own = key_column(self.view, table, self.tables.joined)
        return [] if own is None else [own]

    def row_sets(self, mask: int) -> list[tuple[float, tuple[Part, ...], tuple[Clause, ...], int]]:
        """Conditions that explain all words that `mask` does not, the likeliest first: score, parts, clauses, words."""
        left = self.asked.content & ~mask
        found = []
        for rows in self.reading.row_sets:
            taken = 0
            for part in rows.parts:
                taken |= part.value
            if not left & ~rows.mask and not taken & mask:
                found.append((rows.score, rows.parts, rows.clauses, rows.mask))
        return sorted(found, key=lambda item: -item[0])

    def strays(self, parts: Sequence[Part], about: int, start: int = 0) -> int:
        """How many times that are said from `start` on are of another collection than `about`, which has times."""
        columns = self.view.columns
        if not any(columns[number].kind == "date" for number in self.view.of_table(about)):
            return 0
        dated = [part for part in parts if columns[part.column].kind == "date" and part.start >= start]
        return sum(columns[part.column].table != about for part in dated)

    def found_once(self, sketch: Sketch, table: int) -> bool:
        """Whether the join of a sketch finds each document of a collection once: it leads on by unique keys alone."""
        joined = self.tables.joined
        if joined is None:
            return True
        first, hops = joined.path(sketch)
        edges = [(self.view.columns[hop.key].table, hop.key, hop.table, hop.column) for hop in hops]
        reached, waiting = {table}, [table]
        while waiting:
            here = waiting.pop()
            for left, key, right, column in edges:
                for one, other, into in ((left, right, column), (right, left, key)):
                    if one == here and other not in reached:
                        if self.view.columns[into].distinct_share < 1.0:
                            return False
                        reached.add(other)
                        waiting.append(other)
        return first in reached


def _with_ids(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """The steps with the documents' ids before what is shown of them, as the answer."""
    *before, project, answer = steps
    assert isinstance(project, Project)
    assert isinstance(answer, AnswerStep)
    shown = replace(project, fields=tuple(dict.fromkeys((ID, *project.fields))))
    return (*before, shown, replace(answer, fields=(ID,)))
