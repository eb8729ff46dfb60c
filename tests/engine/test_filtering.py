"""engine.filtering: filters over the parts of snapshots, against plain Python, and how they are explained."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from engine import Collection, Database, Schema, parse_filter
from engine.fields.index_cache import ROWS_MIN
from engine.filtering import explain_filter

NOTES: list[dict[str, Any]] = [
    {"id": "0", "a": None, "j": {"p": None, "list": [{"q": 1}, {"q": 2}, {"r": 3}]}},
    {"id": "1", "a": 1, "j": {"p": 1, "list": []}},
    {"id": "2", "j": {"list": [{"q": None}, 7]}, "never": None},
    {"id": "3", "a": None, "j": None},
    {"id": "4", "a": 2, "j": {"p": {"deep": {"er": "x"}}, "list": {"q": 5}}},
    {"id": "5"},
]
RULES: list[tuple[Any, str]] = [
    ({"a": {"$exists": True}}, "0134"),
    ({"a": {"$exists": False}}, "25"),
    ({"a": {"$is_null": True}}, "0235"),
    ({"a": None}, "0235"),
    ({"a": {"$ne": 1}}, "02345"),
    ({"a": {"$nin": [1, 2]}}, "0235"),
    ({"a": {"$ne": None}}, "14"),
    ({"$not": {"a": {"$gt": 1}}}, "01235"),
    ({"never": {"$exists": True}}, "2"),
    ({"never": {"$is_null": True}}, "012345"),
    ({"j": {"$exists": True}}, "01234"),
    ({"j.p": {"$exists": True}}, "014"),
    ({"j.p": {"$is_null": True}}, "0235"),
    ({"j.p.deep.er": "x"}, "4"),
    ({"j.p.deep": {"$exists": True}}, "4"),
    ({"j.list.q": 2}, "0"),
    ({"j.list.q": {"$gte": 2}}, "04"),
    ({"j.list.q": {"$exists": True}}, "024"),
    ("EXISTS(a) AND a IS NULL", "03"),
]


@pytest.mark.parametrize("steps", ["head", "sealed", "merged", "reopened", "old"])
def test_what_is_null_what_is_missing_and_what_lies_in_lists(tmp_path: Path, steps: str) -> None:
    """The published rules, in the head, in segments, after they were merged, and in those written before nulls were."""
    schema = Schema.from_json({"fields": {"a": "integer", "j": "json"}})
    with Database.open(tmp_path / "db", seal_rows=1_000_000) as database:
        collection = database.create_collection("c", schema)
        for some in (NOTES[:2], NOTES[2:5], NOTES[5:]):
            collection.add(some)
            if steps != "head":
                collection.state.seal()
        if steps in ("merged", "old", "reopened"):
            collection.optimize(wait=True)
        if steps == "old":
            for segment in collection.state.segments():
                segment._table = segment._table.replace_schema_metadata(None)
        if steps != "reopened":
            _check_rules(collection)
    if steps == "reopened":
        with Database.open(tmp_path / "db") as database:
            _check_rules(database.collection("c"))


def _check_rules(collection: Collection) -> None:
    snapshot = collection.snapshot()
    for where, expected in RULES:
        found = snapshot.ids(snapshot.ordinals(parse_filter(where, snapshot.schema)))
        assert "".join(sorted(found)) == expected, where


def test_large_segments_are_filtered_by_indexes(tmp_path: Path) -> None:
    """The same documents before and after the indexes are there, with deletions, and in counts, ids and masks."""
    chooser = random.Random(3)
    rows = [
        {
            "id": str(n),
            "k": chooser.choice(["a", "b", "c", None]),
            "n": None if n % 11 == 0 else chooser.random(),
            "y": chooser.randrange(1950, 2020),
            "tags": chooser.sample(["x", "y", "z"], chooser.randrange(3)),
            "j": {"p": n % 5},
        }
        for n in range(ROWS_MIN + 500)
    ]
    wheres: list[tuple[str, Any]] = [
        ("k = 'a' AND y >= 1990", lambda r: r["k"] == "a" and r["y"] >= 1990),
        (
            "n < 0.25 AND y BETWEEN 1960 AND 1970",
            lambda r: r["n"] is not None and r["n"] < 0.25 and 1960 <= r["y"] <= 1970,
        ),
        ("NOT (k = 'b' OR tags = 'x')", lambda r: not (r["k"] == "b" or "x" in r["tags"])),
        ("k IS NULL OR n > 0.9", lambda r: r["k"] is None or (r["n"] or 0) > 0.9),
        ("j.p = 3 AND k <> 'c'", lambda r: r["j"]["p"] == 3 and r["k"] != "c"),
        ("CONTAINS_ALL(tags, 'x', 'y') AND id LIKE '1%'", lambda r: {"x", "y"} <= {*r["tags"]} and r["id"][0] == "1"),
    ]
    types = {"k": "keyword", "n": "number", "y": "integer", "tags": {"type": "keyword", "many": True}, "j": "json"}
    with Database.open(tmp_path / "db", seal_rows=1_000_000) as database:
        collection = database.create_collection("c", Schema.from_json({"fields": types}))
        collection.add(rows)
        collection.optimize(wait=True)
        for gone in ((), ("5", "77"), ("100",)):
            if gone:
                collection.delete(ids=list(gone))
                rows = [row for row in rows if row["id"] not in gone]
            snapshot = collection.snapshot()
            for text, holds in wheres:
                where = parse_filter(text, snapshot.schema)
                expected = [row["id"] for row in rows if holds(row)]
                assert explain_filter(snapshot, where)["count"] == len(expected)
                assert snapshot.count(where) == len(expected)
                assert snapshot.ids(snapshot.ordinals(where)) == expected
        assert database.stats()["memory"]["indexes_bytes"] > 0
        steps = explain_filter(snapshot, parse_filter(wheres[1][0]))["parts"][0]["steps"]
        assert sorted(step["how"] for step in steps) == ["postings", "sorted range"]
        assert all(step["found"] <= step["rows"] for step in steps)


def test_explaining_tells_segments_from_the_head(tmp_path: Path) -> None:
    """Each part with its documents, steps and what was found."""
    with Database.open(tmp_path / "db", seal_rows=1_000_000) as database:
        collection = database.create_collection("c", Schema())
        collection.add([{"id": str(n), "n": n} for n in range(10)])
        collection.state.seal()
        collection.add([{"id": "x", "n": 5}])
        found = explain_filter(collection.snapshot(), parse_filter("n = 5"))
    assert found["count"] == 2
    assert [(p["kind"], p["documents"], p["found"]) for p in found["parts"]] == [("segment", 10, 1), ("head", 1, 1)]
    assert [s["how"] for p in found["parts"] for s in p["steps"]] == ["column scan", "column scan"]


def test_paths_of_one_type_in_one_part_and_another_elsewhere(tmp_path: Path) -> None:
    """Each part infers what its own values are; strings that look like dates stay strings."""
    with Database.open(tmp_path / "db", seal_rows=1_000_000) as database:
        collection = database.create_collection("c", Schema.from_json({"fields": {"j": "json"}}))
        collection.add([{"id": "1", "j": {"p": 1}}, {"id": "2", "j": {"p": "2020-01-01"}}])
        collection.state.seal()
        collection.add([{"id": "3", "j": {"p": 1.5}}, {"id": "4", "j": {"p": [1, "a", None]}}])
        snapshot = collection.snapshot()

        def ids(where: Any) -> list[str]:
            return snapshot.ids(snapshot.ordinals(parse_filter(where)))

        assert ids("j.p >= 1") == ["1", "3", "4"]
        assert ids("STARTS_WITH(j.p, '2020')") == ["2"]
        assert ids({"j.p": "a"}) == ["4"]


WORDS_RULES: list[tuple[Any, int]] = [
    ({"k": {"$contains": "act"}}, ROWS_MIN),
    ({"k": {"$contains_any": ["act", "oth"]}}, ROWS_MIN),
    ({"k": {"$contains_all": ["act", "ion"]}}, ROWS_MIN),
    ("CONTAINS(k, 'dra')", 1),
    ({"k": "action"}, ROWS_MIN),
]


def test_a_list_changes_nothing_for_other_documents(tmp_path: Path) -> None:
    """A string contains its parts, a list of one only has its element: in the head, sealed, merged and reopened."""
    with Database.open(tmp_path / "db") as database:
        collection = database.create_collection("c", Schema.from_json({"fields": {"k": "keyword"}}))
        collection.add([{"id": str(i), "k": "action"} for i in range(ROWS_MIN)] + [{"id": "d", "k": "drama"}])
        holds_for(collection, lists=0)
        collection.state.seal()
        holds_for(collection, lists=0)
        collection.add(
            [{"id": "x", "k": ["other", "thing"]}, {"id": "y", "k": ["action"]}, {"id": "z", "k": ["actor"]}]
        )
        holds_for(collection, lists=1)
        collection.state.seal()
        holds_for(collection, lists=1)
        database.compact()
        holds_for(collection, lists=1)
    with Database.open(tmp_path / "db") as database:
        holds_for(database.collection("c"), lists=1)


def holds_for(collection: Collection, lists: int) -> None:
    """The same counts by columns and, asked for again, by indexes; lists with "action" count where that is equal."""
    for _ in range(3):
        for where, expected in WORDS_RULES:
            also = lists if where == {"k": "action"} else 0
            snapshot = collection.snapshot()
            assert snapshot.count(parse_filter(where)) == expected + also, where
            assert explain_filter(snapshot, parse_filter(where))["count"] == expected + also, where


def test_negative_zero_is_zero(tmp_path: Path) -> None:
    """In every operator, in columns and in both kinds of index."""
    with Database.open(tmp_path / "db") as database:
        collection = database.create_collection("c", Schema.from_json({"fields": {"few": "number", "many": "number"}}))
        zeros = [{"id": str(i), "few": -0.0 if i % 2 else 0.0, "many": -0.0} for i in range(4)]
        collection.add(zeros + [{"id": str(i), "few": 7, "many": i + 0.5} for i in range(4, ROWS_MIN)])
        for _ in range(2):
            for name in ("few", "many", "few", "many"):
                for where in ({name: 0}, {name: {"$in": [0, -5]}}, {name: {"$in": [-0.0]}}, {name: {"$lte": -0.0}}):
                    assert collection.snapshot().count(parse_filter(where)) == 4, where
                    assert explain_filter(collection.snapshot(), parse_filter(where))["parts"][0]["found"] == 4, where
                assert collection.snapshot().count(parse_filter(f"{name} NOT IN (0, -5)")) == ROWS_MIN - 4
            collection.state.seal()
