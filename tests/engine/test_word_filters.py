"""`$match` and `$phrase` by the text index: the same documents as by comparing every text."""

from __future__ import annotations

import random
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import Collection, Database, Schema, parse_filter
from engine.fields.index_cache import ROWS_MIN
from engine.fields.select import select
from engine.filtering import PartFields, explain_filter
from engine.segments.text import NEAR_SHARE

FIELDS = {
    "text": "text",
    "stemmed": {"type": "text", "language": "en"},
    "many": {"type": "text", "many": True},
    "n": "integer",
}
VOCABULARY = ["red", "fox", "foxes", "Running", "run", "東京", "東京都", "京", "Straße", "a-b", "b", "naïve", "x1"]
WORDS = st.lists(st.sampled_from([*VOCABULARY, "!!", "none"]), min_size=1, max_size=3).map(" ".join)


def _documents(first: int, count: int) -> list[dict[str, Any]]:
    chooser = random.Random(first)
    texts = [" ".join(chooser.choices(VOCABULARY, k=chooser.randrange(6))) for _ in range(count + 2)]
    return [
        {"id": str(first + i), "text": texts[i], "stemmed": texts[i + 1], "many": texts[i : i + 3], "n": i % 7}
        for i in range(count)
    ]


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    """Two large segments, one of them with deletions, and a head; all of it in the text index."""
    with Database.open(tmp_path_factory.mktemp("words") / "db", seal_rows=1_000_000) as database:
        collection = database.create_collection("c", Schema.from_json({"fields": FIELDS}))
        for first in (0, 10_000):
            collection.add(_documents(first, ROWS_MIN + 300))
            collection.state.seal()
        collection.delete(ids=[str(n) for n in range(0, 800, 3)])
        collection.add(_documents(20_000, 40))
        collection.snapshot().keyword("red", 1)
        yield collection


CONDITIONS = st.builds(
    lambda name, op, words: {name: {op: words}},
    st.sampled_from(["text", "stemmed", "many"]),
    st.sampled_from(["$match", "$phrase"]),
    WORDS,
)
FILTERS = st.one_of(
    CONDITIONS,
    CONDITIONS.map(lambda one: {"$and": [one, {"n": {"$lt": 3}}]}),
    CONDITIONS.map(lambda one: {"$not": one}),
    st.tuples(CONDITIONS, CONDITIONS).map(lambda two: {"$or": list(two)}),
)


@settings(max_examples=25, deadline=None)
@given(FILTERS)
def test_the_text_index_changes_no_result(collection: Collection, where: dict[str, Any]) -> None:
    """Alone, within a condition on numbers, beside another, and negated."""
    snapshot = collection.snapshot()
    asked = parse_filter(where, snapshot.schema)
    assert asked is not None
    for part in snapshot.parts:
        by_texts = select(asked, PartFields(part, snapshot.schema, snapshot.indexes))
        by_index = select(asked, PartFields(part, snapshot.schema, snapshot.indexes, snapshot.may_hold))
        assert by_index == by_texts
    assert snapshot.count(asked) == len(snapshot.ordinals(asked))


def test_only_what_the_text_index_names_is_compared(collection: Collection) -> None:
    """As `explain` tells; where a clause before has left little, only that."""
    snapshot = collection.snapshot()
    where = parse_filter({"text": {"$phrase": "red fox"}, "n": 3}, snapshot.schema)
    assert where is not None
    for _ in range(3):
        explained = explain_filter(snapshot, where)
    steps: Any = [part["steps"][-1] for part in explained["parts"]]
    large, head = steps[:2], steps[2]
    assert [step["how"] for step in large] == ["text index", "text index"]
    assert all(0 < step["found"] <= step["rows"] < ROWS_MIN / 10 for step in large)
    assert head["how"] == "column scan"
    assert explained["count"] == len(snapshot.ordinals(where)) > 0


def test_an_older_snapshot_finds_what_it_shows(tmp_path: Path) -> None:
    """What a newer one found, of whose index a document of the older one is no part, is kept for both."""
    with Database.open(tmp_path / "db", seal_rows=1_000_000) as database:
        collection = database.create_collection("c", Schema.from_json({"fields": FIELDS}))
        collection.add([*_documents(0, ROWS_MIN + 10), {"id": "gone", "text": "rare"}, {"id": "here", "text": "rare"}])
        collection.state.seal()
        older = collection.snapshot()
        collection.delete(ids=["gone"])
        newer = collection.snapshot()
        assert newer.keyword("rare", 5).ids == ["here"]
        where = parse_filter({"text": {"$match": "rare"}}, newer.schema)
        assert newer.may_hold("text", "$match", "rare") is not None
        assert newer.ids(newer.ordinals(where)) == ["here"]
        assert older.ids(older.ordinals(where)) == ["gone", "here"]


def test_without_a_text_index_texts_are_compared(tmp_path: Path) -> None:
    """Nobody has searched; too much is missing in it; its files are damaged: the same documents, and no error."""
    with Database.open(tmp_path / "db", seal_rows=1_000_000) as database:
        collection = database.create_collection("c", Schema.from_json({"fields": FIELDS}))
        collection.add(_documents(0, ROWS_MIN + 10))
        collection.state.seal()
        snapshot, text = collection.snapshot(), collection.state.text
        where = parse_filter({"text": {"$match": "fox"}}, snapshot.schema)
        assert text is not None
        expected = [doc["id"] for doc in _documents(0, ROWS_MIN + 10) if "fox" in doc["text"].split()]
        assert not text.is_near(snapshot)
        assert snapshot.ids(snapshot.ordinals(where)) == expected
        snapshot.keyword("red", 1)
        assert text.is_near(snapshot)
        collection.add(_documents(10_000, int(ROWS_MIN * NEAR_SHARE) + 10))
        assert not text.is_near(collection.snapshot())
        collection.snapshot().keyword("red", 1)
    for path in (tmp_path / "db").rglob("text/*/*.pos"):
        path.write_bytes(b"")
    for path in (tmp_path / "db").rglob("text/*/*.store"):
        path.write_bytes(b"")
    with Database.open(tmp_path / "db") as database:
        snapshot = database.collection("c").snapshot()
        phrase = parse_filter({"text": {"$phrase": "fox run"}}, snapshot.schema)
        found = snapshot.ids(snapshot.ordinals(phrase))
        texts = snapshot.values_of("text", snapshot.ordinals())
        follow = [any(pair == ("fox", "run") for pair in pairwise(t.split())) for t in map(str, texts)]
        assert found == np.array(snapshot.ids(snapshot.ordinals()))[follow].tolist()
        assert found
