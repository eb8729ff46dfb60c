"""summarize_local: the sentences that say most of some texts, each with its place."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from engine import Field, FieldType
from promptql.operators.embeddings import embed
from promptql.operators.rows import Rows, Scope
from promptql.sentences import is_code, sentence_spans
from promptql.steps import SummarizeLocal
from promptql.vectors import diverse_best, unit

SENTENCES_READ_MAX = 600  # in all; of many texts the first sentences of each
TEXT_CHARACTERS_MAX = 20_000
SENTENCE_CHARACTERS = range(20, 600)
_KEPT = "_row"
_COLUMNS = {
    "id": FieldType.KEYWORD,
    "field": FieldType.KEYWORD,
    "sentence": FieldType.TEXT,
    "start": FieldType.INTEGER,
    "end": FieldType.INTEGER,
    "score": FieldType.NUMBER,
}


@dataclass(frozen=True, slots=True)
class _Sentence:
    row: int
    field: str
    start: int
    end: int
    text: str


def summarize(step: SummarizeLocal, rows: Rows, scope: Scope) -> Rows:
    """The sentences nearest to the middle of all, unlike each other, in the order of the text.

    Centroid-based (Radev et al., 2004), made diverse by maximal marginal relevance.
    """
    sentences = _sentences(step, rows)
    chosen: list[tuple[_Sentence, float]] = []
    if sentences:
        vectors = embed([sentence.text for sentence in sentences], rows.collection, scope, step.id)
        scores = vectors @ unit(vectors.mean(axis=0, keepdims=True))[0]
        best = sorted(diverse_best(vectors, scores, step.sentences))
        chosen = [(sentences[place], round(float(scores[place]), 4)) for place in best]
    return _table(rows, chosen)


def _sentences(step: SummarizeLocal, rows: Rows) -> list[_Sentence]:
    """Prose of the texts, of each as many sentences as there is room for."""
    columns = {name: rows.relation.column(name) for name in step.fields}
    texts = [
        (row, name, text[:TEXT_CHARACTERS_MAX])
        for row in range(len(rows.relation))
        for name, values in columns.items()
        if isinstance(text := values[row], str) and text.strip()
    ]
    each = max(1, SENTENCES_READ_MAX // max(1, len(texts)))
    found: list[_Sentence] = []
    for row, name, text in texts[:SENTENCES_READ_MAX]:
        spans = [(a, b) for a, b in sentence_spans(text, 0, len(text)) if b - a in SENTENCE_CHARACTERS]
        prose = [(a, b) for a, b in spans if not is_code(text[a:b])]
        found += [_Sentence(row, name, a, b, text[a:b]) for a, b in prose[:each]]
    return found


def _table(rows: Rows, chosen: list[tuple[_Sentence, float]]) -> Rows:
    places = np.array([sentence.row for sentence, _ in chosen], dtype=np.int64)
    relation = rows.relation.take(places).rename({_KEPT: rows.relation.fields[0]})
    sources = [relation.sources(row, 1)[0] for row in range(len(relation))]
    values: dict[str, list[Any]] = {
        "id": [ids[0] if ids else None for ids in sources],
        "field": [sentence.field for sentence, _ in chosen],
        "sentence": [sentence.text for sentence, _ in chosen],
        "start": [sentence.start for sentence, _ in chosen],
        "end": [sentence.end for sentence, _ in chosen],
        "score": [score for _, score in chosen],
    }
    for name, kind in _COLUMNS.items():
        relation = relation.with_column(name, Field(kind), values[name])
    return replace(rows.over(relation.project(list(_COLUMNS))), passages=None, grouped=True)
