"""Parquet: rows as documents, with the types that JSON has."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lumaai.errors import InvalidRequestError
from lumaai.ingestion import read


def test_rows_become_documents(tmp_path: Path) -> None:
    """Null and NaN are left out, times are ISO 8601, decimals numbers, lists and structs stay."""
    path = tmp_path / "a.parquet"
    table = pa.table(
        {
            "id": [1, 2],
            "score": [float("nan"), 0.5],
            "when": [dt.datetime(2024, 1, 31, 12, tzinfo=dt.UTC), None],
            "day": [dt.date(2024, 1, 31), None],
            "price": [Decimal("1.50"), Decimal("2.00")],
            "tags": [["a", "b"], []],
            "deep": [{"x": 1}, {"x": None}],
            "raw": [b"ab", None],
            "nanos": pa.array([1_706_702_400_000_000_001, None], type=pa.timestamp("ns")),
            "times": pa.array([3_600_000_000_001, None], type=pa.time64("ns")),
            "spans": pa.array([1_500_000_001, None], type=pa.duration("ns")),
        }
    )
    pq.write_table(table, path)
    assert [(r.position, r.document) for r in read(path)] == [
        (
            1,
            {
                "id": "1",
                "when": "2024-01-31T12:00:00+00:00",
                "day": "2024-01-31",
                "price": 1.5,
                "tags": ["a", "b"],
                "deep": {"x": 1},
                "raw": "YWI=",
                "nanos": "2024-01-31T12:00:00",
                "times": "01:00:00",
                "spans": 1.5,
            },
        ),
        (2, {"id": "2", "score": 0.5, "price": 2.0, "tags": [], "deep": {"x": None}}),
    ]


def test_many_rows_are_read_in_pieces_and_counted_on(tmp_path: Path) -> None:
    """Row numbers go on across row groups."""
    path = tmp_path / "a.parquet"
    pq.write_table(pa.table({"id": [str(i) for i in range(2500)]}), path, row_group_size=700)
    found = list(read(path))
    assert [found[0].position, found[-1].position, len(found)] == [1, 2500, 2500]
    assert found[2499].document == {"id": "2499"}


@pytest.mark.parametrize("data", [b"", b"PAR1 not really", b"text"])
def test_a_file_that_is_no_parquet_says_so(tmp_path: Path, data: Any) -> None:
    """Empty, cut or something else."""
    path = tmp_path / "a.parquet"
    path.write_bytes(data)
    with pytest.raises(InvalidRequestError, match="is not a readable Parquet file"):
        list(read(path))


def test_maps_become_objects_and_nested_times_are_read(tmp_path: Path) -> None:
    """A map column is an object; nanoseconds are cut to microseconds however deep they stand."""
    path = tmp_path / "m.parquet"
    nested = pa.list_(pa.struct([("t", pa.timestamp("ns"))]))
    table = pa.table({"id": ["a"], "m": pa.array([[("k", 1)]], pa.map_(pa.string(), pa.int64())),
                      "n": pa.array([[{"t": 1_000}]], nested)})  # fmt: skip
    pq.write_table(table, path)
    (record,) = read(path)
    assert record.document == {"id": "a", "m": {"k": 1}, "n": [{"t": "1970-01-01T00:00:00.000001"}]}


def test_a_date_beyond_the_calendar_spoils_only_its_row(tmp_path: Path) -> None:
    """Day 5,000,000 has no Python date; the other row is read."""
    path = tmp_path / "d.parquet"
    pq.write_table(pa.table({"id": ["a", "b"], "d": pa.array([5_000_000, 1], pa.date32())}), path)
    bad, good = read(path)
    assert bad.problem == "date value out of range"
    assert good.document == {"id": "b", "d": "1970-01-02"}


def test_a_column_that_stands_twice_is_refused(tmp_path: Path) -> None:
    """One of the two would be lost."""
    path = tmp_path / "t.parquet"
    columns = [pa.array([1]), pa.array([2])]
    pq.write_table(pa.Table.from_arrays(columns, names=["x", "x"]), path)
    with pytest.raises(InvalidRequestError, match="has a column twice: 'x'"):
        list(read(path))
