"""Arrow in the body of one request: vectors to search by, or documents with their vectors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from lumaai.errors import InvalidRequestError, TooLargeError
from lumaai.ingestion.parquet_files import document_of, in_microseconds
from lumaai.ingestion.sizes import row_sizes
from lumaai.ingestion.uploads import arrow_batches

_BODY = Path("body")  # what messages call it


def vectors_of_arrow(content: bytes) -> NDArray[np.float32]:
    """The (n, dim) float32 vectors of the only column of an Arrow stream or file.

    Raises:
        InvalidRequestError: it is none, is damaged or compressed, or has something else in it.
    """
    batches = list(arrow_batches(_BODY, pa.BufferReader(content)))
    found = [_vectors(batch.column(0)) if batch.num_columns == 1 else None for batch in batches]
    arrays = [array for array in found if array is not None]
    if len(arrays) != len(batches) or len({array.shape[1] for array in arrays}) != 1:
        message = "Arrow must have one column, of lists of equal length of floating point numbers"
        raise InvalidRequestError(message, code="invalid_arrow")
    return np.concatenate(arrays)


def documents_of_arrow(content: bytes, *, bytes_max: int) -> list[dict[str, Any]]:
    """The documents of an Arrow stream or file, one a row; lists of fixed length of floats as arrays in them.

    Raises:
        InvalidRequestError: as for `vectors_of_arrow`; or a value for which there is no JSON.
        TooLargeError: with all that dictionaries stand for, they are larger than `bytes_max`.
    """
    documents: list[dict[str, Any]] = []
    size = 0.0
    for batch in arrow_batches(_BODY, pa.BufferReader(content)):
        names = [field.name for field in batch.schema if pa.types.is_fixed_size_list(field.type)]
        found = {name: _vectors(batch.column(name)) for name in names}
        arrays = {name: array for name, array in found.items() if array is not None}
        rest = batch.drop_columns(list(arrays)) if arrays else batch
        try:
            size += float(row_sizes(rest).sum())
            if size > bytes_max:
                raise TooLargeError(f"documents are too large: body_bytes_max={bytes_max}", code="body_too_large")
            rest = in_microseconds(rest)
        except (ValueError, pa.ArrowException) as error:
            raise InvalidRequestError(f"Arrow cannot be read: {error}", code="invalid_arrow") from error
        for place in range(len(batch)):
            row = rest.slice(place, 1)
            vectors = {name: array[place] for name, array in arrays.items()}
            documents.append({**_document(row, len(documents)), **vectors})
    if not documents:
        raise InvalidRequestError("Arrow has no rows", code="batch_empty")
    return documents


def _document(row: Any, place: int) -> dict[str, Any]:
    if not row.num_columns:
        return {}
    try:
        (values,) = row.to_pylist(maps_as_pydicts="strict")
        return document_of(values)
    except (ValueError, OverflowError, KeyError, pa.ArrowException) as error:
        raise InvalidRequestError(f"row {place + 1} is no document: {error}", code="invalid_arrow") from error


def _vectors(column: Any) -> NDArray[np.float32] | None:
    """The rows of a column of lists as one array; None where it is no such column."""
    kind = column.type
    is_list = pa.types.is_fixed_size_list(kind) or pa.types.is_list(kind) or pa.types.is_large_list(kind)
    if not is_list or not pa.types.is_floating(kind.value_type) or column.null_count or not len(column):
        return None
    flat = column.flatten()
    is_fixed = pa.types.is_fixed_size_list(kind)
    lengths = {kind.list_size} if is_fixed else set(column.value_lengths().to_pylist())
    if flat.null_count or len(lengths) != 1 or not min(lengths):
        return None
    return np.asarray(flat.to_numpy(zero_copy_only=False), dtype=np.float32).reshape(len(column), -1)
