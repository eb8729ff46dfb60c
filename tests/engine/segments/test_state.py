"""engine.segments.state: when to seal, what to merge."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from engine import Database, Schema, VectorRows
from engine.segments.state import merge_run


@pytest.mark.parametrize(
    ("sizes", "run"),
    [
        ([], 0),
        ([4096] * 7, 0),
        ([4096] * 8, 8),
        ([32_768] + [4096] * 8, 8),
        ([32_768] * 8, 8),
        ([300_000, 4096, 4096, 10], 0),
        ([32_768] * 7 + [4096] * 8, 8),
        ([32_768] + [4096] * 7, 0),
        ([4096, 1] * 8, 16),
        ([1] * 20, 20),
    ],
)
def test_runs_of_like_size_are_joined(sizes: list[int], run: int) -> None:
    """At least eight of the class of the last, or smaller; a large one before them is left alone."""
    assert merge_run(sizes) == run


def test_documents_are_rewritten_seldom() -> None:
    """1,000 equal segments are merged so that each document is written at most once a class of size."""
    sizes: list[int] = []
    written = 0
    for _ in range(1000):
        sizes.append(4096)
        while run := merge_run(sizes):
            merged = sum(sizes[-run:])
            sizes[-run:] = [merged]
            written += merged
    assert written <= 4096 * 1000 * 4  # log8(1000) is 3.3
    assert len(sizes) <= 28


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
    except OSError:
        print("refused")
    assert collection.snapshot().search(vectors[5], 1).ids == ["5"]
resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
assert collection.state.seal()
assert collection.snapshot().search(vectors[5], 1).ids == ["5"]
assert collection.stats()["head_rows"] == 0
database.close()
"""


def test_a_full_disk_while_sealing_is_tried_again(tmp_path: Path) -> None:
    """The head stays and answers; when there is room, the same segment is written."""
    child = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path / "db")], capture_output=True, check=False, timeout=60
    )
    assert child.returncode == 0, child.stderr.decode()
    assert child.stdout.split() == [b"refused", b"refused"]
    with Database.open(tmp_path / "db") as database:
        assert database.collection("c").state.builds == 0
        assert database.collection("c").snapshot().count() == 1000
