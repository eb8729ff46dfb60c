"""Themes: texts put together by what they are about, each theme with how many it has, and sentences quoted of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from models import Embedder
from promptql.answer import Artifact
from promptql.citations import claims_of_quotes
from promptql.context import Context
from promptql.evidence import Quote, telling_sentences
from promptql.operators.rows import Rows
from promptql.plan import Plan
from promptql.planned import Planned
from promptql.said import ARTIFACT, Said
from promptql.shape import upwards
from promptql.steps import AnswerStep, ClassifyLocal, Cluster, Filter, Scan, Search
from promptql.validation.naming import label_of
from promptql.vectors import unit
from promptql.wording import documents_noun

THEMES_MAX = 6
QUOTES_EACH = 2
DOCUMENTS_READ = 12  # of each theme
SENTENCES_EACH = 2  # of each of these documents
MEMBERS_MIN = 2  # a text by itself is no theme
_BELOW = (Scan, Search, Filter, ClassifyLocal)


@dataclass(frozen=True, slots=True)
class Theme:
    """Documents of like meaning: rows of the answer, and words that tell them from others."""

    label: str
    rows: tuple[int, ...]


def is_themes(plan: Plan) -> bool:
    """Whether the answer is texts put together by their meaning, said without a template and whole."""
    output = plan.by_id[plan.output]
    if not isinstance(output, AnswerStep) or output.template is not None or output.fields is not None:
        return False
    made, *below = upwards(plan, output.input)
    return isinstance(made, Cluster) and all(isinstance(step, _BELOW) for step in below)


def themes_said(context: Context, planned: Planned, plan: Plan, rows: Rows, embedder: Embedder) -> Said:
    """The themes, the largest first, each with its count and the sentences nearest to its middle, with their spans."""
    step = plan.by_id[plan.by_id[plan.output].inputs[0]]
    assert isinstance(step, Cluster)
    themes = _themes(rows, step.alias)
    total = len(rows.relation)
    kept = [theme for theme in themes if len(theme.rows) >= MEMBERS_MIN][:THEMES_MAX] or themes[:THEMES_MAX]
    quoted = [_quotes(context, rows, theme, embedder) for theme in kept]
    quotes = [quote for some in quoted for quote in some]
    named = [theme for theme, some in zip(kept, quoted, strict=True) for _ in some]
    table = [
        {"theme": theme.label, "documents": len(theme.rows), "id": one.id, "label": one.label, "sentence": one.text}
        for theme, one in zip(named, quotes, strict=True)
    ]
    artifact = Artifact(ARTIFACT, ("theme", "documents", "id", "label", "sentence"), tuple(table))
    snapshot = context.snapshots[rows.collection]
    claims = claims_of_quotes(quotes, artifact, "sentence", rows.collection, snapshot)
    text = _text(kept, quoted, total, documents_noun(rows.collection, total))
    values = tuple((theme.label, len(theme.rows)) for theme in kept)
    return Said(text, values, artifact, claims, planned.confidence, planned.band)


def _themes(rows: Rows, alias: str) -> list[Theme]:
    numbers, labels = rows.relation.column(alias), rows.relation.column(label_of(alias))
    members: dict[object, list[int]] = {}
    for row, number in enumerate(numbers):
        if number is not None:
            members.setdefault(number, []).append(row)
    found = [Theme(str(labels[places[0]]), tuple(places)) for places in members.values()]
    return sorted(found, key=lambda theme: (-len(theme.rows), theme.label))


def _quotes(context: Context, rows: Rows, theme: Theme, embedder: Embedder) -> list[Quote]:
    """The sentences nearest to the middle of a theme, of different documents."""
    info = context.catalog.collections[rows.collection]
    snapshot = context.snapshots[rows.collection]
    few = replace(rows.over(rows.relation.take(np.array(theme.rows[:DOCUMENTS_READ], dtype=np.int64))), passages=None)
    found = telling_sentences(theme.label, few, info, snapshot, documents_max=DOCUMENTS_READ, each_max=SENTENCES_EACH)
    if not found:
        return []
    vectors = unit(embedder.embed_documents([quote.text for quote in found]))
    near = vectors @ unit(vectors.mean(axis=0, keepdims=True))[0]
    best: dict[str, Quote] = {}
    for place in np.argsort(-near, kind="stable"):
        quote = replace(found[int(place)], score=round(float(near[place]), 4))
        best.setdefault(quote.id, quote)
    return list(best.values())[:QUOTES_EACH]


def _text(themes: Sequence[Theme], quoted: Sequence[Sequence[Quote]], total: int, noun: str) -> str:
    told = sum(len(theme.rows) for theme in themes)
    lines = [f"{len(themes)} {'theme' if len(themes) == 1 else 'themes'} in {told} of {total} {noun}:"]
    mark = 0
    for number, (theme, some) in enumerate(zip(themes, quoted, strict=True), 1):
        said = []
        for quote in some:
            mark += 1
            said.append(f"“{' '.join(quote.text.split())}” [{mark}]")
        lines.append(f"{number}. **{theme.label}** ({len(theme.rows)}): {' '.join(said)}")
    return "\n\n".join(lines)
