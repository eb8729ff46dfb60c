"""Reader of Parquet files: one document a row."""

from __future__ import annotations

import base64
import datetime as dt
import decimal
import math
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from engine import plain_scalar
from lumaai.errors import InvalidRequestError
from lumaai.ingestion.record import Record, record_of
from lumaai.ingestion.source import opened

_ROWS_AT_ONCE = 1024


def read_parquet(path: Path) -> Iterator[Record]:
    """The rows of a Parquet file; null and NaN cells are left out.

    Dates and times become ISO 8601 strings (to the microsecond), decimals numbers, binary cells base64, maps objects,
    UUIDs strings.

    Raises:
        InvalidRequestError: it is not Parquet, or damaged (code "file_malformed").
    """
    with opened(path) as file:
        size = path.stat().st_size
        number = 0
        try:
            table = pq.ParquetFile(file)
            check_names(path, table.schema_arrow.names)
            share = size // max(1, table.metadata.num_rows)
            for batch in table.iter_batches(batch_size=_ROWS_AT_ONCE):
                readable = in_microseconds(batch)
                for index in range(len(readable)):
                    number += 1
                    yield row_record(number, readable.slice(index, 1), share)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise InvalidRequestError(
                f"{path} is not a readable Parquet file: {error}", code="file_malformed"
            ) from error


def check_names(path: Path, names: list[str]) -> None:
    """Refuse a table that has a column twice.

    Raises:
        InvalidRequestError: code "file_malformed".
    """
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise InvalidRequestError(f"{path} has a column twice: {twice[0]!r:.60}", code="file_malformed")


def in_microseconds(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Times at the resolution that Python's have: nanoseconds would need pandas to be read at all."""
    types = [_microsecond_type(field.type) for field in batch.schema]
    columns = [
        column if column.type == kind else column.cast(kind, safe=False)
        for column, kind in zip(batch.columns, types, strict=True)
    ]
    return pa.RecordBatch.from_arrays(columns, names=batch.schema.names)


def _microsecond_type(kind: Any) -> Any:
    """An Arrow type with every nanosecond in it, however deep, turned into a microsecond."""
    match kind:
        case pa.TimestampType():
            return pa.timestamp("us", kind.tz) if kind.unit == "ns" else kind
        case pa.Time64Type():
            return pa.time64("us")
        case pa.DurationType():
            return pa.duration("us") if kind.unit == "ns" else kind
        case pa.ListType():
            return pa.list_(_microsecond_type(kind.value_type))
        case pa.LargeListType():
            return pa.large_list(_microsecond_type(kind.value_type))
        case pa.FixedSizeListType():
            return pa.list_(_microsecond_type(kind.value_type), kind.list_size)
        case pa.DictionaryType():
            plain = _microsecond_type(kind.value_type)
            return kind if plain == kind.value_type else plain
        case pa.StructType():
            return pa.struct([(field.name, _microsecond_type(field.type)) for field in kind])
        case pa.MapType():
            return pa.map_(_microsecond_type(kind.key_type), _microsecond_type(kind.item_type))
        case _:
            return kind


def row_record(number: int, row: pa.RecordBatch, share: int) -> Record:
    """A row by itself, so that one which Python cannot hold (the year 292,277) spoils no other."""
    try:
        (values,) = row.to_pylist(maps_as_pydicts="strict")
        return record_of(number, document_of(values), share)
    except (ValueError, OverflowError, KeyError, pa.ArrowException) as error:
        return Record(number, problem=problem_of(row, error), bytes=share)


def problem_of(row: pa.RecordBatch, error: Exception) -> str:
    """What is wrong with a row that Python cannot hold; of a time zone that there is not, Arrow says something else."""
    for field in row.schema:
        zone = field.type.tz if pa.types.is_timestamp(field.type) else None
        if zone is not None and not _is_known(zone):
            return f"column {field.name!r:.60} has an unknown time zone: {zone!r:.60}"
    return str(error)


def _is_known(zone: str) -> bool:
    try:
        pa.lib.string_to_tzinfo(zone)
    except (ValueError, pa.ArrowException):
        return False
    return True


def document_of(row: dict[str, Any]) -> dict[str, Any]:
    """A row of an Arrow table as a document: null and NaN cells are left out.

    Raises:
        ValueError: a value for which there is no JSON.
    """
    return {name: json_value(value) for name, value in row.items() if not _is_missing(value)}


def _is_missing(value: object) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def json_value(value: Any) -> Any:
    """An Arrow value as JSON.

    Raises:
        ValueError: there is no JSON for it.
    """
    match value:
        case None | bool() | int() | float() | str():
            return value
        case dt.date() | dt.time() | decimal.Decimal() | uuid.UUID():
            return plain_scalar(value)
        case dt.timedelta():
            return value.total_seconds()
        case bytes():
            return base64.b64encode(value).decode()
        case dict():
            return {str(name): json_value(item) for name, item in value.items()}
        case list():
            return [json_value(item) for item in value]
        case _:
            raise ValueError(f"value has no JSON type: got={type(value).__name__}")
