"""engine.writes.changes: the feed of what was written and deleted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from engine import (
    Changes,
    ChangesGoneError,
    Collection,
    CollectionNotFoundError,
    Database,
    Durability,
    IdempotencyKey,
    InvalidInputError,
    Schema,
)
from engine.store import keys
from engine.store.rocks import LOG, SYSTEM
from engine.writes import changes
from engine.writes.change import Change, encode_change


def told(found: Changes) -> list[tuple[int, str, list[Any], list[str]]]:
    return [(each.sequence, each.collection, each.documents, each.deleted) for each in found.changes]


def test_changes_are_told_in_order(database: Database, collection: Collection) -> None:
    """Documents as they are now, once; ids of those deleted; of all collections or one; and where to go on."""
    other = database.create_collection("other", Schema())
    collection.add([{"id": "a", "n": 1}, {"id": "b", "vector": [1, 2]}])
    other.add([{"id": "a"}])
    collection.add([{"id": "a", "n": 2}])
    collection.delete(ids=["b"])
    collection.patch([{"id": "a", "n": 3}])
    expected: list[tuple[int, str, list[Any], list[str]]] = [
        (1, "things", [], []),
        (2, "other", [{"id": "a"}], []),
        (3, "things", [], []),
        (4, "things", [], ["b"]),
        (5, "things", [{"id": "a", "n": 3}], []),
    ]
    found = database.changes()
    assert (told(found), found.next) == (expected, 5)
    assert told(database.changes(3)) == expected[3:]
    assert told(database.changes(collection="other")) == expected[1:2]
    assert database.changes(collection="other").next == 5
    assert (told(database.changes(5)), database.changes(5).next) == ([], 5)
    first = database.changes(limit=2)
    assert (told(first), first.next) == (expected[:2], 2)
    assert told(database.changes(first.next, limit=2)) == expected[2:4]


def test_a_dropped_collection_is_left_out(database: Database, collection: Collection) -> None:
    """And another of its name begins with nothing."""
    collection.add([{"id": "a"}])
    database.drop_collection("things")
    again = database.create_collection("things", Schema())
    again.add([{"id": "b"}])
    assert told(database.changes()) == [(2, "things", [{"id": "b"}], [])]
    with pytest.raises(CollectionNotFoundError):
        database.changes(collection="gone")


def test_a_write_that_changed_nothing_is_left_out(database: Database, collection: Collection) -> None:
    """It is in the log for its idempotency key only."""
    collection.delete(ids=["x"], key=IdempotencyKey("k", ""))
    found = database.changes()
    assert (found.changes, found.next) == ([], 1)


def test_what_is_told_is_durable(database: Database, collection: Collection) -> None:
    """A follower must not be ahead of what a crash leaves."""
    collection.add([{"id": "a"}], durability=Durability.NONE)
    assert database._commits.synced == 0
    assert len(database.changes().changes) == 1
    assert database._commits.synced == 1


@pytest.mark.parametrize(
    "arguments", [{"after": -1}, {"after": "0"}, {"after": True}, {"limit": 0}, {"limit": 10_001}, {"limit": 1.0}]
)
def test_bad_arguments_are_refused(database: Database, arguments: dict[str, Any]) -> None:
    """Naming the place."""
    with pytest.raises(InvalidInputError) as caught:
        database.changes(**arguments)
    assert caught.value.pointer in ("/from", "/limit")


def test_large_answers_end_early(database: Database, collection: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    """After the record that reaches the limit, and go on behind it."""
    for i in range(4):
        collection.add([{"id": str(i), "t": "x" * 100}])
    followed = {collection.number: changes.Followed("things", lambda: 0)}
    found = changes.read_changes(database._store, followed, 0, 4, limit=10, bytes_max=150)
    assert (len(found.changes), found.next) == (2, 2)
    found = changes.read_changes(database._store, followed, 2, 4, limit=10, bytes_max=1)
    assert (len(found.changes), found.next) == (1, 3)


def test_the_log_keeps_changes_for_followers(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many as promised though all is sealed; older ones are gone, which is said; purging drops all."""
    import engine.database

    monkeypatch.setattr(engine.database, "LOG_KEEP_CHANGES", 5)
    with Database.open(path) as database:
        collection = database.create_collection("c", Schema())
        for i in range(12):
            collection.add([{"id": str(i)}], durability=Durability.NONE)
        collection.optimize()
        database._truncate_log()
        assert [each.sequence for each in database.changes(7).changes] == [8, 9, 10, 11, 12]
        with pytest.raises(ChangesGoneError) as caught:
            database.changes(6)
        assert (caught.value.oldest, caught.value.code) == (7, "changes_gone")
        with pytest.raises(ChangesGoneError):
            database.changes(13)  # of another life of this database
    with Database.open(path) as database:
        assert len(database.changes(7).changes) == 5
        database._truncate_log(everything=True)
        with pytest.raises(ChangesGoneError) as caught:
            database.changes(11)
        assert caught.value.oldest == 12
        assert database.changes(12) == Changes([], 12)
        database.collection("c").add([{"id": "x"}])
        assert told(database.changes(12)) == [(13, "c", [{"id": "x"}], [])]


def test_a_log_truncated_while_it_is_read_is_noticed(database: Database, collection: Collection) -> None:
    """Neither a hole nor an early end passes for the whole."""
    for i in range(4):
        collection.add([{"id": str(i)}])
    batch = database._store.batch()
    batch.delete(LOG, keys.log_key(1))
    batch.put(SYSTEM, keys.LOG_FLOOR, b"1")
    batch.flush()
    with pytest.raises(ChangesGoneError):
        database.changes(0)
    assert len(database.changes(1).changes) == 3


def test_deletions_of_format_1_are_not_passed_over(database: Database, collection: Collection) -> None:
    """They do not say which documents went, so a follower must start behind them."""
    collection.add([{"id": "a"}])
    collection.delete(ids=["a"])
    collection.add([{"id": "b"}])
    old = Change(2, collection.number, 1, 0, _bitmap(0), {})
    batch = database._store.batch()
    batch.put(LOG, keys.log_key(2), encode_change(old))
    batch.flush()
    with pytest.raises(ChangesGoneError) as caught:
        database.changes(0)
    assert caught.value.oldest == 2
    assert told(database.changes(2)) == [(3, "things", [{"id": "b"}], [])]


def _bitmap(*ordinals: int) -> bytes:
    from pyroaring import BitMap

    return BitMap(ordinals).serialize()


IDS = st.sampled_from("abcd")
STEP = st.one_of(
    st.tuples(st.just("add"), st.lists(st.tuples(IDS, st.integers(0, 3)), min_size=1, max_size=3)),
    st.tuples(st.just("delete"), st.lists(IDS, min_size=1, max_size=2)),
    st.tuples(st.just("seal"), st.none()),
    st.tuples(st.just("follow"), st.integers(1, 4)),
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(steps=st.lists(STEP, max_size=25))
def test_a_follower_comes_to_the_same_documents(tmp_path_factory: pytest.TempPathFactory, steps: list[Any]) -> None:
    """Whenever it asks and however little at a time: what it holds at the end is what is stored."""
    copy: dict[str, Any] = {}
    position = 0

    def follow(limit: int) -> bool:
        nonlocal position
        found = database.changes(position, limit=limit)
        for change in found.changes:
            for id_ in change.deleted:
                copy.pop(id_, None)
            copy.update({document["id"]: document for document in change.documents})
        moved, position = found.next > position, found.next
        return moved

    with Database.open(tmp_path_factory.mktemp("feed") / "db") as database:
        collection = database.create_collection("c", Schema())
        for what, given_ in steps:
            if what == "add":
                collection.add([{"id": id_, "n": n} for id_, n in given_], durability=Durability.NONE)
            elif what == "delete":
                collection.delete(ids=given_, durability=Durability.NONE)
            elif what == "seal":
                collection.optimize()
                database.compact()
            else:
                follow(given_)
        while follow(1):
            pass
        snapshot = collection.snapshot()
        stored = snapshot.documents(np.sort(snapshot.ordinals()))
        assert copy == {document["id"]: document for document in stored}


def test_the_first_writes_of_a_collection_made_meanwhile_are_not_skipped(
    database: Database, collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where to go on lies before them, or they are told."""
    collection.add([{"id": "1"}])
    made: list[Any] = []

    def followed(*given: Any) -> changes.Followed:
        if not made:
            made.append(database.create_collection("new", Schema()).add([{"id": "lost"}]))
        return changes.Followed(*given)

    monkeypatch.setattr("engine.database.Followed", followed)
    found = database.changes()
    later = database.changes(found.next)
    assert [each.collection for each in (*found.changes, *later.changes)] == ["things", "new"]


def test_compacting_keeps_the_log(path: Path) -> None:
    """A follower that starts over after it is told all; only purging drops it."""
    with Database.open(path) as database:
        collection = database.create_collection("a", Schema())
        for i in range(3):
            collection.add([{"id": str(i)}])
        collection.optimize()
        database.compact()
        assert [each.sequence for each in database.changes(0).changes] == [1, 2, 3]
        database.purge()
        with pytest.raises(ChangesGoneError, match="gone from the log"):
            database.changes(0)


def test_after_ahead_of_the_log_is_said_so(database: Database, collection: Collection) -> None:
    """It is no gap in the log."""
    collection.add([{"id": "1"}])
    with pytest.raises(ChangesGoneError, match="ahead of the log"):
        database.changes(2)
