"""P14, noise stays local: small collections do not wait for what a large one does. `make bench` has the figures."""

from __future__ import annotations

import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from engine import Collection, Database, Schema, VectorRows, failpoints

SMALL = 20
PAUSE_MILLISECONDS = 1_500


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """A large collection of several segments, and small ones beside it."""
    with Database.open(tmp_path / "db", seal_rows=1_000_000) as opened:
        fill(opened.create_collection("large", Schema()), 4_000)
        opened.collection("large").state.seal()
        fill(opened.collection("large"), 4_000, first=4_000)
        for i in range(SMALL):
            fill(opened.create_collection(f"small{i}", Schema()), 50)
        yield opened
        failpoints.arm("")


def fill(collection: Collection, count: int, first: int = 0) -> None:
    vectors = np.random.default_rng(count).standard_normal((count, 16)).astype(np.float32)
    collection.add([{"id": str(first + i), "n": i} for i in range(count)], {"v": VectorRows(vectors, np.arange(count))})


def use(collection: Collection) -> None:
    """Everything that a user of one collection does."""
    fill(collection, 20)
    snapshot = collection.snapshot()
    assert len(snapshot.search(np.ones(16), 5)) == 5
    assert snapshot.get(["3"]) == [{"id": "3", "n": 3}]
    collection.patch([{"id": "3", "n": 4}])
    collection.delete(ids=["7"])
    assert collection.snapshot().get(["3", "7"]) == [{"id": "3", "n": 4}, None]


@contextmanager
def in_background(work: threading.Thread) -> Iterator[None]:
    """What stands inside must be done while `work` is still going on."""
    work.start()
    time.sleep(0.2)
    yield
    assert work.is_alive(), "it waited until the large collection was done"
    failpoints.arm("")
    work.join()


@pytest.mark.parametrize("point", ["seal.before_swap", "merge.before_swap"])
def test_small_collections_are_used_while_a_large_one_is_rebuilt(database: Database, point: str) -> None:
    """Writes and reads of every small one are done while the large one hangs in its seal or its merge."""
    failpoints.arm(f"{point}:sleep({PAUSE_MILLISECONDS})")
    with in_background(threading.Thread(target=database.collection("large").optimize)):
        for i in range(SMALL):
            use(database.collection(f"small{i}"))


@pytest.mark.parametrize("point", ["seal.before_swap", "merge.before_swap"])
def test_a_large_collection_is_read_and_written_while_it_is_rebuilt(database: Database, point: str) -> None:
    """Its own users do not wait either."""
    large = database.collection("large")
    failpoints.arm(f"{point}:sleep({PAUSE_MILLISECONDS})")
    with in_background(threading.Thread(target=large.optimize)):
        use(large)


def test_reads_do_not_wait_for_the_lock_of_writers(database: Database) -> None:
    """With the write locks of all collections taken, all can be read; with that of one, the others can be written."""
    large, small = database.collection("large"), database.collection("small0")
    with large.paused():
        use(small)
        with small.paused():
            for collection in (large, small):
                assert collection.snapshot().count() > 0
                assert len(collection.snapshot().search(np.ones(16), 5)) == 5
                assert collection.stats()["documents"] > 0


def test_reads_under_writes_are_not_starved(database: Database) -> None:
    """The median read of a small collection while the large one is written to; a generous bound against the machine."""
    large, small = database.collection("large"), database.collection("small1")
    stopping = threading.Event()

    def write() -> None:
        while not stopping.is_set():
            fill(large, 200)

    idle = median_seconds(small)
    writer = threading.Thread(target=write)
    writer.start()
    try:
        busy = median_seconds(small)
    finally:
        stopping.set()
        writer.join()
    assert busy < 20 * idle + 0.02


def median_seconds(collection: Collection) -> float:
    times = []
    for _ in range(100):
        started = time.perf_counter()
        collection.snapshot().search(np.ones(16), 5)
        times.append(time.perf_counter() - started)
    return statistics.median(times)
