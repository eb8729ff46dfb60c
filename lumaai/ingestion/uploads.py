"""Reader of what is uploaded to a service: as that of files, with bounds that a file of one's own does not need."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from lumaai.errors import InvalidRequestError, TooLargeError
from lumaai.ingestion.csv_files import read_csv
from lumaai.ingestion.parquet_files import check_names, in_microseconds, row_record
from lumaai.ingestion.record import Record
from lumaai.ingestion.sizes import row_sizes
from lumaai.ingestion.source import opened

# Rows that are decoded at once; and what a group of rows in a Parquet file may take, as it says itself.
ROWS_AT_ONCE = 256
ROW_GROUP_BYTES_MAX = 1 << 30
# What all rows may take written out, whatever the file is, and so many times as long as it: a value that stands in all
# rows is in it once.
ROWS_FREELY_BYTES, ROWS_TIMES_MAX = 1 << 30, 1_000
FILE_MAGIC = b"ARROW1\0\0"
# Fields of Arrow's flatbuffers (format/Message.fbs): of a message its header, of record batches their compression, of
# dictionary batches the record batch in them.
_HEADER_TYPE, _HEADER, _COMPRESSION, _DATA = 1, 2, 3, 1
_DICTIONARY_BATCH, _RECORD_BATCH = 2, 3


def read_upload(path: Path, *, fields: Mapping[str, Any], row_bytes_max: int) -> Iterator[Record]:
    """The rows of an uploaded file by its suffix: `.csv`, `.tsv`, `.parquet` or `.arrow` (stream or file).

    Args:
        path: the file.
        fields: how the collection has its fields, by name.
        row_bytes_max: a row that is larger is a bad one.

    Raises:
        InvalidRequestError: when iterated: malformed as a whole (code "file_malformed"), or compressed Arrow.
        TooLargeError: it would take too much memory.
    """
    match path.suffix:
        case ".parquet":
            return _parquet(path, row_bytes_max)
        case ".arrow":
            return _arrow(path, row_bytes_max)
        case _:
            return read_csv(path, fields)


def _parquet(path: Path, row_bytes_max: int) -> Iterator[Record]:
    with opened(path) as file:
        try:
            schema = pq.ParquetFile(file).schema
            columns = [schema.column(number) for number in range(len(schema))]
            # Kept as dictionaries, so that one large value that is in every row is in memory once.
            texts = [column.path for column in columns if column.physical_type == "BYTE_ARRAY"]
            table = pq.ParquetFile(file, read_dictionary=texts)
            check_names(path, table.schema_arrow.names)
            for number in range(table.num_row_groups):
                size = table.metadata.row_group(number).total_byte_size
                if size > ROW_GROUP_BYTES_MAX:
                    raise TooLargeError(f"a row group of {path} is too large: maximum={ROW_GROUP_BYTES_MAX} got={size}")
            yield from _rows(path, table.iter_batches(batch_size=ROWS_AT_ONCE), row_bytes_max)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise _malformed(path, "Parquet", error) from error


def _arrow(path: Path, row_bytes_max: int) -> Iterator[Record]:
    with pa.memory_map(str(path)) as file:
        try:
            yield from _rows(path, arrow_batches(path, file), row_bytes_max)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise _malformed(path, "Arrow", error) from error


def arrow_batches(path: Path, file: Any) -> Iterator[Any]:
    """The record batches of an Arrow stream or file, each found to point nowhere but into itself.

    Args:
        path: what messages call it.
        file: pyarrow's, at its beginning.

    Raises:
        InvalidRequestError: malformed (code "file_malformed"), or compressed within.
    """
    try:
        start = len(FILE_MAGIC) if file.read(len(FILE_MAGIC)) == FILE_MAGIC else 0
        file.seek(start)
        _refuse_compressed(path, pa.ipc.MessageReader.open_stream(file))
        file.seek(start)
        with pa.ipc.open_stream(file) as reader:
            check_names(path, reader.schema.names)
            for batch in reader:
                batch.validate(full=True)
                yield batch
    except (pa.ArrowException, OSError, ValueError, EOFError) as error:
        raise _malformed(path, "Arrow", error) from error


def _rows(path: Path, batches: Any, row_bytes_max: int) -> Iterator[Record]:
    number, total = 0, 0.0
    bytes_max = max(ROWS_FREELY_BYTES, ROWS_TIMES_MAX * path.stat().st_size)
    for whole in batches:
        for start in range(0, len(whole), ROWS_AT_ONCE):
            part = whole.slice(start, ROWS_AT_ONCE)
            sizes = row_sizes(part)
            total += float(np.minimum(sizes, row_bytes_max).sum())
            if total > bytes_max:
                raise TooLargeError(f"the rows of {path} are too large written out: maximum={bytes_max}")
            readable = in_microseconds(part)
            for index, size in enumerate(sizes.tolist()):
                number += 1
                if size > row_bytes_max:
                    yield Record(number, problem=f"row is too large: maximum={row_bytes_max} got={size:.0f} bytes")
                else:
                    yield row_record(number, readable.slice(index, 1), int(size))


def _refuse_compressed(path: Path, messages: Any) -> None:
    """Refuse batches that would have to be inflated: to how much, Arrow says only when it has done it."""
    for message in messages:
        if _is_compressed(message.metadata.to_pybytes()):
            raise InvalidRequestError(
                f"{path} is compressed within: send Arrow without compression, or gzipped as a whole",
                code="compression_unsupported",
            )


def _is_compressed(metadata: bytes) -> bool:
    """Whether a message's flatbuffer names a compression; see Message.fbs of the Arrow format.

    Raises:
        ValueError: it is no flatbuffer.
    """
    try:
        message = struct.unpack_from("<I", metadata, 0)[0]
        kind_at, header_at = _field(metadata, message, _HEADER_TYPE), _field(metadata, message, _HEADER)
        if kind_at is None or header_at is None or metadata[kind_at] not in (_DICTIONARY_BATCH, _RECORD_BATCH):
            return False
        table = header_at + struct.unpack_from("<I", metadata, header_at)[0]
        if metadata[kind_at] == _DICTIONARY_BATCH:
            data_at = _field(metadata, table, _DATA)
            if data_at is None:
                return False
            table = data_at + struct.unpack_from("<I", metadata, data_at)[0]
        return _field(metadata, table, _COMPRESSION) is not None
    except (struct.error, IndexError) as error:
        raise ValueError("a message is malformed") from error


def _field(metadata: bytes, table: int, number: int) -> int | None:
    """Where a field of a flatbuffer's table is; None where it is not set."""
    vtable = table - struct.unpack_from("<i", metadata, table)[0]
    size = struct.unpack_from("<H", metadata, vtable)[0]
    place = 4 + 2 * number
    offset = struct.unpack_from("<H", metadata, vtable + place)[0] if place + 2 <= size else 0
    return table + offset if offset else None


def _malformed(path: Path, what: str, error: Exception) -> InvalidRequestError:
    return InvalidRequestError(f"{path} is not readable {what}: {error}", code="file_malformed")
