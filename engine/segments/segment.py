"""A segment: some documents' columns and vector indexes in immutable files.

| file            | holds                                                                |
|-----------------|----------------------------------------------------------------------|
| `columns.arrow` | ordinals, ids, and a column a field, uncompressed for memory-mapping |
| `vector-N.faiss`| the index of vector field N                                          |
| `vector-N.arrow`| where each of its rows came from                                     |

All of it is derived: a segment that is damaged or missing is built again from the store.
"""

from __future__ import annotations

import os
import shutil
import threading
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
import pyarrow as pa
from pyroaring import BitMap

from engine.arrays import Ordinals, Rows, Vectors
from engine.directory.durable import make_directory, sync_directory
from engine.errors import EngineError
from engine.fields.columns import arrow_type, build_column, null_column
from engine.schema import ID, JSON, Field, FieldType, Schema
from engine.segments.manifest import SegmentEntry
from engine.segments.nulls import NullPlaces, nulls_of_documents, read_nulls
from engine.segments.rows import RowOrigins
from engine.segments.vectors import SegmentVectors, load_vectors, one_chunk, write_table, write_vectors
from engine.store.failures import translate
from engine.vector.progress import report
from engine.writes.expiry import Expiries, Microseconds

ORDINAL_COLUMN = "_engine_ordinal"
EXPIRES_COLUMN = "_engine_expires"  # only where a document of the segment expires
COLUMNS_FILE = "columns.arrow"
CHECKED_BYTES_MAX = 64 * 1024 * 1024  # read through when a segment is opened: at most about 50 ms a file
DocumentsOf = Callable[[Ordinals], list[dict[str, JSON]]]


class SegmentDamagedError(EngineError):
    """A segment's files are missing or not as they were written; it must be built again."""


@dataclass(frozen=True, slots=True)
class SegmentData:
    """What a segment is built from.

    Attributes:
        ordinals: (n,) ascending.
        columns: Arrow table of n rows: the id and the fields.
        vectors: vector field → prepared vectors (rows, dim) and their origins.
        expires: when each document expires; None where none does.
    """

    ordinals: Ordinals
    columns: Any
    vectors: Mapping[str, tuple[Vectors, RowOrigins]]
    expires: Microseconds | None = None


def write_segment(
    directory: Path,
    number: int,
    data: SegmentData,
    schema: Schema,
    threads: int,
    stop: Callable[[], bool],
    like: Mapping[str, SegmentVectors] | None = None,
) -> SegmentEntry:
    """Build the indexes of `data` and write all files, durably.

    `like` are the vectors of an older segment, whose centroids may serve again.

    Raises:
        BuildStoppedError: `stop` said so; what was written is a stray for the next opening.
        StorageError: the disk refuses it; likewise.
    """
    try:
        return _write_segment(directory, number, data, schema, threads, stop, like)
    except OSError as error:  # Arrow's and FAISS's too
        raise translate(error, directory) from error


def _write_segment(
    directory: Path,
    number: int,
    data: SegmentData,
    schema: Schema,
    threads: int,
    stop: Callable[[], bool],
    like: Mapping[str, SegmentVectors] | None,
) -> SegmentEntry:
    shutil.rmtree(directory, ignore_errors=True)
    make_directory(directory)
    columns = data.columns.append_column(ORDINAL_COLUMN, pa.array(data.ordinals, type=pa.uint32()))
    if data.expires is not None:
        columns = columns.append_column(EXPIRES_COLUMN, pa.array(data.expires, type=pa.int64()))
    write_table(directory / COLUMNS_FILE, columns)
    for name, (vectors, origins) in data.vectors.items():
        place = list(schema.vectors).index(name)
        processors = threads or os.cpu_count() or 1
        model = None if like is None else like.get(name)
        write_vectors(directory, place, vectors, origins, schema.vectors[name], processors, stop, model)
    report("files", 0.0)
    files = {path.name: _seal_file(path) for path in sorted(directory.iterdir())}
    sync_directory(directory)
    rows = {name: BitMap(origins.numbers).serialize() for name, (_, origins) in data.vectors.items()}
    return SegmentEntry(number, BitMap(data.ordinals).serialize(), rows, files)


class Segment:
    """An open segment. Immutable but for what it caches under `_lock`; safe for many threads."""

    def __init__(self, directory: Path, entry: SegmentEntry, schema: Schema, documents_of: DocumentsOf) -> None:
        self.directory = directory
        self.entry = entry
        self.bitmap = BitMap.deserialize(entry.ordinals)
        self._documents_of = documents_of
        self._lock = threading.Lock()
        self._rebuilt: dict[tuple[str, Field], Any] = {}
        self._numbers: dict[tuple[str, Field], Any] = {}
        self._nulls: NullPlaces | None = None
        try:
            for name, (size, checksum) in entry.files.items():
                _check_file(directory / name, size, checksum)
            self._table = pa.ipc.open_file(pa.memory_map(str(directory / COLUMNS_FILE))).read_all()
            self.ordinals: Ordinals = one_chunk(self._table[ORDINAL_COLUMN]).to_numpy()
            self._ids = _string_bytes(self._table[ID])
            self.expiries = self._read_expiries()
            self._vectors = {
                name: load_vectors(directory, list(schema.vectors).index(name), schema.vectors[name])
                for name in entry.rows
            }
        except (OSError, RuntimeError, LookupError, TypeError, ValueError, MemoryError, pa.ArrowException) as error:
            raise SegmentDamagedError(f"segment cannot be read: path={directory} reason={error}") from error

    def _read_expiries(self) -> Expiries | None:
        if EXPIRES_COLUMN not in self._table.column_names:
            return None
        return Expiries(self.ordinals, one_chunk(self._table[EXPIRES_COLUMN]).to_numpy())

    def column(self, name: str, field: Field) -> Any:
        """See `Part.column`. A field that was sealed under another type is read again from the documents."""
        if name == ID:
            return self._table[ID]
        if name not in self._table.column_names:
            return null_column(field, len(self.ordinals))
        column = self._table[name]
        return column if column.type == arrow_type(field) else self._rebuild(name, field)

    lasts = True

    def nulls(self) -> NullPlaces:
        """See `Part.nulls`. A segment of before they were written is told by its documents."""
        with self._lock:
            if self._nulls is None:
                written = read_nulls(self._table)
                self._nulls = nulls_of_documents(self._documents_of(self.ordinals)) if written is None else written
            return self._nulls

    def values(self, name: str, places: Any) -> list[JSON]:
        """See `Part.values`."""
        return [document.get(name) for document in self._documents_of(self.ordinals[places])]

    def taken(self, name: str, field: Field, places: Any) -> Any:
        """See `Part.taken`."""
        column = self.column(name, field)
        whole = column.chunk(0) if column.num_chunks == 1 else column
        return whole.take(pa.array(places))

    def numbers(self, name: str, field: Field) -> Any | None:
        """See `Part.numbers`. Arrow's kernels cost ten times as much for a few rows."""
        key = name, field
        if key not in self._numbers:
            column = self.column(name, field) if field.type in (FieldType.INTEGER, FieldType.NUMBER) else None
            plain = column is not None and not field.many and not column.null_count
            self._numbers[key] = one_chunk(column).to_numpy() if column is not None and plain else None
        return self._numbers[key]

    def ids(self, places: Any) -> list[str]:
        """See `Part.ids`. Straight from the mapped bytes: Arrow's kernels cost ten times as much for a few rows."""
        begins, data = self._ids
        bounds = zip(begins[places].tolist(), begins[places + 1].tolist(), strict=True)
        return [str(data[begin:end], "utf-8") for begin, end in bounds]

    def vector_part(self, name: str) -> SegmentVectors | None:
        """See `Part.vector_part`."""
        return self._vectors.get(name)

    def check_files(self) -> None:
        """Read all files, however large, and compare them with what was written.

        Raises:
            SegmentDamagedError: one is another.
            OSError: one is not there.
        """
        for name, (size, checksum) in self.entry.files.items():
            _check_file(self.directory / name, size, checksum, bytes_max=size)

    def files_bytes(self) -> int:
        """Bytes on disk."""
        return sum(size for size, _ in self.entry.files.values())

    def memory_bytes(self) -> int:
        """Bytes of what searches go through: vector indexes, and columns that were read again from the documents."""
        columns = sum(int(column.nbytes) for column in list(self._rebuilt.values()))
        return columns + sum(part.index.memory_bytes() for part in self._vectors.values())

    def mapped_bytes(self) -> int:
        """Bytes of files that are only mapped: columns, origins of rows, and vectors of which a search reads some."""
        tables = sum(size for name, (size, _) in self.entry.files.items() if name.endswith(".arrow"))
        return tables + sum(part.index.mapped_bytes() for part in self._vectors.values())

    def vector_parts(self) -> dict[str, SegmentVectors]:
        """The rows of every vector field."""
        return self._vectors

    def remove(self) -> None:
        """Delete the files; what is mapped stays readable until it is let go."""
        shutil.rmtree(self.directory, ignore_errors=True)

    def _rebuild(self, name: str, field: Field) -> Any:
        with self._lock:
            if (name, field) not in self._rebuilt:
                values = [document.get(name) for document in self._documents_of(self.ordinals)]
                self._rebuilt[name, field] = pa.chunked_array([build_column(field, values)])
            return self._rebuilt[name, field]


def _string_bytes(column: Any) -> tuple[Rows, memoryview]:
    """Offsets (n + 1,) and bytes of a column of large strings without nulls."""
    array = one_chunk(column)
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], type=column.type)
    _, offsets, data = array.buffers()
    if not len(array):
        return np.zeros(1, dtype=np.int64), memoryview(b"")
    begins: Rows = np.frombuffer(offsets, dtype=np.int64)[array.offset : array.offset + len(array) + 1]
    return begins, memoryview(data or b"")


def _seal_file(path: Path) -> tuple[int, int]:
    """Make a file durable; its size and CRC-32."""
    with path.open("rb") as file:
        checksum = _checksum(file)
        os.fsync(file.fileno())
        return file.tell(), checksum


def _check_file(path: Path, size: int, checksum: int, bytes_max: int = CHECKED_BYTES_MAX) -> None:
    """Compare a file with what was written; the largest ones by size alone, so that opening stays quick."""
    found = path.stat().st_size
    if found != size:
        raise SegmentDamagedError(f"segment file has another size: path={path} expected={size} got={found}")
    if size <= bytes_max:
        with path.open("rb") as file:
            if _checksum(file) != checksum:
                raise SegmentDamagedError(f"segment file has another checksum: path={path}")


def _checksum(file: IO[bytes]) -> int:
    checksum = 0
    while chunk := file.read(1 << 20):
        checksum = zlib.crc32(chunk, checksum)
    return checksum
