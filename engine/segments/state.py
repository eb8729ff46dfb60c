"""The derived state of one collection: segments, head, what is deleted; how changes enter it, and how it is tidied.

`apply` is the only way in, for a write just committed as for one replayed from the log. `seal` turns the head into a
segment, `merge` joins small segments; both build files aside and then swap them in.
"""

from __future__ import annotations

import itertools
import logging
import math
import shutil
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
from pyroaring import BitMap

from engine.change import Change
from engine.document import decode
from engine.errors import CollectionNotFoundError, DatabaseClosedError
from engine.schema import Schema
from engine.segments.head import Head
from engine.segments.manifest import EMPTY, Manifest, SegmentEntry, decode_manifest, encode_manifest
from engine.segments.part import Part
from engine.segments.segment import Segment, SegmentDamagedError, SegmentData, write_segment
from engine.segments.sources import StoreReader, from_parts, from_store
from engine.snapshot import Snapshot
from engine.store import keys
from engine.store.rocks import SYSTEM, Store
from engine.vector.index import BuildStoppedError

if TYPE_CHECKING:
    from engine.collection import AppliedRows

log = logging.getLogger(__name__)

SEAL_BYTES = 64 * 1024 * 1024  # of documents in the head
SEAL_DOCUMENTS = 16_384
IDLE_SECONDS = 1.0
IDLE_DOCUMENTS = 256  # a smaller head costs neither searches nor reopening anything worth a file
LAG_CHANGES = 10_000  # a head that holds back this much of the log is sealed however small
MERGE_FAN = 8  # segments of like size that are joined; amortised cost n log n


class CollectionState:
    """What snapshots are made of.

    `_lock` guards the published state and is held for moments only; `_maintenance` lets one seal or merge run at a
    time, and is taken before `_lock`.
    """

    def __init__(self, name: str, number: int, schema: Schema, store: Store, directory: Path, seal_rows: int) -> None:
        self._name = name
        self._number = number
        self._store = store
        self.reader = StoreReader(store, number, name)
        self._directory = directory
        self._seal_rows = seal_rows
        self._schema = schema
        self._lock = threading.Lock()
        self._maintenance = threading.Lock()
        self._stopping = threading.Event()
        self._head = Head()
        self._segments: tuple[Segment, ...] = ()
        self._deleted = BitMap()
        self._manifest = EMPTY
        self._changed_at = time.monotonic()
        self._last_change = 0
        self.builds = 0
        self.snapshot = self._make_snapshot(0)

    def open(self, schema: Schema) -> None:
        """Load what the manifest names; a damaged segment is built again from the store."""
        value = self._store.get(SYSTEM, keys.manifest_key(self._number))
        self._manifest = decode_manifest(value) if value else EMPTY
        self._schema = schema
        self._remove_strays()
        self._segments = tuple(self._load(entry) for entry in self._manifest.segments)
        if self.builds:  # the files of what was built again are others than the manifest names
            entries = [segment.entry for segment in self._segments]
            self._manifest = msgspec.structs.replace(self._manifest, segments=entries)
            self._record(self._manifest)
        self._deleted = BitMap.deserialize(self._manifest.deleted)
        self._last_change = self._manifest.sequence
        self.snapshot = self._make_snapshot(self._manifest.sequence)

    @property
    def covered(self) -> int:
        """Every change of this collection up to here is in its segments."""
        return self._manifest.sequence

    @property
    def pending(self) -> bool:
        """Whether there are changes beyond `covered`."""
        return self._last_change > self._manifest.sequence

    def apply(self, change: Change, schema: Schema, bodies: Sequence[bytes], rows: Mapping[str, AppliedRows]) -> None:
        """Take a durable change in and publish the snapshot that shows it."""
        with self._lock:
            base = len(self._head)
            self._head.append(change.first_ordinal, bodies)
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
            self._changed_at = time.monotonic()
            self.snapshot = self._make_snapshot(change.sequence)

    def wants_seal(self, sequence: int) -> bool:
        """Whether the head should be sealed now; `sequence` is the database's."""
        head = self._head
        if head.rows() >= self._seal_rows or len(head) >= SEAL_DOCUMENTS or head.bytes >= SEAL_BYTES:
            return True
        idle = time.monotonic() - self._changed_at >= IDLE_SECONDS and len(head) >= IDLE_DOCUMENTS
        return idle or (self.pending and sequence - self.covered >= LAG_CHANGES)

    def seal(self, threads: int = 1) -> bool:
        """Turn the head, as it is now, into a segment; whether there was anything to do."""
        with self._maintenance:
            with self._lock:
                view, snapshot, last_change = self._head.view(), self.snapshot, self._last_change
            if self._stopping.is_set() or last_change <= self._manifest.sequence:
                return False
            started = time.perf_counter()
            segments = list(self._segments)
            if len(view.ordinals):
                live = snapshot.allowed(len(snapshot.parts) - 1, None)
                data = from_parts([view], [live], snapshot.schema)
                if len(data.ordinals):
                    segments.append(self._build(data, snapshot.schema, threads))
            self._swap(tuple(segments), last_change, snapshot.deleted, sealed=len(view.ordinals))
            seconds = round(time.perf_counter() - started, 3)
            log.info("segment.sealed", extra={"rows": len(view.ordinals), "seconds": seconds})
            return True

    def merge(self) -> bool:
        """Join the newest segments if there are enough of like size; whether it did."""
        with self._maintenance:
            run = merge_run([max(1, len(segment.ordinals)) for segment in self._segments])
            if not run or self._stopping.is_set():
                return False
            self._merge(run, threads=1)
            return True

    def optimize(self) -> None:
        """Seal, then merge all into one segment without what is deleted; with every processor.

        Raises:
            DatabaseClosedError: closed, before or meanwhile.
            CollectionNotFoundError: dropped, likewise.
        """
        try:
            self.seal(threads=0)
            with self._maintenance:
                if not self._stopping.is_set():
                    dirty = any(self.snapshot.allowed(i, None) is not None for i in range(len(self._segments)))
                    if len(self._segments) > 1 or (self._segments and dirty):
                        self._merge(len(self._segments), threads=0)
                    return
        except BuildStoppedError:
            log.info("optimize.stopped", extra={"collection": self._name})
        if self.reader.dropped:
            raise CollectionNotFoundError(self._name)
        raise DatabaseClosedError(f"collection is closed: {self._name!r}")

    def stats(self) -> dict[str, Any]:
        """Figures of segments and head."""
        with self._lock:
            segments, head, deleted = self._segments, self._head, self._deleted
        each = [
            {
                "documents": len(segment.ordinals),
                "bytes": segment.files_bytes(),
                "vectors": {
                    name: {"kind": part.index.kind.value, "rows": len(part.index)}
                    for name, part in segment.vector_parts().items()
                },
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
        with self._maintenance:
            pass

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Stop what runs for as long as this lasts; for good, unless it fails."""
        self._stopping.set()
        with self._maintenance:
            try:
                yield
            except BaseException:
                self._stopping.clear()
                raise

    def destroy(self) -> None:
        """Remove all files; after `close`. Snapshots keep what they have mapped."""
        shutil.rmtree(self._directory, ignore_errors=True)

    def _merge(self, count: int, threads: int) -> None:
        started = time.perf_counter()
        snapshot, segments = self.snapshot, self._segments
        chosen, rest = segments[-count:], segments[:-count]
        first = len(rest)
        live = [snapshot.allowed(first + i, None) for i in range(count)]
        data = from_parts(chosen, live, snapshot.schema)
        merged = (self._build(data, snapshot.schema, threads),) if len(data.ordinals) else ()
        self._swap((*rest, *merged), self._manifest.sequence, BitMap.deserialize(self._manifest.deleted), sealed=0)
        for segment in chosen:
            segment.remove()
        seconds = round(time.perf_counter() - started, 3)
        log.info("segments.merged", extra={"segments": count, "rows": len(data.ordinals), "seconds": seconds})

    def _build(self, data: SegmentData, schema: Schema, threads: int) -> Segment:
        number = self._manifest.next_segment
        self.builds += 1
        directory = self._segment_directory(number)
        entry = write_segment(directory, number, data, schema, threads, self._stopping.is_set)
        return Segment(directory, entry, schema, self._documents_of)

    def _swap(self, segments: tuple[Segment, ...], covered: int, deleted: BitMap, *, sealed: int) -> None:
        """Publish `segments`, without the first `sealed` documents of the head, and record the manifest."""
        ordinals = BitMap.union(*[segment.bitmap for segment in segments]) if segments else BitMap()
        number = max([self._manifest.next_segment, *(segment.entry.number + 1 for segment in segments)])
        entries = [segment.entry for segment in segments]
        manifest = Manifest(covered, number, entries, (deleted & ordinals).serialize())
        self._record(manifest)
        with self._lock:
            self._manifest = manifest
            self._segments = segments
            self._head = self._head.without_first(sealed)
            self._deleted = self._deleted & (ordinals | BitMap(self._head.view().ordinals))
            self.snapshot = self._make_snapshot(self.snapshot.sequence)

    def _record(self, manifest: Manifest) -> None:
        batch = self._store.batch()
        batch.put(SYSTEM, keys.manifest_key(self._number), encode_manifest(manifest))
        batch.flush()
        self._store.sync()

    def _make_snapshot(self, sequence: int) -> Snapshot:
        parts: tuple[Part, ...] = self._segments
        if len(self._head):
            parts = (*parts, self._head.view())
        return Snapshot(self._name, sequence, self._schema, parts, self._deleted, self.reader)

    def _load(self, entry: SegmentEntry) -> Segment:
        directory = self._segment_directory(entry.number)
        try:
            return Segment(directory, entry, self._schema, self._documents_of)
        except SegmentDamagedError as error:
            log.warning("segment.damaged", extra={"collection": self._name, "reason": str(error)})
        rows = {name: BitMap.deserialize(numbers) for name, numbers in entry.rows.items()}
        ordinals = BitMap.deserialize(entry.ordinals)
        data = from_store(self._store, self._number, self._schema, ordinals, rows)
        self.builds += 1
        rebuilt = write_segment(directory, entry.number, data, self._schema, 0, self._stopping.is_set)
        return Segment(directory, rebuilt, self._schema, self._documents_of)

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


def merge_run(sizes: Sequence[int]) -> int:
    """How many of the last segments to join: `MERGE_FAN` of one size class, and the smaller ones among them.

    The class of a size is its logarithm to the base `MERGE_FAN`. Smaller segments do not count: one large segment
    and a few small ones behind it would else be joined again and again. So a document is rewritten at most about once
    a class on its way up.
    """
    classes = [int(math.log(size, MERGE_FAN) + 1e-9) for size in sizes]
    for limit in sorted(set(classes)):
        run = list(itertools.takewhile(lambda each: each <= limit, reversed(classes)))  # noqa: B023  (used at once)
        if run.count(limit) >= MERGE_FAN:
            return len(run)
    return 0


def maintain(state: CollectionState, sequence: Callable[[], int]) -> bool:
    """One round of upkeep; whether anything was done."""
    try:
        sealed = state.seal() if state.wants_seal(sequence()) else False
        return state.merge() or sealed
    except BuildStoppedError:
        return False
