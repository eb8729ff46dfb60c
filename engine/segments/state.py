"""The derived state of one collection: segments, head, what is deleted; how changes enter it, and how it is tidied.

`apply` is the only way in, for a write just committed as for one replayed from the log. `seal` turns the head into a
segment, `merge` joins small segments; both build files aside and then swap them in. What they leave out is garbage: the
manifest names it from the same batch on, and `collect` deletes it from the store once no snapshot shows it any more.
"""

from __future__ import annotations

import logging
import shutil
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from pyroaring import BitMap

from engine import failpoints
from engine.arrays import Mask
from engine.document import decode
from engine.errors import CollectionNotFoundError, DatabaseClosedError
from engine.memory import GIVE_BACK_BYTES, MaskCache, give_back
from engine.meta import Counters
from engine.schema import Schema
from engine.segments.garbage import Garbage, delete_garbage
from engine.segments.head import Head, HeadView
from engine.segments.manifest import EMPTY, Manifest, SegmentEntry, decode_manifest, encode_manifest
from engine.segments.part import Part, live_mask
from engine.segments.pins import Pins
from engine.segments.segment import Segment, SegmentDamagedError, write_segment
from engine.segments.sources import StoreReader, from_parts, from_store
from engine.segments.tiers import DEAD_SHARE_MAX, choose_run, first_run
from engine.snapshot import Snapshot
from engine.store import keys
from engine.store.rocks import SYSTEM, Store
from engine.vector.index import BuildStoppedError
from engine.writes.change import Change

if TYPE_CHECKING:
    from engine.writes.expiry import Microseconds
    from engine.writes.plan import AppliedRows

log = logging.getLogger(__name__)

SEAL_BYTES = 64 * 1024 * 1024  # of documents in the head
SEAL_DOCUMENTS = 16_384
IDLE_SECONDS = 1.0
IDLE_DOCUMENTS = 256  # a smaller head costs neither searches nor reopening anything worth a file
LAG_CHANGES = 10_000  # a head that holds back this much of the log is sealed however small
COMPACT_DOCUMENTS_MIN = 4096  # so many deleted are worth compacting the store's files,
COMPACT_SHARE = 0.1  # and so many for each that lives


@dataclass(frozen=True, slots=True)
class _Sealed:
    """What a seal covers: the log up to `sequence`, what had ceased to be by then, and the head's first `size`."""

    sequence: int
    deleted: BitMap
    size: int


class CollectionState:
    """What snapshots are made of.

    `_lock` guards the published state and is held for moments only. One seal runs at a time under `_sealing`, one merge
    or collection of garbage under `_merging`: a seal waits for no merge. Their results enter one by one under
    `_swapping`, which is held while a manifest is written. They are taken in this order: sealing or merging, swapping,
    lock.
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
    ) -> None:
        self._name = name
        self._number = number
        self._store = store
        self.reader = StoreReader(store, number, name)
        self._directory = directory
        self._seal_rows = seal_rows
        self._masks = MaskCache() if masks is None else masks
        self._schema = schema
        self._lock = threading.Lock()
        self._sealing = threading.Lock()
        self._merging = threading.Lock()
        self._swapping = threading.Lock()
        self._stopping = threading.Event()
        self._dropping = False
        self._pins = Pins()
        self._dropped: list[tuple[int, Garbage]] = []
        self._head = Head()
        self._segments: tuple[Segment, ...] = ()
        self._deleted = BitMap()
        self._manifest = EMPTY
        self._unsealed: deque[int] = deque()
        self._next_segment = 1
        self._changed_at = time.monotonic()
        self._last_change = 0
        self.builds = 0
        self.mended: list[tuple[Path, str]] = []  # what was found damaged and built again when it was opened, and why
        self.rebuilds_in: Path | None = None  # in a reader: where it may, since it changes no file of the database
        self.snapshot = self._make_snapshot(0)

    def open(self, schema: Schema) -> None:
        """Load what the manifest names; a damaged segment is built again from the store.

        Raises:
            SegmentDamagedError: in a reader, unless its `rebuilds_in` says where.
        """
        value = self._store.get(SYSTEM, keys.manifest_key(self._number))
        self._manifest = decode_manifest(value) if value else EMPTY
        self._schema = schema
        self._next_segment = self._manifest.next_segment
        if not self._store.read_only:
            self._remove_strays()
        self._segments = tuple(self._load(entry) for entry in self._manifest.segments)
        if self.builds and not self._store.read_only:  # the manifest names other files than were built again
            entries = [segment.entry for segment in self._segments]
            self._manifest = msgspec.structs.replace(self._manifest, segments=entries)
            self._record(self._manifest)
        self._deleted = BitMap.deserialize(self._manifest.deleted)
        self._last_change = self._manifest.sequence
        garbage = Garbage.of(self._manifest)
        self._dropped = [(0, garbage)] if garbage else []  # no snapshot of before is left
        self.snapshot = self._make_snapshot(self._manifest.sequence)

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
            self._last_change = change.sequence
            self._unsealed.append(change.sequence)
            self._changed_at = time.monotonic()
            self.snapshot = self._make_snapshot(change.sequence)

    def wants_seal(self, sequence: int) -> bool:
        """Whether the head should be sealed now; `sequence` is the database's."""
        head = self._head
        if head.rows() >= self._seal_rows or len(head) >= SEAL_DOCUMENTS or head.bytes >= SEAL_BYTES:
            return True
        idle = time.monotonic() - self._changed_at >= IDLE_SECONDS and len(head) >= IDLE_DOCUMENTS
        after = self.needs_after
        return idle or (after is not None and sequence - after >= LAG_CHANGES)

    def seal(self, threads: int = 1) -> bool:
        """Turn the head, as it is now, into a segment; whether there was anything to do."""
        with self._sealing:
            with self._lock:
                view, schema, last_change = self._head.view(), self._schema, self._last_change
                sealed = _Sealed(last_change, self._deleted, len(view.ordinals))
            if self._stopping.is_set() or last_change <= self._manifest.sequence:
                return False
            started = time.perf_counter()
            failpoints.hit("seal.before_build")
            built = self._build([view], [live_mask(view.ordinals, sealed.deleted)], schema, threads)
            failpoints.hit("seal.before_swap")
            kept = Garbage.all_of(*(segment.entry for segment in built))
            self._swap((), built, _everything(view) - kept, sealed)
            failpoints.hit("seal.after_swap")
            seconds = round(time.perf_counter() - started, 3)
            log.info("segment.sealed", extra={"rows": len(view.ordinals), "seconds": seconds})
            return True

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
        """Seal, then merge all into one segment without what is deleted; with every processor.

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
                oldest, schema = self._pins.oldest(), self._schema
                ready = [each for each in self._dropped if each[0] < oldest]
            if not ready or self._stopping.is_set():
                return 0
            garbage = reduce(Garbage.__or__, (each for _, each in ready))
            failpoints.hit("collect.before_delete")
            delete_garbage(self._store, self._number, schema, garbage, lambda: failpoints.hit("collect.after_piece"))
            failpoints.hit("collect.before_record")
            with self._swapping:
                manifest = _with_garbage(self._manifest, Garbage.of(self._manifest) - garbage)
                manifest = msgspec.structs.replace(manifest, collected=manifest.collected + len(garbage))
                self._record(manifest, sync=False)  # lost, it is only done again
                with self._lock:
                    self._manifest = manifest
                    self._dropped = self._dropped[len(ready) :]
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
            self._dropped.append((self._pins.latest, garbage))

    def remove_strays(self) -> None:
        """Remove files that no manifest names: left where recording a manifest failed."""
        with self._sealing, self._merging:
            self._remove_strays()

    def published(self) -> int:
        """How many snapshots have been published: the number of the newest, for `garbage` and `pinned_by`."""
        return self._pins.latest

    def garbage(self, until: int | None = None) -> int:
        """Documents and rows that wait to be deleted from the store; `until`: of what was dropped by that snapshot."""
        with self._lock:
            return sum(len(each) for number, each in self._dropped if until is None or number <= until)

    def pinned_by(self, until: int | None = None) -> int:
        """How many snapshots keep garbage from being deleted; `until` as for `garbage`."""
        with self._lock:
            numbers = [number for number, _ in self._dropped if until is None or number <= until]
            return self._pins.alive(max(numbers, default=0))

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
        return {
            "segments_bytes": sum(segment.memory_bytes() for segment in segments),
            "segments_mapped_bytes": sum(segment.mapped_bytes() for segment in segments),
            "heads_bytes": head.memory_bytes(),
        }

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
                schema, number = self._schema, self._next_segment
                self._next_segment += 1
            built = self._build_again(segment.entry, number, self._segment_directory(number), schema)
            failpoints.hit("merge.before_rebuilt_swap")
            self._swap([segment], [built], Garbage(), None)
            segment.remove()

    def stats(self) -> dict[str, Any]:
        """Figures of segments and head."""
        with self._lock:
            segments, head, deleted = self._segments, self._head, self._deleted
        each = [
            {
                "documents": len(segment.ordinals),
                "bytes": segment.files_bytes(),
                "vectors": {name: part.index.stats() for name, part in segment.vector_parts().items()},
            }
            for segment in segments
        ]
        memory = sum(part.index.memory_bytes() for s in segments for part in s.vector_parts().values())
        rows = sum(len(part.index) for s in segments for part in s.vector_parts().values()) + head.rows()
        return {
            "rows": rows,
            "segments": each,
            "head_documents": len(head),
            "head_rows": head.rows(),
            "head_bytes": head.bytes,
            "deleted": len(deleted),
            "memory_bytes": memory + head.bytes,
            "disk_bytes": sum(segment.files_bytes() for segment in segments),
            "sequence": self.snapshot.sequence,
        }

    def close(self) -> None:
        """Stop what runs, and wait until it has stopped."""
        self._stopping.set()
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
            self._dropped = []
            self._unsealed.clear()
            self.snapshot = self._make_snapshot(self.snapshot.sequence)
        self._masks.forget_dead()
        failpoints.hit("drop.before_files")
        shutil.rmtree(self._directory, ignore_errors=True)
        failpoints.hit("drop.after_files")

    def _merge(self, chosen: Sequence[Segment], threads: int) -> None:
        started = time.perf_counter()
        with self._lock:
            schema, deleted = self._schema, self._deleted
        failpoints.hit("merge.before_build")
        merged = self._build(chosen, [live_mask(segment.ordinals, deleted) for segment in chosen], schema, threads)
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
        log.info("segments.merged", extra={"segments": len(chosen), "rows": rows, "seconds": seconds})

    def _build(
        self, parts: Sequence[Part], live: Sequence[Mask | None], schema: Schema, threads: int
    ) -> tuple[Segment, ...]:
        """A segment of the live documents; none where there are none."""
        if not any(len(part.ordinals) if mask is None else mask.any() for part, mask in zip(parts, live, strict=True)):
            return ()
        data = from_parts(parts, live, schema)
        with self._lock:
            number = self._next_segment
            self._next_segment += 1
            self.builds += 1
        directory = self._segment_directory(number)
        older = self._segments[-1].vector_parts() if self._segments and len(parts) == 1 else None  # a merge learns anew
        try:
            entry = write_segment(directory, number, data, schema, threads, self._stopping.is_set, older)
            return (Segment(directory, entry, schema, self._documents_of),)
        except BaseException:  # it was stopped, or the disk is full: then what was written is in the way
            shutil.rmtree(directory, ignore_errors=True)
            raise

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
                next_segment=self._next_segment,
                segments=entries,
                deleted=deleted.serialize(),
            )
            self._record(manifest)
            with self._lock:
                if dropped:
                    self._dropped.append((self._pins.latest, dropped))
                self._manifest = manifest
                while self._unsealed and self._unsealed[0] <= covered:
                    self._unsealed.popleft()
                self._segments = tuple(segments)
                self._head = self._head.without_first(sealed.size if sealed else 0)
                self._deleted = self._deleted & (ordinals | BitMap(self._head.view().ordinals))
                self.snapshot = self._make_snapshot(self.snapshot.sequence)
        self._masks.forget_dead()

    def _record(self, manifest: Manifest, *, sync: bool = True) -> None:
        batch = self._store.batch()
        batch.put(SYSTEM, keys.manifest_key(self._number), encode_manifest(manifest))
        batch.flush()
        if sync:
            self._store.sync()

    def _make_snapshot(self, sequence: int) -> Snapshot:
        parts: tuple[Part, ...] = self._segments
        if len(self._head):
            parts = (*parts, self._head.view())
        snapshot = Snapshot(self._name, sequence, self._schema, parts, self._deleted, self.reader, self._masks)
        self._pins.add(snapshot)
        return snapshot

    def _load(self, entry: SegmentEntry) -> Segment:
        directory = self._segment_directory(entry.number)
        try:
            return Segment(directory, entry, self._schema, self._documents_of)
        except SegmentDamagedError as error:
            if self._store.read_only and self.rebuilds_in is None:
                raise
            self.mended.append((directory, str(error)))
            log.warning(
                "segment.damaged", extra={"collection": self._name, "path": str(directory), "reason": str(error)}
            )
        directory = directory if self.rebuilds_in is None else self.rebuilds_in / directory.name
        return self._build_again(entry, entry.number, directory, self._schema)

    def _build_again(self, entry: SegmentEntry, number: int, directory: Path, schema: Schema) -> Segment:
        """What `entry` names, from the store, as segment `number` in `directory`."""
        rows = {name: BitMap.deserialize(numbers) for name, numbers in entry.rows.items()}
        data = from_store(self._store, self._number, schema, BitMap.deserialize(entry.ordinals), rows)
        with self._lock:
            self.builds += 1
        built = write_segment(directory, number, data, schema, 0, self._stopping.is_set)
        return Segment(directory, built, schema, self._documents_of)

    def _documents_of(self, ordinals: Any) -> list[dict[str, Any]]:
        return [decode(body) for body in self.reader.bodies(ordinals)]

    def _segment_directory(self, number: int) -> Path:
        return self._directory / f"{number:08d}"

    def _remove_strays(self) -> None:
        """Directories that no manifest names: of a build or a merge that a crash cut short."""
        named = {self._segment_directory(entry.number) for entry in self._manifest.segments}
        if self._directory.is_dir():
            for path in self._directory.iterdir():
                if path not in named:
                    shutil.rmtree(path, ignore_errors=True)


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
