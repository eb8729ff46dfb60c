"""Vectors of rows: those that are stored with the documents where they are of the text that is asked for, else new."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from engine import Embedding, FieldType, Schema
from promptql.errors import LimitExceededError, PlanError
from promptql.expressions import Scalar
from promptql.operators.rows import Rows, Scope
from promptql.vectors import Vectors, unit

STORED_ROWS_MAX = 20_000
EMBEDDED_TEXTS_MAX = 2_000  # made here and now, at milliseconds each
TEXT_CHARACTERS_MAX = 2_000
TEXTS_EACH = 64  # embedded between two looks whether they are still wanted


def texts_of(rows: Rows, fields: Sequence[str]) -> list[str]:
    """The text of some columns of each row, joined by line ends; empty where there is none."""
    columns = [rows.relation.column(name) for name in fields]
    return ["\n".join(part for part in parts if isinstance(part, str)) for parts in zip(*columns, strict=True)]


def embedded_fields(rows: Rows, scope: Scope) -> tuple[str, ...]:
    """The columns that the collection's embedding is made from.

    Raises:
        PlanError: it has none, or they are not among the rows' columns.
    """
    schema = scope.snapshots[rows.collection].schema
    fields = next((_fields(schema, embedding) for embedding in schema.embed.values()), ())
    if not fields or not set(fields) <= set(rows.relation.types):
        raise PlanError(f'rows of "{rows.collection}" have no embedded text', hint='name the "fields" to compare')
    return fields


def vectors_of(rows: Rows, fields: Sequence[str], scope: Scope, step: str) -> Vectors:
    """One unit vector a row, (rows, dim); zeros where there is no text.

    Raises:
        LimitExceededError: there are too many rows.
    """
    stored = _stored(rows, fields, scope)
    return embed(texts_of(rows, fields), rows.collection, scope, step) if stored is None else stored


def embed(texts: Sequence[str], collection: str, scope: Scope, step: str) -> Vectors:
    """Unit vectors of texts by the collection's embedder, each distinct text once; zeros for empty ones.

    Tells how far `step` is.

    Raises:
        LimitExceededError: there are too many texts.
        PlanCancelledError: they are not wanted any more.
    """
    distinct = list(dict.fromkeys(text[:TEXT_CHARACTERS_MAX] for text in texts if text.strip()))
    if len(distinct) > EMBEDDED_TEXTS_MAX:
        raise LimitExceededError(f"too many texts to embed: got={len(distinct)} limit={EMBEDDED_TEXTS_MAX}")
    embedder = scope.embedder_of(collection)
    vectors = np.zeros((len(texts), embedder.dim), dtype=np.float32)
    if distinct:
        made: dict[str, Vectors] = {}
        for begin in range(0, len(distinct), TEXTS_EACH):
            part = distinct[begin : begin + TEXTS_EACH]
            made.update(zip(part, unit(embedder.embed_documents(part)), strict=True))
            scope.watch.advance(step, len(made), len(distinct))
        for place, text in enumerate(texts):
            if text.strip():
                vectors[place] = made[text[:TEXT_CHARACTERS_MAX]]
    return vectors


def _stored(rows: Rows, fields: Sequence[str], scope: Scope) -> Vectors | None:
    """The mean of the vectors of each document's passages; None where they are of other text, or rows no documents."""
    snapshot = scope.snapshots[rows.collection]
    ordinals = rows.relation.documents
    embedded = snapshot.schema.embed.items()
    name = next((key for key, item in embedded if set(_fields(snapshot.schema, item)) == set(fields)), None)
    if name is None or ordinals is None or not set(fields) <= set(rows.relation.types):
        return None
    if len(ordinals) > STORED_ROWS_MAX:
        raise LimitExceededError(f"too many rows to compare: got={len(ordinals)} limit={STORED_ROWS_MAX}")
    numbers, owners = snapshot.rows_of(ordinals.astype(np.uint32), name)
    found = unit(snapshot.vectors_at(name, numbers))
    sums = np.zeros((len(ordinals), snapshot.schema.vectors[name].dim), dtype=np.float32)
    np.add.at(sums, owners, found)
    return unit(sums)


def _fields(schema: Schema, embedding: Embedding) -> tuple[str, ...]:
    """What a vector field is made from."""
    if embedding.fields is not None:
        return embedding.fields
    return tuple(name for name, field in schema.fields.items() if field.type is FieldType.TEXT)


def with_text(values: Sequence[Scalar], texts: Sequence[str]) -> list[Scalar]:
    """Values of rows that have text; None for the others."""
    return [value if text.strip() else None for value, text in zip(values, texts, strict=True)]
