"""Answers in prose: the evidence that a language model is given for them, and their citations."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace

from promptql.answer import Artifact
from promptql.citations import Claim, claims_of_quotes
from promptql.context import Context
from promptql.events import ArtifactMade
from promptql.evidence import telling_sentences
from promptql.expressions import Value, walk
from promptql.llm.writing import Prose, Writer
from promptql.operators.rows import Rows
from promptql.plan import Plan
from promptql.rendering import shown
from promptql.said import ARTIFACT, Said
from promptql.steps import Filter, Scan, Search
from promptql.support import Evidence, row_of

DOCUMENTS_MAX = 6
SENTENCES_EACH = 5
ROWS_MAX = 40
_WANTS = re.compile(
    r"\b(?:summar\w+|describe|explain|overview|compare|comparison|report|tell|why|trends?|insights?|developments?|"
    r"how (?:do|does|did|have|has))\b",
    re.IGNORECASE,
)


def wants_prose(question: str, rows: Rows) -> bool:
    """Whether sentences are wanted rather than a table: of what a search found, or where the words ask for them."""
    if not len(rows.relation):
        return False
    return rows.passages is not None or (len(rows.relation) > 1 and _WANTS.search(question) is not None)


def prose_said(context: Context, plan: Plan, rows: Rows, said: Said, writer: Writer) -> Said:
    """What is said in a language model's words, each sentence of it borne out; else as it is, with a warning."""
    if rows.passages is not None:
        artifact, evidence, claims = _quoted(context, rows)
    elif said.artifact is not None:
        artifact, claims = said.artifact, list(said.claims)
        evidence = _tabled(artifact)
    else:
        return said
    if not evidence:
        return said
    prose = writer.write(context.question.text, evidence, _given(plan), ArtifactMade(artifact))
    warnings = (*said.warnings, *prose.notices())
    if not prose.text:
        return replace(said, warnings=warnings, usage=prose.usage)
    return replace(
        said,
        text=prose.text,
        artifact=artifact,
        claims=_cited(prose, claims),
        warnings=warnings,
        usage=prose.usage,
    )


def _quoted(context: Context, rows: Rows) -> tuple[Artifact, list[Evidence], list[Claim]]:
    """Sentences of the documents found, numbered as the rows of the artifact are, from 1."""
    info, snapshot = context.catalog.collections[rows.collection], context.snapshots[rows.collection]
    quotes = telling_sentences(
        context.question.text, rows, info, snapshot, documents_max=DOCUMENTS_MAX, each_max=SENTENCES_EACH
    )
    table = tuple({"id": quote.id, "label": quote.label, "sentence": quote.text} for quote in quotes)
    artifact = Artifact(ARTIFACT, ("id", "label", "sentence"), table)
    evidence = [Evidence(str(mark), f"{quote.label}: {quote.text}") for mark, quote in enumerate(quotes, 1)]
    return artifact, evidence, claims_of_quotes(quotes, artifact, "sentence", rows.collection, snapshot)


def _tabled(artifact: Artifact) -> list[Evidence]:
    """The rows of a table; a row's mark, and those of its cells, stand for the whole row."""
    evidence = []
    for index, row in enumerate(artifact.rows[:ROWS_MAX]):
        text = "; ".join(f"{name}: {shown(row[name])}" for name in artifact.columns)
        evidence.append(Evidence(f"{artifact.id}[{index}]", text))
    return evidence


def _cited(prose: Prose, claims: Sequence[Claim]) -> list[Claim]:
    """The claims behind the marks, in their order; further ones of a cited row follow."""
    first, more = [], []
    for mark in prose.marks:
        cell = f"{ARTIFACT}[{int(mark) - 1}]" if mark.isdecimal() else mark
        found = [claim for claim in claims if _is_of(claim.citation.cell, cell)]
        first += found[:1]
        more += found[1:]
    return [*first, *more]


def _is_of(place: str, cell: str) -> bool:
    """Whether what is cited at a place bears a cell, or a row, out."""
    return place in {cell, row_of(cell)} or place.startswith(f"{cell}.")


def _given(plan: Plan) -> set[float]:
    """Numbers that the plan's conditions name: they are true of all that it found."""
    numbers: set[float] = set()
    for step in plan.steps:
        if isinstance(step, (Scan, Search, Filter)) and step.where is not None:
            numbers |= set(_numbers(part.value for part in walk(step.where) if isinstance(part, Value)))
    return numbers


def _numbers(values: Iterable[object]) -> Iterable[float]:
    for value in values:
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            yield float(value)
        elif isinstance(value, tuple):
            yield from _numbers(value)
