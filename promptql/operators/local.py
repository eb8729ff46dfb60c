"""Steps on text that run here, without a language model."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from engine import Field, FieldType
from promptql.cascade.head import SPREAD, fit_head
from promptql.operators.embeddings import embed, embedded_fields, texts_of, vectors_of, with_text
from promptql.operators.extraction import EXTRACTORS, extracted_type
from promptql.operators.labels import telling_words
from promptql.operators.rows import Rows, Scope
from promptql.operators.summary import summarize
from promptql.steps import ClassifyLocal, Cluster, Dedupe, ExtractLocal, Local, SummarizeLocal
from promptql.validation.naming import confidence_of, label_of
from promptql.vectors import Numbers, Vectors, best_clusters, k_means, near_copies, unit

HEAD_EXAMPLES_MIN = 5  # a category
HEAD_CATEGORIES_MAX = 20
SPAN_MIN = 1e-4
TEMPERATURE = 0.05  # of the softmax over cosines: a lead of 0.1 over one other category makes 0.88


def run_local(step: Local, rows: Rows, scope: Scope) -> Rows:
    """The rows with what was read out of their text.

    Raises:
        LimitExceededError: there are too many rows to compare.
        PlanError: the rows have no embedded text, and no fields are named.
    """
    match step:
        case ClassifyLocal():
            return _told_in_columns(_classify(step, rows, scope))
        case ExtractLocal():
            return _told_in_columns(_extract(step, rows))
        case SummarizeLocal():
            return summarize(step, rows, scope)
        case Cluster():
            return _told_in_columns(_cluster(step, rows, scope))
        case Dedupe():
            return _dedupe(step, rows, scope)


def _told_in_columns(rows: Rows) -> Rows:
    """Rows whose new columns are what was asked for, not the passages that a search before found."""
    return replace(rows, passages=None)


def _classify(step: ClassifyLocal, rows: Rows, scope: Scope) -> Rows:
    """The category whose examples are nearest, or that a head trained on them gives; and how sure."""
    names = [name for name, _ in step.categories]
    texts = [text for name, examples in step.categories for text in (examples or (name,))]
    owners = [place for place, (_, examples) in enumerate(step.categories) for _ in (examples or ("",))]
    made = embed(texts, rows.collection, scope, step.id)
    shares = category_shares(vectors_of(rows, step.fields, scope, step.id), made, np.array(owners))
    best = shares.argmax(axis=1) if len(shares) else np.empty(0, dtype=np.int64)
    said = texts_of(rows, step.fields)
    categories = with_text([names[place] for place in best], said)
    sure = with_text([round(float(shares[row, place]), 4) for row, place in enumerate(best)], said)
    relation = rows.relation.with_column(step.alias, Field(FieldType.KEYWORD), categories, step.fields)
    return rows.over(relation.with_column(confidence_of(step.alias), Field(FieldType.NUMBER), sure, step.fields))


def category_shares(vectors: Vectors, examples: Vectors, owners: Numbers) -> npt.NDArray[np.float64]:
    """How well each category fits each row, summing to 1 over the categories.

    Where every category has some examples, by logistic heads, one each against the others; else by a softmax over the
    cosines to the categories' mean examples. A mean says nothing of a category with several sides.

    Args:
        vectors: (rows, dim) of length 1.
        examples: (examples, dim) of length 1.
        owners: (examples,) the category of each, from 0 without gaps.
    """
    counts = np.bincount(owners)
    if counts.min() >= HEAD_EXAMPLES_MIN and 2 <= len(counts) <= HEAD_CATEGORIES_MAX:
        middle = examples.mean(axis=0)
        _, lengths, axes = np.linalg.svd(examples - middle, full_matrices=False)
        span = axes[lengths > SPAN_MIN].T  # a penalised head has no weight outside of what its examples span
        features, known = (
            np.hstack([(found - middle) @ span * SPREAD, np.ones((len(found), 1))]) for found in (vectors, examples)
        )
        heads = [fit_head(known, (owners == place).astype(np.int8)) for place in range(len(counts))]
        odds = np.column_stack([head.probabilities(features) for head in heads])
        fit: npt.NDArray[np.float64] = odds / np.maximum(odds.sum(axis=1, keepdims=True), 1e-12)
        return fit
    prototypes = np.zeros((len(counts), examples.shape[1]), dtype=np.float32)
    np.add.at(prototypes, owners, examples)
    cosines = (vectors @ unit(prototypes).T).astype(np.float64)
    weights = np.exp((cosines - cosines.max(axis=1, keepdims=True, initial=-1)) / TEMPERATURE)
    shares: npt.NDArray[np.float64] = weights / weights.sum(axis=1, keepdims=True)
    return shares


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
