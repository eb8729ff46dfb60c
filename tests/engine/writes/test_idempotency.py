"""engine.writes.idempotency: a write that is sent twice happens once."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine import (
    Collection,
    ConditionFailedError,
    Conditions,
    Database,
    DocumentExistsError,
    Durability,
    IdempotencyConflictError,
    IdempotencyKey,
    InvalidInputError,
    Schema,
    WriteResult,
    parse_filter,
)
from engine.store import keys
from engine.store.rocks import SYSTEM, Store
from engine.writes import idempotency

KEY = IdempotencyKey("k", "f")


def records(database: Database) -> int:
    """How many there are; each stands in the index as well."""
    found = [key for key, _ in database._store.items(SYSTEM, b"idempotency/", b"idempotency0")]
    kept = [key for key in found if b"/\xff" not in key]
    assert len(found) == 2 * len(kept)
    return len(kept)


def test_a_write_sent_twice_happens_once(collection: Collection) -> None:
    """Whatever was written between; both times the same result, made ids included, the second marked as replayed."""
    first = collection.add([{"n": 1}, {"id": "b"}], key=KEY)
    collection.delete(ids=list(first.ids))
    again = collection.add([{"n": 1}, {"id": "b"}], key=KEY)
    assert again.replayed
    assert not first.replayed
    assert again == WriteResult(**{**_fields(first), "replayed": True})
    assert collection.replayed(KEY) == again
    assert collection.replayed(IdempotencyKey("other", "f")) is None
    assert collection.snapshot().count() == 0


def _fields(result: WriteResult) -> dict[str, Any]:
    return {name: getattr(result, name) for name in WriteResult.__slots__}


def test_every_kind_of_write_takes_a_key(collection: Collection) -> None:
    """Insert, patch, delete by ids and by filter; a dry run neither keeps nor finds a record."""
    where = parse_filter({"n": 2})
    collection.add([{"id": "a", "n": 1}, {"id": "b", "n": 2}], insert=True, key=IdempotencyKey("insert", ""))
    assert (
        collection.add([{"id": "a", "n": 1}, {"id": "b", "n": 2}], insert=True, key=IdempotencyKey("insert", "")).added
        == 2
    )
    for _ in range(2):
        assert collection.patch([{"id": "a", "n": 3}], key=IdempotencyKey("patch", "")).statuses == ("replaced",)
        assert collection.delete(where=where, dry_run=True, key=IdempotencyKey("where", "")).replayed is False
    for replayed in (False, True):
        result = collection.delete(where=where, key=IdempotencyKey("where", ""))
        assert (result.deleted, result.replayed) == (1, replayed)
        result = collection.delete(ids=["a"], key=IdempotencyKey("ids", ""))
        assert (result.deleted, result.replayed) == (1, replayed)


def test_a_write_that_changes_nothing_keeps_its_key(collection: Collection) -> None:
    """Else the second one, after others have written, would change something."""
    collection.add([{"id": "a", "n": 1}])
    assert collection.add([{"id": "a", "n": 1}], key=KEY).skipped == 1
    assert collection.delete(ids=["x"], key=IdempotencyKey("delete", "")).deleted == 0
    collection.add([{"id": "a", "n": 2}, {"id": "x"}])
    assert collection.add([{"id": "a", "n": 1}], key=KEY).replayed
    assert collection.delete(ids=["x"], key=IdempotencyKey("delete", "")).deleted == 0
    assert collection.snapshot().get(["a", "x"]) == [{"id": "a", "n": 2}, {"id": "x"}]


def test_a_refused_write_leaves_its_key_free(collection: Collection, database: Database) -> None:
    """It may be sent again once what stood in its way is gone."""
    collection.add([{"id": "a"}])
    with pytest.raises(DocumentExistsError):
        collection.add([{"id": "a"}], insert=True, key=KEY)
    with pytest.raises(ConditionFailedError):
        collection.add([{"id": "a"}], conditions=Conditions(if_version={"a": 9}), key=KEY)
    assert records(database) == 0
    collection.delete(ids=["a"])
    assert collection.add([{"id": "a"}], insert=True, key=KEY).added == 1


def test_a_key_for_another_request_is_refused(collection: Collection) -> None:
    """In every place where a key is looked at; and nothing is written."""
    collection.add([{"id": "a"}], key=KEY)
    other = IdempotencyKey("k", "g")
    with pytest.raises(IdempotencyConflictError, match="'k'") as caught:
        collection.add([{"id": "b"}], key=other)
    assert caught.value.code == "idempotency_key_reused"
    with pytest.raises(IdempotencyConflictError):
        collection.patch([{"id": "a", "n": 1}], key=other)
    with pytest.raises(IdempotencyConflictError):
        collection.delete(ids=["a"], key=other)
    with pytest.raises(IdempotencyConflictError):
        collection.replayed(other)
    assert collection.snapshot().count() == 1


@pytest.mark.parametrize("key", ["", "x" * 256, None, 5, "\ud800"])
def test_bad_keys_are_refused(key: Any) -> None:
    """Empty, too long, no string, no Unicode."""
    with pytest.raises(InvalidInputError):
        IdempotencyKey(key, "f")


def test_a_key_outlives_the_process(path: Path) -> None:
    """And belongs to its collection: it is free in another one, and gone with its own."""
    key = IdempotencyKey("é" * 255, "f")
    with Database.open(path) as database:
        first = database.create_collection("a", Schema()).add([{"n": 1}], key=key)
    with Database.open(path) as database:
        again = database.collection("a").add([{"n": 1}], key=key)
        assert (again.replayed, again.ids, again.sequence) == (True, first.ids, first.sequence)
        assert not database.create_collection("b", Schema()).add([{"n": 1}], key=key).replayed
        assert records(database) == 2
        database.drop_collection("a")
        assert records(database) == 1
        assert not database.create_collection("a", Schema()).add([{"n": 1}], key=key).replayed


def test_the_same_key_from_many_threads_is_one_write(collection: Collection) -> None:
    """Sixteen send the same document without an id: one is made, and all get it."""
    results: list[WriteResult] = []

    def send() -> None:
        results.append(collection.add([{"n": 1}], key=KEY))

    threads = [threading.Thread(target=send) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert collection.snapshot().count() == 1
    assert len({result.ids for result in results}) == 1
    assert sorted(result.replayed for result in results) == [False] + [True] * 15


def test_a_replay_waits_until_the_write_is_durable(collection: Collection, database: Database) -> None:
    """What is answered from a record may not be lost."""
    collection.add([{"id": "a"}], key=KEY, durability=Durability.NONE)
    assert database._commits.synced == 0
    assert collection.replayed(KEY) is not None
    assert database._commits.synced == 1


def test_records_are_kept_for_a_day_and_not_without_end(
    collection: Collection, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those of yesterday count no more, and are swept; of too many the oldest go; one that is in use again stays."""
    start = time.time()
    for i in range(10):
        monkeypatch.setattr(time, "time", lambda i=i: start + i)
        collection.add([{"id": str(i)}], key=IdempotencyKey(str(i), ""))
    monkeypatch.setattr(idempotency, "KEEP_RECORDS", 6)
    monkeypatch.setattr(time, "time", lambda: start + idempotency.KEEP_SECONDS + 1.5)
    assert collection.replayed(IdempotencyKey("1", "")) is None
    assert collection.replayed(IdempotencyKey("2", "")) is not None
    database._tidying.stop()
    database._tidying.join()
    records_of = collection._writer.records
    records_of._swept = -1e9
    found = records_of.old()
    assert [key[-1:] for key in found] == [b"%d" % i for i in range(4)]
    assert not collection.add([{"id": "1", "n": 2}], key=IdempotencyKey("1", "")).replayed  # meanwhile
    records_of.drop(found)
    assert records(database) == 7
    assert collection.replayed(IdempotencyKey("1", "")) is not None
    assert records_of.old() == []  # it was just done


def test_tidying_sweeps_old_records(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those that an earlier process left."""
    with Database.open(path) as database:
        database.create_collection("a", Schema()).add([{"id": "1"}], key=KEY)
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 2 * idempotency.KEEP_SECONDS)
    with Database.open(path) as database:
        deadline = time.monotonic() + 10
        while records(database) and time.monotonic() < deadline:
            time.sleep(0.05)
        assert records(database) == 0


def test_records_are_bounded_by_their_bytes_and_swept_by_time(
    collection: Collection, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest go first; a sweep reads what goes, and not all that stays."""
    database._tidying.stop()
    database._tidying.join()
    for i in range(20):
        collection.add([{"id": f"{i:02}-{j}"} for j in range(50)], key=IdempotencyKey(f"{i:02}", ""))
    size = sum(len(value) for _, value in database._store.items(SYSTEM, *keys.idempotency_records(collection.number)))
    monkeypatch.setattr(idempotency, "KEEP_BYTES", size * 3 // 4)
    records_of = collection._writer.records
    found = records_of.old()
    assert [key[-2:] for key in found] == [f"{i:02}".encode() for i in range(5)]
    records_of.drop(found)
    assert records(database) == 15
    assert collection.replayed(IdempotencyKey("04", "")) is None
    assert collection.replayed(IdempotencyKey("05", "")) is not None
    read: list[bytes] = []
    items = Store.items

    def watched(self: Store, *bounds: Any) -> Iterator[tuple[bytes, bytes]]:
        for pair in items(self, *bounds):
            read.append(pair[0])
            yield pair

    monkeypatch.setattr(Store, "items", watched)
    collection.add([{"id": "new"}], key=IdempotencyKey("new", ""))
    monkeypatch.setattr(idempotency, "KEEP_RECORDS", 14)
    records_of._swept = -1e9
    found = records_of.old()
    assert [key[-2:] for key in found] == [b"05", b"06"]
    assert len(read) == 3


def test_purge_takes_the_ids_of_deleted_documents_out_of_records(collection: Collection, database: Database) -> None:
    """A replay leaves them and their statuses out, and is else the same; whose context may name them is dropped."""
    collection.add([{"id": "kept"}, {"id": "deleted"}], key=KEY)
    collection.add([{"id": "other"}], key=IdempotencyKey("whole", ""))
    collection.add([{"id": "deleted"}, {"id": "x"}], key=IdempotencyKey("context", "", b"deleted"))
    collection.delete(ids=["deleted"])
    database.purge()
    again = collection.add([{"id": "kept"}, {"id": "deleted"}], key=KEY)
    assert (again.replayed, again.ids, again.statuses) == (True, ("kept",), ("added",))
    assert collection.snapshot().get(["deleted"]) == [None]
    whole = collection.replayed(IdempotencyKey("whole", ""))
    assert whole is not None
    assert whole.ids == ("other",)
    assert collection.replayed(IdempotencyKey("context", "")) is None
    assert records(database) == 2
