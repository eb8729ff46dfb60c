"""engine.writes.writing: what a write promises, its limits, its steps, and that replaying does the same."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine import (
    Collection,
    Conditions,
    Database,
    Durability,
    IdempotencyKey,
    InvalidDocumentsError,
    InvalidInputError,
    LimitExceededError,
    Passage,
    Schema,
    VectorRows,
    WriteResult,
    failpoints,
    parse_filter,
)
from engine.writes import batch

WRITE_POINTS = ["write.before_pieces", "write.after_pieces", "commit.before_batch"]


@pytest.mark.parametrize("durability", list(Durability))
def test_the_result_says_what_held(database: Database, collection: Collection, durability: Durability) -> None:
    """For every kind of write, also for one that changed nothing; all are seen at once."""
    results = [
        collection.add([{"id": "a"}, {"id": "b"}], durability=durability),
        collection.patch([{"id": "a", "n": 1}], durability=durability),
        collection.add([{"id": "a", "n": 1}], durability=durability),
        collection.delete(ids=["b"], durability=durability),
        collection.delete(where=parse_filter({"n": 7}), durability=durability),
    ]
    assert [result.durability for result in results] == [durability] * 5
    assert collection.snapshot().get(["a", "b"]) == [{"id": "a", "n": 1}, None]
    if durability is Durability.NONE:
        assert database._commits.synced == 0
    if durability is Durability.SYNC:
        assert database._commits.synced == 3


def test_a_durability_may_be_a_plain_word(collection: Collection) -> None:
    """As it comes from outside; another word is refused before anything is written."""
    word: Any = "none"
    assert collection.add([{"id": "a"}], durability=word).durability is Durability.NONE
    bad: Any
    for bad in ("fast", None, 1):
        with pytest.raises(InvalidInputError, match="sync, interval, none"):
            collection.add([{"id": "x"}], durability=bad)
        with pytest.raises(InvalidInputError, match="sync, interval, none"):
            collection.patch([{"id": "a"}], durability=bad)
        with pytest.raises(InvalidInputError, match="sync, interval, none"):
            collection.delete(ids=["a"], durability=bad)
    assert collection.snapshot().get(["x"]) == [None]


def test_unsynced_writes_are_there_after_reopening(path: Path) -> None:
    """Closing makes them durable, and the log of all is whole."""
    with Database.open(path) as database:
        collection = database.create_collection("c", Schema())
        for i, durability in enumerate([*Durability] * 3):
            collection.add([{"id": str(i)}], durability=durability)
    with Database.open(path) as database:
        assert (database.collection("c").snapshot().count(), database.sequence) == (9, 9)


def test_limits_are_named(collection: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    """Documents in a batch, bytes of a batch, bytes of its vectors, bytes of an id."""
    with pytest.raises(LimitExceededError) as caught:
        collection.add([{}] * 100_001)
    assert (caught.value.limit, caught.value.got, caught.value.code) == (100_000, 100_001, "batch_too_large")
    monkeypatch.setattr(batch, "BATCH_BYTES_MAX", 100)
    with pytest.raises(LimitExceededError, match="maximum=100 got=1") as caught:
        collection.add([{"id": "a", "t": "x" * 50}, {"id": "b", "t": "x" * 50}])
    assert caught.value.details["unit"] == "bytes"
    with pytest.raises(LimitExceededError, match="vectors of the batch"):
        collection.add([{"id": "a"}], {"v": VectorRows(np.ones((1, 26), np.float32), np.array([0]))})
    collection.add([{"id": "a"}], {"v": VectorRows(np.ones((1, 25), np.float32), np.array([0]))})
    with pytest.raises(InvalidDocumentsError) as errors:
        collection.add([{"id": "x" * 513}])
    assert [(error.code, error.expected, error.got) for error in errors.value.errors] == [("id_too_long", 512, 513)]
    assert collection.snapshot().count() == 1


KINDS: dict[str, Callable[[Collection], WriteResult]] = {
    "add": lambda c: c.add([{"id": "new", "n": 5}, {"id": "a", "n": 2}], _rows(2)),
    "insert": lambda c: c.add([{"id": "new", "t": "word"}], insert=True),
    "widening": lambda c: c.add([{"id": "new", "n": 1.5, "k": ["x"]}]),
    "patch": lambda c: c.patch([{"id": "a", "n": 9}, {"id": "b", "v": None}]),
    "delete": lambda c: c.delete(ids=["a", "zz"]),
    "delete where": lambda c: c.delete(where=parse_filter({"n": 1})),
    "conditional": lambda c: c.add([{"id": "a", "n": 3}], conditions=Conditions(if_version={"a": 1})),
    "nothing, with a key": lambda c: c.delete(ids=["zz"], key=IdempotencyKey("k", "")),
    "with a key": lambda c: c.add([{"id": "made"}], key=IdempotencyKey("k", "")),
    "unsynced": lambda c: c.add([{"id": "new"}], durability=Durability.NONE),
}


def _rows(count: int) -> dict[str, VectorRows]:
    vectors = np.arange(2 * count, dtype=np.float32).reshape(count, 2) + 1
    return {"v": VectorRows(vectors, np.arange(count), [Passage("t", i, i + 1) for i in range(count)])}


def everything(database: Database) -> object:
    """All that can be read of the collection."""
    collection = database.collection("c")
    snapshot = collection.snapshot()
    ids = sorted(snapshot.ids(snapshot.ordinals()))
    hits = snapshot.search(np.array([1.0, 2.0]), 10)
    return (
        database.sequence,
        ids,
        snapshot.get(ids, vectors=True),
        snapshot.versions(ids),
        snapshot.ordinals().tolist(),
        (hits.ids, hits.scores.tolist(), list(hits.passages)),
        snapshot.schema.to_json(),
        collection.replayed(IdempotencyKey("k", "")),
        [(each.sequence, each.documents, each.deleted) for each in database.changes().changes],
        collection._writer.counters,
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("sealed", [False, True])
def test_replaying_does_what_the_write_did(path: Path, kind: str, sealed: bool) -> None:
    """After reopening everything reads the same, whether what was before is sealed or not; and again after that."""
    with Database.open(path, seal_rows=1_000_000) as database:
        collection = database.create_collection("c", Schema())
        collection.add([{"id": "a", "n": 1}, {"id": "b", "n": 1}, {"id": "c", "n": 2}], _rows(3))
        if sealed:
            collection.optimize()
        KINDS[kind](collection)
        before = everything(database)
    for _ in range(2):
        with Database.open(path, seal_rows=1_000_000) as database:
            assert everything(database) == before


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("point", WRITE_POINTS)
def test_a_write_that_fails_before_its_batch_leaves_nothing(path: Path, kind: str, point: str) -> None:
    """Nothing of it is seen, its key is free, and the same write then works, and is the same after reopening."""
    with Database.open(path, seal_rows=1_000_000) as database:
        collection = database.create_collection("c", Schema())
        collection.add([{"id": "a", "n": 1}, {"id": "b", "n": 1}, {"id": "c", "n": 2}], _rows(3))
        before = everything(database)
        failpoints.arm(f"{point}:full@1")
        try:
            with pytest.raises(OSError, match="No space left"):
                KINDS[kind](collection)
        finally:
            failpoints.arm("")
        assert everything(database) == before
        KINDS[kind](collection)
        after = everything(database)
        assert after != before
    with Database.open(path, seal_rows=1_000_000) as database:
        assert everything(database) == after


def test_every_step_of_a_write_is_a_failpoint(collection: Collection) -> None:
    """In their order, so that a crash can be tried at each."""
    failpoints.arm("*:count")
    try:
        collection.add([{"id": "a"}])
        passed = failpoints.hits()
    finally:
        failpoints.arm("")
    assert [name for name in passed if name.split(".")[0] in ("write", "commit")] == [
        *WRITE_POINTS,
        "commit.after_batch",
        "commit.before_sync",
        "commit.after_sync",
        "commit.before_publish",
    ]


def test_mixed_durabilities_from_many_threads_lose_nothing(path: Path) -> None:
    """Every write is seen by its writer at once, sequences are unique, and all is there after reopening."""
    sequences: list[int] = []
    with Database.open(path) as database:
        collection = database.create_collection("c", Schema())

        def writer(number: int) -> None:
            durability = list(Durability)[number % 3]
            for i in range(20):
                id_ = f"{number}-{i}"
                result = collection.add([{"id": id_, "n": number}], durability=durability)
                sequences.append(result.sequence)
                snapshot = collection.snapshot()
                assert snapshot.get([id_]) == [{"id": id_, "n": number}]
                assert snapshot.versions([id_]) == [result.sequence]
                if durability is Durability.SYNC:
                    assert database._commits.synced >= result.sequence

        threads = [threading.Thread(target=writer, args=(number,)) for number in range(9)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(sequences) == list(range(1, 181))
    with Database.open(path) as database:
        assert database.collection("c").snapshot().count() == 180
