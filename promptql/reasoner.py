"""Reason: rows become an answer whose every figure and sentence is cited, and the citations are checked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from models import Embedder
from promptql.answer import Answer, Artifact, Band, Citation, Notice, Rewrite
from promptql.catalog import CollectionInfo
from promptql.citations import Claim, claims_of_quotes, claims_of_rows, verified
from promptql.context import Context
from promptql.evidence import Quote, best_sentences, nearest_facts
from promptql.executor import Executed
from promptql.operators.rows import Rows
from promptql.plan import Plan
from promptql.planned import Planned
from promptql.predicate import describe
from promptql.rendering import markdown_table, shown
from promptql.rules.figures import asks_for_figure
from promptql.rules.words import NEGATIONS, WHETHER, tokenize
from promptql.steps import AnswerStep, Function, Search
from promptql.wording import (
    Shape,
    documents_sentence,
    figure_sentence,
    groups_sentence,
    noun_of,
    shape_of,
)

ARTIFACT = "a1"
NO_FIGURE = "I could not work this out as a figure; the nearest passages are:"
ARTIFACT_ROWS_MAX = 200
QUOTES_MAX = 3
NEAR_MIN = 0.3  # below this cosine all-MiniLM-L6-v2 pairs texts that have little to do with each other
SEARCH_CONFIDENCE_MAX = 0.9
EMPTY_FACTOR = 0.7  # an empty result is a sign of a wrong reading


@dataclass(frozen=True, slots=True)
class Said:
    """What the rows come to: the parts of an answer that depend on them."""

    text: str
    values: tuple[Any, ...]
    artifact: Artifact | None
    claims: Sequence[Claim]
    confidence: float
    band: Band
    completeness: float = 1.0
    warnings: tuple[Notice, ...] = ()


def reason(
    context: Context,
    planned: Planned,
    plan: Plan,
    rewrites: tuple[Rewrite, ...],
    executed: Executed,
    embedder_of: Callable[[str], Embedder],
) -> Answer:
    """The answer to the question, from what the plan's steps gave."""
    rows = executed.rows
    if not len(rows.relation):
        said = _nothing(context, planned, plan, rows)
    elif rows.passages is not None:
        said = _quotes(context, plan, rows, embedder_of(rows.collection))
    else:
        said = _table(context, planned, plan, rows)
    citations, rejected = verified(said.claims, context.snapshots[rows.collection])
    warnings = (*planned.warnings, *rows.notices, *said.warnings, *_rejections(rejected))
    return Answer(
        text=said.text,
        values=said.values,
        artifact=said.artifact.id if said.artifact is not None else None,
        confidence=round(said.confidence, 3),
        band=said.band,
        completeness=said.completeness,
        plan=plan.to_json(),
        plan_hash=plan.hash,
        planner=planned.planner,
        steps=executed.reports,
        artifacts=() if said.artifact is None else (said.artifact,),
        citations=citations,
        assumptions=plan.assumptions,
        warnings=warnings,
        rewrites=rewrites,
        usage={"llm": planned.usage.to_json()},
        alternatives=planned.alternatives,
    )


def _rejections(rejected: Sequence[Citation]) -> tuple[Notice, ...]:
    return tuple(
        Notice("citation_rejected", f"{citation.cell}: the documents do not bear it out") for citation in rejected
    )


# ── figures and tables ───────────────────────────────────────────────────────


def _table(context: Context, planned: Planned, plan: Plan, rows: Rows) -> Said:
    shape = shape_of(plan)
    total = len(rows.relation)
    shown = rows.relation.limit(ARTIFACT_ROWS_MAX)
    artifact = Artifact(ARTIFACT, shown.fields, tuple(shown.rows()))
    columns = _value_columns(plan, artifact)
    keys = shape.group.names if shape.group is not None else ()
    claims = claims_of_rows(rows.over(shown), artifact, keys, context.snapshots[rows.collection])
    names = _names(artifact, claims, context.catalog.collections[rows.collection]) if not rows.grouped else []
    text = _verdict(plan.question, artifact, columns) + _table_text(shape, artifact, columns, total, claims, names)
    warnings: tuple[Notice, ...] = ()
    if total > len(artifact.rows):
        warnings = (Notice("rows_cut", f"{len(artifact.rows)} of {total} rows are given"),)
    confidence, band = planned.confidence, planned.band
    if _is_zero(shape, artifact):
        text += _nearest(context, shape, plan)
        confidence *= EMPTY_FACTOR
        band = Band.ASSUMPTIONS if band is Band.ANSWER else band
    return Said(
        text, _values(artifact, columns), artifact, claims, confidence, band, len(artifact.rows) / total, warnings
    )


def _names(artifact: Artifact, claims: Sequence[Claim], info: CollectionInfo) -> list[str]:
    """What the document of each row is called; with its id where names repeat."""
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


def _table_text(
    shape: Shape,
    artifact: Artifact,
    columns: tuple[str, ...],
    total: int,
    claims: Sequence[Claim],
    names: Sequence[str],
) -> str:
    if shape.group is not None and not shape.group.by:
        documents = claims[0].citation.count if claims else 0
        return figure_sentence(shape, artifact.rows[0], documents)
    if shape.group is not None:
        sentence = groups_sentence(shape, artifact.rows, total)
    else:
        sentence = documents_sentence(shape, artifact.rows, columns, total, names)
    if len(artifact.rows) == 1:
        return sentence
    label = artifact.columns[0]
    rows = [{**row, label: name} for row, name in zip(artifact.rows, names, strict=True)] if names else artifact.rows
    return f"{sentence}\n\n{markdown_table(artifact.columns, rows, total)}"


def _is_zero(shape: Shape, artifact: Artifact) -> bool:
    """Whether a single figure says that there is nothing: a count of 0, or no value."""
    group = shape.group
    if group is None or group.by or shape.where is None:
        return False
    counts = (Function.COUNT, Function.COUNT_DISTINCT)
    return all(
        artifact.rows[0][item.alias] is None or (item.fn in counts and artifact.rows[0][item.alias] == 0)
        for item in group.aggs
    )


# ── sentences ────────────────────────────────────────────────────────────────


def _quotes(context: Context, plan: Plan, rows: Rows, embedder: Embedder) -> Said:
    info = context.catalog.collections[rows.collection]
    snapshot = context.snapshots[rows.collection]
    source = shape_of(plan).source
    query = source.query if isinstance(source, Search) else context.question.text
    quotes = best_sentences(query, rows, info, snapshot, embedder)[:QUOTES_MAX]
    if not quotes:
        text = "The data does not say: the documents found hold no text."
        return Said(text, (), None, (), 0.0, Band.SEARCH)
    artifact = Artifact(ARTIFACT, ("id", "label", "sentence", "score"), tuple(_quote_row(q) for q in quotes))
    claims = claims_of_quotes(quotes, artifact, "sentence", rows.collection, snapshot)
    confidence = min(SEARCH_CONFIDENCE_MAX, max(0.0, quotes[0].score))
    if asks_for_figure(context.question.text):  # a passage is no figure
        text = f"{NO_FIGURE}\n\n{_quote_text(quotes, info, hedged=False)}"
        return Said(text, (), artifact, claims, confidence, Band.SEARCH)
    values = _quote_values(context.question.text, quotes)
    asked_by_name = len(rows.relation) == 1
    return Said(_quote_text(quotes, info, hedged=not asked_by_name), values, artifact, claims, confidence, Band.SEARCH)


def _quote_row(quote: Quote) -> dict[str, Any]:
    return {"id": quote.id, "label": quote.label, "sentence": quote.text, "score": quote.score}


def _quote_values(question: str, quotes: Sequence[Quote]) -> tuple[str, ...]:
    """As in "Which X …" is answered by the name of the best document, anything else by the sentences."""
    first = question.split(maxsplit=1)[0].casefold()
    return (quotes[0].label,) if first in {"which", "who"} else tuple(quote.text for quote in quotes)


def _quote_text(quotes: Sequence[Quote], info: CollectionInfo, *, hedged: bool) -> str:
    lines = [f"**{quote.label}**: “{' '.join(quote.text.split())}” [{mark}]" for mark, quote in enumerate(quotes, 1)]
    if hedged and quotes[0].score < NEAR_MIN:
        lines.insert(0, f"Nothing in {info.name} answers this clearly. The nearest that it says:")
    return "\n\n".join(lines)


# ── nothing ──────────────────────────────────────────────────────────────────


def _nothing(context: Context, planned: Planned, plan: Plan, rows: Rows) -> Said:
    shape = shape_of(plan)
    text = f"No document matches: there are no {noun_of(shape, None)}"
    text += f" with {_having(shape)}." if shape.having is not None else "."
    text += _nearest(context, shape, plan)
    band = Band.SEARCH if rows.passages is not None else Band.ASSUMPTIONS
    warning = Notice("empty_result", "no document matches")
    return Said(text, (), None, (), planned.confidence * EMPTY_FACTOR, band, warnings=(warning,))


def _having(shape: Shape) -> str:
    return describe(shape.having) if shape.having is not None else ""


def _nearest(context: Context, shape: Shape, plan: Plan) -> str:
    name = shape.source.collection
    params = {key: parameter.value for key, parameter in plan.params.items()}
    facts = nearest_facts(shape.where, context.catalog.collections[name], context.snapshots[name], params)
    return f" What it does say: {'; '.join(facts)}." if facts else ""
