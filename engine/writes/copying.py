"""Documents on their way from one collection into another, with all that makes them what they are.

A collection that is embedded anew is made beside the old one and takes its place when it holds the same documents: see
`Database.exchange_collections`. Versions and expiry go with the documents, so that nobody can tell the difference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from engine.arrays import Ordinals
from engine.document import decode
from engine.schema import JSON, Field, Schema
from engine.segments.sources import read_documents, read_vectors
from engine.snapshot import Snapshot
from engine.store.rocks import Store
from engine.writes.batch import VectorRows
from engine.writes.expiry import Microseconds
from engine.writes.plan import Plan

HIDDEN_PREFIX = "."  # of collections that only their maker sees: no name that callers may give begins so


@dataclass(frozen=True, slots=True)
class Copied:
    """Some documents of a collection.

    Attributes:
        ids: theirs.
        documents: likewise.
        versions: likewise; those of the copies.
        vectors: by vector field, of the fields asked for, with their passages.
        expires: when each expires; None where none does.
        fields: the types that the collection has for their fields, which no smaller part of it need imply.
    """

    ids: list[str]
    documents: list[dict[str, JSON]]
    versions: list[int]
    vectors: Mapping[str, VectorRows]
    expires: Microseconds | None
    fields: Mapping[str, Field]


def read_copies(snapshot: Snapshot, ordinals: Ordinals, fields: Sequence[str], store: Store, collection: int) -> Copied:
    """Documents of a snapshot, as they are to be copied.

    Args:
        snapshot: that shows them.
        ordinals: theirs.
        fields: vector fields whose rows are copied as well.
        store: that holds them.
        collection: its number.
    """
    bodies, expires = read_documents(store, collection, ordinals)
    documents: list[dict[str, Any]] = [decode(body) for body in bodies]
    ids = [str(document["id"]) for document in documents]
    versions = [version or 0 for version in snapshot.versions(ids)]
    vectors = {}
    for name in fields:
        numbers, owners = snapshot.rows_of(ordinals, name)
        if len(numbers):
            rows, _, passages = read_vectors(store, collection, snapshot.schema, name, numbers.tolist())
            vectors[name] = VectorRows(rows, owners, passages)
    return Copied(ids, documents, versions, vectors, expires, snapshot.schema.fields)


def schema_for(copied: Copied, schema: Schema) -> Schema:
    """The schema that takes copies: with the types of the collection that they come from."""
    known = all(schema.fields.get(name) == field for name, field in copied.fields.items())
    return schema if known else schema.with_fields(copied.fields)


def keep_facts(plan: Plan, copied: Copied) -> None:
    """Have a plan write copies with their versions and expiry."""
    place = {id_: index for index, id_ in enumerate(copied.ids)}
    places = [place[id_] for id_ in plan.ids]
    plan.versions = [copied.versions[index] for index in places]
    plan.expires = None if copied.expires is None else np.ascontiguousarray(copied.expires[places])
