"""One write of a collection: what of it is new, its pieces in the store, and the batch that commits it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet

import msgspec
import numpy as np
from pyroaring import BitMap

from engine import failpoints
from engine.document import Stored
from engine.errors import EmbeddingChangedError, InvalidDocumentsError, InvalidInputError
from engine.meta import Counters, encode_meta
from engine.schema import ID, Embedding, Schema
from engine.segments.sources import read_bodies, read_documents, read_vectors
from engine.segments.state import CollectionState
from engine.store import codec, keys
from engine.store.pieces import Pieces
from engine.store.rocks import DOCUMENTS, IDS, LOG, SYSTEM, VECTORS, Store
from engine.writes.batch import Batch, VectorRows, check_rows, prepare
from engine.writes.change import Change, encode_change
from engine.writes.commit import CommitQueue, Durability
from engine.writes.conditions import Conditions, check_absent, check_conditions
from engine.writes.expiry import Microseconds, expiry_after
from engine.writes.idempotency import IdempotencyKey, IdempotencyRecords
from engine.writes.patching import Patched, carry_vectors
from engine.writes.plan import ADDED, AppliedRows, Plan, WriteResult, counted, kept_rows, renews, statuses_of

ORDINAL_MAX = 2**32 - 2


class Writer:
    """What the next write of a collection builds on. Guarded by the write lock of its `Collection`.

    Attributes:
        schema: as of the last write.
        counters: likewise.
    """

    def __init__(
        self, schema: Schema, store: Store, commits: CommitQueue, state: CollectionState, name: str, number: int
    ) -> None:
        self.schema = schema
        self.counters = Counters()
        self.clock = commits.clock
        self.records = IdempotencyRecords(store, number)
        self._store = store
        self._commits = commits
        self._state = state
        self._reader = state.reader
        self._name = name
        self._number = number

    def stored(self, ids: Sequence[str]) -> dict[str, Stored]:
        """The documents that are there, of those with these ids; what has expired is not."""
        hits = [(id_, *hit) for id_, hit in zip(ids, self._reader.lookup(ids), strict=True) if hit]
        bodies, expires = read_documents(self._store, self._number, [ordinal for _, ordinal, _ in hits])
        now = self.clock.now()
        return {
            id_: Stored(ordinal, version, body)
            for i, ((id_, ordinal, version), body) in enumerate(zip(hits, bodies, strict=True))
            if expires is None or expires[i] > now
        }

    def rename(self, name: str) -> None:
        """Write under another name from here on."""
        self._name = name

    def check_embedding(self, made_for: Mapping[str, Embedding] | None) -> None:
        """Refuse vectors that were made for another schema than there is now.

        Raises:
            EmbeddingChangedError: they were.
        """
        if made_for is not None and made_for != self.schema.embed:
            raise EmbeddingChangedError(f"collection is embedded by another model now: collection={self._name!r}")

    def absent(self, ids: Sequence[str]) -> set[str]:
        """Those of these ids that no document has."""
        return {id_ for id_, hit in zip(ids, self._reader.lookup(ids), strict=True) if hit is None}

    def find(self, key: IdempotencyKey) -> WriteResult | None:
        """What became of the write under that key, durably; None where there was none.

        Raises:
            IdempotencyConflictError: the key was used for another request.
        """
        record = self.records.find(key)
        if record is None:
            return None
        self._commits.settle()  # it may be of a write that is not yet durable
        return WriteResult.from_record(record)

    def stored_for(self, ids: Sequence[str], conditions: Conditions | None) -> dict[str, Stored]:
        """The documents of a write, and of its conditions, that are there."""
        named = () if conditions is None else conditions.if_version or ()
        return self.stored(list(dict.fromkeys([*ids, *named])))

    def check(
        self, conditions: Conditions | None, ids: Sequence[str], stored: Mapping[str, Stored], *, insert: bool = False
    ) -> None:
        """Compare what is stored with what must hold for a write.

        Raises:
            DocumentExistsError: documents to insert are there.
            ConditionFailedError: a condition does not hold.
        """
        try:
            if insert:
                check_absent(ids, stored)
            if conditions is not None:
                check_conditions(conditions, ids, stored, self.schema, self._reader)
        except InvalidDocumentsError:
            self._commits.settle()  # what the error says must be so durably
            raise

    def plan(
        self, batch: Batch, rows: Mapping[str, VectorRows], schema: Schema, touched: AbstractSet[int] = frozenset()
    ) -> Plan:
        """What of a batch is to be written: of equal ids the last, unless it is stored already, exactly the same.

        Args:
            batch: without errors.
            rows: of its vector fields, checked.
            schema: that holds both.
            touched: places of documents that are to be written also where they are the same.
        """
        last = {id_: i for i, id_ in enumerate(batch.ids)}
        existing = self._reader.lookup(batch.ids)
        if len(last) == len(existing) == existing.count(None):  # all are new, as most batches are
            kept, statuses, there = list(range(len(last))), [ADDED] * len(last), {}
        else:
            absent = self._expired(existing)
            same = set() if renews(schema) else self._same(batch, rows, existing, absent) - touched
            kept = [i for i, id_ in enumerate(batch.ids) if i not in same and last[id_] == i]
            statuses = statuses_of([last[id_] == i for i, id_ in enumerate(batch.ids)], existing, absent, same)
            there = {batch.ids[i]: found[0] for i in kept if (found := existing[i]) is not None}
        return Plan(
            schema,
            counted(self._state.sequence, batch.ids, statuses),
            [batch.ids[i] for i in kept],
            [batch.bodies[i] for i in kept],
            self._expires(batch, kept, schema),
            kept_rows(rows, kept, len(batch.ids)) if rows else {},
            BitMap(there.values()),
            list(there),
        )

    def plan_patches(self, patched: Patched, stored: Mapping[str, Stored], vectors: Mapping[str, VectorRows]) -> Plan:
        """What of patched documents is to be written.

        Args:
            patched: the documents.
            stored: those before.
            vectors: that came beside the patches.

        Raises:
            InvalidDocumentsError: naming every patch that makes what cannot be stored.
            InvalidInputError: the vectors do not fit.
        """
        batch = prepare(patched.documents, self.schema)
        if batch.errors:
            raise InvalidDocumentsError(patched.errors(batch.errors))
        rows, schema = check_rows(batch, patched.rows(vectors))
        touched: AbstractSet[int] = frozenset()
        if self.schema.vectors:
            if max(stored[id_].version for id_ in patched.ids) > self._state.sequence:
                self._commits.settle(Durability.NONE)  # rows are found through the snapshot
            changed = {i for i, body in enumerate(batch.bodies) if body != stored[batch.ids[i]].body or renews(schema)}
            snapshot = self._state.snapshot
            carried = carry_vectors(patched, rows, changed, stored, snapshot, self._store, self._number)
            rows, touched = carried.rows, carried.dropped
        plan = self.plan(batch, rows, schema, touched)
        statuses = [plan.result.statuses[i] for i in patched.place]
        plan.result = counted(plan.result.sequence, [patch[ID] for patch in patched.patches], statuses)
        return plan

    def plan_deletion(self, ids: Sequence[str]) -> Plan:
        """What of these documents is there to be deleted."""
        wanted = list(dict.fromkeys(ids))
        hits = self._reader.lookup(wanted)
        absent = self._expired(hits)
        found = {id_: hit[0] for id_, hit in zip(wanted, hits, strict=True) if hit and hit[0] not in absent}
        result = WriteResult(self._state.sequence, deleted=len(found))
        return Plan(self.schema, result, deleted=BitMap(found.values()), gone=list(found))

    def write(
        self, plan: Plan, durability: Durability, key: IdempotencyKey | None
    ) -> tuple[WriteResult, Callable[[], None]]:
        """Write a plan into the store, if it changes anything or has a key.

        Returns:
            What it did, and what waits until that is as durable as asked, and published.
        """
        if plan.empty and key is None:
            self._commits.settle(durability)  # what it found the same may be another writer's, not yet durable
            return plan.result.at(plan.result.sequence, durability), _nothing
        failpoints.hit("write.before_pieces")
        pieces = self._write_pieces(plan)
        failpoints.hit("write.after_pieces")
        return self._commit(plan, pieces, durability, key)

    def _same(
        self,
        batch: Batch,
        rows: Mapping[str, VectorRows],
        existing: Sequence[tuple[int, int] | None],
        absent: set[int],
    ) -> set[int]:
        """Places of the documents that are stored exactly so, and come without vectors."""
        carrying = {int(i) for each in rows.values() for i in each.documents}
        there = {i: hit[0] for i, hit in enumerate(existing) if hit is not None and i not in carrying}
        candidates = [i for i, ordinal in there.items() if ordinal not in absent]
        bodies = read_bodies(self._store, self._number, [there[i] for i in candidates])
        return {i for i, body in zip(candidates, bodies, strict=True) if body == batch.bodies[i]}

    def _expired(self, hits: Sequence[tuple[int, int] | None]) -> set[int]:
        """Ordinals, of those found, whose documents have expired."""
        ordinals = [] if self.schema.ttl is None else [hit[0] for hit in hits if hit is not None]
        _, expires = read_documents(self._store, self._number, ordinals) if ordinals else ([], None)
        if expires is None:
            return set()
        now = self.clock.now()
        return {ordinal for ordinal, moment in zip(ordinals, expires.tolist(), strict=True) if moment <= now}

    def _expires(self, batch: Batch, kept: Sequence[int], schema: Schema) -> Microseconds | None:
        if schema.ttl is None:
            return None
        if schema.ttl.seconds is not None:
            return np.full(len(kept), expiry_after(schema.ttl, self.clock.now()), dtype=np.int64)
        expires = np.array([batch.expires[i] for i in kept], dtype=np.int64)
        return expires if (expires != codec.NEVER).any() else None

    def _write_pieces(self, plan: Plan) -> Pieces:
        """Documents and vectors, under ordinals and rows that no reader can see yet.

        Returns:
            The last of them, where they are few: it is cheaper to write them with the committing batch.
        """
        first = self.counters.next_ordinal
        if first + len(plan.bodies) > ORDINAL_MAX:
            raise InvalidInputError(f"collection is full: maximum={ORDINAL_MAX} document versions")
        pieces = self._store.batch()
        expires = [codec.NEVER] * len(plan.bodies) if plan.expires is None else plan.expires.tolist()
        for i, body in enumerate(plan.bodies):
            pieces.put(DOCUMENTS, keys.document_key(self._number, first + i), codec.encode_document(body, expires[i]))
            pieces.flush_if_large()
        for name, each in plan.rows.items():
            self._write_vectors(pieces, list(plan.schema.vectors).index(name), self._next_row(name), each)
        pieces.flush_unless_small()
        return pieces

    def _write_vectors(self, pieces: Pieces, place: int, first: int, rows: AppliedRows) -> None:
        data = rows.vectors.astype("<f4", copy=False).tobytes()
        size = 4 * rows.vectors.shape[1]
        passages = rows.passages or [None] * len(rows.vectors)
        ordinals = (rows.documents + self.counters.next_ordinal).tolist()
        for i, (ordinal, passage) in enumerate(zip(ordinals, passages, strict=True)):
            value = codec.encode_vector(data[i * size : (i + 1) * size], ordinal, passage)
            pieces.put(VECTORS, keys.vector_key(self._number, place, first + i), value)
            pieces.flush_if_large()

    def _commit(
        self, plan: Plan, batch: Pieces, durability: Durability, key: IdempotencyKey | None
    ) -> tuple[WriteResult, Callable[[], None]]:
        """Write the committing batch, which may hold documents and vectors already."""
        grown = plan.schema if plan.schema is not self.schema else None
        next_rows = {name: self._next_row(name) + len(rows.vectors) for name, rows in plan.rows.items()}
        counters = Counters(self.counters.next_ordinal + len(plan.bodies), {**self.counters.next_rows, **next_rows})
        change = Change(
            sequence=0,
            collection=self._number,
            first_ordinal=self.counters.next_ordinal,
            documents=len(plan.bodies),
            deleted=plan.deleted.serialize(),
            rows={name: (self._next_row(name), len(rows.vectors)) for name, rows in plan.rows.items()},
            schema=None if grown is None else grown.to_json(),
            gone=plan.gone,
        )
        committed: list[Change] = []
        results: list[WriteResult] = []

        def write(sequence: int) -> None:
            committed.append(msgspec.structs.replace(change, sequence=sequence))
            results.append(plan.result.at(sequence, durability))
            for i, id_ in enumerate(plan.ids):
                version = sequence if plan.versions is None else plan.versions[i]
                batch.put(IDS, keys.id_key(self._number, id_), codec.encode_id(change.first_ordinal + i, version))
            for id_ in plan.gone:
                batch.delete(IDS, keys.id_key(self._number, id_))
            batch.put(LOG, keys.log_key(sequence), encode_change(committed[-1]))
            batch.put(SYSTEM, keys.SEQUENCE, b"%d" % sequence)
            batch.put(SYSTEM, keys.state_key(self._number), msgspec.json.encode(counters))
            if grown is not None:
                batch.put(SYSTEM, keys.meta_key(self._name), encode_meta(self._number, grown))
            if key is not None:
                self.records.put(batch, key, results[-1].to_record(key.context))
            self._reader.writing(sequence, [*plan.replaced, *plan.gone], self._state.sequence)
            batch.flush()
            self.counters, self.schema = counters, plan.schema

        def publish() -> None:
            self._state.apply(committed[-1], plan.schema, plan.bodies, plan.rows, plan.expires)

        wait = self._commits.commit(write, publish, durability)

        def finish() -> None:
            wait()
            self._state.code_head()

        return results[-1], finish

    def _next_row(self, name: str) -> int:
        return self.counters.next_rows.get(name, 0)


def replay(change: Change, schema: Schema, store: Store, state: CollectionState) -> None:
    """Apply a change of the log again, from what the store holds.

    Args:
        change: of the log.
        schema: of the collection, where the change has none.
        store: holds its documents and vectors.
        state: takes it in.
    """
    if change.schema is not None:
        schema = Schema.from_json(change.schema)
    ordinals = np.arange(change.first_ordinal, change.first_ordinal + change.documents, dtype=np.uint32)
    rows = {}
    for name, (first, count) in change.rows.items():
        numbers = range(first, first + count)
        vectors, owners, passages = read_vectors(store, change.collection, schema, name, numbers)
        rows[name] = AppliedRows(vectors, owners - change.first_ordinal, passages)
    bodies, expires = read_documents(store, change.collection, ordinals)
    state.apply(change, schema, bodies, rows, expires)


def _nothing() -> None:
    """What is waited for where nothing was written."""
