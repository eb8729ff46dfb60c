"""What a write will do, before it is done, and what it did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from pyroaring import BitMap

from engine.arrays import Rows, Vectors
from engine.document import Passage
from engine.errors import DocumentError
from engine.schema import Schema
from engine.writes.batch import VectorRows
from engine.writes.commit import Durability
from engine.writes.expiry import Microseconds

ADDED, REPLACED, SKIPPED = "added", "replaced", "skipped"


@dataclass(frozen=True, slots=True)
class WriteResult:
    """What a write did.

    Attributes:
        sequence: of the change; of the last one where there was nothing to do.
        durability: what held when the call returned; "sync": it was on disk, fsynced.
        added: documents that were not there before.
        replaced: documents that took the place of an older version.
        skipped: documents that were there already, exactly the same.
        deleted: documents deleted (or, in a dry run, that would be).
        ids: of the documents given, in their order. A replay leaves those out that were purged since, and their
            statuses; the counts stay.
        errors: documents left out, where the caller asked for the others to go in.
        statuses: of the documents given, in their order: "added", "replaced" or "skipped". Those behind which another
            of the same id came count as replaced.
        replayed: whether this is the result of an earlier write, under the same idempotency key.
        context: of the idempotency key of the earlier write, where it is a replay.
    """

    sequence: int
    durability: str = Durability.SYNC
    added: int = 0
    replaced: int = 0
    skipped: int = 0
    deleted: int = 0
    ids: tuple[str, ...] = ()
    errors: tuple[DocumentError, ...] = ()
    statuses: tuple[str, ...] = ()
    replayed: bool = False
    context: bytes = b""

    def at(self, sequence: int, durability: str) -> WriteResult:
        """The same under another sequence; `dataclasses.replace` takes three times as long."""
        counts = self.added, self.replaced, self.skipped, self.deleted
        return WriteResult(
            sequence, durability, *counts, self.ids, self.errors, self.statuses, self.replayed, self.context
        )

    def to_record(self, context: bytes) -> dict[str, Any]:
        """What is kept under an idempotency key with that context."""
        record = {name: getattr(self, name) for name in ("sequence", *_COUNTS)}
        lists = {"ids": self.ids, "statuses": self.statuses}
        return {**record, "durability": str(self.durability), **lists, "context": context}

    @classmethod
    def from_record(cls, record: Mapping[str, Any]) -> WriteResult:
        """The inverse of `to_record`, as a replay; without the ids that a purge took out, and their statuses."""
        lists = {name: tuple(record[name]) for name in ("ids", "statuses")}
        if "" in lists["ids"]:
            kept = [place for place, id_ in enumerate(lists["ids"]) if id_]
            matched = len(lists["statuses"]) == len(lists["ids"])
            lists["statuses"] = tuple(lists["statuses"][place] for place in kept) if matched else lists["statuses"]
            lists["ids"] = tuple(lists["ids"][place] for place in kept)
        return cls(**{**record, **lists}, replayed=True)


_COUNTS = ("added", "replaced", "skipped", "deleted")


@dataclass(frozen=True, slots=True)
class AppliedRows:
    """Rows of one vector field in a change: `documents` are places among the change's documents."""

    vectors: Vectors
    documents: Rows
    passages: Sequence[Passage | None] | None


@dataclass(slots=True)
class Plan:
    """A write, ready to be committed.

    Attributes:
        schema: from here on.
        result: what it will have done, but for its sequence.
        ids: of the documents to write.
        bodies: theirs.
        expires: when each expires; None where none does.
        rows: theirs, by vector field.
        deleted: ordinals that cease to be.
        replaced: those of `ids` of which the store has an older version.
        gone: ids of documents that are deleted.
        versions: of `ids`, where it is not the write's sequence.
        describes: the schema says something else about the collection or its fields.
    """

    schema: Schema
    result: WriteResult
    ids: list[str] = field(default_factory=list)
    bodies: list[bytes] = field(default_factory=list)
    expires: Microseconds | None = None
    rows: dict[str, AppliedRows] = field(default_factory=dict)
    deleted: BitMap = field(default_factory=BitMap)
    replaced: list[str] = field(default_factory=list)
    gone: list[str] = field(default_factory=list)
    versions: list[int] | None = None
    describes: bool = False

    @property
    def empty(self) -> bool:
        """Whether it changes nothing."""
        return not self.ids and not self.gone and not self.describes


def statuses_of(
    counts: Sequence[bool], existing: Sequence[tuple[int, int] | None], absent: AbstractSet[int], same: AbstractSet[int]
) -> list[str]:
    """What becomes of each document of a batch; `counts`: whether no other of its id comes behind it."""
    statuses = []
    for i, (is_last, found) in enumerate(zip(counts, existing, strict=True)):
        if is_last and (found is None or found[0] in absent):
            statuses.append(ADDED)
        else:
            statuses.append(SKIPPED if is_last and i in same else REPLACED)
    return statuses


def counted(sequence: int, ids: Sequence[str], statuses: Sequence[str]) -> WriteResult:
    """The result that some statuses make."""
    added, replaced, skipped = (statuses.count(status) for status in (ADDED, REPLACED, SKIPPED))
    return WriteResult(sequence, Durability.SYNC, added, replaced, skipped, 0, tuple(ids), (), tuple(statuses))


def renews(schema: Schema) -> bool:
    """Whether writing the same again makes a difference: it lives longer."""
    return schema.ttl is not None and schema.ttl.seconds is not None


def kept_rows(rows: Mapping[str, VectorRows], kept: Sequence[int], documents: int) -> dict[str, AppliedRows]:
    """The rows of the documents that are kept, by their places among those."""
    place = np.full(documents, -1, dtype=np.int64)
    place[kept] = np.arange(len(kept))
    applied = {}
    for name, each in rows.items():
        owners = place[each.documents]
        chosen = np.flatnonzero(owners >= 0)
        if len(chosen):
            passages = None if each.passages is None else [each.passages[int(i)] for i in chosen]
            applied[name] = AppliedRows(each.vectors[chosen], owners[chosen], passages)
    return applied
