"""engine.segments.segment: immutable files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from engine.document import Passage
from engine.schema import Field, FieldType, Metric, Schema, VectorField
from engine.segments.head import Head
from engine.segments.segment import Segment, SegmentDamagedError, write_segment
from engine.segments.sources import from_parts
from engine.vector.index import BuildStoppedError
from engine.vector.parameters import SearchParameters

SCHEMA = Schema({"n": Field(FieldType.INTEGER)}, {"w": VectorField(3), "v": VectorField(2, Metric.L2)})


def documents_of(ordinals: Any) -> list[dict[str, Any]]:
    return [{"id": str(i), "n": int(i), "m": [int(i)]} for i in ordinals]


def head(count: int) -> Head:
    made = Head()
    made.append(5, [b'{"id":"%d","n":%d}' % (i, i) for i in range(5, 5 + count)])
    vectors = np.array([[i, 0] for i in range(5, 5 + count)], np.float32)
    spans = [Passage("t", i, i + 1) for i in range(count)]
    made.append_vectors("v", SCHEMA.vectors["v"]).append(np.arange(100, 100 + count), vectors, np.arange(count), spans)
    return made


def written(directory: Path, count: int = 4) -> Segment:
    data = from_parts([head(count).view()], [None], SCHEMA)
    entry = write_segment(directory, 1, data, SCHEMA, 1, lambda: False)
    return Segment(directory, entry, SCHEMA, documents_of)


def test_a_segment_holds_what_it_was_built_from(tmp_path: Path) -> None:
    """Ordinals, ids, columns, vectors, row numbers and passages, read from its files."""
    segment = written(tmp_path / "a" / "1")
    assert segment.ordinals.tolist() == [5, 6, 7, 8]
    assert segment.column("id", SCHEMA.fields["n"]).to_pylist() == ["5", "6", "7", "8"]
    assert segment.column("n", SCHEMA.fields["n"]).to_pylist() == [5, 6, 7, 8]
    part = segment.vector_part("v")
    assert part is not None
    assert part.vectors.tolist() == [[5, 0], [6, 0], [7, 0], [8, 0]]
    assert part.origins.numbers.tolist() == [100, 101, 102, 103]
    assert part.origins.passage(2) == Passage("t", 2, 3)
    assert segment.vector_part("w") is None
    assert segment.files_bytes() == sum(file.stat().st_size for file in (tmp_path / "a" / "1").iterdir())


def test_fields_that_came_or_changed_later_are_read_as_asked(tmp_path: Path) -> None:
    """An unknown field is null; one sealed under another type is read again from the documents."""
    segment = written(tmp_path / "1")
    assert segment.column("m", Field(FieldType.KEYWORD)).to_pylist() == [None] * 4
    assert segment.column("n", Field(FieldType.NUMBER)).to_pylist() == [5.0, 6.0, 7.0, 8.0]
    assert segment.column("n", Field(FieldType.INTEGER, many=True)).to_pylist() == [[5], [6], [7], [8]]
    assert segment.column("n", Field(FieldType.INTEGER)).type == pa.int64()


def test_searches_gather_few_rows_and_check_many(tmp_path: Path) -> None:
    """The same answer by either way."""
    segment = written(tmp_path / "1", count=3000)
    part = segment.vector_part("v")
    assert part is not None
    query = np.array([[1000.2, 0]], np.float32)
    for modulus in (2, 100):
        allowed = np.arange(3000) % modulus == 0
        exact = SearchParameters(exact=True)
        _, rows, _ = part.search(query, 2, allowed=part.allowed(allowed), parameters=exact, threads=1)
        expected = sorted(np.flatnonzero(allowed), key=lambda row: abs(row + 5 - 1000.2))[:2]
        assert rows[0].tolist() == expected


def test_removed_files_stay_readable_while_mapped(tmp_path: Path) -> None:
    """A pinned snapshot may outlive a merge."""
    segment = written(tmp_path / "1", count=50)
    segment.remove()
    assert not (tmp_path / "1").exists()
    part = segment.vector_part("v")
    assert part is not None
    query = np.array([[9.1, 0]], np.float32)
    _, rows, _ = part.search(query, 1, allowed=None, parameters=SearchParameters(), threads=1)
    assert rows.tolist() == [[4]]
    assert segment.column("n", SCHEMA.fields["n"]).to_pylist() == list(range(5, 55))


def test_a_stopped_build_leaves_a_stray(tmp_path: Path) -> None:
    """The error says so; building again under the same number starts over."""
    data = from_parts([head(3).view()], [None], SCHEMA)
    with pytest.raises(BuildStoppedError):
        write_segment(tmp_path / "1", 1, data, SCHEMA, 1, lambda: True)
    assert (tmp_path / "1").exists()
    assert len(written(tmp_path / "1").ordinals) == 4


def test_damage_is_found_when_a_segment_is_opened(tmp_path: Path) -> None:
    """Another size, another checksum, a missing file."""
    entry = written(tmp_path / "1").entry
    file = tmp_path / "1" / "columns.arrow"
    data = file.read_bytes()
    for bad, message in ((data + b"x", "size"), (bytes([data[0] ^ 1]) + data[1:], "checksum")):
        file.write_bytes(bad)
        with pytest.raises(SegmentDamagedError, match=message):
            Segment(tmp_path / "1", entry, SCHEMA, documents_of)
    file.unlink()
    with pytest.raises(SegmentDamagedError, match="cannot be read"):
        Segment(tmp_path / "1", entry, SCHEMA, documents_of)
