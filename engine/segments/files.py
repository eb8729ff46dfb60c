"""Where the segments of a collection lie, and how they come to be: built, loaded, built again, tidied away."""

from __future__ import annotations

import logging
import shutil
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pyroaring import BitMap

from engine.arrays import Mask
from engine.document import decode
from engine.schema import Schema
from engine.segments.manifest import SegmentEntry
from engine.segments.part import Part
from engine.segments.segment import Segment, SegmentDamagedError, write_segment
from engine.segments.sources import StoreReader, from_parts, from_store
from engine.segments.vectors import SegmentVectors
from engine.store.rocks import Store
from engine.vector.device.searcher import SearchDevice
from engine.vector.device.training import training_on

log = logging.getLogger(__name__)

TEXT = "text"  # the directory of the text index, beside those of segments


class SegmentFiles:
    """The directories of one collection's segments. Safe for many threads; `_lock` guards the numbers.

    Args:
        name: of the collection.
        directory: likewise.
        store: what is lost is built again from it.
        number: of the collection in the store.
        reader: the store as snapshots see it.
        stop: whether building should stop.

    Attributes:
        next_number: of the next segment.
        builds: segments built so far.
        mended: what was found damaged and built again when it was opened, and why.
        rebuilds_in: in a reader: where it may, since it changes no file of the database.
        device: that searches and trains; None for the processor.
    """

    def __init__(
        self, name: str, directory: Path, store: Store, number: int, reader: StoreReader, stop: Callable[[], bool]
    ) -> None:
        self._name = name
        self._directory = directory
        self._store = store
        self._number = number
        self._reader = reader
        self._stop = stop
        self._lock = threading.Lock()
        self.next_number = 1
        self.builds = 0
        self.mended: list[tuple[Path, str]] = []
        self.rebuilds_in: Path | None = None
        self.device: SearchDevice | None = None

    def build(
        self,
        parts: Sequence[Part],
        live: Sequence[Mask | None],
        schema: Schema,
        threads: int,
        like: Mapping[str, SegmentVectors] | None,
    ) -> tuple[Segment, ...]:
        """A new segment of the live documents; none where there are none.

        Args:
            parts: in order of their ordinals.
            live: for each part, which of its documents live; None for all.
            schema: as of now.
            threads: processors to use; 0 for all.
            like: vectors of an older segment, whose centroids may serve again.

        Raises:
            BuildStoppedError: `stop` said so; nothing is left of it.
            StorageError: the disk refuses it; likewise.
        """
        if not any(len(part.ordinals) if mask is None else mask.any() for part, mask in zip(parts, live, strict=True)):
            return ()
        data = from_parts(parts, live, schema)
        directory, number = self._take_number()
        try:
            with training_on(self.device):
                entry = write_segment(directory, number, data, schema, threads, self._stop, like)
            return (self._open(directory, entry, schema),)
        except BaseException:  # it was stopped, or the disk is full: then what was written is in the way
            shutil.rmtree(directory, ignore_errors=True)
            raise

    def build_again(self, entry: SegmentEntry, schema: Schema) -> Segment:
        """What `entry` names, from the store, under another number.

        Raises:
            CorruptionError: the store has not all of it.
        """
        directory, number = self._take_number(counted=False)
        return self._from_store(entry, number, directory, schema)

    def load(self, entry: SegmentEntry, schema: Schema) -> Segment:
        """Open a segment; a damaged one is built again from the store.

        Raises:
            SegmentDamagedError: in a reader, unless its `rebuilds_in` says where.
        """
        directory = self._path(entry.number)
        try:
            return self._open(directory, entry, schema)
        except SegmentDamagedError as error:
            if self._store.read_only and self.rebuilds_in is None:
                raise
            self.mended.append((directory, str(error)))
            log.warning(
                "segment.damaged", extra={"collection": self._name, "path": str(directory), "reason": str(error)}
            )
        directory = directory if self.rebuilds_in is None else self.rebuilds_in / directory.name
        return self._from_store(entry, entry.number, directory, schema)

    def remove_strays(self, entries: Sequence[SegmentEntry]) -> None:
        """Remove what no entry names: left of a build or a merge that a crash cut short."""
        named = {self._path(entry.number) for entry in entries} | {self._directory / TEXT}
        if self._directory.is_dir():
            for path in self._directory.iterdir():
                if path not in named:
                    shutil.rmtree(path, ignore_errors=True)

    def remove_all(self) -> None:
        """Remove the collection's directory."""
        shutil.rmtree(self._directory, ignore_errors=True)

    def _take_number(self, *, counted: bool = True) -> tuple[Path, int]:
        with self._lock:
            number = self.next_number
            self.next_number += 1
            self.builds += counted
        return self._path(number), number

    def _from_store(self, entry: SegmentEntry, number: int, directory: Path, schema: Schema) -> Segment:
        rows = {name: BitMap.deserialize(numbers) for name, numbers in entry.rows.items()}
        data = from_store(self._store, self._number, schema, BitMap.deserialize(entry.ordinals), rows)
        with self._lock:
            self.builds += 1
        with training_on(self.device):
            built = write_segment(directory, number, data, schema, 0, self._stop)
        return self._open(directory, built, schema)

    def _open(self, directory: Path, entry: SegmentEntry, schema: Schema) -> Segment:
        segment = Segment(directory, entry, schema, self._documents_of)
        for vectors in segment.vector_parts().values():
            vectors.device = self.device
        return segment

    def _documents_of(self, ordinals: Any) -> list[dict[str, Any]]:
        return [decode(body) for body in self._reader.bodies(ordinals)]

    def _path(self, number: int) -> Path:
        return self._directory / f"{number:08d}"
