"""Quoting: the sentences of the documents found that answer a question about text, each with its span."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from models import Embedder
from promptql.answer import Artifact, Band
from promptql.catalog import CollectionInfo
from promptql.citations import claims_of_quotes
from promptql.context import Context
from promptql.evidence import Quote, best_sentences
from promptql.operators.rows import Rows
from promptql.plan import Plan
from promptql.rules.figures import asks_for_figure
from promptql.said import ARTIFACT, Said
from promptql.shape import shape_of
from promptql.steps import Search

NO_FIGURE = "I could not work this out as a figure; the nearest passages are:"
QUOTES_MAX = 3
FIELDS_SHOWN_MAX = 10  # of a collection that has nothing to quote
NEAR_MIN = 0.3  # below this cosine all-MiniLM-L6-v2 pairs texts that have little to do with each other
SEARCH_CONFIDENCE_MAX = 0.9


def quotes_said(context: Context, plan: Plan, rows: Rows, embedder: Embedder) -> Said:
    """The sentences that bear on the question most, each with its span."""
    info = context.catalog.collections[rows.collection]
    snapshot = context.snapshots[rows.collection]
    source = shape_of(plan).source
    query = source.query if isinstance(source, Search) else context.question.text
    quotes = best_sentences(query, rows, info, snapshot, embedder)[:QUOTES_MAX]
    if not quotes:
        held = ", ".join(list(info.fields)[:FIELDS_SHOWN_MAX]) or "no fields"
        text = f"I could not work this out, and there is no text in {info.name} to quote; it has {held}."
        return Said(text, (), None, (), 0.0, Band.SEARCH)
    artifact = Artifact(ARTIFACT, ("id", "label", "sentence", "score"), tuple(_quote_row(q) for q in quotes))
    claims = claims_of_quotes(quotes, artifact, "sentence", rows.collection, snapshot)
    confidence = min(SEARCH_CONFIDENCE_MAX, max(0.0, quotes[0].score))
    if asks_for_figure(context.question.text):  # a passage is no figure
        text = f"{NO_FIGURE}\n\n{_quote_text(quotes, info, hedged=False)}"
        return Said(text, (), artifact, claims, confidence, Band.SEARCH)
    is_far = len(rows.relation) != 1 and quotes[0].score < NEAR_MIN  # one that was asked for by its name is at hand
    text = _quote_text(quotes, info, hedged=is_far)
    values = _quote_values(context.question.text, quotes, is_far=is_far)
    return Said(text, values, artifact, claims, confidence, Band.SEARCH)


def _quote_row(quote: Quote) -> dict[str, Any]:
    return {"id": quote.id, "label": quote.label, "sentence": quote.text, "score": quote.score}


def _quote_values(question: str, quotes: Sequence[Quote], *, is_far: bool) -> tuple[str, ...]:
    """As in "Which X …" is answered by the name of the best document, unless `is_far`; anything else by sentences."""
    if question.split(maxsplit=1)[0].casefold() in {"which", "who"}:
        return () if is_far else (quotes[0].label,)
    return tuple(quote.text for quote in quotes)


def _quote_text(quotes: Sequence[Quote], info: CollectionInfo, *, hedged: bool) -> str:
    lines = [f"**{quote.label}**: “{' '.join(quote.text.split())}” [{mark}]" for mark, quote in enumerate(quotes, 1)]
    if hedged:
        lines.insert(0, f"Nothing in {info.name} answers this clearly. The nearest that it says:")
    return "\n\n".join(lines)
