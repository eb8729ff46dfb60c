"""engine.ordering: documents in order of fields, against plain Python."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from engine import Database, Schema, parse_filter
from engine.fields.order import OrderError, SortKey, parse_order
from engine.ordering import ordered

KINDS: dict[str, list[Any]] = {
    "i": [None, -3, 0, 2**53 + 1, 2**53 + 2, -(2**63)],
    "n": [None, -0.5, 0.0, 1e300],
    "k": [None, "", "a", "aa", "é", "😀", "Z"],
    "b": [None, True, False],
    "d": [None, "1969-12-31", "2020-01-01T00:00Z", "2020-01-01T00:00+01:00"],
}


def test_orders_agree_with_plain_python(tmp_path: Path) -> None:
    """Every type, both ways, over segments and a head: nulls last, ties in the order of writing."""
    chooser = random.Random(4)
    with Database.open(tmp_path / "db") as database:
        types = {"i": "integer", "n": "number", "k": "keyword", "b": "boolean", "d": "datetime", "j": "json"}
        collection = database.create_collection("c", Schema.from_json({"fields": types}))
        rows = [{"id": str(n), **{name: chooser.choice(values) for name, values in KINDS.items()}} for n in range(90)]
        for row in rows:
            row["j"] = {"n": row["n"]}
        for start in range(0, 90, 30):
            collection.add(rows[start : start + 30])
            if start < 60:
                collection.state.seal()
        collection.delete(ids=["7", "40"])
        rows = [row for row in rows if row["id"] not in ("7", "40")]
        snapshot = collection.snapshot()

        def ids(order: Any, where: Any = None) -> list[str]:
            found = ordered(snapshot, parse_order(order), None if where is None else parse_filter(where))
            return snapshot.ids(found)

        offset = {"2020-01-01T00:00+01:00": "2019-12-31T23:00Z"}
        for name in KINDS:
            known = [row for row in rows if row[name] is not None]
            nulls = [row["id"] for row in rows if row[name] is None]
            for direction in ("asc", "desc"):
                down = direction == "desc"
                expected = sorted(known, key=lambda row: offset.get(row[name], row[name]), reverse=down)
                # Python keeps ties as they stood, also when reversed.
                assert ids({"field": name, "direction": direction}) == [row["id"] for row in expected] + nulls
        assert ids("j.n desc") == ids("n desc")
        both = sorted(
            (row for row in rows if row["b"] is not None and row["i"] is not None),
            key=lambda row: (not row["b"], row["i"]),
        )
        assert ids(["b desc", "i"], "b is not null and i is not null") == [row["id"] for row in both]


@pytest.mark.parametrize(
    ("order", "keys"),
    [
        ("year", (SortKey("year"),)),
        ("year desc", (SortKey("year", descending=True),)),
        ("my year ASC", (SortKey("my year"),)),
        ("my year", (SortKey("my year"),)),
        (["a", {"field": "b", "direction": "desc"}], (SortKey("a"), SortKey("b", descending=True))),
    ],
)
def test_orders_are_read(order: Any, keys: tuple[SortKey, ...]) -> None:
    """Names, names with a direction, objects, and lists of them."""
    assert parse_order(order) == keys


@pytest.mark.parametrize(
    ("order", "pointer"),
    [
        (7, ""), ("", ""), ([], ""), (["a"] * 9, ""), (["a", 3], "/1"), ({"by": "a"}, ""),
        ({"field": "a", "direction": "up"}, ""), ({"field": 3}, ""), ("nothing", ""), ("tags", ""),
        (["n", "place"], "/1"),
    ],
)  # fmt: skip
def test_bad_orders_name_the_place(tmp_path: Path, order: Any, pointer: str) -> None:
    """Also of fields that have no order: lists, points, and those that are not there."""
    with Database.open(tmp_path / "db") as database:
        collection = database.create_collection("c", Schema())
        collection.add([{"id": "1", "n": 1, "tags": ["a"], "place": {"lat": 1, "lon": 2}}])
        with pytest.raises(OrderError) as caught:
            ordered(collection.snapshot(), parse_order(order))
    assert caught.value.pointer == pointer
