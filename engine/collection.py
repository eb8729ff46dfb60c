"""A collection: writes go in here, and every write is applied the same way, now or when the log is replayed."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from pyroaring import BitMap

from engine.arrays import Mask, Ordinals
from engine.errors import (
    CollectionNotFoundError,
    DatabaseClosedError,
    DocumentError,
    EngineError,
    InvalidDocumentsError,
    InvalidInputError,
)
from engine.fields.filter import Filter
from engine.meta import Counters
from engine.schema import Embedding, FieldType, Schema
from engine.segments.garbage import delete_orphans
from engine.segments.state import CollectionState
from engine.snapshot import Snapshot
from engine.store.rocks import Store
from engine.writes.batch import Batch, VectorRows, check_rows, prepare
from engine.writes.change import Change
from engine.writes.combining import Combining
from engine.writes.commit import CommitQueue, Durability
from engine.writes.conditions import Conditions
from engine.writes.copying import Copied, keep_facts, read_copies, schema_for
from engine.writes.expiry import show
from engine.writes.idempotency import IdempotencyKey
from engine.writes.patching import apply_patches, check_patches
from engine.writes.plan import Plan, WriteResult
from engine.writes.writing import Writer, replay

log = logging.getLogger(__name__)

SWEEP_DOCUMENTS = 10_000  # expired documents that one write deletes


class Collection:
    """Documents of one schema. Safe for many threads.

    `_writers` guards `_writer`: what the next write builds on. The published state (the head, the segments, what
    is deleted) belongs to `state`, which has a lock of its own.
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
        self._writers = Combining()
        self._optimizing = threading.Lock()  # held by the optimization that runs in the background
        self._awaiting = threading.Lock()  # and this from asking for one until it begins
        self._writer = Writer(schema, store, commits, state, name, number)
        self._closed = False
        self.reader = state.reader
        self.state = state

    @property
    def schema(self) -> Schema:
        """The schema as of the newest snapshot."""
        return self.snapshot().schema

    def snapshot(self) -> Snapshot:
        """The collection as of the last acknowledged write, without what has expired.

        Raises:
            CollectionNotFoundError: it was dropped.
            DatabaseClosedError: the database was closed.
        """
        self._check_open()
        return show(self.state.snapshot, self._writer.clock)

    def prepare(self, documents: Sequence[Any] | Batch) -> Batch:
        """Check and encode documents once: `check`, `text_fields`, `unchanged` and `add` take the result as well.

        Raises:
            LimitExceededError: there are too many, or they are too large together.
        """
        schema = self._writer.schema
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

    def unchanged(
        self, documents: Sequence[Mapping[str, Any]] | Batch, durability: Durability = Durability.SYNC
    ) -> Mask:
        """Which documents `add` would skip, (n,) bool: stored already, exactly the same; none that carry vectors.

        What is called so is stored as durably as asked.
        """
        self._check_open()
        batch = self.prepare(documents)
        same = np.zeros(len(batch), dtype=bool)
        ttl = batch.schema.ttl
        if not batch.errors and (ttl is None or ttl.seconds is None):  # else adding it again renews it
            self._commits.settle(_durability(durability))  # what is called stored must be durable
            carrying = {int(i) for rows in batch.own_vectors.values() for i in rows.documents}
            pinned = self.state.snapshot  # from before the look-up: what that finds is not collected meanwhile
            known = self._writer.stored(batch.ids)
            del pinned
            for i, (id_, body) in enumerate(zip(batch.ids, batch.bodies, strict=True)):
                same[i] = id_ in known and known[id_].body == body and i not in carrying
        return same

    def add(
        self,
        documents: Sequence[Any] | Batch,
        vectors: Mapping[str, VectorRows] | None = None,
        *,
        insert: bool = False,
        conditions: Conditions | None = None,
        durability: Durability = Durability.SYNC,
        key: IdempotencyKey | None = None,
        made_for: Mapping[str, Embedding] | None = None,
    ) -> WriteResult:
        """Add or replace documents, all or nothing. On return they are found by the next search, and on disk.

        Args:
            documents: each an object with an `id` (made if missing); of equal ids the last counts. A vector may
                stand under its field's name. What `prepare` made of them does as well.
            vectors: rows of vector fields, for the same documents.
            insert: none of the documents may be there, and no id may be given twice.
            conditions: what must hold of the stored documents.
            durability: what must hold on return.
            key: under which this write happens once, however often it is sent.
            made_for: how the collection embedded text when the vectors were made.

        Raises:
            EmbeddingChangedError: it embeds text otherwise now; nothing is written.
            InvalidDocumentsError: naming every document that cannot be stored; nothing is written.
            InvalidInputError: the vectors do not fit.
            DocumentExistsError: documents to insert are there.
            ConditionFailedError: a condition does not hold.
            IdempotencyConflictError: the key was used for another request.
            LimitExceededError: there are too many, or they are too large together.
        """
        if not len(documents):
            raise InvalidInputError("batch is empty: expected at least one document")
        batch = self.prepare(documents)

        def plan() -> Plan:
            self._writer.check_embedding(made_for)
            current = self.prepare(batch)  # again, if meanwhile another writer's batch made the schema grow
            if current.errors:
                raise InvalidDocumentsError(tuple(current.errors))
            rows, schema = check_rows(current, vectors or {})
            if insert or conditions is not None:
                stored = self._writer.stored_for(current.ids, conditions)
                self._writer.check(conditions, current.ids, stored, insert=insert)
            return self._writer.plan(current, rows, schema)

        return self._committed(plan, durability, key)

    def patch(
        self,
        patches: Sequence[Mapping[str, Any]],
        vectors: Mapping[str, VectorRows] | None = None,
        *,
        conditions: Conditions | None = None,
        durability: Durability = Durability.SYNC,
        key: IdempotencyKey | None = None,
        made_for: Mapping[str, Embedding] | None = None,
    ) -> WriteResult:
        """Change some keys of documents, all or nothing, by JSON Merge Patch (RFC 7396).

        Args:
            patches: each an object with the `id` of a document that is there; null removes a key. Several of one
                document are applied in their order. Documents that they do not change are skipped.
            vectors: rows of vector fields, for the documents of the same patches, in place of all that the document
                has in that field. Vectors of fields that are neither here nor in a patch are kept, with their passages.
            conditions: as `add`.
            durability: likewise.
            key: likewise.
            made_for: likewise.

        Raises:
            DocumentsNotFoundError: naming every patch whose document is not there; nothing is written.
            InvalidDocumentsError: naming every patch that makes what cannot be stored; nothing is written.
            InvalidInputError, ConditionFailedError, IdempotencyConflictError, LimitExceededError: as `add`.
        """
        ids = check_patches(patches)

        def plan() -> Plan:
            self._writer.check_embedding(made_for)
            stored = self._writer.stored_for(ids, conditions)
            try:
                patched = apply_patches(patches, stored)
            except InvalidDocumentsError:
                self._commits.settle()  # what is called absent must be so durably
                raise
            self._writer.check(conditions, ids, stored)
            return self._writer.plan_patches(patched, stored, vectors or {})

        return self._committed(plan, durability, key)

    def delete(
        self,
        *,
        ids: Sequence[str] | None = None,
        where: Filter | None = None,
        dry_run: bool = False,
        conditions: Conditions | None = None,
        durability: Durability = Durability.SYNC,
        key: IdempotencyKey | None = None,
    ) -> WriteResult:
        """Delete documents by id or by filter, all or nothing.

        All of it is committed at once, during which no other thread runs: about 0.3 s for a million documents. Who
        deletes as many, and does not need that, asks for parts of them.

        Args:
            ids: those that are not there are passed over.
            where: in place of `ids`.
            dry_run: only say how many.
            conditions: as `add`.
            durability: likewise.
            key: likewise.

        Raises:
            InvalidInputError: both or neither of `ids` and `where`.
            ConditionFailedError, IdempotencyConflictError: as `add`.
        """
        if (ids is None) == (where is None):
            raise InvalidInputError("delete takes ids or a filter: got both or neither")
        if isinstance(ids, str):
            raise InvalidInputError("ids must be a list of strings: got=str")
        given = _durability(durability)

        def plan() -> Plan:
            wanted = list(ids or ())
            if where is not None:
                self._commits.settle(given)  # the filter must see every write that this one comes after
                snapshot = self.snapshot()
                wanted = snapshot.ids(snapshot.ordinals(where))
            if conditions is not None:
                self._writer.check(conditions, wanted, self._writer.stored_for(wanted, conditions))
            return self._writer.plan_deletion(wanted)

        if not dry_run:
            return self._committed(plan, given, key)
        with self._writers.alone():
            self._check_open()
            result = plan().result
            self._commits.settle(given)
        return result

    def describe(self, said: Mapping[str, Any]) -> Schema:
        """Say what the collection and its fields are about; durable when it returns. See `Schema.described`.

        Raises:
            SchemaError: it is malformed, or a field does not exist.
        """

        def plan() -> Plan:
            known = self._writer.schema
            described = known.described(said)
            return Plan(described, WriteResult(self.state.sequence), describes=described != known)

        self._committed(plan, Durability.SYNC, None)
        return self.schema

    def _committed(self, plan: Callable[[], Plan], durability: str, key: IdempotencyKey | None) -> WriteResult:
        """Plan a write while nobody else writes, unless it was done under its key; write it; wait until it holds."""
        asked = _durability(durability)

        def write() -> tuple[WriteResult, Callable[[], None]]:
            self._check_open()
            if key is not None and (earlier := self._writer.find(key)):
                return earlier, _nothing
            return self._writer.write(plan(), asked, key)

        return self._writers.submit(write)

    def now(self) -> int:
        """The time by which documents expire, in microseconds since 1970."""
        return self._writer.clock.now()

    def replayed(self, key: IdempotencyKey) -> WriteResult | None:
        """What became of the write under that key; None where there was none.

        Raises:
            IdempotencyConflictError: the key was used for another request.
        """
        with self._writers.alone():
            self._check_open()
            return self._writer.find(key)

    def remember(self, key: IdempotencyKey, *, durability: Durability = Durability.SYNC) -> WriteResult:
        """Keep under a key that a request came to nothing, so that a replay of it answers so too.

        Raises:
            IdempotencyConflictError: the key was used for another request.
        """
        return self._committed(lambda: Plan(self._writer.schema, WriteResult(self.state.sequence)), durability, key)

    def tidy(self) -> bool:
        """Delete documents that have expired, and idempotency records that are old; whether there were any.

        Called by the database now and then.
        """
        old = self._writer.records.old()
        expired = bool(self.snapshot().hidden)
        if not old and not expired:
            return False

        def plan() -> Plan:
            self._writer.records.drop(old)
            self._commits.settle(Durability.NONE)
            snapshot = self.snapshot()
            ordinals = np.array(snapshot.hidden, dtype=np.uint32)[:SWEEP_DOCUMENTS]
            result = WriteResult(snapshot.sequence, deleted=len(ordinals))
            deleted = BitMap(ordinals.tolist())
            return Plan(self._writer.schema, result, deleted=deleted, gone=snapshot.ids(ordinals))

        self._committed(plan, Durability.NONE, None)
        return True

    def copies(self, snapshot: Snapshot, ordinals: Ordinals, fields: Sequence[str]) -> Copied:
        """Documents of a snapshot as `take` has them, with the vectors of some fields."""
        self._check_open()
        return read_copies(snapshot, ordinals, fields, self._store, self.number)

    def take(self, copied: Copied, vectors: Mapping[str, VectorRows]) -> None:
        """Add or replace documents of another collection, with their versions and expiry; durable with the next sync.

        Args:
            copied: the documents.
            vectors: theirs, by vector field.

        Raises:
            InvalidDocumentsError: they do not fit this collection.
            InvalidInputError: the vectors do not.
        """

        def plan() -> Plan:
            current = prepare(copied.documents, schema_for(copied, self._writer.schema))
            if current.errors:
                raise InvalidDocumentsError(tuple(current.errors))
            rows, schema = check_rows(current, vectors)
            made = self._writer.plan(current, rows, schema, touched=set(range(len(current.ids))))
            keep_facts(made, copied)
            return made

        self._committed(plan, Durability.NONE, None)

    def exchange(self, other: Collection, finish: Callable[[], None], write: Callable[[], None]) -> None:
        """Become what `other` is, and the reverse, names left aside; called by the database.

        Args:
            other: of the same database.
            finish: called when nobody can write to this one any more; may write to `other`.
            write: records it; if it raises, nothing has changed.
        """
        with self._writers.alone():
            self._check_open()
            self._commits.settle()
            finish()
            with other._writers.alone():
                other._check_open()
                self._commits.settle()
                write()
                mine = self.number, self._writer, self.reader, self.state
                self.number, self._writer, self.reader, self.state = (
                    other.number, other._writer, other.reader, other.state
                )  # fmt: skip
                other.number, other._writer, other.reader, other.state = mine
                for each in (self, other):
                    each._writer.rename(each.name)  # noqa: SLF001

    def optimize(self, *, wait: bool = True) -> None:
        """Seal the head and merge everything into one segment, dropping what is deleted.

        Args:
            wait: return when it is done; else it goes on in the background, where at most one waits behind another.
        """
        self._check_open()
        if wait:
            self.state.optimize()
        elif self._awaiting.acquire(blocking=False):  # else one is waiting to begin: it will do
            threading.Thread(target=self._optimize_quietly, name=f"optimize-{self.name}", daemon=True).start()

    def stats(self) -> dict[str, Any]:
        """Documents, rows, segments, and the bytes they take."""
        self._check_open()
        return {"documents": self.snapshot().count(), **self.state.stats()}

    def _optimize_quietly(self) -> None:
        try:
            with self._optimizing:
                self._awaiting.release()  # what is written from here on may need another
                self.state.optimize()
        except (DatabaseClosedError, CollectionNotFoundError):
            return  # closing or dropping stops it, and whoever closes knows
        except (EngineError, OSError) as error:
            log.warning("optimize.failed", extra={"collection": self.name, "reason": str(error)})

    def close(self) -> None:
        """Refuse further use; called by the database."""
        with self._writers.alone():
            self._closed = True
        self.state.close()

    @contextmanager
    def paused(self) -> Iterator[Snapshot]:
        """Nobody writes meanwhile, and all that was written is in the snapshot, expired or not."""
        with self._writers.alone():
            self._check_open()
            self._commits.settle(Durability.NONE)
            yield self.state.snapshot

    def forked(self) -> None:
        """In a forked child: refuse further use. Whoever held the lock stayed with the parent."""
        self._closed = True
        self._writers = Combining()
        if self.state.text is not None:
            self.state.text.abandon()

    def drop(self, delete: Callable[[], None]) -> None:
        """Refuse further use once `delete` has taken it out of the store; called by the database.

        Raises:
            StorageError: from `delete`; the collection goes on as if nothing had been asked.
        """
        with self._writers.alone(), self.state.stopped():
            self._check_open()
            self.reader.dropped = True
            try:
                delete()
            except BaseException:
                self.reader.dropped = False
                raise
            self._closed = True

    def remove_orphans(self) -> None:
        """Delete from the store what writes left there that never came to their commit, and find untracked garbage."""
        with self._writers.alone():
            self._check_open()
            self._commits.settle()
            counters = self._writer.counters
            delete_orphans(self._store, self.number, self._writer.schema, counters.next_ordinal, counters.next_rows)
            self.state.track_garbage(counters)

    def forget_absent(self) -> None:
        """Take the ids of documents that are no more out of what is kept under idempotency keys."""
        for found in self._writer.records.naming(self._writer.absent):
            with self._writers.alone():
                self._check_open()
                self._writer.records.replace(*found)

    def open(self, counters: Counters) -> None:
        """Take up the state that the store recorded; called by the database before the log is replayed."""
        self._writer.counters = counters
        self.state.open(self._writer.schema)

    def replay(self, change: Change) -> None:
        """Apply a change of the log again, from what the store holds."""
        replay(change, self._writer.schema, self._store, self.state)

    def _check_open(self) -> None:
        if self._closed and self.reader.dropped:
            raise CollectionNotFoundError(self.name)
        self._store.check_not_abandoned()
        if self._closed:
            raise DatabaseClosedError(f"database is closed: collection={self.name!r}")


def _nothing() -> None:
    pass


def _durability(given: str) -> Durability:
    try:
        return Durability(given)
    except ValueError as error:
        known = ", ".join(Durability)
        raise InvalidInputError(f"durability must be one of {known}: got={given!r:.40}") from error
