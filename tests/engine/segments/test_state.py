"""engine.segments.state: sealing, merging, collecting."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from engine import Collection, Database, Schema, VectorRows, failpoints
from engine.store import keys
from engine.store.rocks import DOCUMENTS
from engine.vector.build import build_vectors


def test_sealing_and_merging_go_on_in_the_background(tmp_path: Path) -> None:
    """Full heads become segments, eight of them one, and files of the old ones go."""
    with Database.open(tmp_path / "db", seal_rows=100) as database:
        collection = database.create_collection("c", Schema())
        for i in range(12):
            vectors = np.random.default_rng(i).standard_normal((100, 4)).astype(np.float32)
            documents = [{"id": f"{i}-{j}"} for j in range(100)]
            collection.add(documents, {"v": VectorRows(vectors, np.arange(100))})
            deadline = time.monotonic() + 10
            while collection.stats()["head_rows"] and time.monotonic() < deadline:
                time.sleep(0.01)
        deadline = time.monotonic() + 10
        while len(collection.stats()["segments"]) > 7 and time.monotonic() < deadline:
            time.sleep(0.01)
        stats = collection.stats()
        assert len(stats["segments"]) <= 7
        assert stats["rows"] == stats["documents"] == 1200
        collection.optimize()
        assert len(list((tmp_path / "db" / "indexes" / "00000001").iterdir())) == 1


def test_dead_rows_are_dropped_by_optimize(tmp_path: Path) -> None:
    """Their bytes are given back, also when nothing is left."""
    with Database.open(tmp_path / "db", seal_rows=1_000_000) as database:
        collection = database.create_collection("c", Schema())
        vectors = np.random.default_rng(0).standard_normal((1000, 16)).astype(np.float32)
        collection.add([{"id": str(j)} for j in range(1000)], {"v": VectorRows(vectors, np.arange(1000))})
        collection.optimize()
        before = collection.stats()
        collection.delete(ids=[str(j) for j in range(900)])
        assert collection.stats()["deleted"] == 900
        collection.optimize()
        after = collection.stats()
        assert (after["rows"], after["deleted"], after["documents"]) == (100, 0, 100)
        assert after["disk_bytes"] < before["disk_bytes"] / 4
        collection.delete(ids=[str(j) for j in range(1000)])
        collection.optimize()
        assert collection.stats()["segments"] == []
    with Database.open(tmp_path / "db") as database:
        assert database.collection("c").snapshot().count() == 0


FULL = """
import resource, sys
import numpy as np
import engine
database = engine.Database.open(sys.argv[1], seal_rows=1_000_000)
collection = database.create_collection("c", engine.Schema())
vectors = np.random.default_rng(0).standard_normal((1000, 256)).astype("f4")
collection.add([{"id": str(i)} for i in range(1000)], {"v": engine.VectorRows(vectors, np.arange(1000))})
hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, hard))
for attempt in range(2):
    try:
        collection.state.seal()
        print("sealed")
    except engine.StorageFullError:
        print("refused")
    assert collection.snapshot().search(vectors[5], 1).ids == ["5"]
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
assert collection.state.seal()
assert collection.snapshot().search(vectors[5], 1).ids == ["5"]
assert collection.stats()["head_rows"] == 0
print(len(list((database.path / "indexes" / "00000001").iterdir())))
database.close()
"""


def test_a_full_disk_while_sealing_is_tried_again(tmp_path: Path) -> None:
    """The head stays and answers; when there is room, the same segment is written."""
    child = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path / "db")], capture_output=True, check=False, timeout=60
    )
    assert child.returncode == 0, child.stderr.decode()
    assert child.stdout.split() == [b"refused", b"refused", b"1"]
    with Database.open(tmp_path / "db") as database:
        assert database.collection("c").state.builds == 0
        assert database.collection("c").snapshot().count() == 1000


def documents(begin: int, count: int) -> list[dict[str, object]]:
    return [{"id": str(i), "n": i} for i in range(begin, begin + count)]


def sealed_segments(collection: Collection, count: int, each: int = 20) -> None:
    for i in range(count):
        collection.add(documents(i * each, each))
        collection.state.seal()


def test_a_seal_does_not_wait_for_a_merge(path: Path) -> None:
    """While a merge takes its time, the head is sealed, once and again; then both results are there, in order."""
    with Database.open(path, seal_rows=1_000_000) as database:
        collection = database.create_collection("c", Schema())
        sealed_segments(collection, 3)
        collection.delete(ids=["0", "25"])
        failpoints.arm("merge.before_swap:sleep(1500)")
        merging = threading.Thread(target=collection.optimize)
        merging.start()
        try:
            while not failpoints.hits().get("merge.before_swap"):
                time.sleep(0.005)
            for begin in (60, 80):
                collection.add(documents(begin, 20))
                started = time.monotonic()
                assert collection.state.seal()
                assert time.monotonic() - started < 1
            collection.delete(ids=["1", "61"])
            assert merging.is_alive()
        finally:
            merging.join()
            failpoints.arm("")
        expected = sorted({str(i) for i in range(100)} - {"0", "25", "1", "61"}, key=int)
        snapshot = collection.snapshot()
        assert [len(part.ordinals) for part in snapshot.parts] == [58, 20, 20]
        assert snapshot.ids(snapshot.ordinals()) == expected
    with Database.open(path) as database:
        snapshot = database.collection("c").snapshot()
        assert database.collection("c").state.builds == 0
        assert snapshot.ids(snapshot.ordinals()) == expected
        assert [each["n"] for each in snapshot.get(expected) if each] == [int(id_) for id_ in expected]


def test_searches_wait_for_no_seal_and_no_merge(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """While both stand still in the middle of building, searches and writes go on, and the figures name what runs."""
    gate, standing = threading.Event(), threading.Semaphore(0)

    def wait_in_build(*arguments: Any, **named: Any) -> Any:
        standing.release()
        assert gate.wait(30)
        return build_vectors(*arguments, **named)

    schema = Schema.from_json({"fields": {"v": {"type": "vector", "dim": 2, "metric": "l2"}}})
    with Database.open(path, seal_rows=1_000_000) as database:
        collection = database.create_collection("c", schema)
        for first in (0, 20):
            collection.add([{"id": str(i), "v": [i, 0]} for i in range(first, first + 20)])
            collection.state.seal()
        collection.add([{"id": str(i), "v": [i, 0]} for i in range(40, 60)])
        monkeypatch.setattr("engine.segments.vectors.build_vectors", wait_in_build)
        with collection.state._merging:  # so that `optimize` of the second thread is the one that merges
            sealing = threading.Thread(target=collection.state.seal)
            sealing.start()
            assert standing.acquire(timeout=10)
        merging = threading.Thread(target=collection.state.clean)
        collection.delete(ids=["3", "23"])
        merging.start()
        try:
            assert standing.acquire(timeout=10)
            assert [(job["kind"], job["documents"]) for job in collection.stats()["running"]] == [
                ("seal", 20),
                ("merge", 40),
            ]
            collection.add([{"id": "new", "v": [1000, 0]}])
            found = [collection.snapshot().search(np.array([at, 0.0]), 1).ids[0] for at in (3, 23, 45, 1000)]
            assert found == ["2", "22", "45", "new"]
            assert sealing.is_alive()
            assert merging.is_alive()
        finally:
            gate.set()
            sealing.join()
            merging.join()
        assert collection.stats()["running"] == []
        found = [collection.snapshot().search(np.array([at, 0.0]), 1).ids[0] for at in (3, 23, 45, 1000)]
        assert found == ["2", "22", "45", "new"]


def test_merges_in_the_background_take_one_processor(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As seals do; only who asks for `optimize` gets all of them."""
    threads: list[int] = []

    def watch(vectors: Any, spec: Any, count: int, *rest: Any) -> Any:
        threads.append(count)
        return build_vectors(vectors, spec, count, *rest)

    monkeypatch.setattr("engine.segments.vectors.build_vectors", watch)
    schema = Schema.from_json({"fields": {"v": {"type": "vector", "dim": 2, "metric": "l2"}}})
    with Database.open(path, seal_rows=1_000_000) as database:
        collection = database.create_collection("c", schema)
        for i in range(8):
            collection.add([{"id": str(i), "v": [i, 0]}])
            collection.state.seal()
        collection.state.merge()
        assert len(collection.state.segments()) == 1
        assert set(threads) == {1}
        collection.delete(ids=["3"])
        collection.optimize()
        assert threads[-1] == (os.cpu_count() or 1)


def test_seals_and_merges_at_once_lose_nothing(path: Path) -> None:
    """Many small seals beside merges beside deletions, and collecting: every document that lives, once."""
    with Database.open(path, seal_rows=1_000_000) as database:
        collection = database.create_collection("c", Schema())
        stop = threading.Event()
        errors: list[BaseException] = []

        def repeat(work: Callable[[], object]) -> None:
            try:
                while not stop.is_set():
                    work()
            except BaseException as error:  # noqa: BLE001  (raised by the test)
                errors.append(error)

        state = collection.state
        upkeep = (state.seal, lambda: state.merge(dead_share=0.1), state.collect)
        threads = [threading.Thread(target=repeat, args=(work,)) for work in upkeep]
        for thread in threads:
            thread.start()
        alive: set[str] = set()
        for i in range(60):
            collection.add(documents(i * 10, 10))
            gone = [str(j) for j in range(i * 10 - 20, i * 10 - 13)]
            collection.delete(ids=gone)
            alive = alive - set(gone) | {str(j) for j in range(i * 10, i * 10 + 10)}
            snapshot = collection.snapshot()
            assert set(snapshot.ids(snapshot.ordinals())) == alive
            assert len(snapshot.documents(snapshot.ordinals())) == len(alive)
            del snapshot
        stop.set()
        for thread in threads:
            thread.join()
        assert errors == []
    with Database.open(path) as database:
        snapshot = database.collection("c").snapshot()
        assert set(snapshot.ids(snapshot.ordinals())) == alive
        assert all(snapshot.get(sorted(alive)))


CRASH = """
import sys
import engine
from engine import failpoints
database = engine.Database.open(sys.argv[1], seal_rows=1_000_000)
collection = database.create_collection("c", engine.Schema())
for i in range(3):
    collection.add([{"id": str(j), "n": j} for j in range(i * 20, i * 20 + 20)])
    if i < 2:
        collection.state.seal()
collection.delete(ids=["0", "21", "42"])
failpoints.arm(sys.argv[2] + ":kill")
collection.optimize()
collection.state.collect()
"""
POINTS = [
    "seal.before_build",
    "seal.before_swap",
    "seal.after_swap",
    "merge.before_build",
    "merge.before_swap",
    "merge.after_swap",
    "merge.after_remove",
    "collect.before_delete",
    "collect.after_piece",
    "collect.before_record",
]


@pytest.mark.parametrize("point", POINTS)
def test_killed_at_any_step_nothing_is_lost(path: Path, point: str) -> None:
    """The documents are those that were acknowledged; the next opening goes on from there, and leaves no stray file."""
    child = subprocess.run([sys.executable, "-c", CRASH, str(path), point], check=False, timeout=60)
    assert child.returncode == -signal.SIGKILL
    with Database.open(path, seal_rows=1_000_000) as database:
        collection = database.collection("c")
        expected = [str(i) for i in range(60) if i not in (0, 21, 42)]
        snapshot = collection.snapshot()
        assert snapshot.ids(snapshot.ordinals()) == expected
        assert collection.state.builds == 0
        del snapshot
        collection.optimize()
        collection.state.collect()
        begin, end = keys.collection_range(1)
        assert sum(1 for _ in database._store.items(DOCUMENTS, begin, end)) == 57
        assert len(list((path / "indexes" / "00000001").iterdir())) == 1
        assert all(collection.snapshot().get(expected))


def test_a_dead_segment_goes_by_itself(path: Path) -> None:
    """All of its documents replaced: its files, and what the store has of it, are gone without anybody asking."""
    with Database.open(path, seal_rows=1_000_000) as database:
        collection = database.create_collection("c", Schema())
        sealed_segments(collection, 2)
        collection.add([{"id": str(i), "n": -1 - i} for i in range(20)])
        collection.state.seal()
        deadline = time.monotonic() + 10
        begin, end = keys.collection_range(1)
        while sum(1 for _ in database._store.items(DOCUMENTS, begin, end)) > 40 or len(collection.state._segments) > 2:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        assert collection.snapshot().count() == 40
        assert collection.state.builds == 3
