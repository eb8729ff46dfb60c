"""The derived state of one collection: segments, head, what is deleted; how changes enter it, and how it is tidied.

`apply` is the only way in, for a write just committed as for one replayed from the log. `seal` turns the head into a
segment, `merge` joins small segments; both build files aside and then swap them in. What they leave out is garbage: the
manifest names it from the same batch on, and `collect` deletes it from the store once no snapshot shows it any more.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from pyroaring import BitMap

from engine import failpoints
from engine.errors import CollectionNotFoundError, DatabaseClosedError
from engine.memory import GIVE_BACK_BYTES, MaskCache, give_back
from engine.meta import Counters
from engine.schema import Schema
from engine.segments import figures
from engine.segments.coding import code_head, code_rest, wants_coding
from engine.segments.dropped import Dropped
from engine.segments.files import SegmentFiles
from engine.segments.garbage import Garbage, delete_garbage
from engine.segments.head import Head, HeadView
from engine.segments.manifest import EMPTY, Manifest, decode_manifest, encode_manifest
from engine.segments.part import Part, live_mask
from engine.segments.segment import Segment
from engine.segments.sources import StoreReader
from engine.segments.text import CollectionText
from engine.segments.texts import text_languages
from engine.segments.tiers import DEAD_SHARE_MAX, choose_run, first_run
from engine.segments.vectors import SegmentVectors
from engine.snapshot import Snapshot
from engine.store import keys
from engine.store.rocks import SYSTEM, Store
from engine.vector.index import BuildStoppedError
from engine.vector.progress import Jobs
from engine.writes.change import Change

if TYPE_CHECKING:
    from engine.vector.coded import CodedVectors
    from engine.writes.expiry import Microseconds
    from engine.writes.plan import AppliedRows

log = logging.getLogger(__name__)

SEAL_BYTES = 64 * 1024 * 1024  # of documents in the head
SEAL_DOCUMENTS = 16_384
CODED_ROWS = 4  # times as many rows may wait in a head that is searched by codes: fewer parts, each costs 60 µs a query
REST_ROUNDS = 4  # to code what is written while the rest of a head is coded, before it is shown
IDLE_SECONDS = 1.0
IDLE_DOCUMENTS = 256  # a smaller head costs neither searches nor reopening anything worth a file
LAG_CHANGES = 10_000  # a head that holds back this much of the log is sealed however small
COMPACT_DOCUMENTS_MIN = 4096  # so many deleted are worth compacting the store's files,
COMPACT_SHARE = 0.1  # and so many for each that lives


@dataclass(frozen=True, slots=True)
class _Sealed:
    """What a seal covers: the log up to `sequence`, what had ceased to be by then, and the head's first `size`.

    `rest` are codes of what is left of the head, where that is much.
    """

    sequence: int
    deleted: BitMap
    size: int
    rest: Mapping[str, CodedVectors] = field(default_factory=dict)


class CollectionState:
    """What snapshots are made of.

    `sequence` is that of the last change taken in. `_lock` guards the published state and is held for moments only.
    One seal runs at a time under `_sealing`, one merge or collection of garbage under `_merging`: a seal waits for no
    merge. Their results enter one by one under `_swapping`, which is held while a manifest is written. They are taken
    in this order: sealing or merging, swapping, lock. One thread at a time gives the head codes, under `_coding`;
    others pass by.
    """

    def __init__(
        self,
        name: str,
        number: int,
        schema: Schema,
        store: Store,
        directory: Path,
        seal_rows: int,
        masks: MaskCache | None = None,
        text: CollectionText | None = None,
    ) -> None:
        self._name = name
        self._number = number
        self._store = store
        self.reader = StoreReader(store, number, name)
        self._seal_rows = seal_rows
        self._masks = MaskCache() if masks is None else masks
        self.text = text
        self._schema = schema
        self._lock = threading.Lock()
        self._sealing = threading.Lock()
        self._merging = threading.Lock()
        self._swapping = threading.Lock()
        self._coding = threading.Lock()
        self._jobs = Jobs()
        self._done = {"seal": (0, 0.0), "merge": (0, 0.0)}  # how many, and seconds in all
        self._stopping = threading.Event()
        self._dropping = False
        self.files = SegmentFiles(name, directory, store, number, self.reader, self._stopping.is_set)
        self._dropped = Dropped()
        self._head = Head()
        self._segments: tuple[Segment, ...] = ()
        self._deleted = BitMap()
        self._manifest = EMPTY
        self._unsealed: deque[int] = deque()
        self._changed_at = time.monotonic()
        self.sequence = 0
        self._snapshot: Snapshot | None = None

    def open(self, schema: Schema) -> None:
        """Load what the manifest names; a damaged segment is built again from the store.

        Raises:
            SegmentDamagedError: in a reader, unless `files.rebuilds_in` says where.
        """
        value = self._store.get(SYSTEM, keys.manifest_key(self._number))
        self._manifest = decode_manifest(value) if value else EMPTY
        self._schema = schema
        self.files.next_number = self._manifest.next_segment
        if not self._store.read_only:
            self.files.remove_strays(self._manifest.segments)
        self._segments = tuple(self.files.load(entry, schema) for entry in self._manifest.segments)
        if self.builds and not self._store.read_only:  # the manifest names other files than were built again
            entries = [segment.entry for segment in self._segments]
            self._manifest = msgspec.structs.replace(self._manifest, segments=entries)
            self._record(self._manifest)
        self._deleted = BitMap.deserialize(self._manifest.deleted)
        self.sequence = self._manifest.sequence
        self._dropped.start(Garbage.of(self._manifest))
        self._snapshot = None

    @property
    def builds(self) -> int:
        """Segments built since it was opened."""
        return self.files.builds

    @property
    def covered(self) -> int:
        """Every change of this collection up to here is in its segments."""
        return self._manifest.sequence

    @property
    def needs_after(self) -> int | None:
        """It needs the log's changes after this one, to be opened again; None where it needs none."""
        with self._lock:
            return self._unsealed[0] - 1 if self._unsealed else None

    def apply(
        self,
        change: Change,
        schema: Schema,
        bodies: Sequence[bytes],
        rows: Mapping[str, AppliedRows],
        expires: Microseconds | None = None,
    ) -> None:
        """Take a committed change in and publish the snapshot that shows it."""
        with self._lock:
            base = len(self._head)
            self._head.append(change.first_ordinal, bodies, expires)
            for name, each in rows.items():
                growing = self._head.append_vectors(name, schema.vectors[name])
                first, count = change.rows[name]
                numbers = np.arange(first, first + count, dtype=np.uint32)
                growing.append(numbers, each.vectors, base + each.documents, each.passages)
            deleted = change.deleted_ordinals()
            if deleted:
                self._deleted = self._deleted | deleted
            self._schema = schema
            self.sequence = change.sequence
            self._unsealed.append(change.sequence)
            self._changed_at = time.monotonic()
            self._snapshot = None

    def code_head(self) -> None:
        """Give a large head codes to be searched by; for who writes, after the commit, so that nobody outruns it."""
        if not wants_coding(self._head, self._segments) or not self._coding.acquire(blocking=False):
            return  # or another writer is at it
        try:
            with self._lock:
                head, segments = self._head, self._segments
                view = head.view()
            codes = code_head(head, view, segments, self._stopping.is_set)
            with self._lock:
                if codes and head is self._head:
                    for name, each in codes.items():
                        head.vectors[name].take_codes(each, len(view.vector_parts()[name].vectors))
                    self._snapshot = None
        except BuildStoppedError:
            return  # it is being closed or dropped
        except (RuntimeError, MemoryError) as error:  # of FAISS; what was written is written, and compared with exactly
            log.warning("head.not_coded", extra={"collection": self._name, "reason": str(error)})
        finally:
            self._coding.release()

    def wants_seal(self, sequence: int) -> bool:
        """Whether the head should be sealed now; `sequence` is the database's."""
        head = self._head
        rows_max = self._seal_rows * (CODED_ROWS if head.is_coded() else 1)
        if head.rows() >= rows_max or len(head) >= SEAL_DOCUMENTS or head.bytes >= SEAL_BYTES:
            return True
        idle = time.monotonic() - self._changed_at >= IDLE_SECONDS and len(head) >= IDLE_DOCUMENTS
        after = self.needs_after
        return idle or (after is not None and sequence - after >= LAG_CHANGES)

    def seal(self, threads: int = 1) -> bool:
        """Turn the head, as it is now, into a segment; whether there was anything to do."""
        with self._sealing:
            with self._lock:
                view, schema, last_change = self._head.view(), self._schema, self.sequence
                sealed = _Sealed(last_change, self._deleted, len(view.ordinals))
            if self._stopping.is_set() or last_change <= self._manifest.sequence:
                return False
            started = time.perf_counter()
            failpoints.hit("seal.before_build")
            live = [live_mask(view.ordinals, sealed.deleted)]
            with self._jobs.run("seal", len(view.ordinals)):
                built = self.files.build([view], live, schema, threads, self._like(1))
            failpoints.hit("seal.before_swap")
            kept = Garbage.all_of(*(segment.entry for segment in built))
            rest = self._code_rest(sealed.size, [*self._segments, *built])
            self._swap((), built, _everything(view) - kept, replace(sealed, rest=rest))
            failpoints.hit("seal.after_swap")
            self.code_head()
            seconds = round(time.perf_counter() - started, 3)
            self._count("seal", seconds)
            log.info("segment.sealed", extra={"rows": len(view.ordinals), "seconds": seconds})
            return True

    def _code_rest(self, size: int, segments: Sequence[Segment]) -> Mapping[str, CodedVectors]:
        """Codes of what will be left of the head, and of what is written meanwhile: each round has less to do."""
        rest: Mapping[str, CodedVectors] = {}
        for _ in range(REST_ROUNDS):
            with self._lock:
                grown = self._head.view()
            before, rest = rest, code_rest(grown, size, segments, self._stopping.is_set, rest)
            if all(codes is before.get(name) for name, codes in rest.items()):
                break
        return rest

    def merge(self, dead_share: float = DEAD_SHARE_MAX) -> bool:
        """Join the newest segments if there are enough of like size, or write those again of which much is dead.

        Args:
            dead_share: of a segment's documents, that is much.

        Returns:
            Whether it did: then there may be more to do.
        """
        with self._merging:
            with self._lock:
                segments, deleted = self._segments, self._deleted
            dead = [segment.bitmap.intersection_cardinality(deleted) for segment in segments]
            live = [len(segment.ordinals) - gone for segment, gone in zip(segments, dead, strict=True)]
            run = choose_run(live, dead, dead_share)
            if run is None or self._stopping.is_set():
                return False
            self._merge(segments[run], threads=1)
            return True

    def clean(self) -> None:
        """Write again, without what is deleted, each segment of now that has any of it; none more than once.

        So it ends however much is being deleted meanwhile.

        Raises:
            BuildStoppedError: it is being closed or dropped.
        """
        with self._lock:
            due = {s.entry.number for s in self._segments if s.bitmap.intersect(self._deleted)}
        while due:
            with self._merging:
                segments = self.segments()
                is_due = [segment.entry.number in due for segment in segments]
                if self._stopping.is_set() or not any(is_due):
                    return  # the others have been merged meanwhile
                run = first_run(is_due)
                due -= {segment.entry.number for segment in segments[run]}
                self._merge(segments[run], threads=1)

    def optimize(self) -> None:
        """Seal, then merge all into one segment without what is deleted; with every processor. Of words, see `text`.

        Raises:
            DatabaseClosedError: closed, before or meanwhile.
            CollectionNotFoundError: dropped, likewise.
        """
        try:
            self.seal(threads=0)
            with self._merging:
                if not self._stopping.is_set():
                    with self._lock:
                        segments, deleted = self._segments, self._deleted
                    dirty = any(segment.bitmap.intersect(deleted) for segment in segments)
                    if len(segments) > 1 or dirty:
                        self._merge(segments, threads=0)
            if not self._stopping.is_set():
                if self.text is not None:
                    self.text.optimize()
                return
        except BuildStoppedError:
            log.info("optimize.stopped", extra={"collection": self._name})
        if self._dropping:
            raise CollectionNotFoundError(self._name)
        raise DatabaseClosedError(f"collection is closed: {self._name!r}")

    def collect(self) -> int:
        """Delete from the store what was dropped and no living snapshot shows; how many documents and rows.

        Raises:
            StorageError: it is tried again the next time.
        """
        with self._merging:
            with self._lock:
                (ready, garbage), schema = self._dropped.ready(), self._schema
            if not ready or self._stopping.is_set():
                return 0
            failpoints.hit("collect.before_delete")
            delete_garbage(self._store, self._number, schema, garbage, lambda: failpoints.hit("collect.after_piece"))
            failpoints.hit("collect.before_record")
            with self._swapping:
                manifest = _with_garbage(self._manifest, Garbage.of(self._manifest) - garbage)
                manifest = msgspec.structs.replace(manifest, collected=manifest.collected + len(garbage))
                self._record(manifest, sync=False)  # lost, it is only done again
                with self._lock:
                    self._manifest = manifest
                    self._dropped.forget(ready)
            if self.text is not None:
                self.text.forget(garbage.ordinals)
            log.info("garbage.collected", extra={"collection": self._name, "count": len(garbage)})
            return len(garbage)

    def track_garbage(self, counters: Counters) -> None:
        """Find the garbage that a manifest of format 1 does not name: what is in no segment and not in the head.

        The caller holds off writers, and all that is written is published.
        """
        with self._swapping, self._lock:
            if self._manifest.tracked:
                return
            used = _everything(self._head.view())
            used = used | Garbage.all_of(*(segment.entry for segment in self._segments))
            rows = {name: BitMap(range(count)) for name, count in counters.next_rows.items()}
            garbage = Garbage(BitMap(range(counters.next_ordinal)), rows) - used
            manifest = _with_garbage(self._manifest, garbage)
            self._manifest = msgspec.structs.replace(manifest, tracked=True)
            self._record(self._manifest)
            self._dropped.add(garbage)

    def remove_strays(self) -> None:
        """Remove files that no manifest names: left where recording a manifest failed."""
        with self._sealing, self._merging:
            self.files.remove_strays(self._manifest.segments)

    def published(self) -> int:
        """How many snapshots have been published: the number of the newest, for `garbage` and `pinned_by`."""
        return self._dropped.latest

    def garbage(self, until: int | None = None) -> int:
        """Documents and rows that wait to be deleted from the store; `until`: of what was dropped by that snapshot."""
        with self._lock:
            return self._dropped.size(until)

    def pinned_by(self, until: int | None = None) -> int:
        """How many snapshots keep garbage from being deleted; `until` as for `garbage`."""
        with self._lock:
            return self._dropped.pinned_by(until)

    def wants_compaction(self) -> bool:
        """Whether so much was deleted from the store that its files should be compacted."""
        return self._manifest.collected >= max(COMPACT_DOCUMENTS_MIN, COMPACT_SHARE * self.stored())

    def compacted(self) -> None:
        """Take note that the store's files were."""
        with self._merging, self._swapping:
            if self._manifest.collected and not self._stopping.is_set():
                manifest = msgspec.structs.replace(self._manifest, collected=0)
                self._record(manifest, sync=False)
                self._manifest = manifest

    def stored(self) -> int:
        """Documents that segments and head hold, dead ones included."""
        with self._lock:
            return sum(len(segment.ordinals) for segment in self._segments) + len(self._head)

    def memory(self) -> dict[str, int]:
        """Bytes that segments and the head take; what of segments is only mapped, apart."""
        with self._lock:
            segments, head = self._segments, self._head
        taken = figures.memory(segments, head)
        return {**taken, "text_bytes": 0 if self.text is None else self.text.memory_bytes()}

    def segments(self) -> tuple[Segment, ...]:
        """Those there are now."""
        with self._lock:
            return self._segments

    def rebuild(self, segment: Segment) -> None:
        """Build a segment again from the store, and let its files go; nothing to do if it was merged meanwhile.

        Raises:
            CorruptionError: the store has not all of it.
        """
        with self._merging:
            with self._lock:
                if segment not in self._segments or self._stopping.is_set():
                    return
                schema = self._schema
            built = self.files.build_again(segment.entry, schema)
            failpoints.hit("merge.before_rebuilt_swap")
            self._swap([segment], [built], Garbage(), None)
            segment.remove()

    def stats(self) -> dict[str, Any]:
        """Figures of segments and head."""
        with self._lock:
            segments, head, deleted, sequence = self._segments, self._head, self._deleted, self.sequence
        described = {**figures.describe(segments, head), "deleted": len(deleted), "sequence": sequence}
        described["running"] = self._jobs.describe()
        done = self._done.items()
        described["done"] = {kind: {"count": count, "seconds": seconds} for kind, (count, seconds) in done}
        if self.text is not None and text_languages(self._schema):
            described["text"] = self.text.stats(self.snapshot)
        return described

    def index_text(self) -> bool:
        """One step towards a text index that lacks nothing; whether there may be more to do."""
        if self.text is None or self._stopping.is_set() or not text_languages(self._schema):
            return False
        idle_seconds = time.monotonic() - self._changed_at
        return self.text.maintain(lambda: self.snapshot, self.kept, idle_seconds)

    def discard_text(self) -> None:
        """Remove the text index, of whatever it holds; it is built again when it is asked for."""
        if self.text is not None:
            self.text.discard()
            with self._lock:
                self._snapshot = None  # it may keep what was removed

    def kept(self) -> BitMap:
        """Ordinals that some snapshot may show, or may have been shown by."""
        with self._lock:
            parts: list[Part] = [*self._segments, self._head.view()]
            return BitMap.union(*(part.bitmap for part in parts), self._dropped.ordinals())

    def close(self) -> None:
        """Stop what runs, and wait until it has stopped."""
        self._stopping.set()
        if self.text is not None:
            self.text.close()
        with self._sealing, self._merging:
            pass

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Stop what runs for as long as this lasts, because it is being dropped; for good, unless it fails."""
        self._dropping = True  # before what runs is stopped: it says why it did
        self._stopping.set()
        with self._sealing, self._merging:
            try:
                yield
            except BaseException:
                self._stopping.clear()
                self._dropping = False
                raise

    def destroy(self) -> None:
        """Let all memory and files go; after `stopped`. Snapshots keep what they have mapped."""
        with self._lock:
            self._segments, self._head, self._deleted = (), Head(), BitMap()
            self._dropped.clear()
            self._unsealed.clear()
            self._snapshot = None
        self._masks.forget_dead()
        if self.text is not None:
            self.text.destroy()
        failpoints.hit("drop.before_files")
        self.files.remove_all()
        failpoints.hit("drop.after_files")

    def _merge(self, chosen: Sequence[Segment], threads: int) -> None:
        started = time.perf_counter()
        with self._lock:
            schema, deleted = self._schema, self._deleted
        failpoints.hit("merge.before_build")
        live = [live_mask(segment.ordinals, deleted) for segment in chosen]
        with self._jobs.run("merge", sum(len(segment.ordinals) for segment in chosen)):
            merged = self.files.build(chosen, live, schema, threads, self._like(len(chosen)))
        failpoints.hit("merge.before_swap")
        before = Garbage.all_of(*(segment.entry for segment in chosen))
        self._swap(chosen, merged, before - Garbage.all_of(*(segment.entry for segment in merged)), None)
        failpoints.hit("merge.after_swap")
        for segment in chosen:
            segment.remove()
        failpoints.hit("merge.after_remove")
        if sum(segment.files_bytes() for segment in chosen) >= GIVE_BACK_BYTES:
            give_back()
        rows = sum(len(segment.ordinals) for segment in merged)
        seconds = round(time.perf_counter() - started, 3)
        self._count("merge", seconds)
        log.info("segments.merged", extra={"segments": len(chosen), "rows": rows, "seconds": seconds})

    def _count(self, kind: str, seconds: float) -> None:
        with self._lock:
            count, before = self._done[kind]
            self._done[kind] = (count + 1, before + seconds)

    def _like(self, parts: int) -> Mapping[str, SegmentVectors] | None:
        """Vectors to build like, where a segment is made of that many parts: a merge learns anew."""
        return self._segments[-1].vector_parts() if self._segments and parts == 1 else None

    def _swap(
        self, replaced: Sequence[Segment], built: Sequence[Segment], dropped: Garbage, sealed: _Sealed | None
    ) -> None:
        """Record the manifest with `built` in place of `replaced` (at the end where there are none), and publish."""
        with self._swapping:
            now, segments = self._manifest, list(self._segments)
            place = segments.index(replaced[0]) if replaced else len(segments)
            segments[place : place + len(replaced)] = built
            ordinals = BitMap.union(*[segment.bitmap for segment in segments]) if segments else BitMap()
            covered = sealed.sequence if sealed else now.sequence
            deleted = (sealed.deleted if sealed else BitMap.deserialize(now.deleted)) & ordinals
            entries = [segment.entry for segment in segments]
            manifest = msgspec.structs.replace(
                _with_garbage(now, Garbage.of(now) | dropped),
                sequence=covered,
                next_segment=self.files.next_number,
                segments=entries,
                deleted=deleted.serialize(),
            )
            self._record(manifest)
            with self._lock:
                self._dropped.add(dropped)
                self._manifest = manifest
                while self._unsealed and self._unsealed[0] <= covered:
                    self._unsealed.popleft()
                self._segments = tuple(segments)
                if sealed:
                    self._head = self._head.without_first(sealed.size, sealed.rest)
                self._deleted = self._deleted & (ordinals | BitMap(self._head.view().ordinals))
                self._snapshot = None
        self._masks.forget_dead()

    def _record(self, manifest: Manifest, *, sync: bool = True) -> None:
        batch = self._store.batch()
        batch.put(SYSTEM, keys.manifest_key(self._number), encode_manifest(manifest))
        batch.flush()
        if sync:
            self._store.sync()

    @property
    def snapshot(self) -> Snapshot:
        """The newest. Made when somebody asks for it: writers, of whom many come together, need none."""
        found = self._snapshot
        if found is None:
            with self._lock:
                found = self._snapshot
                if found is None:
                    found = self._snapshot = self._make_snapshot(self.sequence)
        return found

    def _make_snapshot(self, sequence: int) -> Snapshot:
        parts: tuple[Part, ...] = self._segments
        if len(self._head):
            parts = (*parts, self._head.view())
        snapshot = Snapshot(
            self._name, sequence, self._schema, parts, self._deleted, self.reader, self._masks, self.text
        )
        self._dropped.published(snapshot)
        return snapshot


def seal_due(state: CollectionState, sequence: Callable[[], int]) -> bool:
    """Seal if it is time; whether it was. `sequence` is the database's."""
    return state.wants_seal(sequence()) and seal_now(state)


def seal_now(state: CollectionState) -> bool:
    """Seal; whether there was anything to do, and the collection was not closed meanwhile."""
    try:
        return state.seal()
    except BuildStoppedError:
        return False


def merge_due(state: CollectionState) -> bool:
    """Merge what should be; whether there was anything, and the collection was not closed meanwhile."""
    try:
        return state.merge()
    except BuildStoppedError:
        return False


def _everything(view: HeadView) -> Garbage:
    """All documents and rows of a head."""
    rows = {name: BitMap(part.origins.numbers) for name, part in view.vector_parts().items()}
    return Garbage(BitMap(view.ordinals), rows)


def _with_garbage(manifest: Manifest, garbage: Garbage) -> Manifest:
    ordinals, rows = garbage.ordinals.serialize(), garbage.serialize_rows()
    return msgspec.structs.replace(manifest, garbage=ordinals, garbage_rows=rows)
