"""engine.writes.conditions: what must hold for a write to happen, checked against all that was written before."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from engine import (
    Collection,
    ConditionFailedError,
    Conditions,
    Database,
    DocumentExistsError,
    InvalidInputError,
    parse_filter,
)


def failed(error: ConditionFailedError | DocumentExistsError) -> list[tuple[int, str | None, Any, Any]]:
    return [(each.index, each.id, each.expected, each.got) for each in error.errors]


def test_versions_are_those_of_the_last_write(collection: Collection) -> None:
    """`Snapshot.versions` tells what `if_version` demands; what is not there has version 0."""
    first = collection.add([{"id": "a", "n": 1}, {"id": "b"}])
    assert collection.snapshot().versions(["b", "x", "a", "b"]) == [1, None, 1, 1]
    second = collection.add([{"id": "a", "n": 2}], conditions=Conditions(if_version={"a": first.sequence, "x": 0}))
    assert collection.snapshot().versions(["a", "b"]) == [second.sequence, first.sequence]
    with pytest.raises(ConditionFailedError) as caught:
        collection.add([{"id": "c"}, {"id": "a", "n": 3}], conditions=Conditions(if_version={"a": 1, "c": 1, "b": 0}))
    assert failed(caught.value) == [(-1, "b", 0, 1), (0, "c", 1, 0), (1, "a", 1, 2)]
    assert caught.value.code == "precondition_failed"
    assert collection.snapshot().get(["a", "c"]) == [{"id": "a", "n": 2}, None]


def test_an_unchanged_document_keeps_its_version(collection: Collection) -> None:
    """It was skipped, so whoever read it before may still write."""
    collection.add([{"id": "a", "n": 1}])
    collection.add([{"id": "b"}])
    assert collection.add([{"id": "a", "n": 1}]).skipped == 1
    collection.add([{"id": "a", "n": 2}], conditions=Conditions(if_version={"a": 1}))


def test_an_old_snapshot_gives_a_version_that_fails(collection: Collection) -> None:
    """What was written since cannot be overwritten unseen."""
    collection.add([{"id": "a", "n": 1}, {"id": "gone"}])
    old = collection.snapshot()
    collection.add([{"id": "a", "n": 2}])
    collection.delete(ids=["gone"])
    versions = old.versions(["a", "gone"])
    for id_, version in zip(["a", "gone"], versions, strict=True):
        assert version is not None
        with pytest.raises(ConditionFailedError):
            collection.add([{"id": id_, "n": 3}], conditions=Conditions(if_version={id_: version}))
    assert collection.snapshot().versions(["gone"]) == [None]


def test_inserting_refuses_what_is_there(collection: Collection) -> None:
    """And an id given twice; nothing is written, and all that stand in the way are named."""
    assert collection.add([{"id": "a"}, {"id": "b"}], insert=True).statuses == ("added", "added")
    with pytest.raises(DocumentExistsError) as caught:
        collection.add([{"id": "c"}, {"id": "a", "n": 1}, {"id": "c"}, {"id": "b"}], insert=True)
    assert [(error.index, error.id, error.code) for error in caught.value.errors] == [
        (1, "a", "document_exists"),
        (2, "c", "document_exists"),
        (3, "b", "document_exists"),
    ]
    assert collection.snapshot().get(["a", "c"]) == [{"id": "a"}, None]
    collection.delete(ids=["a"])
    assert collection.add([{"id": "a", "n": 2}], insert=True).added == 1


def test_all_must_be_absent_or_match(collection: Collection) -> None:
    """`if_absent` allows an id twice; `if_matches` fails for what is not there, and sees paths and ids."""
    collection.add([{"id": "a", "n": 1, "j": {"x": 1}}, {"id": "b", "n": 2, "j": {"x": 2}}])
    assert collection.add([{"id": "c"}, {"id": "c", "n": 5}], conditions=Conditions(if_absent=True)).added == 1
    with pytest.raises(ConditionFailedError) as caught:
        collection.add([{"id": "d"}, {"id": "b"}], conditions=Conditions(if_absent=True))
    assert failed(caught.value) == [(1, "b", 0, 1)]
    low = Conditions(if_matches=parse_filter({"$and": [{"n": {"$lt": 2}}, {"j.x": 1}, {"id": {"$in": ["a", "b"]}}]}))
    with pytest.raises(ConditionFailedError) as caught:
        collection.add([{"id": "b", "n": 0}, {"id": "a", "n": 0}, {"id": "z"}], conditions=low)
    assert [(each.index, each.got) for each in caught.value.errors] == [(0, "no match"), (2, "absent")]
    assert collection.add([{"id": "a", "n": 0, "j": {"x": 0}}], conditions=low).replaced == 1
    with pytest.raises(ConditionFailedError):
        collection.patch([{"id": "a", "n": 9}], conditions=low)


def test_deletions_are_conditional_too(collection: Collection) -> None:
    """By ids and by filter; a dry run says so as well."""
    collection.add([{"id": "a", "n": 1}, {"id": "b", "n": 2}])
    many = Conditions(if_matches=parse_filter({"n": {"$gt": 1}}))
    for dry_run in (True, False):
        with pytest.raises(ConditionFailedError) as caught:
            collection.delete(ids=["b", "a"], conditions=many, dry_run=dry_run)
        assert [error.id for error in caught.value.errors] == ["a"]
    with pytest.raises(ConditionFailedError):
        collection.delete(where=parse_filter({"n": 2}), conditions=Conditions(if_version={"b": 7}))
    assert collection.snapshot().count() == 2
    assert collection.delete(ids=["b"], conditions=many).deleted == 1
    assert (
        collection.delete(where=parse_filter({"n": 1}), conditions=Conditions(if_version={"a": 1, "b": 0})).deleted == 1
    )


@pytest.mark.parametrize(
    "arguments",
    [
        {"if_version": {1: 1}},
        {"if_version": {"a": -1}},
        {"if_version": {"a": True}},
        {"if_version": {"a": "1"}},
        {"if_version": {"a": None}},
        {"if_absent": 1},
        {"if_absent": True, "if_matches": parse_filter({"a": 1})},
    ],
)
def test_bad_conditions_are_refused(arguments: dict[str, Any]) -> None:
    """Versions that are none, and what contradicts itself."""
    with pytest.raises(InvalidInputError):
        Conditions(**arguments)


def test_a_condition_sees_writes_that_are_still_being_synced(database: Database, collection: Collection) -> None:
    """A version is checked against the last write, published or not; and no error before that is durable."""
    collection.add([{"id": "a", "n": 1}])
    outcomes: list[str] = []

    def write(n: int) -> None:
        try:
            collection.add([{"id": "a", "n": n}], conditions=Conditions(if_version={"a": 1}))
            outcomes.append("written")
        except ConditionFailedError:
            outcomes.append("failed")

    with database._commits.hold():  # as if a sync took long
        threads = [threading.Thread(target=write, args=(n,)) for n in (2, 3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(0.2)
        assert outcomes == []
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["failed", "written"]


def in_threads(work: Any, count: int = 16) -> None:
    threads = [threading.Thread(target=work, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def test_concurrent_increments_lose_nothing(collection: Collection) -> None:
    """Sixteen threads read, add one, and write on condition of the version: every increment counts."""
    collection.add([{"id": "counter", "n": 0}])

    def increment(_: int) -> None:
        for _ in range(5):
            while True:
                snapshot = collection.snapshot()
                (document,), (version,) = snapshot.get(["counter"]), snapshot.versions(["counter"])
                assert document is not None
                assert version is not None
                try:
                    conditions = Conditions(if_version={"counter": version})
                    collection.patch([{"id": "counter", "n": document["n"] + 1}], conditions=conditions)
                    break
                except ConditionFailedError:
                    continue

    in_threads(increment)
    assert collection.snapshot().get(["counter"]) == [{"id": "counter", "n": 80}]


def test_one_of_many_inserts_wins(collection: Collection) -> None:
    """Sixteen threads insert the same id, ten times over: one succeeds, and its document is there."""
    won: list[tuple[int, int]] = []

    def insert(number: int) -> None:
        for i in range(10):
            try:
                collection.add([{"id": str(i), "by": number}], insert=True)
                won.append((i, number))
            except DocumentExistsError:
                assert collection.snapshot().get([str(i)]) != [None]  # what is called there can be read

    in_threads(insert)
    assert sorted(i for i, _ in won) == list(range(10))
    assert collection.snapshot().get([str(i) for i, _ in won]) == [{"id": str(i), "by": by} for i, by in won]


def test_a_condition_on_a_document_outside_the_batch_is_named_by_its_id(collection: Collection) -> None:
    """It has no place in the batch, and the message gives it none."""
    with pytest.raises(ConditionFailedError) as raised:
        collection.add([{"id": "a"}], conditions=Conditions(if_version={"other": 3}))
    assert str(raised.value) == "document is not as demanded: id='other' version expected=3 got=0"
    with pytest.raises(ConditionFailedError, match=r"^document 0: document is not as demanded: id='a'"):
        collection.add([{"id": "a"}], conditions=Conditions(if_version={"a": 3}))
