"""Which questions are made of several, and the plan of each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TypeAlias

from promptql.catalog import Catalog
from promptql.compounds.figures import Figure, figure_of
from promptql.compounds.phrases import Phrase
from promptql.errors import PlanError, QuestionError
from promptql.planned import Planned
from promptql.steps import Function
from promptql.validation import validate

Read: TypeAlias = Callable[[str], Planned]


@dataclass(frozen=True, slots=True)
class Asking:
    """A question that may be made of several, and how its parts are read.

    Attributes:
        question: without marks at its end, its words parted by single spaces.
        read: plans a part by itself; raises QuestionError where it makes no sense.
    """

    question: str
    catalog: Catalog
    asked_at: datetime
    read: Read

    def figure(self, question: str, fn: Function | None = None) -> Figure | None:
        """The part as a number, by `fn` where it lists one field; None where it is none, or not wholly understood."""
        try:
            return figure_of(self.read(question), fn)
        except QuestionError:
            return None

    def figures(self, phrase: Phrase, rests: list[str]) -> list[Figure] | None:
        """The same measure of several things, each with another condition; None where that is not what is read."""
        return self.alike([(phrase.question(rest), phrase.fn) for rest in rests])

    def alike(self, questions: list[tuple[str, Function | None]]) -> list[Figure] | None:
        """Figures of several things, each with another condition; None where that is not what is read."""
        figures: list[Figure] = []
        for question, fn in questions:
            figure = self.figure(question, fn)
            if figure is None:
                return None
            figures.append(figure)
        if len({figure.column for figure in figures}) > 1:
            return None
        told = [figure.conditions for figure in figures]
        alike = len(set(told)) < len(told) or len({len(conditions) for conditions in told}) > 1 or not all(told)
        return None if alike else figures


def plan_compound(asking: Asking) -> Planned | None:
    """The plan of a share, a ratio, a difference, a comparison, a place or what lies beyond something; None for others.

    Each part is planned by itself. Where one of them is not understood as a whole, the question is none of these.
    """
    from promptql.compounds.averages import plan_averages
    from promptql.compounds.beyond import plan_beyond
    from promptql.compounds.comparisons import plan_comparison
    from promptql.compounds.differences import plan_difference
    from promptql.compounds.each import plan_each
    from promptql.compounds.per_unit import plan_per_unit
    from promptql.compounds.places import plan_place
    from promptql.compounds.ratios import plan_ratio
    from promptql.compounds.shares import plan_share

    plans = (
        plan_place,
        plan_share,
        plan_ratio,
        plan_per_unit,
        plan_difference,
        plan_comparison,
        plan_each,
        plan_averages,
        plan_beyond,
    )
    for plan in plans:
        planned = plan(asking)
        if planned is not None and _is_valid(planned, asking.catalog):
            return replace(planned, told=asking.question)
    return None


def _is_valid(planned: Planned, catalog: Catalog) -> bool:
    try:
        validate(planned.plan, catalog)
    except PlanError:
        return False
    return True
