"""engine.writes.expiry: documents are gone from the instant at which they expire."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engine import (
    Collection,
    ConditionFailedError,
    Conditions,
    Database,
    DocumentsNotFoundError,
    InvalidDocumentsError,
    Schema,
    parse_filter,
)
from engine.store.codec import NEVER
from engine.writes.expiry import Clock, Expiries, expiry_of

SECOND = 1_000_000
START = 1_700_000_000 * SECOND  # 2023-11-14T22:13:20Z


class Watch:
    """A clock that a test sets; a database's sweeping is stopped, so that only hiding is seen."""

    def __init__(self) -> None:
        self.now = START

    def of(self, database: Database, ttl: dict[str, Any]) -> Collection:
        database._tidying.stop()
        database._tidying.join()
        return self.set(database.create_collection("c", Schema.from_json({"ttl": ttl})))

    def set(self, collection: Collection) -> Collection:
        collection._writer.clock = Clock(lambda: self.now * 1000)
        return collection


@pytest.fixture
def watch() -> Watch:
    return Watch()


def at(seconds: float) -> str:
    return datetime.fromtimestamp(START / SECOND + seconds, UTC).isoformat()


def all_ids(collection: Collection) -> list[str]:
    snapshot = collection.snapshot()
    return sorted(snapshot.ids(snapshot.ordinals()))


def test_moments_are_read_exactly() -> None:
    """To the microsecond, with zones, before 1970, and without any."""
    assert expiry_of("1970-01-01T00:00:00.000001Z") == 1
    assert expiry_of("1970-01-01T01:00:00+01:00") == 0
    assert expiry_of("1969-12-31T23:59:59Z") == -SECOND
    assert expiry_of("2023-11-14T22:13:20") == START
    assert expiry_of("9999-12-31T23:59:59.999999Z") == 253_402_300_799_999_999
    assert expiry_of(None) == NEVER
    for value in ("soon", 5, True, ["2023-11-14"], {"lat": 1, "lon": 2}, ""):
        assert expiry_of(value) is None


def test_the_clock_never_goes_back() -> None:
    """What has expired does not come back when somebody sets the machine's clock."""
    times = iter([5_000, 9_000, 2_000, 10_000])
    clock = Clock(lambda: next(times))
    assert [clock.now() for _ in range(4)] == [5, 9, 9, 10]


@given(times=st.lists(st.integers(-5, 5) | st.just(NEVER), max_size=8), now=st.integers(-6, 6))
def test_the_expired_are_those_whose_time_has_come(times: list[int], now: int) -> None:
    """At its moment a document has expired; the next is the earliest after now."""
    ordinals = np.arange(10, 10 + len(times), dtype=np.uint32)
    expiries = Expiries(ordinals, np.array(times, dtype=np.int64))
    assert sorted(expiries.before(now).tolist()) == [10 + i for i, moment in enumerate(times) if moment <= now]
    assert expiries.next_after(now) == min((moment for moment in times if moment > now), default=NEVER)


@pytest.mark.parametrize("sealed", [False, True])
def test_an_expired_document_is_absent_everywhere(database: Database, watch: Watch, sealed: bool) -> None:
    """Get, count, filters, rows, search, versions, vectors; in head and segment; others stay."""
    collection = watch.of(database, {"field": "until"})
    collection.add(
        [
            {"id": "a", "until": at(10), "k": "x", "vector": [1, 0]},
            {"id": "b", "until": at(20.5), "k": "x", "vector": [0, 1]},
            {"id": "c", "k": "x", "vector": [1, 1]},
            {"id": "d", "until": None, "k": "x"},
        ]
    )
    if sealed:
        collection.optimize()
    before = collection.snapshot()
    for seconds, left in ((9.999999, "abcd"), (10, "bcd"), (20.499999, "bcd"), (20.5, "cd"), (1e9, "cd")):
        watch.now = START + int(seconds * SECOND)
        snapshot = collection.snapshot()
        assert all_ids(collection) == list(left)
        assert [id_ for id_, each in zip("abcd", snapshot.get(list("abcd")), strict=True) if each] == list(left)
        assert [id_ for id_, each in zip("abcd", snapshot.versions(list("abcd")), strict=True) if each] == list(left)
        assert snapshot.count() == snapshot.count(parse_filter({"k": "x"})) == len(left)
        assert sorted(snapshot.search(np.array([1.0, 1.0]), 9).ids) == sorted(set("abc") & set(left))
        assert [row["id"] for row in snapshot.relation(["k"]).rows()] == list(left)
        assert len(snapshot.vectors_of("a", "vector")) == ("a" in left)
        assert database.snapshot()["c"].count() == len(left)
    assert before.count() == 4  # a snapshot does not change


def test_a_snapshot_is_the_same_until_something_expires(database: Database, watch: Watch) -> None:
    """So that what it remembers of filters serves the next query."""
    collection = watch.of(database, {"field": "until"})
    collection.add([{"id": "a", "until": at(10)}, {"id": "b", "until": at(20)}])
    first = collection.snapshot()
    watch.now += 9 * SECOND
    assert collection.snapshot() is first
    watch.now += SECOND
    second = collection.snapshot()
    assert second is not first
    watch.now += SECOND
    assert collection.snapshot() is second


def test_what_has_expired_is_absent_to_writes(database: Database, watch: Watch) -> None:
    """It is added, not replaced; can be inserted, not patched; has version 0; is not deleted."""
    collection = watch.of(database, {"field": "until"})
    document = {"id": "a", "until": at(10), "n": 1}
    collection.add([document, {"id": "b", "until": at(10)}])
    assert collection.add([document]).skipped == 1
    assert collection.unchanged([document]).tolist() == [True]
    watch.now += 10 * SECOND
    assert collection.unchanged([document]).tolist() == [False]
    with pytest.raises(DocumentsNotFoundError):
        collection.patch([{"id": "a", "n": 2}])
    with pytest.raises(ConditionFailedError):
        collection.add([{"id": "a"}], conditions=Conditions(if_matches=parse_filter({"n": 1})))
    assert collection.delete(ids=["a"]).deleted == 0
    assert collection.delete(where=parse_filter({"n": 1})).deleted == 0
    result = collection.add([{"id": "a", "n": 3}], insert=True, conditions=Conditions({"a": 0}, if_absent=True))
    assert (result.added, result.statuses) == (1, ("added",))
    assert collection.add([{"id": "b", "until": at(99)}, {"id": "b", "until": at(98)}]).statuses == (
        "replaced",
        "added",
    )
    assert all_ids(collection) == ["a", "b"]
    collection.optimize()
    assert collection.snapshot().get(["a", "b"]) == [{"id": "a", "n": 3}, {"id": "b", "until": at(98)}]


def test_writing_again_renews_a_life_in_seconds(database: Database, watch: Watch) -> None:
    """Adding and patching the same are no skips; reading renews nothing; vectors go on."""
    collection = watch.of(database, {"seconds": 10})
    collection.add([{"id": "a", "n": 1, "vector": [1, 2]}, {"id": "b"}, {"id": "c"}])
    watch.now += 6 * SECOND
    assert collection.unchanged([{"id": "b"}]).tolist() == [False]
    assert collection.add([{"id": "b"}]).statuses == ("replaced",)
    assert collection.patch([{"id": "a"}]).statuses == ("replaced",)
    assert all_ids(collection) == ["a", "b", "c"]
    watch.now += 6 * SECOND
    assert collection.snapshot().get(["a"], vectors=True) == [{"id": "a", "n": 1, "vector": [1.0, 2.0]}]
    assert all_ids(collection) == ["a", "b"]
    watch.now += 4 * SECOND
    assert all_ids(collection) == []


@pytest.mark.parametrize("value", ["soon", ["2030-01-01"], 5, {"a": 1}])
def test_a_field_that_says_no_moment_is_refused(database: Database, watch: Watch, value: Any) -> None:
    """Once, at its place; the batch is not written."""
    collection = watch.of(database, {"field": "until"})
    with pytest.raises(InvalidDocumentsError) as caught:
        collection.add([{"id": "a", "until": at(5)}, {"id": "b", "until": value}])
    assert [(error.index, error.pointer, error.code) for error in caught.value.errors] == [
        (1, "/1/until", "type_mismatch")
    ]
    collection.add([{"id": "a", "until": at(5)}])
    with pytest.raises(InvalidDocumentsError):
        collection.patch([{"id": "a", "until": value}])


def test_a_schema_made_in_python_works_alike(database: Database, watch: Watch) -> None:
    """Its field need not be declared, and is checked all the same."""
    from engine import Ttl

    database._tidying.stop()
    collection = watch.set(database.create_collection("c", Schema(ttl=Ttl("until"))))
    with pytest.raises(InvalidDocumentsError):
        collection.add([{"id": "a", "until": "soon"}])
    collection.add([{"id": "a", "until": at(5)}])
    watch.now += 5 * SECOND
    assert all_ids(collection) == []


def test_sweeping_deletes_by_an_ordinary_write(database: Database, watch: Watch) -> None:
    """The feed tells of it, the next merge drops it, and nothing else is touched."""
    collection = watch.of(database, {"field": "until"})
    collection.add([{"id": str(i), "until": at(i)} for i in range(1, 6)] + [{"id": "stays"}])
    collection.optimize()
    collection.add([{"id": "6", "until": at(3)}])
    assert not collection.tidy()
    watch.now += 3 * SECOND
    assert collection.tidy()
    assert not collection.tidy()
    last = database.changes().changes[-1]
    assert (sorted(last.deleted), last.documents) == (["1", "2", "3", "6"], [])
    assert collection.reader.lookup(["1", "6", "4"])[:2] == [None, None]
    assert not collection.snapshot().hidden
    assert all_ids(collection) == ["4", "5", "stays"]
    collection.optimize()
    assert [len(segment.ordinals) for segment in collection.state._segments] == [3]


def test_a_document_renewed_before_the_sweep_stays(database: Database, watch: Watch) -> None:
    """The sweep looks again once it has the write lock; here everything was written anew before it."""
    collection = watch.of(database, {"seconds": 10})
    collection.add([{"id": "a"}])
    watch.now += 11 * SECOND
    assert collection.snapshot().hidden
    collection.add([{"id": "a"}])
    assert not collection.tidy()
    assert all_ids(collection) == ["a"]


def test_expiry_is_the_same_after_reopening(path: Path, watch: Watch) -> None:
    """It was decided at the write: from the log, from segments, and from segments built again from the store."""
    with Database.open(path, seal_rows=1_000_000) as database:
        collection = watch.of(database, {"seconds": 10})
        collection.add([{"id": "sealed"}, {"id": "sealed too"}])
        collection.optimize()
        watch.now += 5 * SECOND
        collection.add([{"id": "head"}])
    watch.now += 5 * SECOND - 1
    for expected in (["head", "sealed", "sealed too"], ["head"], []):
        for broken in (False, True):
            if broken:
                for file in (path / "indexes").rglob("columns.arrow"):
                    file.write_bytes(b"")
            with Database.open(path, seal_rows=1_000_000) as database:
                database._tidying.stop()
                database._tidying.join()
                assert all_ids(watch.set(database.collection("c"))) == expected
        watch.now += 1 if len(expected) == 3 else 5 * SECOND


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert condition()


def test_with_the_real_clock(path: Path) -> None:
    """Documents go after their second without anybody's help, and are deleted from the store soon."""
    with Database.open(path) as database:
        collection = database.create_collection("c", Schema.from_json({"ttl": {"seconds": 0.5}}))
        collection.add([{"id": "a"}])
        assert collection.snapshot().count() == 1
        wait_until(lambda: collection.snapshot().count() == 0)
        wait_until(lambda: collection.reader.lookup(["a"]) == [None])
        assert [change.deleted for change in database.changes().changes] == [[], ["a"]]


OPERATION = st.one_of(
    st.tuples(st.just("add"), st.sampled_from("abc"), st.integers(0, 6)),
    st.tuples(st.just("delete"), st.sampled_from("abc"), st.just(0)),
    st.tuples(st.sampled_from(["pass", "tidy", "seal", "reopen"]), st.just(""), st.integers(1, 3)),
)


@settings(max_examples=30, deadline=None)
@given(operations=st.lists(OPERATION, max_size=20))
def test_any_course_of_time_gives_what_a_dict_gives(
    tmp_path_factory: pytest.TempPathFactory, operations: list[tuple[str, str, int]]
) -> None:
    """Adding with moments past and to come, deleting, waiting, sweeping, sealing, reopening."""
    watch, model = Watch(), dict[str, int]()
    directory = tmp_path_factory.mktemp("expiry") / "db"
    database = Database.open(directory)
    collection = watch.of(database, {"field": "until"})
    elapsed = 0
    for what, id_, number in operations:
        model = {key: moment for key, moment in model.items() if moment > elapsed}
        match what:
            case "add":
                result = collection.add([{"id": id_, "until": at(number)}])
                assert (result.added == 1) is (id_ not in model)
                model[id_] = number
            case "delete":
                assert collection.delete(ids=[id_]).deleted == (model.pop(id_, None) is not None)
            case "pass":
                elapsed += number
                watch.now = START + elapsed * SECOND
            case "tidy":
                collection.tidy()
            case "seal":
                collection.optimize()
            case "reopen":
                database.close()
                database = Database.open(directory)
                database._tidying.stop()
                database._tidying.join()
                collection = watch.set(database.collection("c"))
        alive = sorted(key for key, moment in model.items() if moment > elapsed)
        assert all_ids(collection) == alive
        assert collection.snapshot().get(["a", "b", "c"]) == [
            {"id": key, "until": at(model[key])} if key in alive else None for key in "abc"
        ]
    database.close()


def test_the_clock_is_of_the_database(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A collection that is made after the machine's clock was set back does not live in the past of the others."""
    now = [5_000_000_000_000]
    monkeypatch.setattr(Clock.__init__, "__defaults__", (lambda: now[0],))
    with Database.open(path) as database:
        first = database.create_collection("first", Schema())
        assert first.now() == 5_000_000_000
        now[0] -= 3_600_000_000_000
        assert database.create_collection("second", Schema()).now() == first.now() == 5_000_000_000
