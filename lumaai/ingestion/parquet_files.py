"""Reader of Parquet files: one document a row."""

from __future__ import annotations

import base64
import datetime as dt
import decimal
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lumaai.errors import InvalidRequestError
from lumaai.ingestion.record import Record, record_of
from lumaai.ingestion.source import opened

_ROWS_AT_ONCE = 1024


def read_parquet(path: Path) -> Iterator[Record]:
    """The rows of a Parquet file; null and NaN cells are left out.

    Dates and times become ISO 8601 strings (to the microsecond), decimals numbers, binary cells base64, maps objects.

    Raises:
        InvalidRequestError: it is not Parquet, or damaged (code "file_malformed").
    """
    with opened(path) as file:
        size = path.stat().st_size
        number = 0
        try:
            table = pq.ParquetFile(file)
            share = size // max(1, table.metadata.num_rows)
            for batch in table.iter_batches(batch_size=_ROWS_AT_ONCE):
                for row in _in_microseconds(batch).to_pylist():
                    number += 1
                    yield _row_record(number, row, share)
        except (pa.ArrowException, OSError, ValueError) as error:
            raise InvalidRequestError(
                f"{path} is not a readable Parquet file: {error}", code="file_malformed"
            ) from error


def _in_microseconds(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Times at the resolution that Python's have: nanoseconds would need pandas to be read at all."""
    columns = {}
    for field, column in zip(batch.schema, batch.columns, strict=True):
        match str(field.type).partition("[ns")[0]:
            case "timestamp":
                columns[field.name] = column.cast(pa.timestamp("us", field.type.tz), safe=False)
            case "time64":
                columns[field.name] = column.cast(pa.time64("us"), safe=False)
            case "duration":
                columns[field.name] = column.cast(pa.duration("us"), safe=False)
            case _:
                columns[field.name] = column
    return pa.RecordBatch.from_pydict(columns)


def _row_record(number: int, row: dict[str, Any], share: int) -> Record:
    try:
        return record_of(number, document_of(row), share)
    except ValueError as error:
        return Record(number, problem=str(error), bytes=share)


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
        case dt.date() | dt.time():
            return value.isoformat()
        case dt.timedelta():
            return value.total_seconds()
        case decimal.Decimal():
            return int(value) if value == value.to_integral_value() and value.as_tuple().exponent == 0 else float(value)
        case bytes():
            return base64.b64encode(value).decode()
        case dict():
            return {str(name): json_value(item) for name, item in value.items()}
        case list():
            return [json_value(item) for item in value]
        case _:
            raise ValueError(f"value has no JSON type: got={type(value).__name__}")
