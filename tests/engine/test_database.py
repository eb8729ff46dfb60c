"""engine.database: directories, recovery, closing, and threads beside each other."""

from __future__ import annotations

import os
import shutil
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import engine
from engine import (
    Collection,
    CollectionExistsError,
    CollectionNotFoundError,
    Database,
    DatabaseClosedError,
    DatabaseLockedError,
    FormatError,
    IndexKind,
    Schema,
    SchemaError,
    StorageFullError,
    VectorField,
    VectorRows,
    parse_filter,
)
from engine.store import codec, keys
from engine.store.rocks import DOCUMENTS, LOG, SYSTEM, VECTORS

RNG = np.random.default_rng(5)


def fill(collection: Collection, first: int, count: int, dim: int = 8) -> np.ndarray:
    """Add documents `first`... with vectors that depend on their number only."""
    vectors = np.stack([np.random.default_rng(i).standard_normal(dim) for i in range(first, first + count)])
    documents = [{"id": str(i), "n": i} for i in range(first, first + count)]
    collection.add(documents, {"v": VectorRows(vectors.astype(np.float32), np.arange(count))})
    return vectors


def check(collection: Collection, numbers: range) -> None:
    """Exactly these documents, each found by its own vector."""
    snapshot = collection.snapshot()
    assert sorted(map(int, snapshot.ids(snapshot.ordinals()))) == list(numbers)
    for number in list(numbers)[:: max(1, len(numbers) // 10)]:
        vector = np.random.default_rng(number).standard_normal(8)
        assert snapshot.search(vector, 1).ids == [str(number)]
        assert snapshot.get([str(number)]) == [{"id": str(number), "n": number}]


def test_collections_are_made_listed_and_dropped(database: Database) -> None:
    """Names are unique, sorted, and checked; a dropped one is gone, and its name free."""
    database.create_collection("b", Schema())
    database.create_collection("a", Schema())
    assert database.collections() == ["a", "b"]
    with pytest.raises(CollectionExistsError):
        database.create_collection("a", Schema())
    for name in ("", ".a", "-a", "a/b", "a" * 129, "ä", "a\n"):
        with pytest.raises(SchemaError):
            database.create_collection(name, Schema())
    database.collection("a").add([{"id": "1"}])
    database.drop_collection("a")
    with pytest.raises(CollectionNotFoundError):
        database.collection("a")
    with pytest.raises(CollectionNotFoundError):
        database.drop_collection("a")
    assert database.create_collection("a", Schema()).snapshot().count() == 0


def test_reopening_replays_what_no_segment_covers(path: Path) -> None:
    """Documents, vectors, passages, deletions and the schema are back, sealed or not, twice over."""
    with Database.open(path, seal_rows=1_000_000) as database:
        collection = database.create_collection("c", Schema())
        fill(collection, 0, 50)
        collection.optimize()
        fill(collection, 50, 50)
        collection.delete(ids=["0", "99"])
        schema, sequence = collection.schema, database.sequence
    for _ in range(2):
        with Database.open(path, seal_rows=1_000_000) as database:
            collection = database.collection("c")
            assert (collection.schema, database.sequence) == (schema, sequence)
            assert collection.state.builds == 0
            assert collection.stats()["head_documents"] == 50
            check(collection, range(1, 99))


def test_unchanged_segments_are_not_built_again(path: Path) -> None:
    """Opening builds nothing, and the log is not replayed past what segments cover."""
    with Database.open(path) as database:
        collection = database.create_collection("c", Schema())
        fill(collection, 0, 300)
        collection.optimize()
    with Database.open(path) as database:
        collection = database.collection("c")
        assert collection.state.builds == 0
        assert collection.stats()["head_documents"] == 0
        check(collection, range(300))


def damage(file: Path, how: str) -> None:
    data = bytearray(file.read_bytes())
    match how:
        case "missing":
            file.unlink()
        case "empty":
            file.write_bytes(b"")
        case "truncated":
            file.write_bytes(data[: len(data) // 2])
        case "flipped":
            data[len(data) // 2] ^= 1
            file.write_bytes(data)
        case "zeroed":
            file.write_bytes(bytes(len(data)))


@pytest.mark.parametrize("how", ["missing", "empty", "truncated", "flipped", "zeroed"])
@pytest.mark.parametrize("name", ["columns.arrow", "vector-0.faiss", "vector-0.arrow"])
def test_a_damaged_segment_is_built_again_from_the_store(
    path: Path, name: str, how: str, caplog: pytest.LogCaptureFixture
) -> None:
    """With a warning, once: the opening after that finds it sound. Documents deleted meanwhile stay deleted."""
    with Database.open(path, seal_rows=1_000_000) as database:
        collection = database.create_collection("c", Schema())
        fill(collection, 0, 60)
        collection.optimize()
        collection.delete(ids=["0"])
        collection.add([{"id": "later", "other": "field"}])
        collection.delete(ids=["later"])
    (file,) = (path / "indexes").rglob(name)
    damage(file, how)
    with Database.open(path, seal_rows=1_000_000) as database:
        assert database.collection("c").state.builds == 1
        check(database.collection("c"), range(1, 60))
    assert [record.message for record in caplog.records].count("segment.damaged") == 1
    with Database.open(path, seal_rows=1_000_000) as database:
        assert database.collection("c").state.builds == 0
        check(database.collection("c"), range(1, 60))


def test_a_missing_index_directory_is_built_again(path: Path) -> None:
    """All of `indexes/` is derived."""
    with Database.open(path) as database:
        fill(database.create_collection("c", Schema()), 0, 30)
        database.collection("c").optimize()
    shutil.rmtree(path / "indexes")
    with Database.open(path) as database:
        check(database.collection("c"), range(30))


def test_stray_directories_are_removed(path: Path) -> None:
    """Left-overs of a build, and of a collection that was being dropped."""
    with Database.open(path) as database:
        fill(database.create_collection("c", Schema()), 0, 30)
        database.collection("c").optimize()
    for stray in ("00000001/00000099", "00000077/00000001"):
        (path / "indexes" / stray).mkdir(parents=True)
        (path / "indexes" / stray / "columns.arrow").write_bytes(b"x")
    with Database.open(path) as database:
        check(database.collection("c"), range(30))
    assert sorted(entry.name for entry in (path / "indexes").iterdir()) == ["00000001"]
    assert len(list((path / "indexes" / "00000001").iterdir())) == 1


def test_what_was_never_committed_is_invisible_and_harmless(path: Path) -> None:
    """Pieces of a write without their committing batch: not found after reopening, and overwritten by the next."""
    with Database.open(path) as database:
        collection = database.create_collection("c", Schema())
        fill(collection, 0, 3)
        batch = database._store.batch()
        for i in range(5):
            batch.put(DOCUMENTS, keys.document_key(collection.number, 3 + i), codec.encode_document(b'{"id":"ghost"}'))
            batch.put(
                VECTORS, keys.vector_key(collection.number, 0, 3 + i), codec.encode_vector(b"\0" * 32, 3 + i, None)
            )
        batch.flush()
        database._store.sync()
    with Database.open(path) as database:
        collection = database.collection("c")
        check(collection, range(3))
        assert collection.snapshot().get(["ghost"]) == [None]
        fill(collection, 3, 2)
        check(collection, range(5))
        collection.optimize()
    with Database.open(path) as database:
        check(database.collection("c"), range(5))


def test_a_newer_format_and_a_foreign_directory_are_refused_untouched(tmp_path: Path) -> None:
    """Nothing is written to what is not ours."""
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "thesis.txt").write_text("x")
    with pytest.raises(FormatError, match="no LumaDB database"):
        Database.open(foreign)
    assert [entry.name for entry in foreign.iterdir()] == ["thesis.txt"]
    newer = tmp_path / "newer"
    newer.mkdir()
    for text, message in (
        ('{"format": 3, "needs": "0.9.0"}', "format 3, which needs LumaDB AI 0.9.0 or later; .* up to format 2"),
        ('{"format": 9}', "needs a version that reads format 9"),
        ('{"format": "2"}', "damaged"),
        ('{"format": true}', "damaged"),
        ("{", "damaged"),
        ("[]", "damaged"),
    ):
        (newer / "lumaai.json").write_text(text)
        with pytest.raises(FormatError, match=message):
            Database.open(newer)
    assert [entry.name for entry in newer.iterdir()] == ["lumaai.json"]
    (tmp_path / "file").write_text("x")
    with pytest.raises(OSError, match="exists"):
        Database.open(tmp_path / "file")


def test_a_directory_has_one_owner(path: Path) -> None:
    """A second opening names the owner; after closing, or after an opening that failed, it is free."""
    with Database.open(path):
        with pytest.raises(DatabaseLockedError) as caught:
            Database.open(path)
        assert caught.value.pid == os.getpid()
    current = path / "store" / "CURRENT"
    kept = current.read_bytes()
    current.write_bytes(b"nonsense")
    with pytest.raises(engine.EngineError):
        Database.open(path)
    current.write_bytes(kept)
    Database.open(path).close()


def test_closing_twice_is_fine_and_later_use_says_so(path: Path) -> None:
    """Every call on the closed database, its collections and its snapshots' documents."""
    database = Database.open(path)
    collection = database.create_collection("c", Schema())
    collection.add([{"id": "1"}])
    snapshot = collection.snapshot()
    database.close()
    database.close()
    calls: list[Callable[[], Any]] = [
        database.collections,
        database.stats,
        database.snapshot,
        lambda: database.create_collection("d", Schema()),
        lambda: database.drop_collection("c"),
        collection.snapshot,
        collection.stats,
        collection.optimize,
        lambda: collection.add([{"id": "2"}]),
        lambda: collection.unchanged([{"id": "1"}]),
        lambda: collection.delete(ids=["1"]),
        lambda: snapshot.get(["1"]),
    ]
    for call in calls:
        with pytest.raises(DatabaseClosedError):
            call()


def test_snapshots_of_several_collections_are_of_one_point(database: Database) -> None:
    """A writer keeps `b` one step behind `a`; together they are never seen further apart, nor the other way."""
    a, b = (database.create_collection(name, Schema()) for name in "ab")
    stop = threading.Event()

    def write() -> None:
        for i in range(1, 10_000):
            if stop.is_set():
                return
            a.add([{"id": "x", "n": i}])
            b.add([{"id": "x", "n": i}])

    thread = threading.Thread(target=write)
    thread.start()
    for _ in range(200):
        both = database.snapshot()
        one, two = (both[name].get(["x"])[0] or {"n": 0} for name in "ab")
        assert one["n"] - two["n"] in (0, 1)
    stop.set()
    thread.join()
    with pytest.raises(CollectionNotFoundError):
        database.snapshot(["a", "z"])
    assert list(database.snapshot(["b", "a"])) == ["b", "a"]


def test_the_log_keeps_what_any_collection_still_needs(path: Path) -> None:
    """Truncation after one collection's sealing loses no change of another, nor later ones."""
    with Database.open(path, seal_rows=1_000_000) as database:
        a, b = (database.create_collection(name, Schema()) for name in "ab")
        fill(b, 0, 10)
        fill(a, 0, 300)
        a.optimize()
        database._truncate_log(everything=True)
        assert [int.from_bytes(key, "big") for key, _ in database._store.items(LOG, b"", b"\xff" * 9)] == [1, 2]
        fill(b, 10, 10)
        b.optimize()
        database._truncate_log(everything=True)
        assert list(database._store.items(LOG, b"", b"\xff" * 9)) == []
        fill(a, 300, 5)
        database._truncate_log(everything=True)
    with Database.open(path, seal_rows=1_000_000) as database:
        check(database.collection("a"), range(305))
        check(database.collection("b"), range(20))


def test_closing_stops_a_build(path: Path) -> None:
    """`close` returns within two seconds though a graph of 20,000 × 64 is being built, and nothing is lost."""
    vectors = RNG.standard_normal((20_000, 64)).astype(np.float32)
    schema = Schema.from_json({"fields": {"v": {"type": "vector", "dim": 64, "index": "hnsw", "ef_construction": 400}}})
    database = Database.open(path, seal_rows=1_000_000)
    collection = database.create_collection("c", schema)
    collection.add([{"id": str(i)} for i in range(20_000)], {"v": VectorRows(vectors, np.arange(20_000))})
    collection.optimize(wait=False)
    deadline = time.monotonic() + 10
    while collection.state.builds == 0 and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.2)
    started = time.monotonic()
    database.close()
    assert time.monotonic() - started < 2
    with Database.open(path, seal_rows=1_000_000) as database:
        assert database.collection("c").snapshot().search(vectors[77], 1).ids == ["77"]


def test_changes_during_a_build_are_kept(path: Path) -> None:
    """Documents added, replaced and deleted while the head is sealed and segments merge are as they should be."""
    with Database.open(path, seal_rows=1_000_000) as database:
        collection = database.create_collection("c", Schema())
        for round_ in range(6):
            fill(collection, 200 * round_, 200)
            thread = threading.Thread(target=collection.optimize)
            thread.start()
            collection.delete(ids=[str(200 * round_), str(200 * round_ + 1)])
            collection.add([{"id": str(200 * round_ + 2), "again": round_}])
            thread.join()
            snapshot = collection.snapshot()
            assert snapshot.count() == 198 * (round_ + 1)
            assert snapshot.get([str(200 * round_)]) == [None]
            assert snapshot.get([str(200 * round_ + 2)]) == [{"id": str(200 * round_ + 2), "again": round_}]
    with Database.open(path, seal_rows=1_000_000) as database:
        snapshot = database.collection("c").snapshot()
        assert snapshot.count() == 198 * 6
        assert snapshot.count(parse_filter({"again": {"$exists": True}})) == 6
        database.collection("c").optimize()
        assert database.collection("c").snapshot().count() == 198 * 6


class Traffic:
    """Threads that each do one thing again and again until told to stop; `errors` holds what none should raise."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.steady = database.create_collection("steady", Schema())
        fill(self.steady, 0, 200)
        self.pinned = self.steady.snapshot()
        self.expected = self.pinned.search(np.ones(8), 5, exact=True).ids
        self.errors: list[BaseException] = []
        self.stop = threading.Event()

    def run(self, work: Callable[[int], object]) -> None:
        for i in range(100_000):
            if self.stop.is_set():
                return
            try:
                work(i)
            except (DatabaseClosedError, CollectionNotFoundError) as error:
                if self.database._closed:
                    return
                if isinstance(error, DatabaseClosedError):  # it is open: what is gone is a collection
                    self.errors.append(error)
            except BaseException as error:  # noqa: BLE001
                self.errors.append(error)
                return

    def read(self, i: int) -> None:
        some = parse_filter({"n": {"$gte": 3}})
        for name in self.database.collections():
            snapshot = self.database.collection(name).snapshot()
            if snapshot.schema.vectors:
                hits = snapshot.search(np.random.default_rng(i).standard_normal(8), 5, where=some)
                assert len(hits.documents()) == len(hits) == len(hits.ids)
                snapshot.relation(["n"])
            snapshot.get(["1", "missing"], vectors=True)
        self.database.snapshot()
        self.database.stats()

    def check_pinned(self, _: int) -> None:
        assert self.pinned.search(np.ones(8), 5, exact=True).ids == self.expected
        assert self.pinned.count() == 200

    def write(self, i: int) -> None:
        fill(self.steady, 50 * i, 50)
        self.steady.delete(ids=[str(50 * i - 30)])

    def churn(self, i: int) -> None:
        fill(self.database.create_collection(f"c{i}", Schema()), 0, 180)
        if i:
            self.database.drop_collection(f"c{i - 1}")

    def optimize(self, _: int) -> None:
        self.steady.optimize()


def test_reading_while_all_else_happens_raises_nothing_but_closed(path: Path) -> None:
    """Searches beside writes, seals, merges, drops and finally closing; a pinned snapshot answers alike throughout."""
    traffic = Traffic(Database.open(path, seal_rows=150))
    work = [traffic.read, traffic.read, traffic.check_pinned, traffic.write, traffic.churn, traffic.optimize]
    threads = [threading.Thread(target=traffic.run, args=(each,)) for each in work]
    for thread in threads:
        thread.start()
    time.sleep(4)
    traffic.database.close()
    traffic.stop.set()
    for thread in threads:
        thread.join()
    assert traffic.errors == []


def test_a_dropped_collection_leaves_nothing_and_its_number_is_not_given_again(path: Path) -> None:
    """Its changes in the log are passed over when the database is opened again."""
    with Database.open(path, seal_rows=1_000_000) as database:
        first = database.create_collection("c", Schema())
        fill(first, 0, 10)
        database.drop_collection("c")
        second = database.create_collection("c", Schema())
        assert second.number > first.number
        fill(second, 5, 10)
    with Database.open(path, seal_rows=1_000_000) as database:
        check(database.collection("c"), range(5, 15))
        assert list(database._store.items(DOCUMENTS, *keys.collection_range(first.number))) == []
        assert database._store.get(SYSTEM, keys.manifest_key(first.number)) is None


def test_a_drop_waits_for_no_index_that_is_being_built(database: Database) -> None:
    """What builds is stopped where it is, and tells its caller that the collection is gone."""
    field = VectorField(16, index=IndexKind.HNSW, m=64, ef_construction=800)
    collection = database.create_collection("c", Schema(vectors={"v": field}))
    vectors = np.random.default_rng(2).standard_normal((40_000, 16), dtype=np.float32)
    ids = [{"id": str(place)} for place in range(len(vectors))]
    for begin in range(0, len(ids), 10_000):
        rows = VectorRows(vectors[begin : begin + 10_000], np.arange(10_000))
        collection.add(ids[begin : begin + 10_000], {"v": rows})
    refused: list[BaseException] = []

    def build() -> None:
        try:
            collection.optimize()
        except CollectionNotFoundError as error:
            refused.append(error)

    building = threading.Thread(target=build)
    building.start()
    while not any(job["share"] for job in collection.stats()["running"]):
        assert building.is_alive()
        time.sleep(0.01)
    (job,) = collection.state._jobs._running

    database.drop_collection("c")

    building.join()
    assert (job.stage, job.share < 0.9, len(refused)) == ("rows", True, 1)
    assert database.collections() == []


def test_a_call_on_a_dropped_collection_says_that_it_is_not_found(database: Database) -> None:
    """Every call, while the database is open; those that raced the drop included."""
    collection = database.create_collection("c", Schema())
    fill(collection, 0, 5)
    snapshot = collection.snapshot()
    database.drop_collection("c")
    calls: list[Callable[[], Any]] = [
        collection.snapshot,
        collection.stats,
        collection.optimize,
        collection.state.optimize,
        lambda: collection.add([{"id": "2"}]),
        lambda: collection.delete(ids=["1"]),
        lambda: snapshot.get(["1"]),
        lambda: snapshot.documents(np.array([1], dtype=np.uint32)),
    ]
    for call in calls:
        with pytest.raises(CollectionNotFoundError, match="'c'"):
            call()


def test_a_drop_that_fails_leaves_the_collection_usable(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The store refuses the deleting batch: the collection can be read, written, optimised and dropped later."""
    collection = database.create_collection("c", Schema())
    fill(collection, 0, 5)

    def refuse(_: Collection, __: int) -> None:
        raise StorageFullError("disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(database, "_delete", refuse)
        with pytest.raises(StorageFullError):
            database.drop_collection("c")
    fill(database.collection("c"), 5, 5)
    collection.optimize()
    check(collection, range(10))
    database.drop_collection("c")
    assert database.collections() == []


def test_what_the_head_holds_is_in_the_figures(database: Database) -> None:
    """Before sealing there are no bytes in segments, but in the head; after it the other way round."""
    collection = database.create_collection("c", Schema())
    fill(collection, 0, 5)
    stats = collection.stats()
    assert (stats["disk_bytes"], stats["head_bytes"] > 0) == (0, True)
    collection.optimize()
    stats = collection.stats()
    assert (stats["disk_bytes"] > 0, stats["head_bytes"]) == (True, 0)
