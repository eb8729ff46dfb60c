"""Comparisons: "compare France and Germany by number of customers", "revenue in 2024 versus 2025"."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from engine import FieldType
from promptql.answer import Band
from promptql.compounds.figures import Figure, together
from promptql.compounds.phrases import Phrase, phrase_of
from promptql.compounds.spans import PERIOD, YEAR, Named, runs
from promptql.expressions import FieldRef, Operator, Value
from promptql.plan import Assumption, Plan, Support
from promptql.planned import Planned
from promptql.predicate import compare
from promptql.rules.words import normalize
from promptql.steps import AnswerStep, Compute, Computed, Filter, Project, Scan, SetKind, SetOperation, Step

if TYPE_CHECKING:
    from promptql.catalog import CollectionInfo, FieldInfo
    from promptql.compounds.planning import Asking

_ASKS = re.compile(
    r"^(?:please\s+|can\s+you\s+|could\s+you\s+)?(?:compare|contrast)\b|\bvs\b|\bversus\b|\bcompared?\s+(?:to|with|against)\b"
    r"|^how\s+(?:do|does|did)\b.*\bcompare\b|\bcomparison\s+(?:of|between)\b",
    re.IGNORECASE,
)
_OPENING = re.compile(
    r"^(?:please|can\s+you|could\s+you|compare|contrast|show(?:\s+me)?|give\s+me|how\s+(?:do|does|did)|what\s+(?:is|are|was|"
    r"were)|(?:a\s+|the\s+)?comparison\s+(?:of|between))\b\s*",
    re.IGNORECASE,
)
_LAST = re.compile(
    r"[\s,:]*\b(?P<word>in|for|of|between|from|by|across|among|at|on|to|with|the|both|did|does|do|had|has|have)\s*$",
    re.IGNORECASE,
)
_BY = re.compile(
    r"^[\s,:]*(?:compare\b\s*)?(?:by|in\s+terms\s+of|regarding|with\s+(?:respect|regard)\s+to|according\s+to|on|when\s+it\s+comes\s+to|"
    r"concerning|in)\b\s*",
    re.IGNORECASE,
)
KEY, SIDE = "compared", "side"
DOCUMENTS_CONFIDENCE = 0.9


@dataclass(frozen=True, slots=True)
class Comparison:
    """Things that are compared, by what, and what else is said.

    Attributes:
        measure: the phrase; "" where none is said.
        by: the word that led to the things: "in" years, "of" others.
        more: further conditions.
    """

    items: tuple[Named, ...]
    measure: str
    by: str
    more: str = ""

    def rests(self) -> list[str]:
        """What each question of the measure says of its thing."""
        return [f"{self.by} {item.shown} {self.more}".strip() for item in self.items]


def plan_comparison(asking: Asking) -> Planned | None:
    """A row for each of the things; None where nothing is compared, or it is not understood."""
    if not _ASKS.search(asking.question):
        return None
    for run in runs(asking):
        comparison = taken_apart(asking.question, run)
        documents = _documents(asking, comparison)
        if documents is not None:
            return documents
        phrase, said = _measured(asking, comparison)
        figures = None if phrase is None else asking.figures(phrase, comparison.rests())
        if phrase is not None and figures is not None:
            return beside(asking, run, figures, phrase.column(), (*phrase.assumptions, *said))
    return None


def taken_apart(question: str, run: Sequence[Named]) -> Comparison:
    """What is said before and after the things: "the number of orders of … in 2024", "… by revenue"."""
    left, right = question[: run[0].start], question[run[-1].end :].strip(" .?!'’s")
    before = None
    while (opening := _OPENING.match(left)) is not None:
        left = left[opening.end() :]
    word = ""
    while (last := _LAST.search(left)) is not None:
        left = left[: last.start()]
        before = last["word"].lower()
        word = word or before
    by = "in" if run[0].key in (YEAR, PERIOD) else word if word in ("for", "from", "by") else "from"
    measure, more = left.strip(" ,:"), re.sub(r"\bcompare[ds]?\b", "", right).strip()
    lead = _BY.match(right)
    if not measure and right:
        measure, more = right[lead.end() :] if lead is not None else right.lstrip(" ,:"), ""
    elif measure and lead is not None and not re.match(r"[\s,:]*(?:in|on)\b", right, re.IGNORECASE):
        measure, more = f"{right[lead.end() :]}", f"of {measure}"
    return Comparison(tuple(run), measure, by, more)


def _measured(asking: Asking, comparison: Comparison) -> tuple[Phrase | None, tuple[Assumption, ...]]:
    """What is measured; where nothing is said, documents are counted."""
    if comparison.measure:
        return phrase_of(comparison.measure, asking.catalog), ()
    holders = [
        info.name
        for info in asking.catalog.collections.values()
        if comparison.items[0].key in info.fields and not comparison.items[0].identifying
    ]
    if len(holders) != 1:
        return None, ()
    said = Assumption(f"compared by the number of {holders[0]}", Support.DEFAULT)
    return phrase_of(f"number of {holders[0]}", asking.catalog), (said,)


def _documents(asking: Asking, comparison: Comparison) -> Planned | None:
    """As in "compare A and B", where they are documents: all that is known of both, one below the other."""
    first = comparison.items[0]
    if comparison.measure or comparison.more or not first.identifying:
        return None
    holders = [info for info in asking.catalog.collections.values() if first.key in info.fields]
    named = [info for info in holders if all(_holds(info, item) for item in comparison.items)]
    if len(named) != 1:
        return None
    (info,) = named
    shown = (first.key, *(name for name, field in info.fields.items() if name != first.key and _is_fact(field)))
    where = compare(first.key, Operator.IN, [item.shown for item in comparison.items])
    steps = (
        Scan("s1", info.name),
        Filter("s2", "s1", where),
        Project("s3", "s2", shown),
        AnswerStep("s4", "s3", shown),
    )
    return Planned(Plan(asking.question, steps, "s4"), DOCUMENTS_CONFIDENCE, Band.ANSWER)


def _holds(info: CollectionInfo, item: Named) -> bool:
    return normalize(item.shown) in info.fields[item.key].index


def _is_fact(field: FieldInfo) -> bool:
    """Whether a field is short enough to stand in a table, and no key."""
    keys = field.name.lower().endswith(("_id", "id")) and field.name.lower() != "id"
    return field.type is not FieldType.TEXT and not keys


def beside(
    asking: Asking, items: Sequence[Named], figures: Sequence[Figure], column: str, said: Sequence[Assumption]
) -> Planned:
    """Each figure, as `column`, with the name of its thing beside it, one below the other."""
    key = items[0].key
    key = f"{key}_" if key in (column, figures[0].column) else key
    steps: list[Step] = []
    last = ""
    for number, (item, figure) in enumerate(zip(items, figures, strict=True), 1):
        own = figure.renamed(f"{SIDE}{number}_")
        named, shown = f"{SIDE}{number}_named", f"{SIDE}{number}"
        steps += [
            *own.steps,
            Compute(named, own.last, (Computed(Value(item.shown), key), *_called(own.column, column))),
            Project(shown, named, (key, column)),
        ]
        if last:
            steps.append(SetOperation(f"{KEY}{number}", last, shown, SetKind.UNION, all=True))
        last = f"{KEY}{number}" if last else shown
    steps.append(AnswerStep("answer", last, (key, column)))
    return together(asking.question, figures, steps, said)


def _called(column: str, name: str) -> tuple[Computed, ...]:
    return () if column == name else (Computed(FieldRef(column), name),)


def is_beside(step: SetOperation) -> bool:
    """Whether a step puts figures of named things one below the other, as comparisons do."""
    return step.kind is SetKind.UNION and step.all
