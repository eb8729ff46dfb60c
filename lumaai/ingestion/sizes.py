"""What the values of Arrow arrays take once all that they stand for is written out, found without doing so.

A dictionary has a value once that stands in a million places, views overlap, and a run is as long as it says: some
kilobytes of Arrow can mean any number of gigabytes.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

Sizes: TypeAlias = NDArray[np.float64]  # (values,) bytes; what is too large for float64 is infinite, not an error

# Of an array within a value; more would take more memory to count than any value may take.
VALUES_MAX = 1 << 27


def row_sizes(batch: Any) -> Sizes:
    """Bytes of each row of a record batch.

    Raises:
        ValueError: as for `sizes_of`.
    """
    return sum(map(sizes_of, batch.columns), np.zeros(len(batch)))


def sizes_of(array: Any) -> Sizes:
    """Bytes of each value: of numbers as many as Arrow keeps, of text as many as it has, at least one.

    Raises:
        ValueError: runs or lists in it stand for more values than can be counted, or a dictionary has no such value.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # a sum may be infinite, and between two of these is anything
        return _sizes(array)


def _sizes(array: Any) -> Sizes:
    if len(array) > VALUES_MAX:
        raise ValueError(f"an array stands for too many values: maximum={VALUES_MAX} got={len(array)}")
    match array:
        case pa.ExtensionArray():
            return _sizes(array.storage)
        case pa.DictionaryArray():
            return _at(_sizes(array.dictionary), array.indices)
        case pa.RunEndEncodedArray():
            places = np.arange(array.offset, array.offset + len(array))
            return _sizes(array.values)[np.searchsorted(np.asarray(array.run_ends), places, side="right")]
        case pa.StructArray():
            return sum((_sizes(array.field(number)) for number in range(array.type.num_fields)), _least(array))
        case pa.UnionArray():
            return _of_union(array)
        case pa.FixedSizeListArray():
            count = array.type.list_size
            ends = (array.offset + np.arange(len(array) + 1)) * count
            return _between(array.values, ends[:-1], ends[1:])
        case pa.ListViewArray() | pa.LargeListViewArray():
            starts = np.asarray(array.offsets)
            return _between(array.values, starts, starts + np.asarray(array.sizes))
        case pa.ListArray() | pa.LargeListArray() | pa.MapArray():
            ends = np.asarray(array.offsets)
            return _between(array.values, ends[:-1], ends[1:])
        case pa.StringViewArray() | pa.BinaryViewArray():
            lengths = np.frombuffer(array.buffers()[1], np.int32)[4 * array.offset :: 4][: len(array)]
            return np.maximum(np.where(array.is_valid(), lengths, 1), 1.0)
        case pa.StringArray() | pa.LargeStringArray() | pa.BinaryArray() | pa.LargeBinaryArray():
            return np.maximum(np.asarray(_lengths(array), np.float64), 1)
        case _:
            return np.full(len(array), _width(array.type))


def _of_union(array: Any) -> Sizes:
    # Not `type_codes` and `offsets`: of a slice, pyarrow gives those of the whole.
    here = slice(array.offset, array.offset + len(array))
    codes, sizes = np.frombuffer(array.buffers()[1], np.int8)[here], _least(array)
    places = np.frombuffer(array.buffers()[2], np.int32)[here] if array.type.mode == "dense" else np.arange(len(array))
    for number, code in enumerate(array.type.type_codes):
        of_this = codes == code
        sizes[of_this] += _sizes(array.field(number))[places[of_this]]
    return sizes


def _between(values: Any, starts: NDArray[Any], ends: NDArray[Any]) -> Sizes:
    """Of each list the bytes of its values; lists may overlap."""
    lengths = (ends - starts).astype(np.float64)
    if not lengths.any():
        return np.ones(len(lengths))
    if _is_flat(values.type):
        flat: Sizes = 1 + lengths * _width(values.type)
        return flat
    filled = lengths > 0
    first, last = int(starts[filled].min()), int(ends[filled].max())
    each, sizes = _sizes(values.slice(first, last - first)), np.ones(len(lengths))
    sums = np.concatenate([[0.0], np.cumsum(each)])
    inner = sums[ends[filled] - first] - sums[starts[filled] - first]
    sizes[filled] += np.where(np.isnan(inner), np.inf, inner)
    return sizes


def _lengths(array: Any) -> Any:
    from pyarrow import compute  # which is not loaded where nobody uploads

    return compute.binary_length(array).fill_null(1)


def _at(sizes: Sizes, places: Any) -> Sizes:
    """Sizes at places of a dictionary; damaged files have places beyond its end.

    Raises:
        ValueError: there is such a place.
    """
    valid = np.asarray(places.is_valid())
    numbers = np.asarray(places.fill_null(0)).astype(np.int64)
    if not ((numbers >= 0) & (numbers < len(sizes)) | ~valid).all():
        raise ValueError(f"a dictionary of {len(sizes)} values has none at {numbers[valid].max()}")
    taken = np.ones(len(places))
    taken[valid] = sizes[numbers[valid]]
    return taken


def _is_flat(kind: Any) -> bool:
    """Whether all values of a type are of one size."""
    return bool(pa.types.is_primitive(kind) or pa.types.is_null(kind) or pa.types.is_fixed_size_binary(kind))


def _width(kind: Any) -> float:
    try:
        return max(1.0, int(kind.bit_width) / 8)
    except ValueError:  # null has none
        return 1.0


def _least(array: Any) -> Sizes:
    return np.ones(len(array))
