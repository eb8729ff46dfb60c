"""lumaai.ingestion.sizes: what Arrow's values take when all that they stand for is written out."""

from __future__ import annotations

import struct
from typing import Any

import pyarrow as pa
import pytest

from lumaai.ingestion.sizes import VALUES_MAX, row_sizes, sizes_of

WORDS = pa.array(["a", "four", None, "", "é"])


def of_dictionary(places: list[int | None], values: Any) -> Any:
    return pa.DictionaryArray.from_arrays(pa.array(places, pa.int32()), values)


@pytest.mark.parametrize(
    ("array", "sizes"),
    [
        (pa.array([1, None], pa.int64()), [8, 8]),
        (pa.array([1, 2], pa.int16()), [2, 2]),
        (pa.array([True, False]), [1, 1]),
        (pa.nulls(2), [1, 1]),
        (pa.array([b"abc", None], pa.binary(3)), [3, 3]),
        (WORDS, [1, 4, 1, 1, 2]),
        (WORDS.cast(pa.large_string()), [1, 4, 1, 1, 2]),
        (WORDS.cast(pa.string_view()), [1, 4, 1, 1, 2]),
        (pa.array([b"12345", b"x" * 40], pa.binary_view()), [5, 40]),
        (of_dictionary([1, 1, None, 0], pa.array(["a", "four"])), [4, 4, 1, 1]),
        (of_dictionary([None, None], pa.array([], pa.string())), [1, 1]),
        (pa.array([[1, 2], None, []], pa.list_(pa.int32())), [9, 1, 1]),
        (pa.array([["four"], ["a", "a"]], pa.large_list(pa.string())), [5, 3]),
        (pa.array([[1.0, 2.0], None], pa.list_(pa.float32(), 2)), [9, 9]),
        (pa.array([["ab", "c"], ["d", "e"]], pa.list_(pa.string(), 2)), [4, 3]),
        (pa.array([{"a": 1, "b": "four"}, None]), [13, 10]),
        (pa.array([[("key", 1)], []], pa.map_(pa.string(), pa.int64())), [13, 1]),
        (pa.ListViewArray.from_arrays([0, 0, 1], [3, 1, 2], pa.array(["a", "bb", "c"])), [5, 2, 4]),
        (pa.RunEndEncodedArray.from_arrays(pa.array([2, 3], pa.int32()), pa.array(["four", "a"])), [4, 4, 1]),
        (
            pa.UnionArray.from_sparse(
                pa.array([0, 1], pa.int8()), [pa.array([1, 2], pa.int64()), pa.array(["a", "four"])]
            ),
            [9, 5],
        ),
        (
            pa.UnionArray.from_dense(
                pa.array([1, 1, 0], pa.int8()),
                pa.array([1, 1, 0], pa.int32()),
                [pa.array([1]), pa.array(["a", "four"])],
            ),
            [5, 5, 9],
        ),
        (pa.array([b"0" * 16], pa.uuid()), [16]),
    ],
)
def test_a_value_takes_what_it_stands_for(array: Any, sizes: list[int]) -> None:
    """Worked out by hand, of the whole and of any part of it."""
    assert sizes_of(array).tolist() == sizes
    for start in range(len(array)):
        assert sizes_of(array.slice(start)).tolist() == sizes[start:], start
        assert sizes_of(array.slice(start, 1)).tolist() == sizes[start : start + 1], start


def test_rows_are_the_sums_of_their_columns() -> None:
    """Also of a table without columns."""
    assert row_sizes(pa.record_batch({"a": [1, 2], "b": ["x", "four"]})).tolist() == [9, 12]
    assert row_sizes(pa.record_batch({"a": [1, 2]}).select([])).tolist() == [0, 0]


def test_what_stands_for_too_much_is_only_counted() -> None:
    """Lists in lists that overlap, words that a dictionary has once, views of one text: kilobytes for terabytes."""
    overlapping: Any = pa.array(["x" * 1_000])
    for _ in range(150):
        places = pa.array([0] * 1_000, pa.int32())
        overlapping = pa.ListViewArray.from_arrays(
            places, pa.array([len(overlapping)] * 1_000, pa.int32()), overlapping
        )
    assert sizes_of(overlapping)[0] == float("inf")
    words = of_dictionary([0] * 4_000, pa.array(["x" * (1 << 20)]))
    assert sizes_of(pa.ListArray.from_arrays([0, 4_000], words)).tolist() == [1 + 4_000 * (1 << 20)]
    view = struct.pack("<i4sii", 1 << 20, b"xxxx", 0, 0) * 4_000
    views = pa.Array.from_buffers(pa.string_view(), 4_000, [None, pa.py_buffer(view), pa.py_buffer(b"x" * (1 << 20))])
    assert sizes_of(pa.ListArray.from_arrays([0, 4_000], views)).tolist() == [1 + 4_000 * (1 << 20)]


def test_a_run_without_end_is_refused() -> None:
    """To count it would take the memory that it must not take."""
    run = pa.RunEndEncodedArray.from_arrays(pa.array([VALUES_MAX + 1], pa.int32()), pa.array(["a"]))
    with pytest.raises(ValueError, match="too many values"):
        sizes_of(pa.ListArray.from_arrays([0, VALUES_MAX + 1], run))


@pytest.mark.parametrize("place", [-1, 2, 1_000_000])
def test_a_place_that_a_dictionary_has_not_is_refused(place: int) -> None:
    """As damaged files have them: nothing is read from there."""
    values = pa.DictionaryArray.from_arrays(pa.array([0, place], pa.int32()), pa.array(["a", "b"]), safe=False)
    with pytest.raises(ValueError, match="a dictionary of 2 values has none at"):
        sizes_of(values)
