"""Filters over a million documents beside bare pyroaring on the same sets, facets, and pages in order."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from pyroaring import BitMap

import engine
from benchmarks.report import Report
from benchmarks.timing import seconds
from engine.fields.select import select
from engine.filtering import PartFields
from engine.segments.segment import Segment

ROWS = 1_000_000
GENRES, YEARS = 10, (1920, 2020)
ROUNDS = 200
BATCH = 50_000
FIELDS = {"genre": "keyword", "year": "integer", "price": "number", "added": "datetime"}


def run(report: Report) -> None:
    """The section `filters`."""
    with _collection() as (collection, columns):
        snapshot = collection.snapshot()
        assert sum(isinstance(part, Segment) for part in snapshot.parts) == 1
        for name, where, sets in _filters(columns):
            _beside_bitmaps(report, snapshot, name, where, sets)
        _asked_once(report, snapshot, columns)


def _filters(columns: dict[str, Any]) -> Iterator[tuple[str, str, tuple[BitMap, BitMap]]]:
    """Filters of two fields, and the two sets that each is the intersection of."""
    genre, year, price = columns["genre"], columns["year"], columns["price"]
    drama = _bitmap(genre == "g3")
    yield "keyword and integer, both equal", "genre = 'g3' AND year = 1990", (drama, _bitmap(year == 1990))
    yield "keyword equal, range of integers", "genre = 'g3' AND year >= 1990", (drama, _bitmap(year >= 1990))
    middle = _bitmap((year >= 1951) & (year < 1993))
    yield "keyword equal, integers between", "genre = 'g3' AND year >= 1951 AND year < 1993", (drama, middle)
    yield "keyword equal, range of prices", "genre = 'g3' AND price < 80.5", (drama, _bitmap(price < 80.5))
    old, cheap = _bitmap(year < 1970), _bitmap(price < 80.5)
    yield "range of integers, range of prices", "year < 1970 AND price < 80.5", (old, cheap)


def _beside_bitmaps(
    report: Report, snapshot: engine.Snapshot, name: str, text: str, sets: tuple[BitMap, BitMap]
) -> None:
    """Evaluated anew each time, from postings and kept ranges; on the other side the intersection of two bitmaps."""
    where = engine.parse_filter(text)
    part = next(part for part in snapshot.parts if isinstance(part, Segment))
    indexes = snapshot._masks.indexes  # noqa: SLF001  (the very same indexes, without the cache of whole filters)
    left, right = sets

    def ours() -> BitMap:
        return select(where, PartFields(part, snapshot.schema, indexes))

    def theirs() -> BitMap:
        return left & right

    for _ in range(3):  # the indexes are made
        ours()
    assert ours() == theirs()
    assert snapshot.count(where) == len(theirs())
    mine, bare = _alternately(ours, theirs)
    report.add(
        f"filter over {ROWS:,} documents: {name}",
        f"{1e6 * mine:,.0f} µs",
        f"pyroaring {1e6 * bare:,.0f} µs: {mine / bare:.2f} ×",
        "at most 2 ×",
    )


def _asked_once(report: Report, snapshot: engine.Snapshot, columns: dict[str, Any]) -> None:
    """Ranges of which each is asked for once: nothing of them is kept."""
    part = next(part for part in snapshot.parts if isinstance(part, Segment))
    indexes = snapshot._masks.indexes  # noqa: SLF001
    asked = iter([engine.parse_filter(f"genre = 'g3' AND price < {80 + n / 1000}") for n in range(ROUNDS)])
    left, right = _bitmap(columns["genre"] == "g3"), _bitmap(columns["price"] < 80)
    mine, bare = _alternately(
        lambda: select(next(asked), PartFields(part, snapshot.schema, indexes)), lambda: left & right
    )
    report.add(
        f"filter over {ROWS:,} documents: keyword equal, another range of prices each time",
        f"{1e6 * mine:,.0f} µs",
        f"pyroaring {1e6 * bare:,.0f} µs: {mine / bare:.2f} ×",
    )


def _alternately(ours: Callable[[], object], theirs: Callable[[], object]) -> tuple[float, float]:
    """Median seconds of each, run in turn."""
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(ROUNDS)]
    return statistics.median(mine for mine, _ in pairs), statistics.median(bare for _, bare in pairs)


def _bitmap(mask: Any) -> BitMap:
    return BitMap(np.flatnonzero(mask).tolist())


@contextmanager
def _collection() -> Iterator[tuple[engine.Collection, dict[str, Any]]]:
    """A million documents in one segment, and their columns in order of their ordinals."""
    random = np.random.default_rng(5)
    columns = {
        "genre": np.array([f"g{n}" for n in range(GENRES)])[random.integers(0, GENRES, ROWS)],
        "year": random.integers(YEARS[0], YEARS[1] + 1, ROWS),
        "price": np.round(random.normal(100, 30, ROWS), 2),
    }
    schema = engine.Schema.from_json({"fields": FIELDS})
    with tempfile.TemporaryDirectory() as directory, engine.Database.open(Path(directory) / "bench") as database:
        collection = database.create_collection("bench", schema)
        for start in range(0, ROWS, BATCH):
            rows = {name: values[start : start + BATCH].tolist() for name, values in columns.items()}
            documents = [
                {"id": f"d{start + i}", "genre": g, "year": y, "price": p, "added": f"{y}-0{1 + i % 9}-15"}
                for i, (g, y, p) in enumerate(zip(rows["genre"], rows["year"], rows["price"], strict=True))
            ]
            collection.add(documents, durability=engine.Durability.NONE)
        collection.optimize(wait=True)
        yield collection, columns
