"""Steps on text that run here, without a language model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from engine import Field, FieldType
from promptql.operators.embeddings import embed, embedded_fields, texts_of, vectors_of, with_text
from promptql.operators.extraction import EXTRACTORS, extracted_type
from promptql.operators.labels import telling_words
from promptql.operators.rows import Rows, Scope
from promptql.operators.summary import summarize
from promptql.steps import ClassifyLocal, Cluster, Dedupe, ExtractLocal, Local, SummarizeLocal
from promptql.validation.naming import confidence_of, label_of
from promptql.vectors import best_clusters, k_means, near_copies, unit

TEMPERATURE = 0.05  # of the softmax over cosines: a lead of 0.1 over one other category makes 0.88


def run_local(step: Local, rows: Rows, scope: Scope) -> Rows:
    """The rows with what was read out of their text.

    Raises:
        LimitExceededError: there are too many rows to compare.
        PlanError: the rows have no embedded text, and no fields are named.
    """
    match step:
        case ClassifyLocal():
            return _classify(step, rows, scope)
        case ExtractLocal():
            return _extract(step, rows)
        case SummarizeLocal():
            return summarize(step, rows, scope)
        case Cluster():
            return _cluster(step, rows, scope)
        case Dedupe():
            return _dedupe(step, rows, scope)


def _classify(step: ClassifyLocal, rows: Rows, scope: Scope) -> Rows:
    """The category whose examples are nearest on average; how sure by a softmax over the cosines."""
    names = [name for name, _ in step.categories]
    texts = [text for name, examples in step.categories for text in (examples or (name,))]
    owners = [place for place, (_, examples) in enumerate(step.categories) for _ in (examples or ("",))]
    made = embed(texts, rows.collection, scope, step.id)
    prototypes = np.zeros((len(names), made.shape[1]), dtype=np.float32)
    np.add.at(prototypes, owners, made)
    cosines = vectors_of(rows, step.fields, scope, step.id) @ unit(prototypes).T
    weights = np.exp((cosines - cosines.max(axis=1, keepdims=True, initial=-1)) / TEMPERATURE)
    shares = weights / weights.sum(axis=1, keepdims=True)
    best = shares.argmax(axis=1) if len(shares) else np.empty(0, dtype=np.int64)
    said = texts_of(rows, step.fields)
    categories = with_text([names[place] for place in best], said)
    sure = with_text([round(float(shares[row, place]), 4) for row, place in enumerate(best)], said)
    relation = rows.relation.with_column(step.alias, Field(FieldType.KEYWORD), categories, step.fields)
    return rows.over(relation.with_column(confidence_of(step.alias), Field(FieldType.NUMBER), sure, step.fields))


def _extract(step: ExtractLocal, rows: Rows) -> Rows:
    find = EXTRACTORS[step.kind]
    texts = rows.relation.column(step.field)
    values = [find(text) if isinstance(text, str) else [] for text in texts]
    field = Field(extracted_type(step.kind), many=True)
    return rows.over(rows.relation.with_column(step.alias, field, values, [step.field]))


def _cluster(step: Cluster, rows: Rows, scope: Scope) -> Rows:
    fields = step.fields or embedded_fields(rows, scope)
    vectors = vectors_of(rows, fields, scope, step.id)
    found = (
        best_clusters(vectors) if step.k is None or not len(vectors) else k_means(vectors, min(step.k, len(vectors)))
    )
    numbers: list[int] = found.tolist()
    texts = texts_of(rows, fields)
    labels = telling_words(texts, numbers)
    relation = rows.relation.with_column(step.alias, Field(FieldType.INTEGER), with_text(numbers, texts), fields)
    named = with_text([labels[number] for number in numbers], texts)
    return rows.over(relation.with_column(label_of(step.alias), Field(FieldType.KEYWORD), named, fields))


def _dedupe(step: Dedupe, rows: Rows, scope: Scope) -> Rows:
    fields = step.fields or embedded_fields(rows, scope)
    groups = near_copies(vectors_of(rows, fields, scope, step.id), step.threshold)
    return replace(rows.over(rows.relation.gather(groups)), grouped=True)
