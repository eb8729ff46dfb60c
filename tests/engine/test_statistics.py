"""engine.statistics: figures of fields, joined over parts, against plain Python."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from engine import Database, Schema
from engine.statistics import _estimate, _hashes, _registers


def test_figures_follow_the_snapshot(tmp_path: Path) -> None:
    """Over segments and a head, after replacing and deleting, each snapshot its own."""
    chooser = random.Random(9)
    rows: list[dict[str, Any]] = [
        {
            "id": str(n),
            "k": chooser.choice([None, "a", "b", "c"]),
            "n": chooser.choice([None, 1.5, -2.0, 7.25]),
            "d": f"2020-01-{1 + n % 28:02}",
            "ks": chooser.sample(["x", "y", "z"], chooser.randrange(4)),
            "b": bool(n % 2),
        }
        for n in range(300)
    ]
    with Database.open(tmp_path / "db") as database:
        types = {
            "k": "keyword",
            "n": "number",
            "d": "datetime",
            "ks": {"type": "keyword", "many": True},
            "b": "boolean",
        }
        collection = database.create_collection("c", Schema.from_json({"fields": types}))
        for start in (0, 100):
            collection.add(rows[start : start + 100])
            collection.state.seal()
        collection.add(rows[200:])
        before = collection.snapshot()
        _check(before.statistics(), rows)
        collection.delete(ids=[str(n) for n in range(120)])
        collection.add([{"id": "new", "k": "brand new", "n": 100.0}])
        after = [*rows[120:], {"id": "new", "k": "brand new", "n": 100.0}]
        _check(collection.snapshot().statistics(), after)
        _check(before.statistics(), rows)


def _check(found: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    for name in ("k", "n", "b"):
        values = [row[name] for row in rows if row.get(name) is not None]
        figures = found[name]
        assert (figures.count, figures.nulls) == (len(values), len(rows) - len(values))
        assert (figures.min, figures.max, figures.distinct, figures.exact) == (
            min(values), max(values), len(set(values)), True,
        )  # fmt: skip
        assert dict(figures.top) == Counter(values)
    assert found["d"].min == "2020-01-01T00:00:00Z"
    assert found["ks"].count == sum(row.get("ks") is not None for row in rows)
    assert dict(found["ks"].top) == Counter(value for row in rows for value in row.get("ks", ()))
    steps = found["n"].histogram
    assert sum(count for _, _, count in steps) == found["n"].count
    assert (steps[0][0], steps[-1][1]) == (found["n"].min, found["n"].max)


def test_histograms_have_steps_of_equal_size(tmp_path: Path) -> None:
    """Twenty of about a twentieth each, in order, over parts of unlike size and place."""
    with Database.open(tmp_path / "db") as database:
        collection = database.create_collection("c", Schema())
        collection.add([{"id": str(n), "n": n * n} for n in range(9_000)])
        collection.state.seal()
        collection.add([{"id": f"b{n}", "n": n} for n in range(1_000)])
        figures = collection.snapshot().statistics()["n"]
    assert len(figures.histogram) == 20
    assert all(400 <= count <= 600 for _, _, count in figures.histogram)
    ends = [high for _, high, _ in figures.histogram]
    assert ends == sorted(ends)
    assert not figures.exact
    assert abs(figures.distinct / len({*(n * n for n in range(9_000)), *range(1_000)}) - 1) < 0.06


def test_distinct_values_are_estimated_within_a_few_percent() -> None:
    """HyperLogLog over numbers and strings; joining two is counting all."""
    for values in (np.arange(200_000), np.random.default_rng(1).normal(size=50_000), np.arange(3_000).astype(str)):
        array = pa.array(values)
        registers = _registers(_hashes(array))
        assert abs(_estimate(registers) / len(values) - 1) < 0.06
        half = len(values) // 2
        halves = [_registers(_hashes(array.slice(0, half))), _registers(_hashes(array.slice(half)))]
        assert (np.maximum(*halves) == registers).all()


def test_fields_without_values_have_figures(tmp_path: Path) -> None:
    """Of nothing: no bounds, no steps; points are only counted."""
    with Database.open(tmp_path / "db") as database:
        collection = database.create_collection("c", Schema.from_json({"fields": {"n": "number", "g": "geo"}}))
        assert collection.snapshot().statistics()["n"].count == 0
        collection.add([{"id": "1", "g": {"lat": 1, "lon": 2}}])
        found = collection.snapshot().statistics()
    assert (found["n"].nulls, found["n"].min, found["n"].histogram) == (1, None, ())
    assert (found["g"].count, found["g"].distinct, found["g"].max) == (1, 0, None)
    assert found["n"].to_json()["distinct"] == 0
