"""engine.snapshot: reading one moment."""

from __future__ import annotations

import threading
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from engine import (
    Collection,
    CollectionNotFoundError,
    Database,
    InvalidInputError,
    Passage,
    Schema,
    VectorRows,
    parse_filter,
)
from engine.segments import sources
from engine.snapshot import Snapshot
from engine.store import keys
from engine.store.rocks import SYSTEM

DOCUMENTS: list[dict[str, Any]] = [
    {"id": "1", "genre": ["sf", "horror"], "year": 1979, "extra": {"a": {"b": 1}}},
    {"id": "2", "genre": ["sf"], "year": 1985},
    {"id": "3", "genre": "drama", "year": None, "big": 2**70},
]


def test_a_snapshot_sees_nothing_later(collection: Collection) -> None:
    """Not additions, replacements, deletions, sealing or merging: count, get, filter, search and rows stay."""
    collection.add([{**document, "vector": [i + 1.0, 1.0]} for i, document in enumerate(DOCUMENTS)])
    snapshot = collection.snapshot()

    def look() -> object:
        hits = snapshot.search(np.array([1.0, 0.0]), 3)
        return (
            snapshot.count(),
            snapshot.get(["1", "2", "3", "4"], vectors=True),
            snapshot.count(parse_filter({"genre": "sf"})),
            (hits.ids, hits.scores.tolist(), hits.documents()),
            snapshot.relation().rows(),
            snapshot.schema.to_json(),
        )

    before = look()
    collection.add([{"id": "4", "new": 1}, {"id": "1", "genre": [], "vector": [9, 9]}])
    collection.delete(ids=["2"])
    assert look() == before
    collection.optimize()
    assert look() == before
    collection.add([{"id": "2", "genre": ["sf"]}])
    collection.optimize()
    assert look() == before
    assert collection.snapshot().get(["1"]) == [{"id": "1", "genre": []}]


def test_documents_are_read_by_id_and_ordinal(collection: Collection) -> None:
    """As JSON bytes too; repeated and unknown ids are fine."""
    collection.add(DOCUMENTS)
    snapshot = collection.snapshot()
    assert snapshot.get(["2", "x", "2"]) == [DOCUMENTS[1], None, DOCUMENTS[1]]
    assert snapshot.get_raw(["2", "x", "\ud800", "y" * 600]) == [
        b'{"id":"2","genre":["sf"],"year":1985}',
        None,
        None,
        None,
    ]
    ordinals = snapshot.ordinals(parse_filter({"genre": "sf"}))
    assert ordinals.dtype == np.uint32
    assert snapshot.ids(ordinals) == ["1", "2"]
    assert snapshot.documents(ordinals) == DOCUMENTS[:2]
    assert snapshot.get([]) == []
    with pytest.raises(InvalidInputError, match="not in the snapshot"):
        snapshot.ids([77])


def test_vectors_come_back_as_they_were_given(collection: Collection) -> None:
    """Not scaled to unit length; one list, or one a passage."""
    collection.add([{"id": "1", "t": "ab", "vector": [3, 4]}, {"id": "2"}])
    rows = VectorRows(
        np.array([[1, 2], [3, 4]], np.float32), np.array([0, 0]), [Passage("t", 0, 1), Passage("t", 1, 2)]
    )
    collection.add([{"id": "3", "t": "xy"}], {"vector": rows})
    for _ in range(2):
        found = collection.snapshot().get(["1", "2", "3"], vectors=True)
        assert [document and document.get("vector") for document in found] == [
            [3.0, 4.0],
            None,
            [[1.0, 2.0], [3.0, 4.0]],
        ]
        collection.optimize()


@pytest.mark.parametrize("sealed", [False, True])
def test_values_of_a_field_are_counted(collection: Collection, sealed: bool) -> None:
    """Lists are unnested; the most frequent first, then by value."""
    collection.add(DOCUMENTS)
    if sealed:
        collection.optimize()
    snapshot = collection.snapshot()
    assert snapshot.field_values("genre") == [("sf", 2), ("drama", 1), ("horror", 1)]
    assert snapshot.field_values("genre", limit=1) == [("sf", 2)]
    assert snapshot.field_values("year") == [(1979, 1), (1985, 1)]
    assert snapshot.field_values("big") == [(2**70, 1)]
    assert snapshot.count(parse_filter({"extra.a.b": 1})) == 1
    assert snapshot.count(parse_filter({"big": {"$gt": 2**69}})) == 1
    with pytest.raises(InvalidInputError, match="unknown field"):
        snapshot.field_values("x")


def test_rows_of_hits_keep_their_order_and_scores(database: Database) -> None:
    """Across sealed and growing parts."""
    collection = database.create_collection("c", Schema())
    collection.add([{"id": str(i), "n": i, "vector": [1.0, i / 10]} for i in range(5)])
    collection.optimize()
    collection.add([{"id": str(i), "n": i, "vector": [1.0, i / 10]} for i in range(5, 10)])
    snapshot = collection.snapshot()
    hits = snapshot.search(np.array([1.0, 0.52]), 4)
    relation = snapshot.relation_of(hits, ["n"])
    assert relation.column("id") == hits.ids == ["5", "6", "4", "7"]
    assert relation.column("n") == [5, 6, 4, 7]
    assert relation.column("_score") == hits.scores.astype(float).tolist()
    assert relation.sources(0) == (["5"], 1)
    empty = snapshot.search(np.array([1.0, 0.0]), 4, where=parse_filter({"n": 99}))
    assert snapshot.relation_of(empty, ["n"]).rows() == []


def test_a_dropped_collection_is_not_found_rather_than_corrupt(database: Database) -> None:
    """Its snapshots still search what they have mapped; documents are gone, and the error says why."""
    collection = database.create_collection("c", Schema())
    collection.add([{"id": str(i), "vector": [1.0, i]} for i in range(20)])
    collection.optimize()
    snapshot = collection.snapshot()
    database.drop_collection("c")
    assert len(snapshot.search(np.array([1.0, 3.0]), 3)) == 3
    with pytest.raises(CollectionNotFoundError):
        snapshot.get(["1"])
    with pytest.raises(CollectionNotFoundError):
        collection.snapshot()


def test_ids_must_be_strings(collection: Collection) -> None:
    """Numbers are the caller's mistake, not a crash."""
    collection.add(DOCUMENTS)
    with pytest.raises(InvalidInputError, match="ids must be strings"):
        collection.snapshot().get([5])  # type: ignore[list-item]


def test_only_ids_that_are_being_written_are_looked_for_in_the_columns(
    database: Database, collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While a write is in flight, and for a snapshot that is a little older; the ids of a much older one all are."""
    collection.add([{"id": str(i), "n": 0} for i in range(5)])
    looked: list[list[str]] = []
    find = Snapshot.find

    def watched(self: Snapshot, ids: Sequence[str]) -> dict[str, int]:
        looked.append(sorted(ids))
        return find(self, ids)

    monkeypatch.setattr(Snapshot, "find", watched)
    wanted = ["0", "1", "2", "3", "new", "absent"]
    before = [{"id": str(i), "n": 0} for i in range(4)] + [None, None]
    snapshot = collection.snapshot()
    with database._commits.hold():  # nothing is published meanwhile
        writer = threading.Thread(
            target=lambda: collection.add([{"id": "0", "n": 1}, {"id": "1", "n": 0}, {"id": "new"}])
        )
        writer.start()
        while collection.reader.written == snapshot.sequence:
            time.sleep(0.001)
        while database._store.get(SYSTEM, keys.SEQUENCE) == b"1":
            time.sleep(0.001)
        assert collection.snapshot().get(wanted) == before
        assert looked == [["0"]]
    writer.join()
    collection.delete(ids=["2"])
    assert snapshot.get(wanted) == before
    assert looked[1:] == [["0", "2"]]
    assert collection.snapshot().get(wanted)[2:] == [None, before[3], {"id": "new"}, None]
    monkeypatch.setattr(sources, "TOUCHED_IDS", 1)
    collection.delete(ids=["3", "4"])
    assert snapshot.get(wanted) == before
    assert looked[2:] == [["0", "2", "3", "absent", "new"]]
