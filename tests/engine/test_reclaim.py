"""engine.reclaim: what is deleted leaves the disk."""

from __future__ import annotations

import itertools
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from rocksdict import AccessType, Options, Rdict

from engine import Collection, Database, Schema, StoreOptions, VectorRows, failpoints
from engine import reclaim as reclaim_module
from engine.errors import CorruptionError, EngineError
from engine.reclaim import disk_bytes, spans
from engine.segments import garbage as garbage_module
from engine.segments import state as state_module
from engine.segments.manifest import NOTHING
from engine.store import keys
from engine.store.rocks import DOCUMENTS, FAMILIES, VECTORS, Store

PLAIN = StoreOptions(compression=False)
DIM = 8


@pytest.fixture(autouse=True)
def _disarmed() -> Iterator[None]:
    yield
    failpoints.arm("")


def add(collection: Collection, ids: range, text: str, vectors: bool = True) -> None:
    """Documents with a text and, if wanted, a vector whose bytes can be told from others'."""
    documents = [{"id": f"{text}-id-{i}", "key": i, "text": f"{text} number {i}"} for i in ids]
    rows = np.random.default_rng(len(text)).standard_normal((len(ids), DIM)).astype(np.float32)
    collection.add(documents, {"v": VectorRows(rows, np.arange(len(ids)))} if vectors else None)


def ids_of(ids: range, text: str) -> list[str]:
    return [f"{text}-id-{i}" for i in ids]


def stored(store: Store, family: str, number: int = 1) -> int:
    return sum(1 for _ in store.items(family, *keys.collection_range(number)))


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not come about"
        time.sleep(0.02)


def open_descriptors() -> int:
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def files_with(directory: Path, needle: bytes) -> list[str]:
    return sorted(
        str(path.relative_to(directory))
        for path in directory.rglob("*")
        if path.is_file() and needle in path.read_bytes()
    )


def test_purged_text_is_in_no_file(path: Path) -> None:
    """Deleted, replaced and dropped text and ids: no byte of any file holds it, logs and manifests included."""
    with Database.open(path, seal_rows=100, options=PLAIN) as database:
        collection = database.create_collection("things", Schema())
        for i in range(5):
            add(collection, range(i * 100, i * 100 + 100), "SECRETA")
        add(collection, range(100), "PUBLIC")
        dropped = database.create_collection("dropped", Schema())
        add(dropped, range(100), "SECRETB")
        collection.add([{"id": "one", "text": "SECRETC"}])
        assert files_with(path, b"SECRETA")
        collection.add([{"id": "one", "text": "other"}])
        collection.delete(ids=ids_of(range(500), "SECRETA"))
        database.drop_collection("dropped")
        database.purge()
        for secret in (b"SECRETA", b"SECRETB", b"SECRETC"):
            assert files_with(path, secret) == []
        assert collection.snapshot().count() == 101
        assert collection.snapshot().get(["one"]) == [{"id": "one", "text": "other"}]
        assert files_with(path, b"PUBLIC")
    assert files_with(path, b"SECRET") == []


def visible(path: Path) -> bytes:
    """Every key and value of a closed store, read through the decompressor, and its write-ahead logs.

    That this is all there is: each table in the directory is live, and none holds an entry that another one hides, but
    for those of `system` (whose keys begin with a letter), where counters are.
    """
    families = {name: Options(raw_mode=True) for name in (*FAMILIES, "default")}
    found = [file.read_bytes() for file in path.glob("*.log")]
    opened = Rdict(str(path), Options(raw_mode=True), column_families=families, access_type=AccessType.read_only(False))
    tables, entries = opened.live_files(), 0
    for name in families:
        iterator = opened.get_column_family(name).iter()
        iterator.seek_to_first()
        keys_of: list[bytes] = []
        while iterator.valid():
            found += [iterator.key(), iterator.value()]
            keys_of.append(iterator.key())
            iterator.next()
        if keys_of and keys_of[0][:1] == b"\x00":
            entries += len(keys_of)  # with the stamp of the family, see engine.store.stamps
    opened.close()
    assert {table["name"].lstrip("/") for table in tables} == {file.name for file in path.glob("*.sst")}
    documents = [table for table in tables if table["start_key"][:1] == b"\x00"]
    assert sum(table["num_entries"] for table in documents) == entries
    assert sum(table["num_deletions"] for table in tables) == 0
    return b"\x00".join(found)


def test_purged_text_is_not_behind_the_compression_either(path: Path, tmp_path: Path) -> None:
    """With compression on, tables are read through the decompressor: they hold what lives and nothing else."""
    with Database.open(path, seal_rows=100) as database:
        collection = database.create_collection("things", Schema())
        add(collection, range(400), "SECRETA")
        add(collection, range(100), "PUBLIC")
        collection.delete(ids=ids_of(range(400), "SECRETA"))
        database.purge()
        copy = tmp_path / "copy"
        shutil.copytree(path / "store", copy)
        assert files_with(path / "indexes", b"SECRETA") == []
        assert files_with(path, b"SECRETA") == []
        found = visible(copy)
        assert b"SECRETA" not in found
        assert found.count(b"PUBLIC number") == 100


def test_a_read_snapshot_keeps_what_it_shows(path: Path) -> None:
    """What a snapshot shows outlives deletion, merging and collecting, and goes when the snapshot does."""
    with Database.open(path, seal_rows=1_000_000) as database:
        collection = database.create_collection("things", Schema())
        add(collection, range(1000), "old")
        snapshot: Any = collection.snapshot()
        hits: Any = snapshot.search(np.ones(DIM), 5)
        collection.delete(ids=ids_of(range(900), "old"))
        collection.optimize()
        database.compact()
        assert stored(database._store, DOCUMENTS) == 1000
        assert snapshot.get(["old-id-5"])[0]["key"] == 5
        assert len(snapshot.documents(snapshot.ordinals())) == 1000
        assert collection.state.garbage() == 1800
        del snapshot
        time.sleep(1.5)
        assert len(hits.documents()) == 5
        assert stored(database._store, DOCUMENTS) == 1000
        del hits
        until(lambda: stored(database._store, DOCUMENTS) == 100)
        assert stored(database._store, VECTORS) == 100
        assert collection.state.garbage() == 0
        assert len(collection.snapshot().get(ids_of(range(900, 1000), "old"))) == 100


def test_purge_says_who_is_reading(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It waits for readers, but not for ever; afterwards it can be asked again."""
    monkeypatch.setattr(reclaim_module, "PINS_SECONDS_MAX", 0.2)
    with Database.open(path, options=PLAIN) as database:
        collection = database.create_collection("things", Schema())
        add(collection, range(10), "SECRET")
        snapshot: Any = collection.snapshot()
        collection.delete(ids=ids_of(range(10), "SECRET"))
        with pytest.raises(EngineError, match="snapshots=1 collection='things'"):
            database.purge()
        assert snapshot.get(["SECRET-id-3"])[0]["key"] == 3
        del snapshot
        database.purge()
        assert files_with(path, b"SECRET") == []


@pytest.mark.parametrize("vectors", [False, True])
def test_changed_again_and_again_takes_the_disk_of_one_copy(
    path: Path, vectors: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """5,000 documents written ten times over come back to 1.2 × of once, in the background and without a restart."""
    monkeypatch.setattr(state_module, "SEAL_DOCUMENTS", 1000)
    monkeypatch.setattr(state_module, "COMPACT_DOCUMENTS_MIN", 500)
    with Database.open(path, seal_rows=1000, options=PLAIN) as database:
        collection = database.create_collection("things", Schema())
        random = np.random.default_rng(0)

        def write() -> None:
            for begin in range(0, 5000, 500):
                texts = [random.bytes(150).hex() for _ in range(500)]
                documents = [{"id": str(begin + i), "text": text} for i, text in enumerate(texts)]
                rows = random.standard_normal((500, DIM)).astype(np.float32)
                collection.add(documents, {"v": VectorRows(rows, np.arange(500))} if vectors else None)

        write()
        database.compact()
        once = disk_bytes(path)
        for _ in range(9):
            write()
        until(lambda: disk_bytes(path) <= 1.2 * once, 60)
        assert collection.snapshot().count() == 5000


def test_a_dropped_collection_gives_its_disk_back_at_once(path: Path) -> None:
    """On return neither its files nor its documents take any room; memory and descriptors go as well."""
    with Database.open(path, seal_rows=1000, options=PLAIN) as database:
        database.create_collection("kept", Schema()).add([{"id": "a"}])
        empty, descriptors = disk_bytes(path), open_descriptors()
        collection = database.create_collection("things", Schema())
        for begin in range(0, 10_000, 1000):
            add(collection, range(begin, begin + 1000), "text" * 20)
        collection.optimize()
        assert collection.snapshot().search(np.ones(DIM), 3).ids
        assert disk_bytes(path) > empty + 1_000_000
        assert database.stats()["memory"]["segments_bytes"] > 100_000
        database.drop_collection("things")
        assert disk_bytes(path) < empty + 50_000
        assert set(collection.state.memory().values()) == {0}
        assert open_descriptors() <= descriptors + 5


def test_small_dropped_collections_are_compacted_together(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They wait until there is something to gain, then one compaction does them all."""
    monkeypatch.setattr(reclaim_module, "DROPPED_DOCUMENTS_MIN", 50)
    with Database.open(path, options=PLAIN) as database:
        for i in range(6):
            add(database.create_collection(f"c{i}", Schema()), range(10), "SMALL", vectors=False)
            database.drop_collection(f"c{i}")
        until(lambda: files_with(path, b"SMALL") == [])


@pytest.mark.parametrize(
    ("dropped", "living", "expected"),
    [
        ([], [1], []),
        ([3], [1, 5], [(3, 4)]),
        ([2, 4, 7], [1, 9], [(2, 8)]),
        ([2, 4, 7], [5], [(2, 5), (7, 8)]),
        ([2, 4], [3], [(2, 3), (4, 5)]),
    ],
)
def test_ranges_of_dropped_collections_hold_no_living_one(
    dropped: list[int], living: list[int], expected: list[tuple[int, int]]
) -> None:
    """As few ranges as there can be."""
    assert spans(dropped, living) == expected


CRASH = """
import sys
import numpy as np
import engine
from engine import failpoints
database = engine.Database.open(sys.argv[1], seal_rows=1_000_000, options=engine.StoreOptions(compression=False))
collection = database.create_collection("things", engine.Schema())
rows = np.random.default_rng(0).standard_normal((300, 8)).astype("f4")
collection.add([{"id": str(i), "text": "SECRET"} for i in range(300)], {"v": engine.VectorRows(rows, np.arange(300))})
collection.optimize()
collection.delete(ids=[str(i) for i in range(250)])
failpoints.arm(sys.argv[2] + ":kill")
database.purge()
"""


@pytest.mark.parametrize("point", ["merge.before_swap", "merge.after_swap", "collect.after_piece", "purge.after_flush"])
def test_a_purge_that_was_killed_goes_on_at_the_next_opening(path: Path, point: str) -> None:
    """Nothing that lives is lost, wherever it was; the garbage is still known, and goes."""
    child = subprocess.run([sys.executable, "-c", CRASH, str(path), point], check=False, timeout=60)
    assert child.returncode == -signal.SIGKILL
    with Database.open(path, options=PLAIN) as database:
        snapshot = database.collection("things").snapshot()
        assert sorted(snapshot.ids(snapshot.ordinals()), key=int) == [str(i) for i in range(250, 300)]
        assert all(snapshot.get([str(i) for i in range(250, 300)], vectors=True))
        del snapshot
        database.purge()
        assert stored(database._store, DOCUMENTS) == stored(database._store, VECTORS) == 50
        assert len(b"".join(path.read_bytes() for path in (path / "store").glob("*.sst")).split(b"SECRET")) == 51


def test_what_an_unfinished_write_left_is_removed(path: Path) -> None:
    """Pieces whose commit never came: gone after the next opening, also those of a field that was never committed."""
    with Database.open(path, options=PLAIN) as database:
        collection = database.create_collection("things", Schema())
        add(collection, range(10), "kept")
        pieces = database._store.batch()
        for number in range(10, 30):
            pieces.put(DOCUMENTS, keys.document_key(1, number), b"\x01ORPHAN")
            pieces.put(VECTORS, keys.vector_key(1, 0, number), b"ORPHAN")
            pieces.put(VECTORS, keys.vector_key(1, 3, number), b"ORPHAN")
        pieces.flush()
    with Database.open(path, options=PLAIN) as database:
        until(lambda: stored(database._store, DOCUMENTS) == 10)
        until(lambda: stored(database._store, VECTORS) == 10)
        add(database.collection("things"), range(10, 40), "kept")
        database.purge()
        assert files_with(path, b"ORPHAN") == []
        assert database.collection("things").snapshot().count() == 40


def test_reads_and_writes_go_on_during_a_purge(path: Path) -> None:
    """Writers and readers at work all the while see every document that lives, and purge ends."""
    with Database.open(path, seal_rows=200, options=PLAIN) as database:
        collection = database.create_collection("things", Schema())
        add(collection, range(2000), "SECRET")
        stop, errors = threading.Event(), []

        def work(name: str) -> None:
            try:
                for i in itertools.count():
                    if stop.is_set():
                        return
                    add(collection, range(i * 10, i * 10 + 10), name)
                    collection.delete(ids=ids_of(range(i * 10, i * 10 + 5), name))
                    found = collection.snapshot().get(ids_of(range(i * 10, i * 10 + 10), name), vectors=True)
                    assert [each is None for each in found] == [True] * 5 + [False] * 5
            except BaseException as error:  # noqa: BLE001  (raised by the test)
                errors.append(error)

        threads = [threading.Thread(target=work, args=(name,)) for name in ("one", "two")]
        for thread in threads:
            thread.start()
        collection.delete(ids=ids_of(range(2000), "SECRET"))
        for _ in range(3):
            database.purge()
        stop.set()
        for thread in threads:
            thread.join()
        assert errors == []
        assert files_with(path, b"SECRET") == []


def test_garbage_of_format_1_is_found(path: Path) -> None:
    """A manifest that never named what was dropped: purge finds it as what is in no segment and not in the head."""
    with Database.open(path, seal_rows=1_000_000, options=PLAIN) as database:
        collection = database.create_collection("things", Schema())
        add(collection, range(500), "SECRET")
        add(collection, range(50), "kept")
        collection.optimize()
        snapshot = collection.snapshot()
        collection.delete(ids=ids_of(range(500), "SECRET"))
        collection.optimize()
        add(collection, range(50, 60), "kept")
        state = collection.state
        state._record(msgspec.structs.replace(state._manifest, garbage=NOTHING, garbage_rows={}, tracked=False))
        del snapshot, collection, state
        database._reclaiming.stop()
    with Database.open(path, options=PLAIN) as database:
        database.purge()
        assert stored(database._store, DOCUMENTS) == stored(database._store, VECTORS) == 60
        assert files_with(path, b"SECRET") == []
        assert database.collection("things").snapshot().count() == 60


def test_dense_garbage_goes_as_ranges(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Long runs are one deletion each, the others one a key, in pieces; and nothing beside them is touched."""
    monkeypatch.setattr(garbage_module, "PIECE_DELETES", 10)
    with Database.open(path, seal_rows=1_000_000) as database:
        collection = database.create_collection("things", Schema())
        add(collection, range(2000), "x")
        failpoints.arm("*:count")
        collection.delete(ids=ids_of(range(100, 1100), "x") + ids_of(range(1200, 1300, 2), "x"))
        collection.optimize()
        until(lambda: collection.state.garbage() == 0)
        assert failpoints.hits()["collect.after_piece"] == 11  # (1 + 50 deletions) of documents and as many of rows
        kept = [i for i in range(2000) if not (100 <= i < 1100 or (1200 <= i < 1300 and i % 2 == 0))]
        found = collection.snapshot().get(ids_of(range(2000), "x"), vectors=True)
        assert [i for i, each in enumerate(found) if each] == kept


def test_compact_tells_what_it_does_and_what_came_of_it(path: Path) -> None:
    """Every collection and family is a step; the disk shrinks by what was deleted, and nothing else is gone."""
    with Database.open(path, seal_rows=1_000_000, options=PLAIN) as database:
        collection = database.create_collection("things", Schema())
        add(collection, range(4000), "text" * 50)
        collection.optimize()
        database._store.flush()
        collection.delete(ids=ids_of(range(3000), "text" * 50))
        told: list[tuple[str, int, int]] = []
        figures = database.compact(lambda what, done, total: told.append((what, done, total)))
        assert told == [
            (what, place, 6)
            for place, what in enumerate(["collection things", *(f"store {family}" for family in FAMILIES)])
        ]
        assert figures["collected"] == 6000
        ballast = (path / "store" / "ballast").stat().st_size  # see engine.store.ballast
        assert figures["disk_bytes_after"] - ballast < 0.4 * (figures["disk_bytes_before"] - ballast)
        assert figures["disk_bytes_after"] == disk_bytes(path)
        assert figures["seconds"] > 0
        assert collection.snapshot().count() == 1000


def test_a_failure_while_collecting_is_made_good_later(path: Path) -> None:
    """The disk fails between the pieces: nothing that lives is touched, and the next round finishes."""
    with Database.open(path, seal_rows=1_000_000, options=PLAIN) as database:
        collection = database.create_collection("things", Schema())
        add(collection, range(1000), "SECRET")
        collection.delete(ids=ids_of(range(0, 1000, 2), "SECRET"))
        failpoints.arm("collect.after_piece:error@1")
        collection.optimize()
        with suppress(OSError):
            collection.state.collect()
        until(lambda: failpoints.hits().get("collect.after_piece", 0) >= 2)
        until(lambda: collection.state.garbage() == 0)
        assert stored(database._store, DOCUMENTS) == stored(database._store, VECTORS) == 500
        assert all(collection.snapshot().get(ids_of(range(1, 1000, 2), "SECRET"), vectors=True))


DROP = """
import sys
import engine
from engine import failpoints
database = engine.Database.open(sys.argv[1], options=engine.StoreOptions(compression=False))
database.create_collection("kept", engine.Schema()).add([{"id": "a", "text": "kept"}])
collection = database.create_collection("things", engine.Schema())
collection.add([{"id": str(i), "text": "SECRET"} for i in range(5000)])
collection.state.seal()
failpoints.arm(sys.argv[2] + ":kill")
database.drop_collection("things")
"""


@pytest.mark.parametrize(
    ("point", "left"),
    [
        ("drop.before_batch", True),
        ("drop.before_files", False),
        ("drop.after_files", False),
        ("drop.before_compaction", False),
    ],
)
def test_a_drop_that_was_killed_is_whole_or_not_begun(path: Path, point: str, left: bool) -> None:
    """Either all is there, or nothing, its files included; and a purge then removes every byte."""
    child = subprocess.run([sys.executable, "-c", DROP, str(path), point], check=False, timeout=60)
    assert child.returncode == -signal.SIGKILL
    with Database.open(path, options=PLAIN) as database:
        assert database.collections() == (["kept", "things"] if left else ["kept"])
        assert database.collection("kept").snapshot().get(["a"]) == [{"id": "a", "text": "kept"}]
        assert (path / "indexes" / "00000002").exists() == left
        if left:
            assert database.collection("things").snapshot().count() == 5000
            database.drop_collection("things")
        database.purge()
        assert files_with(path, b"SECRET") == []


def test_a_write_during_a_purge_keeps_no_deletion_of_before_in_the_log(path: Path) -> None:
    """Nor does one of a collection that nobody had written to for long: only what it needs itself stays."""
    with Database.open(path, options=PLAIN) as database:
        other = database.create_collection("other", Schema())
        other.add([{"id": "1"}])
        other.optimize()
        collection = database.create_collection("things", Schema())
        collection.add([{"id": "SECRET"}, {"id": "kept"}])
        collection.delete(ids=["SECRET"])
        failpoints.arm("purge.before_truncate:sleep(1000)")
        purging = threading.Thread(target=database.purge)
        purging.start()
        until(lambda: collection.state.needs_after is None)
        time.sleep(0.2)
        assert purging.is_alive()
        other.add([{"id": "2"}])
        purging.join()
        assert files_with(path, b"SECRET") == []
        assert other.state.needs_after is not None
    with Database.open(path) as database:
        assert database.collection("other").snapshot().get(["1", "2"]) == [{"id": "1"}, {"id": "2"}]


def test_purge_says_that_a_damaged_collection_keeps_what_it_has(path: Path) -> None:
    """The log is needed for it, so that deletions of others stay there: no success without a word."""
    with Database.open(path, options=PLAIN) as database:
        bad, good = (database.create_collection(name, Schema()) for name in ("bad", "good"))
        add(bad, range(10), "BAD")
        add(good, range(10), "GOOD")
        good.optimize()
        good.delete(ids=["GOOD-id-0"])
        batch = database._store.batch()
        batch.delete(DOCUMENTS, keys.document_key(bad.number, 0))
        batch.flush()
    with Database.open(path, options=PLAIN) as database:
        with pytest.raises(CorruptionError, match="'bad'; restore or drop them, and purge again"):
            database.purge()
        assert [name for name in files_with(path, b"GOOD-id-0") if name.startswith("store")]
        database.drop_collection("bad")
        assert database.purge()["collected"] == 0
        assert files_with(path, b"GOOD-id-0") == []


def test_compacting_ends_while_documents_change(path: Path) -> None:
    """Each segment of before is written again once, however much of what was written dies meanwhile."""
    with Database.open(path, seal_rows=1_000_000) as database:
        for background in (database._merging, database._maintenance, database._reclaiming):
            background.stop()
            background.join()
        collection = database.create_collection("things", Schema())
        for begin in range(0, 400, 100):
            add(collection, range(begin, begin + 100), "x")
            collection.state.seal()
        collection.delete(ids=ids_of(range(1), "x"))
        collection.delete(ids=ids_of(range(200, 201), "x"))
        number = itertools.count(2)
        merge = collection.state._merge

        def dying(*given: Any, **named: Any) -> None:
            merge(*given, **named)
            for base in (0, 200):
                collection.delete(ids=ids_of(range(base + next(number), base + next(number) + 1), "x"))

        collection.state._merge = dying  # type: ignore[method-assign]
        builds = collection.state.builds
        done = threading.Thread(target=database.compact, daemon=True)
        done.start()
        done.join(20)
        assert not done.is_alive()
        assert collection.state.builds - builds == 2


def test_a_purge_waits_only_for_what_was_dropped_before(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else it would never end while others read and documents change."""
    monkeypatch.setattr(reclaim_module, "PINS_SECONDS_MAX", 10.0)
    with Database.open(path, seal_rows=1_000_000) as database:
        collection = database.create_collection("things", Schema())
        add(collection, range(100), "x")
        collection.state.seal()
        collection.delete(ids=ids_of(range(10), "x"))
        held: list[Any] = [collection.snapshot()]
        purging = threading.Thread(target=database.purge, daemon=True)
        purging.start()
        until(lambda: collection.state.garbage() > 0)
        time.sleep(0.2)
        assert purging.is_alive()
        held.append(collection.snapshot())
        add(collection, range(10, 20), "x")
        collection.delete(ids=ids_of(range(10, 30), "x"))
        collection.state.optimize()
        del held[0]
        purging.join(5)
        assert not purging.is_alive()
        assert collection.state.garbage() > 0
        assert held[0].count() == 90
