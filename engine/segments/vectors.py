"""The vectors of a segment: the index of one field, and where its rows came from.

| file                  | holds                                                                              |
|-----------------------|------------------------------------------------------------------------------------|
| `vector-N.faiss`      | the index of vector field N                                                        |
| `vector-N.exact.faiss`| its vectors as they are compared in the end, where they are not part of the index  |
| `vector-N.arrow`      | where each of its rows came from; what was built, why, and its calibration         |
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa

from engine.arrays import Mask, Rows, Scores, Vectors
from engine.schema import VectorField
from engine.segments.rows import RowOrigins
from engine.vector.allowed import Allowed
from engine.vector.build import build_vectors, save_vectors
from engine.vector.build import load_vectors as load_sealed
from engine.vector.device.searcher import SearchDevice
from engine.vector.parameters import SearchParameters
from engine.vector.sealed import IndexInfo, SealedVectors

# Filters whose rows, in the forms that FAISS asks for, a segment keeps: so many at least, so many at most, and between
# them what fits in so many bytes, each taking so many a row.
ALLOWED_MIN, ALLOWED_MAX, ALLOWED_BYTES, ROW_BYTES = 8, 256, 16 << 20, 10


class SegmentVectors:
    """The rows of one vector field of a segment. Immutable but for what it caches under `_lock`.

    Attributes:
        device: that searches it while it can; None for the processor. Set before anybody searches.
    """

    def __init__(self, index: SealedVectors, origins: RowOrigins) -> None:
        self.index = index
        self.origins = origins
        self.device: SearchDevice | None = None
        self.one_row_a_document = bool((np.diff(origins.documents) > 0).all())
        self._in_order = bool(len(origins) and self.one_row_a_document and origins.documents[-1] == len(origins) - 1)
        self._lock = threading.Lock()
        fitting = ALLOWED_BYTES // (ROW_BYTES * max(1, len(origins)))
        self._allowed_max = min(max(fitting, ALLOWED_MIN), ALLOWED_MAX)
        self._allowed: OrderedDict[int, tuple[weakref.ref[Any], Allowed]] = OrderedDict()

    @property
    def vectors(self) -> Vectors:
        """See `VectorPart.vectors`."""
        return self.index.vectors

    @property
    def reason(self) -> str:
        """See `VectorPart.reason`."""
        return self.index.info.reason

    def allowed(self, mask: Mask) -> Allowed:
        """See `VectorPart.allowed`. The last few are remembered."""
        with self._lock:
            known = self._allowed.get(id(mask))
            if known is not None and known[0]() is mask:
                self._allowed.move_to_end(id(mask))
                return known[1]
        whole = self._in_order and len(mask) == len(self.origins)
        found = Allowed(mask if whole else mask[self.origins.documents])
        with self._lock:
            self._allowed[id(mask)] = weakref.ref(mask), found
            while len(self._allowed) > self._allowed_max:
                self._allowed.popitem(last=False)
        return found

    def search(
        self, queries: Vectors, k: int, *, allowed: Allowed | None, parameters: SearchParameters, threads: int
    ) -> tuple[Scores, Rows, str]:
        """See `VectorPart.search`."""
        answer = None
        if self.device is not None:
            answer = self.device.search(self.index, queries, k, allowed=allowed, parameters=parameters)
        if answer is None:
            answer = self.index.search(queries, k, allowed=allowed, parameters=parameters, threads=threads)
        return answer.scores, answer.rows, answer.how


def write_vectors(
    directory: Path,
    place: int,
    vectors: Vectors,
    origins: RowOrigins,
    spec: VectorField,
    threads: int,
    stop: Callable[[], bool],
    like: SegmentVectors | None = None,
) -> None:
    """Build the index of vector field number `place` and write its files.

    Args:
        directory: of the segment.
        place: of the field among the vector fields of the schema.
        vectors: (rows, dim), prepared.
        origins: of the rows.
        spec: of the field.
        threads: processors to use.
        stop: see Raises.
        like: the same field of an older segment, whose centroids may serve again.

    Raises:
        BuildStoppedError: `stop` said so.
    """
    index = build_vectors(vectors, spec, threads, stop, None if like is None else like.index)
    save_vectors(index, directory / f"vector-{place}.faiss", directory / f"vector-{place}.exact.faiss")
    write_table(directory / f"vector-{place}.arrow", _origins_table(origins, index.info))


def load_vectors(directory: Path, place: int, spec: VectorField) -> SegmentVectors:
    """Open what `write_vectors` wrote, memory-mapped.

    Raises:
        OSError, RuntimeError, LookupError, ValueError, pa.ArrowException: it is damaged or missing.
    """
    table = pa.ipc.open_file(pa.memory_map(str(directory / f"vector-{place}.arrow"))).read_all()
    metadata = table.schema.metadata
    if b"index" not in metadata:
        raise ValueError(f"segment does not say what was built, as those of format 1 did not: path={directory}")
    names = tuple(metadata[b"names"].decode().split("\x00")) if metadata[b"names"] else ()
    columns = {name: one_chunk(table[name]).to_numpy() for name in table.column_names}
    origins = RowOrigins(names=names, **columns)
    info = msgspec.json.decode(metadata[b"index"], type=IndexInfo)
    paths = directory / f"vector-{place}.faiss", directory / f"vector-{place}.exact.faiss"
    index = load_sealed(*paths, info, spec)
    if len(origins) != len(index):
        raise ValueError(f"segment has unequal rows: index={len(index)} origins={len(origins)}")
    return SegmentVectors(index, origins)


def write_table(path: Path, table: Any) -> None:
    """Write an Arrow table so that it can be memory-mapped."""
    with pa.OSFile(str(path), "wb") as file, pa.ipc.new_file(file, table.schema) as writer:
        writer.write_table(table.combine_chunks())


def one_chunk(column: Any) -> Any:
    """A column of a table that `write_table` wrote: the mapped file itself, where Arrow's own way would copy it."""
    return column.chunk(0) if column.num_chunks == 1 else column.combine_chunks()


def _origins_table(origins: RowOrigins, info: IndexInfo) -> Any:
    columns = {name: getattr(origins, name) for name in ("numbers", "documents", "starts", "ends", "fields")}
    metadata = {"names": "\x00".join(origins.names), "index": msgspec.json.encode(info)}
    return pa.table(columns).replace_schema_metadata(metadata)
