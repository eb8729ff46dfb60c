"""A collection: writes go in here, and every write is applied the same way, now or when the log is replayed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec
import numpy as np
from pyroaring import BitMap

from engine.arrays import Mask, Rows, Vectors
from engine.batch import Batch, VectorRows, check_rows, prepare
from engine.change import Change, encode_change
from engine.commit import CommitQueue
from engine.document import Passage
from engine.errors import (
    CollectionNotFoundError,
    DatabaseClosedError,
    DocumentError,
    EngineError,
    InvalidDocumentsError,
    InvalidInputError,
)
from engine.fields.filter import Filter
from engine.meta import Counters, encode_meta
from engine.schema import FieldType, Schema
from engine.segments.sources import read_bodies, read_vectors
from engine.segments.state import CollectionState
from engine.snapshot import Snapshot
from engine.store import codec, keys
from engine.store.rocks import DOCUMENTS, IDS, LOG, SYSTEM, VECTORS, Pieces, Store

log = logging.getLogger(__name__)

ORDINAL_MAX = 2**32 - 2
DURABILITY = "sync"


@dataclass(frozen=True, slots=True)
class WriteResult:
    """What a write did.

    Attributes:
        sequence: of the change; of the last one where there was nothing to do.
        durability: "sync": on disk, fsynced, when the call returned.
        added: documents that were not there before.
        replaced: documents that took the place of an older version.
        skipped: documents that were there already, exactly the same.
        deleted: documents deleted (or, in a dry run, that would be).
        ids: of the documents given, in their order.
        errors: documents left out, where the caller asked for the others to go in.
    """

    sequence: int
    durability: str = DURABILITY
    added: int = 0
    replaced: int = 0
    skipped: int = 0
    deleted: int = 0
    ids: tuple[str, ...] = ()
    errors: tuple[DocumentError, ...] = ()


@dataclass(frozen=True, slots=True)
class AppliedRows:
    """Rows of one vector field in a change: `documents` are places among the change's documents."""

    vectors: Vectors
    documents: Rows
    passages: Sequence[Passage | None] | None


@dataclass(slots=True)
class _Plan:
    """One `add`, after duplicates and unchanged documents are taken out."""

    kept: list[int]
    deleted: BitMap
    added: int = 0
    replaced: int = 0
    skipped: int = 0
    rows: dict[str, AppliedRows] = field(default_factory=dict)


class Collection:
    """Documents of one schema. Safe for many threads.

    `_write_lock` guards `_schema` and `_counters`: what the next write builds on. The published state (the head, the
    segments, what is deleted) belongs to `state`, which has a lock of its own.
    """

    def __init__(
        self,
        name: str,
        number: int,
        schema: Schema,
        store: Store,
        commits: CommitQueue,
        state: CollectionState,
    ) -> None:
        self.name = name
        self.number = number
        self._store = store
        self._commits = commits
        self._schema = schema
        self._counters = Counters()
        self._write_lock = threading.Lock()
        self._closed = False
        self.reader = state.reader
        self.state = state

    @property
    def schema(self) -> Schema:
        """The schema as of the newest snapshot."""
        return self.snapshot().schema

    def snapshot(self) -> Snapshot:
        """The collection as of the last acknowledged write.

        Raises:
            CollectionNotFoundError: it was dropped.
            DatabaseClosedError: the database was closed.
        """
        self._check_open()
        return self.state.snapshot

    def prepare(self, documents: Sequence[Any] | Batch) -> Batch:
        """Check and encode documents once: `check`, `text_fields`, `unchanged` and `add` take the result as well."""
        schema = self._schema
        if not isinstance(documents, Batch):
            return prepare(documents, schema)
        return documents if documents.base is schema else prepare(documents.with_ids(), schema)

    def check(self, documents: Sequence[Any] | Batch) -> list[DocumentError]:
        """Everything that `add` would refuse, one error a document; writes nothing."""
        return self.prepare(documents).errors

    def text_fields(self, documents: Sequence[Any] | Batch) -> list[str]:
        """The text fields that the schema would have after these documents."""
        grown = self.prepare(documents).schema
        return [name for name, spec in grown.fields.items() if spec.type is FieldType.TEXT]

    def unchanged(self, documents: Sequence[Mapping[str, Any]] | Batch) -> Mask:
        """Which documents are stored already, exactly the same, (n,) bool; never those that carry vectors."""
        self._check_open()
        batch = self.prepare(documents)
        same = np.zeros(len(batch), dtype=bool)
        if not batch.errors:
            self._commits.settle()  # what is called stored must be durable
            carrying = {int(i) for rows in batch.own_vectors.values() for i in rows.documents}
            known = self._stored_bodies(batch.ids)
            for i, (body, stored) in enumerate(zip(batch.bodies, known, strict=True)):
                same[i] = body == stored and i not in carrying
        return same

    def add(self, documents: Sequence[Any] | Batch, vectors: Mapping[str, VectorRows] | None = None) -> WriteResult:
        """Add or replace documents, all or nothing. On return they are on disk and found by the next search.

        Args:
            documents: each an object with an `id` (made if missing); of equal ids the last counts. A vector may
                stand under its field's name. What `prepare` made of them does as well.
            vectors: rows of vector fields, for the same documents.

        Raises:
            InvalidDocumentsError: naming every document that cannot be stored; nothing is written.
            InvalidInputError: the vectors do not fit.
        """
        if not len(documents):
            raise InvalidInputError("batch is empty: expected at least one document")
        batch = self.prepare(documents)
        with self._write_lock:
            self._check_open()
            batch = self.prepare(batch)  # again, if meanwhile another writer's batch made the schema grow
            if batch.errors:
                raise InvalidDocumentsError(tuple(batch.errors))
            rows, schema = check_rows(batch, vectors or {})
            plan = self._plan(batch, rows)
            if not plan.kept:
                self._commits.settle()  # the same documents may be another writer's, not yet durable
                return _result(self.state.snapshot.sequence, batch, plan)
            bodies = [batch.bodies[i] for i in plan.kept]
            self._write_pieces(bodies, plan.rows, schema)
            ids = [batch.ids[i] for i in plan.kept]
            sequence, wait = self._commit(ids, [], bodies, plan, schema)
        wait()
        return _result(sequence, batch, plan)

    def delete(
        self, *, ids: Sequence[str] | None = None, where: Filter | None = None, dry_run: bool = False
    ) -> WriteResult:
        """Delete documents by id or by filter.

        Args:
            ids: those that are not there are passed over.
            where: in place of `ids`.
            dry_run: only say how many.

        Raises:
            InvalidInputError: both or neither of `ids` and `where`.
        """
        if (ids is None) == (where is None):
            raise InvalidInputError("delete takes ids or a filter: got both or neither")
        if isinstance(ids, str):
            raise InvalidInputError("ids must be a list of strings: got=str")
        with self._write_lock:
            self._check_open()
            self._commits.settle()  # the filter must see every write that this one comes after
            snapshot = self.state.snapshot
            if where is not None:
                ids = snapshot.ids(snapshot.ordinals(where))
            wanted = list(dict.fromkeys(ids or ()))
            found = {id_: hit[0] for id_, hit in zip(wanted, self.reader.lookup(wanted), strict=True) if hit}
            if dry_run or not found:
                return WriteResult(snapshot.sequence, deleted=len(found))
            plan = _Plan([], BitMap(found.values()))
            sequence, wait = self._commit([], list(found), [], plan, self._schema)
        wait()
        return WriteResult(sequence, deleted=len(found))

    def optimize(self, *, wait: bool = True) -> None:
        """Seal the head and merge everything into one segment, dropping what is deleted.

        Args:
            wait: return when it is done; else it goes on in the background.
        """
        self._check_open()
        if wait:
            self.state.optimize()
        else:
            threading.Thread(target=self._optimize_quietly, name=f"optimize-{self.name}", daemon=True).start()

    def stats(self) -> dict[str, Any]:
        """Documents, rows, segments, and the bytes they take."""
        self._check_open()
        return {"documents": self.snapshot().count(), **self.state.stats()}

    def _optimize_quietly(self) -> None:
        try:
            self.state.optimize()
        except (DatabaseClosedError, CollectionNotFoundError):
            return  # closing or dropping stops it, and whoever closes knows
        except (EngineError, OSError) as error:
            log.warning("optimize.failed", extra={"collection": self.name, "reason": str(error)})

    def close(self) -> None:
        """Refuse further use; called by the database."""
        with self._write_lock:
            self._closed = True
        self.state.close()

    def drop(self, delete: Callable[[], None]) -> None:
        """Refuse further use once `delete` has taken it out of the store; called by the database.

        Raises:
            StorageError: from `delete`; the collection goes on as if nothing had been asked.
        """
        with self._write_lock, self.state.stopped():
            self._check_open()
            self.reader.dropped = True
            try:
                delete()
            except BaseException:
                self.reader.dropped = False
                raise
            self._closed = True

    def open(self, counters: Counters) -> None:
        """Take up the state that the store recorded; called by the database before the log is replayed."""
        self._counters = counters
        self.state.open(self._schema)

    def replay(self, change: Change) -> None:
        """Apply a change of the log again, from what the store holds."""
        schema = self._schema if change.schema is None else Schema.from_json(change.schema)
        ordinals = np.arange(change.first_ordinal, change.first_ordinal + change.documents, dtype=np.uint32)
        rows = {name: self._read_rows(schema, name, *span) for name, span in change.rows.items()}
        relative = {
            name: AppliedRows(r.vectors, r.documents - change.first_ordinal, r.passages) for name, r in rows.items()
        }
        self.state.apply(change, schema, self.reader.bodies(ordinals), relative)

    def _read_rows(self, schema: Schema, name: str, first: int, count: int) -> AppliedRows:
        vectors, ordinals, passages = read_vectors(self._store, self.number, schema, name, range(first, first + count))
        return AppliedRows(vectors, ordinals, passages)

    def _plan(self, batch: Batch, rows: Mapping[str, VectorRows]) -> _Plan:
        last = {id_: i for i, id_ in enumerate(batch.ids)}
        existing = self.reader.lookup(batch.ids)
        carrying = {int(i) for each in rows.values() for i in each.documents}
        candidates = [i for i, found in enumerate(existing) if found is not None and i not in carrying]
        stored = read_bodies(self._store, self.number, [(existing[i] or (0, 0))[0] for i in candidates])
        same = {i for i, body in zip(candidates, stored, strict=True) if body == batch.bodies[i]}
        kept = [i for i in range(len(batch.ids)) if last[batch.ids[i]] == i and i not in same]
        deleted = BitMap(found[0] for i in kept if (found := existing[i]) is not None)
        skipped = sum(1 for i in same if last[batch.ids[i]] == i)
        replaced = len(deleted) + len(batch.ids) - len(last)
        added = len(batch.ids) - skipped - replaced
        plan = _Plan(kept, deleted, added, replaced, skipped)
        place = np.full(len(batch.ids), -1, dtype=np.int64)
        place[kept] = np.arange(len(kept))
        for name, each in rows.items():
            documents = place[each.documents]
            chosen = np.flatnonzero(documents >= 0)
            if len(chosen):
                passages = None if each.passages is None else [each.passages[int(i)] for i in chosen]
                plan.rows[name] = AppliedRows(each.vectors[chosen], documents[chosen], passages)
        return plan

    def _write_pieces(self, bodies: Sequence[bytes], rows: Mapping[str, AppliedRows], schema: Schema) -> None:
        """Documents and vectors, under ordinals and rows that no reader can see yet."""
        first = self._counters.next_ordinal
        if first + len(bodies) > ORDINAL_MAX:
            raise InvalidInputError(f"collection is full: maximum={ORDINAL_MAX} document versions")
        pieces = self._store.batch()
        for i, body in enumerate(bodies):
            pieces.put(DOCUMENTS, keys.document_key(self.number, first + i), codec.encode_document(body))
            pieces.flush_if_large()
        for name, each in rows.items():
            self._write_vectors(pieces, list(schema.vectors).index(name), self._counters.next_rows.get(name, 0), each)
        pieces.flush()

    def _write_vectors(self, pieces: Pieces, place: int, first: int, rows: AppliedRows) -> None:
        data = rows.vectors.astype("<f4", copy=False).tobytes()
        size = 4 * rows.vectors.shape[1]
        passages = rows.passages or [None] * len(rows.vectors)
        ordinals = (rows.documents + self._counters.next_ordinal).tolist()
        for i, (ordinal, passage) in enumerate(zip(ordinals, passages, strict=True)):
            value = codec.encode_vector(data[i * size : (i + 1) * size], ordinal, passage)
            pieces.put(VECTORS, keys.vector_key(self.number, place, first + i), value)
            pieces.flush_if_large()

    def _commit(
        self, ids: list[str], gone: list[str], bodies: Sequence[bytes], plan: _Plan, schema: Schema
    ) -> tuple[int, Any]:
        """Write the committing batch; returns the sequence and what waits for durability. Holds the write lock."""
        grown = schema if schema is not self._schema else None
        counters = Counters(
            self._counters.next_ordinal + len(bodies),
            {**self._counters.next_rows, **{n: self._next_row(n) + len(r.vectors) for n, r in plan.rows.items()}},
        )
        spans = {name: (self._next_row(name), len(rows.vectors)) for name, rows in plan.rows.items()}
        change = Change(
            sequence=0,
            collection=self.number,
            first_ordinal=self._counters.next_ordinal,
            documents=len(bodies),
            deleted=plan.deleted.serialize(),
            rows=spans,
            schema=None if grown is None else grown.to_json(),
        )
        committed: list[Change] = []

        def write(sequence: int) -> None:
            committed.append(msgspec.structs.replace(change, sequence=sequence))
            batch = self._store.batch()
            for i, id_ in enumerate(ids):
                batch.put(IDS, keys.id_key(self.number, id_), codec.encode_id(change.first_ordinal + i, sequence))
            for id_ in gone:
                batch.delete(IDS, keys.id_key(self.number, id_))
            batch.put(LOG, keys.log_key(sequence), encode_change(committed[-1]))
            batch.put(SYSTEM, keys.SEQUENCE, b"%d" % sequence)
            batch.put(SYSTEM, keys.state_key(self.number), msgspec.json.encode(counters))
            if grown is not None:
                batch.put(SYSTEM, keys.meta_key(self.name), encode_meta(self.number, grown))
            self.reader.written = sequence
            batch.flush()
            self._counters, self._schema = counters, schema

        wait = self._commits.commit(write, lambda: self.state.apply(committed[-1], schema, bodies, plan.rows))
        return committed[-1].sequence, wait

    def _next_row(self, name: str) -> int:
        return self._counters.next_rows.get(name, 0)

    def _stored_bodies(self, ids: Sequence[str]) -> list[bytes | None]:
        found = self.reader.lookup(ids)
        bodies = iter(self.reader.bodies(np.array([hit[0] for hit in found if hit], dtype=np.uint32)))
        return [next(bodies) if hit else None for hit in found]

    def _check_open(self) -> None:
        if self._closed and self.reader.dropped:
            raise CollectionNotFoundError(self.name)
        if self._closed:
            raise DatabaseClosedError(f"database is closed: collection={self.name!r}")


def _result(sequence: int, batch: Batch, plan: _Plan) -> WriteResult:
    return WriteResult(sequence, added=plan.added, replaced=plan.replaced, skipped=plan.skipped, ids=tuple(batch.ids))
