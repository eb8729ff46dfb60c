"""Rows told apart: for each row the number of its combination of values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from engine.fields.columns import without_negative_zero
from engine.fields.origin import Places


def encode(column: Any) -> tuple[Places, int]:
    """Of each value its number, from 0 in order of first appearance, and how many there are; null is a value."""
    if pa.types.is_large_list(column.type) or pa.types.is_list(column.type):  # Arrow does not tell lists apart
        column = pa.array([None if value is None else repr(value) for value in column.to_pylist()], pa.large_string())
    encoded = without_negative_zero(column).dictionary_encode(null_encoding="encode")
    chunks = encoded.chunks if isinstance(encoded, pa.ChunkedArray) else [encoded]  # of one dictionary
    parts = [chunk.indices.to_numpy(zero_copy_only=False).astype(np.int64) for chunk in chunks]
    return np.concatenate([np.empty(0, dtype=np.int64), *parts]), len(chunks[0].dictionary) if chunks else 0


def encode_rows(columns: Sequence[Any], rows: int) -> tuple[Places, int]:
    """Of each row the number of its values together, in order of first appearance, and how many there are.

    Without columns all rows are one, also when there are none.
    """
    if not columns:
        return np.zeros(rows, dtype=np.int64), 1
    numbers, count = encode(columns[0])
    for column in columns[1:]:
        others, width = encode(column)
        numbers, count = encode(pa.array(numbers * max(1, width) + others))  # again, so that it fits into 64 bits
    return numbers, count


def first_places(numbers: Places, count: int) -> Places:
    """Of each number the first row that has it; -1 where none has."""
    first = np.full(count, -1, dtype=np.int64)
    first[numbers[::-1]] = np.arange(len(numbers) - 1, -1, -1)  # what is written last stands
    return first


def occurrences(numbers: Places, count: int) -> Places:
    """Of each row how many rows with the same number stand before it."""
    order = np.argsort(numbers, kind="stable")
    starts = np.cumsum(np.bincount(numbers, minlength=count)) - np.bincount(numbers, minlength=count)
    result = np.empty(len(numbers), dtype=np.int64)
    result[order] = np.arange(len(numbers)) - starts[numbers[order]]
    return result
