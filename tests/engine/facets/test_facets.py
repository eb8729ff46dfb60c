"""engine.facets: counts and figures, against plain Python."""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import Collection, Database, Schema, parse_filter
from engine.facets.counting import count_facets
from engine.facets.specification import FacetError
from engine.facets.steps import count_steps
from tests.engine.fields.test_evaluate import FIELDS

SHELF: list[dict[str, Any]] = [
    {"id": "1", "genre": "drama", "year": 1990, "price": 1.5, "tags": ["x", "y", "x"], "seen": "2020-01-31T23:00Z"},
    {"id": "2", "genre": "comedy", "year": 1995, "price": 10.0, "tags": ["y"], "seen": "2020-02-01"},
    {"id": "3", "genre": "drama", "year": 2001, "price": 20.0, "tags": [], "seen": "2020-02-29"},
    {"id": "4", "genre": None, "year": 2001, "maker": {"land": "AT"}},
    {"id": "5", "genre": "dance", "price": -0.5, "maker": {"land": "FR"}, "seen": "2021-03-01"},
]
TYPES = {"genre": "keyword", "tags": {"type": "keyword", "many": True}, "maker": "json", "seen": "datetime"}


@pytest.fixture
def shelf(tmp_path: Path) -> Iterator[Collection]:
    """Some in a segment, some in the head, one replaced and one deleted."""
    with Database.open(tmp_path / "db") as database:
        collection = database.create_collection("c", Schema.from_json({"fields": TYPES}))
        collection.add([{**SHELF[0], "genre": "old"}, *SHELF[1:3], {"id": "gone", "genre": "gone", "year": 1}])
        collection.state.seal()
        collection.add([SHELF[0], *SHELF[3:]])
        collection.delete(ids=["gone"])
        yield collection


def test_values_of_a_field(shelf: Collection) -> None:
    """The most frequent first, ties by value; what is not shown is counted; null is missing."""
    found = count_facets(
        shelf.snapshot(), {"genre": {"limit": 2}, "first": {"field": "genre", "sort": "value", "limit": 1}}
    )
    assert found["genre"] == {
        "values": [{"value": "drama", "count": 2}, {"value": "comedy", "count": 1}],
        "distinct": 3,
        "other": 1,
        "missing": 1,
    }
    assert found["first"]["values"] == [{"value": "comedy", "count": 1}]


def test_values_with_a_prefix_lists_and_paths(shelf: Collection) -> None:
    """A document counts once for each value that it has; what has none is missing."""
    found = count_facets(
        shelf.snapshot(), {"genre": {"prefix": "d", "sort": "value"}, "tags": {}, "maker.land": {"sort": "value"}}
    )
    assert [item["value"] for item in found["genre"]["values"]] == ["dance", "drama"]
    assert found["tags"] == {
        "values": [{"value": "y", "count": 2}, {"value": "x", "count": 1}], "distinct": 2, "other": 0, "missing": 3,
    }  # fmt: skip
    assert found["maker.land"]["values"] == [{"value": "AT", "count": 1}, {"value": "FR", "count": 1}]


def test_ranges_steps_and_figures(shelf: Collection) -> None:
    """From is in a range, to is not; steps may begin below zero; figures leave null out."""
    spec = {
        "price": {"ranges": [{"to": 10}, {"from": 10, "to": 20}, {"from": 0}]},
        "steps": {"field": "price", "interval": 10},
        "decades": {"field": "year", "interval": 10},
        "figures": {"field": "price", "stats": True},
        "when": {"field": "seen", "stats": True},
    }
    found = count_facets(shelf.snapshot(), spec)
    assert [item["count"] for item in found["price"]["ranges"]] == [2, 1, 3]
    assert found["price"]["ranges"][1] == {"from": 10, "to": 20, "count": 1}
    assert found["steps"]["buckets"] == [{"start": start, "count": 1} for start in (-10.0, 0.0, 10.0, 20.0)]
    assert found["decades"]["buckets"] == [{"start": 1990, "count": 2}, {"start": 2000, "count": 2}]
    assert found["figures"] == {"count": 4, "min": -0.5, "max": 20.0, "avg": 7.75, "sum": 31.0, "missing": 1}
    assert found["when"] == {"count": 4, "min": "2020-01-31T23:00:00Z", "max": "2021-03-01T00:00:00Z", "missing": 1}


@pytest.mark.parametrize(
    ("interval", "starts", "counts"),
    [
        ("year", ["2020-01-01", "2021-01-01"], [3, 1]),
        ("quarter", ["2020-01-01", "2021-01-01"], [3, 1]),
        ("month", ["2020-01-01", "2020-02-01", "2021-03-01"], [1, 2, 1]),
        ("week", ["2020-01-27", "2020-02-24", "2021-03-01"], [2, 1, 1]),
        ("day", ["2020-01-31", "2020-02-01", "2020-02-29", "2021-03-01"], [1, 1, 1, 1]),
    ],
)
def test_histograms_of_time(shelf: Collection, interval: str, starts: list[str], counts: list[int]) -> None:
    """Calendar spans in UTC; weeks begin on Mondays."""
    buckets = count_facets(shelf.snapshot(), {"seen": {"interval": interval}})["seen"]["buckets"]
    assert [bucket["start"] for bucket in buckets] == [f"{start}T00:00:00Z" for start in starts]
    assert [bucket["count"] for bucket in buckets] == counts


def test_facets_under_a_filter_and_of_hits(shelf: Collection) -> None:
    """Only the documents that satisfy it, only those that were found."""
    snapshot = shelf.snapshot()
    where = parse_filter("year >= 1995")
    assert count_facets(snapshot, ["genre"], where)["genre"]["values"] == [
        {"value": "comedy", "count": 1},
        {"value": "drama", "count": 1},
    ]
    ordinals = snapshot.ordinals(parse_filter({"id": {"$in": ["1", "4"]}}))
    assert count_facets(snapshot, ["genre"], ordinals=ordinals)["genre"] == {
        "values": [{"value": "drama", "count": 1}], "distinct": 1, "other": 0, "missing": 1,
    }  # fmt: skip
    assert count_facets(snapshot, ["genre"], where, np.empty(0, dtype=np.uint32))["genre"]["values"] == []


def test_combinations_of_fields(shelf: Collection) -> None:
    """The most frequent first, then as they appeared; null is a value of its own; of what was found only."""
    snapshot = shelf.snapshot()
    found = count_facets(snapshot, {"both": {"by": ["genre", "year"], "limit": 2}, "y": {"by": ["year"], "limit": 1}})
    assert found["y"] == {"groups": [{"values": {"year": 2001}, "count": 2}], "distinct": 4, "other": 3}
    assert found["both"]["distinct"] == 5
    ordinals = snapshot.ordinals(parse_filter({"id": {"$in": ["1", "4"]}}))
    some = count_facets(snapshot, {"both": {"by": ["genre", "year"]}}, ordinals=ordinals)["both"]["groups"]
    assert [(item["values"], item["count"]) for item in some] == [
        ({"genre": "drama", "year": 1990}, 1),
        ({"genre": None, "year": 2001}, 1),
    ]


@pytest.mark.parametrize(
    ("spec", "pointer"),
    [
        (3, ""),
        ([7], "/0"),
        ({"nothing": {}}, "/nothing"),
        ({"genre": 3}, "/genre"),
        ({"genre": {"limit": 0}}, "/genre/limit"),
        ({"genre": {"limit": True}}, "/genre/limit"),
        ({"genre": {"sort": "size"}}, "/genre/sort"),
        ({"genre": {"many": 1}}, "/genre/many"),
        ({"genre": {"interval": 10}}, "/genre"),
        ({"genre": {"stats": True}}, "/genre"),
        ({"year": {"prefix": "1"}}, "/year/prefix"),
        ({"year": {"interval": "month"}}, "/year"),
        ({"year": {"interval": 0}}, "/year/interval"),
        ({"year": {"interval": 5e-324}}, "/year/interval"),
        ({"year": {"interval": 10**400}}, "/year/interval"),
        ({"year": {"interval": 1e-9}}, ""),
        ({"year": {"ranges": []}}, "/year/ranges"),
        ({"year": {"ranges": [{}]}}, "/year/ranges/0"),
        ({"year": {"ranges": [{"from": "a"}]}}, "/year/ranges/0/from"),
        ({"seen": {"ranges": [{"to": 7}]}}, "/seen/ranges/0/to"),
        ({"year": {"ranges": [{"to": 7}], "limit": 3}}, "/year"),
        ({"y": {"field": ["year"]}}, "/y/field"),
        ({"y": {"by": []}}, "/y/by"),
        ({"y": {"by": ["year", "year"]}}, "/y/by"),
        ({"y": {"by": ["nothing"]}}, "/y/by"),
        ({"y": {"by": ["year"], "stats": True}}, "/y"),
        ({"y": {"by": ["year"], "limit": 0}}, "/y/limit"),
        ({str(i): {} for i in range(65)}, ""),
    ],
)
def test_bad_facets_name_the_place(shelf: Collection, spec: Any, pointer: str) -> None:
    """By JSON Pointer into what was given; steps of nothing are found to be too many only where values are."""
    if pointer == "" and spec == {"year": {"interval": 1e-9}}:
        assert count_facets(shelf.snapshot(), spec)["year"]["buckets"]
        return
    with pytest.raises(FacetError) as caught:
        count_facets(shelf.snapshot(), spec)
    assert caught.value.pointer == pointer


def test_steps_begin_where_their_decimals_say(tmp_path: Path) -> None:
    """0.3 / 0.1 is less than 3 in floats; -0.0 is 0.0."""
    with Database.open(tmp_path / "db") as database:
        collection = database.create_collection("c", Schema())
        collection.add([{"id": str(i), "v": v} for i, v in enumerate([0.3, 0.7, 0.1, 1.1, 0.6, 0.0, -0.0, -0.05])])
        found = count_facets(collection.snapshot(), {"v": {"interval": 0.1}, "zeros": {"field": "v", "sort": "value"}})
        assert collection.snapshot().field_values("v")[0] == (0.0, 2)
    starts = [(bucket["start"], bucket["count"]) for bucket in found["v"]["buckets"]]
    assert starts == [(-0.1, 1), (0.0, 2), (0.1, 1), (0.3, 1), (0.6, 1), (0.7, 1), (1.1, 1)]
    assert found["zeros"]["values"][:2] == [{"value": -0.05, "count": 1}, {"value": 0.0, "count": 2}]


@given(
    st.lists(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-9, 99).map(lambda n: n / 10), min_size=1),
    st.sampled_from([0.1, 0.25, 3, 10, 1e-9, 1e300, 1e-300]),
)
def test_each_number_lies_in_its_step(numbers: list[float], interval: float) -> None:
    """None is lost, none lies below its step; those beyond the end of a step are in another."""
    starts, counts = count_steps(np.array(numbers), interval)
    assert starts == sorted(set(starts))
    assert int(counts.sum()) == len(numbers)
    ordered = np.sort(np.array(numbers))
    assert (ordered >= np.repeat(np.array(starts), counts)).all()
    for start in starts:
        if abs(start) / interval < 2**52 and start > -sys.float_info.max:
            steps = round(Decimal(start) / Decimal(repr(interval)))
            assert start == float(steps * Decimal(repr(interval)))


def test_steps_of_the_largest_integers() -> None:
    """Exactly, and by steps longer than all of them."""
    numbers = np.array([2**63 - 1, -(2**63), 0])
    assert count_steps(numbers, 10)[0] == [-9223372036854775810, 0, 9223372036854775800]
    assert count_steps(numbers, 2**70)[0] == [-(2**70), 0]


def test_too_many_steps_are_refused(tmp_path: Path) -> None:
    """Rather than answered by megabytes."""
    with Database.open(tmp_path / "db") as database:
        collection = database.create_collection("c", Schema())
        collection.add([{"id": str(i), "n": i} for i in range(10_001)])
        with pytest.raises(FacetError, match="maximum=10000 got=10001"):
            count_facets(collection.snapshot(), {"n": {"interval": 1}})


START = datetime(2020, 1, 1, tzinfo=UTC)
ROWS = st.lists(
    st.fixed_dictionaries(
        {},
        optional={
            "k": st.none() | st.sampled_from(["a", "b", "ba", ""]),
            "i": st.none() | st.integers(-5, 5),
            "ks": st.none() | st.lists(st.sampled_from(["a", "b", "c"]), max_size=4),
            "d": st.none()
            | st.integers(0, 10_000).map(lambda n: (datetime(2020, 1, 1) + timedelta(hours=n)).isoformat()),  # noqa: DTZ001
        },
    ),
    max_size=12,
)


@settings(max_examples=20, deadline=None)
@given(ROWS, st.integers(0, 12))
def test_facets_agree_with_plain_python(rows: list[dict[str, Any]], sealed: int) -> None:
    """Values, ranges and steps, over a segment and a head."""
    with tempfile.TemporaryDirectory() as directory, Database.open(Path(directory) / "db") as database:
        schema = Schema({name: FIELDS[name] for name in ("k", "i", "ks", "d")})
        collection = database.create_collection("c", schema)
        documents = [{"id": str(n), **row} for n, row in enumerate(rows)]
        for some in (documents[:sealed], documents[sealed:]):
            if some:
                collection.add(some)
                collection.state.seal()
        spec = {
            "k": {"limit": 100},
            "ks": {"limit": 100},
            "i": {"ranges": [{"from": -2, "to": 3}]},
            "d": {"interval": "day"},
        }
        found = count_facets(collection.snapshot(), spec)
    for name in ("k", "ks"):
        lists = [row[name] if isinstance(row[name], list) else [row[name]] for row in rows if row.get(name) is not None]
        counts = Counter(value for values in lists for value in set(values))
        expected = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
        assert [(item["value"], item["count"]) for item in found[name]["values"]] == expected
        assert found[name]["missing"] == len(rows) - sum(1 for values in lists if values)
    assert found["i"]["ranges"][0]["count"] == sum(-2 <= row["i"] < 3 for row in rows if row.get("i") is not None)
    days = Counter(row["d"][:10] for row in rows if row.get("d") is not None)
    assert [(item["start"][:10], item["count"]) for item in found["d"]["buckets"]] == sorted(days.items())
