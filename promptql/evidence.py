"""Evidence: the sentences that bear on a question, and what is nearest where nothing matches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from engine import FieldType, Passage, Snapshot
from models import Embedder
from promptql.catalog import CollectionInfo
from promptql.expressions import Compare, Predicate, Scalar
from promptql.operators.rows import Rows, filter_of
from promptql.predicate import comparisons, conjuncts, describe
from promptql.rules.words import STOPWORDS, tokenize
from promptql.sentences import is_code, sentence_spans
from promptql.validation import SCORE

DOCUMENTS_READ = 5  # best rows of a search whose sentences are compared with the question
RANK_COST = 0.02  # what each place further down in the search costs a sentence
SENTENCES_EACH = 4  # of each document: the first, and those that share most words with the question
SENTENCE_CHARACTERS_MAX = 400  # longer ones are cut at a word: tables and code without full stops
WHOLE_CHARACTERS = 2_000  # read of each text field where no passage is known


@dataclass(frozen=True, slots=True)
class Quote:
    """A sentence: characters [start, end) of `field` of document `id`; score 0 to 1, larger is better."""

    id: str
    label: str
    field: str
    start: int
    end: int
    text: str
    score: float


def best_sentences(
    question: str, rows: Rows, info: CollectionInfo, snapshot: Snapshot, embedder: Embedder
) -> list[Quote]:
    """The best sentence of each of the first documents, the best first; of one document its best sentences.

    A sentence's score is the mean of its own and its document's similarity to the question; the order also heeds
    how early the search found the document. Signatures and the like are quoted only where there is no prose.
    """
    count = min(DOCUMENTS_READ, len(rows.relation))
    ids = [rows.relation.sources(row, 1)[0][0] for row in range(count)]
    scores = rows.relation.column(SCORE)[:count] if SCORE in rows.relation.fields else [0.0] * count
    found: list[Quote] = []
    for id_, document, score in zip(ids, snapshot.get(ids), scores, strict=True):
        if document is not None:
            passage = (rows.passages or {}).get(id_)
            if count == 1 and passage is not None:  # asked by name: its beginning says what it is
                passage = replace(passage, start=0)
            sentences = _prose(document, passage, info, float(score))
            found += _likely(question, sentences, 2 * SENTENCES_EACH if count == 1 else SENTENCES_EACH)
    if not found:
        return []
    similarity = _similarities(question, [quote.text for quote in found], embedder)
    scored = [
        replace(quote, score=round((quote.score + float(near)) / 2, 4))
        for quote, near in zip(found, similarity, strict=True)
    ]
    return _best_of_one(scored) if count == 1 else _best_of_each(scored, ids)


def telling_sentences(
    question: str, rows: Rows, info: CollectionInfo, snapshot: Snapshot, *, documents_max: int, each_max: int
) -> list[Quote]:
    """Sentences of the first documents, in the order of the search and of the text; no meanings are compared."""
    count = min(documents_max, len(rows.relation))
    ids = [rows.relation.sources(row, 1)[0][0] for row in range(count)]
    found: list[Quote] = []
    for id_, document in zip(ids, snapshot.get(ids), strict=True):
        if document is not None:
            sentences = _prose(document, (rows.passages or {}).get(id_), info, 0.0)
            found += _likely(question, sentences, each_max)
    return found


def _prose(document: Mapping[str, Any], passage: Passage | None, info: CollectionInfo, score: float) -> list[Quote]:
    """Sentences of the passage, or, where it is all code, of the document's beginning; code where there is no other."""
    sentences = _sentences(document, passage, info, score)
    for found in (sentences, _sentences(document, None, info, score) if passage is not None else []):
        prose = [quote for quote in found if not is_code(quote.text)]
        if prose:
            return prose
    return sentences


def _best_of_each(quotes: list[Quote], ids: list[str]) -> list[Quote]:
    rank = {id_: place for place, id_ in enumerate(ids)}
    best: dict[str, Quote] = {}
    for quote in quotes:
        if quote.id not in best or quote.score > best[quote.id].score:
            best[quote.id] = quote
    return sorted(best.values(), key=lambda quote: RANK_COST * rank[quote.id] - quote.score)


def _best_of_one(quotes: list[Quote]) -> list[Quote]:
    """The first sentence, which says what the thing is, then the best of the others."""
    return [quotes[0], *sorted(quotes[1:], key=lambda quote: -quote.score)]


def _likely(question: str, quotes: list[Quote], count: int) -> list[Quote]:
    """At most `count` of the sentences, in their order: comparing meanings costs milliseconds each."""
    asked = {token.root for token in tokenize(question) if token.folded not in STOPWORDS}
    shared = [len(asked & {token.root for token in tokenize(quote.text)}) for quote in quotes]
    order = sorted(range(len(quotes)), key=lambda index: (index != 0, -shared[index], index))
    return [quotes[index] for index in sorted(order[:count])]


def _sentences(document: Mapping[str, Any], passage: Passage | None, info: CollectionInfo, score: float) -> list[Quote]:
    label = info.naming(document.get(info.label), document["id"])
    found = []
    for name, start, end in _stretches(document, passage, info):
        text = document[name]
        for first, last in sentence_spans(text, start, end):
            end_kept = _cut(text, first, last)
            found.append(Quote(document["id"], label, name, first, end_kept, text[first:end_kept], score))
    return found


def _stretches(
    document: Mapping[str, Any], passage: Passage | None, info: CollectionInfo
) -> list[tuple[str, int, int]]:
    """The passage that matched, or the beginning of each text field."""
    if passage is not None and isinstance(document.get(passage.field), str):
        return [(passage.field, passage.start, passage.end)]
    names = [name for name, field in info.fields.items() if field.type is FieldType.TEXT and name != info.label]
    return [(n, 0, min(WHOLE_CHARACTERS, len(document[n]))) for n in names if isinstance(document.get(n), str)]


def _cut(text: str, start: int, end: int) -> int:
    if end - start <= SENTENCE_CHARACTERS_MAX:
        return end
    space = text.rfind(" ", start, start + SENTENCE_CHARACTERS_MAX)
    return space if space > start else start + SENTENCE_CHARACTERS_MAX


def _similarities(question: str, texts: list[str], embedder: Embedder) -> npt.NDArray[np.float32]:
    """Cosine of the question with each text, (n,)."""
    query = _unit(embedder.embed_queries([question]))[0]
    similarities: npt.NDArray[np.float32] = _unit(embedder.embed_documents(texts)) @ query
    return similarities


def _unit(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit: npt.NDArray[np.float32] = vectors / np.maximum(lengths, 1e-12)
    return unit


def nearest_facts(
    where: Predicate | None, info: CollectionInfo, snapshot: Snapshot, params: Mapping[str, Scalar]
) -> list[str]:
    """What the data does say, where no document satisfies `where`: each condition alone, and ranges."""
    facts = []
    parts = conjuncts(where)
    for part in parts:
        condition = filter_of(part, params, snapshot)
        if condition is None:  # no condition on documents alone
            continue
        count = snapshot.count(condition)
        if len(parts) > 1 or count:
            facts.append(f"{describe(part)}: {count} of {info.rows} documents")
    for _, item in comparisons(where):
        fact = _range(item, info)
        if fact is not None and fact not in facts:
            facts.append(fact)
    return facts


def _range(item: Compare, info: CollectionInfo) -> str | None:
    field = info.fields.get(item.field or "")
    if field is None or field.least is None:
        return None
    return f"{field.name} goes from {field.least} to {field.greatest}"
