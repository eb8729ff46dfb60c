"""What `add` takes, as one thing: a list of documents, and the vectors that came beside them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lumaai.errors import InvalidRequestError
from lumaai.plain import plain_documents

Vectors: TypeAlias = NDArray[np.float32]  # (n, dim)


@dataclass(frozen=True, slots=True)
class Batch:
    """Documents to add.

    Attributes:
        vectors: (documents, dim) float32 by vector field, for all documents; "" is the collection's only one.
    """

    documents: list[Any]
    vectors: Mapping[str, Vectors] = field(default_factory=dict)


def batch_of(
    documents: object = None,
    *,
    ids: Iterable[str] | None = None,
    vectors: ArrayLike | Mapping[str, ArrayLike] | None = None,
    fields: Mapping[str, Iterable[Any]] | None = None,
) -> Batch:
    """The batch that the arguments of `add` mean: documents, or columns of equal length.

    Dates and times become ISO 8601 strings, decimals and NumPy's scalars numbers, UUIDs strings.

    Args:
        documents: dicts, or a pyarrow.Table (its null and NaN cells are left out).
        ids: a column of ids.
        vectors: (n, dim) numbers, or such an array for each of several vector fields.
        fields: columns by field name; a numpy array will do.

    Raises:
        InvalidRequestError: nothing in it (code "batch_empty"), both forms at once, columns of different length, or
            values of the wrong type.
    """
    columns = ids is not None or vectors is not None or fields is not None
    if documents is not None and columns:
        raise InvalidRequestError("give either documents or columns (ids, vectors, fields), not both")
    batch = _of_columns(ids, vectors, fields) if columns else Batch(_rows(documents))
    batch = replace(batch, documents=plain_documents(batch.documents))
    if not batch.documents:
        raise InvalidRequestError("batch is empty: give at least one document", code="batch_empty")
    return batch


def _rows(documents: object) -> list[Any]:
    if documents is None:
        return []
    if hasattr(documents, "to_pylist") and hasattr(documents, "column_names"):
        return _rows_of_table(documents)
    if isinstance(documents, str | bytes | Mapping) or not isinstance(documents, Iterable):
        raise InvalidRequestError(
            f"documents must be a list of objects: got={type(documents).__name__}", code="type_mismatch"
        )
    return list(documents)


def _rows_of_table(table: Any) -> list[Any]:
    from lumaai.ingestion.parquet_files import document_of

    try:
        return [document_of(row) for row in table.to_pylist()]
    except ValueError as error:
        raise InvalidRequestError(f"table cannot be added: {error}", code="type_mismatch") from error


def _of_columns(
    ids: Iterable[str] | None,
    vectors: ArrayLike | Mapping[str, ArrayLike] | None,
    fields: Mapping[str, Iterable[Any]] | None,
) -> Batch:
    if fields is not None and not isinstance(fields, Mapping):
        raise InvalidRequestError(f"fields must be columns by name: got={type(fields).__name__}", code="type_mismatch")
    columns: dict[str, list[Any]] = {}
    if ids is not None:
        columns["id"] = _column("ids", ids)
    for name, values in (fields or {}).items():
        columns[name] = _column(f"fields[{name!r}]", values)
    given = vectors if isinstance(vectors, Mapping) else {} if vectors is None else {"": vectors}
    arrays = {name: vector_array(values, dimensions=2) for name, values in given.items()}
    rows = _common_length({**columns, **{f"vectors {name}".strip(): array for name, array in arrays.items()}})
    names = list(columns)
    documents = [dict(zip(names, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    return Batch(documents or [{} for _ in range(rows)], arrays)


def _column(name: str, values: Any) -> list[Any]:
    if isinstance(values, str | bytes | Mapping) or not isinstance(values, Iterable):
        raise InvalidRequestError(f"{name} must be a list: got={type(values).__name__}", code="type_mismatch")
    # numpy and Arrow turn their scalars into Python's own, which is what a document may hold.
    for convert in ("to_pylist", "tolist"):
        if hasattr(values, convert):
            return list(getattr(values, convert)())
    return list(values)


def _common_length(columns: Mapping[str, Any]) -> int:
    lengths = {name: len(values) for name, values in columns.items()}
    if len(set(lengths.values())) > 1:
        facts = " ".join(f"{name}={length}" for name, length in lengths.items())
        raise InvalidRequestError(f"columns have different lengths: {facts}", code="length_mismatch")
    return next(iter(lengths.values()), 0)


def vector_array(values: object, *, dimensions: int) -> NDArray[np.float32]:
    """Finite float32 numbers: one vector (`dimensions=1`) or rows of them (`dimensions=2`).

    Raises:
        InvalidRequestError: not numbers, ragged, NaN or infinite, or of another shape (code "vector_invalid").
    """
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise InvalidRequestError("vectors have different sizes", code="vector_invalid") from error
    if array.dtype.kind not in "fiu":
        raise InvalidRequestError(f"vector must hold numbers: got={array.dtype}", code="vector_invalid")
    if array.ndim != dimensions:
        raise InvalidRequestError(
            f"vector has wrong number of axes: expected={dimensions} got={array.ndim}", code="vector_invalid"
        )
    with np.errstate(over="ignore"):
        array = np.ascontiguousarray(array, dtype=np.float32)
    if not np.isfinite(array).all():
        raise InvalidRequestError("vector has numbers that are not finite", code="vector_invalid")
    return array
