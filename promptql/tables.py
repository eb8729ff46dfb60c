"""Tables: rows of figures, groups and documents, with a sentence that says what can be seen in them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from promptql.answer import Artifact, Band, Notice
from promptql.citations import Claim, claims_of_rows
from promptql.comparing import beside_sentence, compared_sentence, pair_sentence, share_sentence, trend_sentence
from promptql.compounds.comparisons import is_beside
from promptql.compounds.places import place_of
from promptql.compounds.shares import share_of
from promptql.context import Context
from promptql.nothing import EMPTY_FACTOR, nearest_sentence
from promptql.operators.rows import Rows
from promptql.plan import Plan
from promptql.planned import Planned
from promptql.rendering import markdown_table, shown
from promptql.rules.concepts import TIME
from promptql.rules.words import NEGATIONS, WHETHER, name_words, tokenize
from promptql.said import ARTIFACT, Said
from promptql.shape import Shape, is_plain, shape_of, upwards
from promptql.steps import (
    AnswerStep,
    AssertStep,
    Bucket,
    CompareStep,
    Function,
    Group,
    Limit,
    Project,
    Scan,
    Search,
    SetOperation,
    Sort,
    Visualize,
)
from promptql.wording import (
    documents_noun,
    documents_sentence,
    figure_sentence,
    filled,
    groups_sentence,
    key_shown,
    rows_sentence,
    spelled,
)

ARTIFACT_ROWS_MAX = 1_000  # with their citations: 47 ms of CPU and 190 KB of JSON, 200 rows 24 ms and 39 KB
_PASSING = (AnswerStep, AssertStep, Visualize, Project, Sort, Limit)  # what they read is what an answer is about


@dataclass(frozen=True, slots=True)
class _Told:
    """A table with all that its sentence is made from.

    Attributes:
        total: rows, of which the artifact has the first.
        named: the first column is what the documents are called by.
    """

    plan: Plan
    shape: Shape
    artifact: Artifact
    columns: tuple[str, ...]
    total: int
    claims: Sequence[Claim]
    names: Sequence[str]
    named: bool


def table_said(context: Context, planned: Planned, plan: Plan, rows: Rows) -> Said:
    """The rows as a table, with a sentence above it, and one citation a figure or row."""
    total = len(rows.relation)
    shown_rows = rows.relation.limit(ARTIFACT_ROWS_MAX)
    artifact = Artifact(ARTIFACT, shown_rows.fields, tuple(shown_rows.rows()))
    columns = _value_columns(plan, artifact)
    claims = claims_of_rows(rows.over(shown_rows), artifact, _keys(plan), context.snapshots)
    names = _names(context, artifact, claims, rows)
    named = rows.grouped or context.catalog.collections[rows.collection].label in artifact.columns
    told = _Told(plan, shape_of(plan), artifact, columns, total, claims, names, named)
    text = _verdict(plan.question, artifact, columns) + _text(told)
    warnings: tuple[Notice, ...] = ()
    if total > len(artifact.rows):
        warnings = (Notice("rows_cut", f"{len(artifact.rows)} of {total} rows are given"),)
    confidence, band = planned.confidence, planned.band
    if _is_zero(told):
        text += nearest_sentence(context, told.shape, plan)
        confidence *= EMPTY_FACTOR
        band = Band.ASSUMPTIONS if band is Band.ANSWER else band
    complete = len(artifact.rows) / total
    return Said(text, _values(artifact, columns), artifact, claims, confidence, band, complete, warnings)


def _keys(plan: Plan) -> tuple[str, ...]:
    """The columns that tell groups apart, and so are no figures."""
    for step in upwards(plan, plan.output):
        if isinstance(step, Group):
            return step.names
        if isinstance(step, CompareStep):
            return step.keys
    return ()


def _names(context: Context, artifact: Artifact, claims: Sequence[Claim], rows: Rows) -> list[str]:
    """What the document of each row is called, with its id where names repeat; nothing where rows are groups."""
    if rows.grouped:
        return []
    info = context.catalog.collections[rows.collection]
    if info.label not in artifact.columns:
        return [shown(row[artifact.columns[0]]) for row in artifact.rows]
    labels = [row[info.label] for row in artifact.rows]
    counts = Counter(map(str, labels))
    return [
        shown(info.naming(label, claim.citation.ids[0], repeated=counts[str(label)] > 1))
        for label, claim in zip(labels, claims, strict=True)
    ]


def _verdict(question: str, artifact: Artifact, columns: tuple[str, ...]) -> str:
    """Yes or no, where that is what a single cell says."""
    words = [token.folded for token in tokenize(question)]
    cells = [row[name] for row in artifact.rows for name in columns]
    if len(cells) != 1 or not isinstance(cells[0], bool) or words[0] not in WHETHER or NEGATIONS & set(words):
        return ""
    return "Yes. " if cells[0] else "No. "


def _value_columns(plan: Plan, artifact: Artifact) -> tuple[str, ...]:
    output = plan.by_id[plan.output]
    assert isinstance(output, AnswerStep)
    return output.fields if output.fields is not None else artifact.columns


def _values(artifact: Artifact, columns: tuple[str, ...]) -> tuple[Any, ...]:
    if len(columns) == 1:
        return tuple(row[columns[0]] for row in artifact.rows)
    return tuple(tuple(row[name] for name in columns) for row in artifact.rows)


def _text(told: _Told) -> str:
    """A template's own words, else a sentence, above the table where there are several rows."""
    rows, output = told.artifact.rows, told.plan.by_id[told.plan.output]
    assert isinstance(output, AnswerStep)
    if output.template is not None:
        return filled(output.template, rows, told.total)
    sentence = spelled(_sentence(told), told.plan)
    if len(rows) == 1:
        return sentence
    label = told.artifact.columns[0]
    shown_rows = [{**row, label: name} for row, name in zip(rows, told.names, strict=True)] if told.names else rows
    return f"{sentence}\n\n{markdown_table(told.artifact.columns, shown_rows, told.total)}"


def _sentence(told: _Told) -> str:
    rows, shape = told.artifact.rows, told.shape
    compared = next((step for step in upwards(told.plan, told.plan.output) if not isinstance(step, _PASSING)), None)
    share = share_of(told.plan)
    if share is not None:
        return share_sentence(told.plan, share, rows[0], _measure_of(told.plan, share))
    if isinstance(compared, CompareStep):
        return compared_sentence(told.plan, compared, rows)
    if isinstance(compared, SetOperation) and is_beside(compared) and len(told.artifact.columns) == 2:
        name, measure = told.artifact.columns
        return beside_sentence([(shown(row[name]), row[measure]) for row in rows], measure)
    if not is_plain(told.plan):
        sentence, place = rows_sentence(rows, told.columns, told.total), place_of(told.plan)
        return f"{sentence[:-1]} ({place}; those that are level share a place)." if place else sentence
    if shape.group is None:
        return documents_sentence(shape, rows, told.columns, told.total, told.names, named=told.named)
    if not shape.group.by:
        documents = told.claims[0].citation.count if told.claims else 0
        return figure_sentence(shape, rows[0], documents)
    return f"{groups_sentence(shape, rows, told.total)}{_remark(told)}"


def _measure_of(plan: Plan, share: CompareStep) -> str:
    """What a share is of, with "{}" for how much: documents by their name, or the total of a field."""
    group = next(step for step in upwards(plan, share.right) if isinstance(step, Group))
    item = group.aggs[0]
    if item.fn in (Function.COUNT, Function.COUNT_DISTINCT):
        source = next(step for step in upwards(plan, group.id) if isinstance(step, (Scan, Search)))
        return f"{{}} {_escaped(documents_noun(source.collection, 0))}"
    figure = "total" if item.fn is Function.SUM else item.fn.value
    return f"a {figure} {_escaped(str(item.field))} of {{}}"


def _escaped(text: str) -> str:
    return text.replace("{", "{{").replace("}", "}}")


def _remark(told: _Told) -> str:
    """What can be seen in a table of groups: how two figures differ, or where figures go over time."""
    group, rows = told.shape.group, told.artifact.rows
    if group is None or len(group.by) != 1 or told.total != len(rows) or told.shape.limit is not None:
        return ""
    points = [(row[group.names[0]], row[group.aggs[0].alias]) for row in rows]
    if _is_time(group):
        sentence = trend_sentence([(name and key_shown(group.by[0], name), value) for name, value in points])
    elif len(points) == 2:
        (first, value), (second, against) = points
        sentence = pair_sentence((shown(first), value), (shown(second), against))
    else:
        sentence = ""
    return f" {sentence}" if sentence else ""


def _is_time(group: Group) -> bool:
    key = group.by[0]
    if isinstance(key, Bucket):
        return key.unit is not None
    return any(word in TIME for word in name_words(key))


def _is_zero(told: _Told) -> bool:
    """Whether a single figure says that there is nothing: a count of 0, or no value."""
    group, row = told.shape.group, told.artifact.rows[0]
    if group is None or group.by or told.shape.where is None or not is_plain(told.plan):
        return False
    counts = (Function.COUNT, Function.COUNT_DISTINCT)
    return all(row[item.alias] is None or (item.fn in counts and row[item.alias] == 0) for item in group.aggs)
