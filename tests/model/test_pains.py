"""What people leave other databases over, each tried as they would meet it.

| pain | seen at | held by |
|---|---|---|
| results vanish after a restart | chroma#7090 | here; `tests/crash/test_kill.py` |
| the index is out of step with the documents | chroma#5925 | `tests/model/test_machine.py` |
| a filter returns 16 of 322 | lancedb#2761, pgvector#259 | `tests/recall/test_recall.py` |
| memory is never freed | chroma#3296, qdrant#6111 | here |
| deleted text is still on disk | chroma#3793 | here; `tests/engine/test_reclaim.py` |
| the log grows without end | chroma#1755, qdrant#4159 | here |
| a second client hangs for 16 minutes | chroma#7040 | here; `tests/engine/test_lock.py` |
| starting up takes minutes | qdrant#3935 | here |
| an upgrade breaks data | chroma#4217 | `tests/golden/test_golden.py` |
| a wrong dimension is found late | chroma#1905 | `tests/engine/test_batch.py`, `tests/lumaai/test_database.py` |
| the embedding function is not kept | chroma#6021 | `tests/lumaai/test_database.py` |
| a collection stays yellow | qdrant#2463 | here |
| pages of a scroll repeat or skip | qdrant#6322 | here; `tests/lumaai/test_scroll.py` |
| at most 5,461 documents in a batch | chroma#1101 | here |
| concurrent upserts make duplicates | lancedb#3377 | here |
| a full disk during a delete ends the process | qdrant#7813 | here; `tests/engine/test_disk_full.py` |

Hybrid results that merge wrongly (weaviate#10350) and text in other languages than English (lancedb#2238) belong to the
text index.
"""

from __future__ import annotations

import gc
import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lumaai
from benchmarks.timing import rss_bytes
from engine import Database, DatabaseLockedError, Schema, VectorRows

SECRET = "Aachen-7-Printen-4711"
FOUND = """
import json, sys, lumaai
with lumaai.connect(sys.argv[1]) as database:
    notes = database["notes"]
    hits = notes.search(vector=[1.0, 0.0, 0.0], limit=3)
    print(json.dumps([notes.count(), [[hit.id, hit.score] for hit in hits], notes.get(["n7"])[0]]))
"""
HOLD = """
import sys, engine
with engine.Database.open(sys.argv[1]):
    print("open", flush=True)
    sys.stdin.read()
"""
FULL_DELETE = """
import json, os, resource, sys
import engine
database = engine.Database.open(sys.argv[1], seal_rows=1_000_000)
collection = database.create_collection("c", engine.Schema())
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (2_000_000, most))
done, kinds = [], []
for i in range(60):
    try:
        collection.add([{"id": str(i), "t": os.urandom(50_000).hex()}])
        done.append(str(i))
    except engine.StorageFullError:
        break
for id_ in done[:5]:
    try:
        collection.delete(ids=[id_])
        kinds.append("deleted")
    except engine.StorageFullError:
        kinds.append("full")
snapshot = collection.snapshot()
found = [document is not None for document in snapshot.get(done)]
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
collection.delete(ids=done[5:7])
left = collection.snapshot().count()
database.close()
with engine.Database.open(sys.argv[1]) as database:
    again = database.collection("c").snapshot().count()
print(json.dumps({"done": len(done), "kinds": kinds, "found": found, "left": left, "again": again}), flush=True)
"""


def rows(count: int, dim: int = 8, seed: int = 0) -> VectorRows:
    """A vector each for `count` documents."""
    vectors = np.random.default_rng(seed).standard_normal((count, dim)).astype(np.float32)
    return VectorRows(vectors, np.arange(count))


def disk(path: Path) -> int:
    """Bytes of all files below."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file())


def run(program: str, path: Path) -> Any:
    """What a child process prints, as JSON."""
    done = subprocess.run([sys.executable, "-c", program, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_results_do_not_vanish_after_a_restart(tmp_path: Path) -> None:
    """Another process finds the same documents in the same order with the same scores, again and again."""
    with lumaai.connect(tmp_path / "db") as database:
        notes = database.create_collection("notes", {"vector": {"type": "vector", "dim": 3}}, embed={})
        notes.add([{"id": f"n{i}", "i": i, "vector": [1.0, i, -i]} for i in range(500)])
        hits = [[hit.id, hit.score] for hit in notes.search(vector=[1.0, 0.0, 0.0], limit=3)]
        assert hits[0] == ["n0", pytest.approx(1.0)]
    expected = [500, hits, {"id": "n7", "i": 7}]
    for _ in range(2):
        assert run(FOUND, tmp_path / "db") == [500, [[id_, pytest.approx(score)] for id_, score in hits], expected[2]]


def test_memory_and_descriptors_come_back_when_collections_are_dropped(tmp_path: Path) -> None:
    """Create, fill, search, drop, 150 times: what the process takes is what it took after the first 50."""
    taken: list[tuple[int, int]] = []
    with Database.open(tmp_path / "db") as database:
        for round_ in range(150):
            collection = database.create_collection("passing", Schema())
            collection.add([{"id": str(i), "t": "text " * 50} for i in range(500)], {"v": rows(500, 64)})
            collection.optimize()
            assert len(collection.snapshot().search(np.ones(64), 10)) == 10
            del collection
            database.drop_collection("passing")
            if round_ % 50 == 49:
                gc.collect()
                taken.append((rss_bytes(os.getpid()), len(list(Path("/proc/self/fd").iterdir()))))
    (rss, descriptors), *_, (rss_end, descriptors_end) = taken
    assert rss_end <= 1.15 * rss  # `make bench` has the exact figure, over 1,000 rounds
    assert descriptors_end <= descriptors + 5


@pytest.mark.parametrize("how", ["documents", "collection"])
def test_deleted_text_is_in_no_file_after_a_purge(tmp_path: Path, how: str) -> None:
    """With segments, log and store: neither the text nor the id of what was deleted is found in the raw bytes."""
    from engine.store.options import StoreOptions

    path = tmp_path / "db"
    with Database.open(path, options=StoreOptions(compression=False)) as database:
        kept = database.create_collection("kept", Schema())
        gone = kept if how == "documents" else database.create_collection("gone", Schema())
        kept.add([{"id": f"k{i}", "t": f"kept text {i}"} for i in range(300)], {"v": rows(300)})
        gone.add([{"id": f"{SECRET}-{i}", "t": f"a {SECRET} b", "label": SECRET} for i in range(300)], {"v": rows(300)})
        kept.optimize()
        if how == "documents":
            kept.delete(ids=[f"{SECRET}-{i}" for i in range(300)])
        else:
            del gone
            database.drop_collection("gone")
        database.purge()
        holders = [str(file) for file in path.rglob("*") if file.is_file() and SECRET.encode() in file.read_bytes()]
        assert holders == []
        assert kept.snapshot().count() == 300
    with Database.open(path) as database:
        assert database.collection("kept").snapshot().get(["k7"]) == [{"id": "k7", "t": "kept text 7"}]


def test_the_log_does_not_grow_without_end(tmp_path: Path) -> None:
    """The same 2,000 documents written 30 times: the change log is truncated, and the disk is of a few copies."""
    path = tmp_path / "db"
    with Database.open(path, seal_rows=2_000) as database:
        collection = database.create_collection("c", Schema())
        sizes = []
        for round_ in range(30):
            documents = [{"id": str(i), "round": round_, "t": f"{i} {round_} " * 100} for i in range(2_000)]
            collection.add(documents, {"v": rows(2_000, 32, round_)})
            if round_ == 0:
                database.compact()
                sizes.append(disk(path))
        database.compact()
        sizes.append(disk(path))
        database.purge()
        sizes.append(disk(path))
        once, compacted, purged = sizes
        assert compacted <= 2 * once + 4_000_000, sizes
        assert purged <= 1.2 * once + 1_000_000, sizes
        with pytest.raises(Exception, match="log"):
            database.changes(0)
        assert collection.snapshot().count() == 2_000


def test_a_second_client_is_told_at_once_who_has_the_database(tmp_path: Path) -> None:
    """Within a second, with the pid; and when the owner is killed the next one has it at once."""
    command = [sys.executable, "-c", HOLD, str(tmp_path / "db")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        assert owner.stdout.readline() == b"open\n"
        started = time.perf_counter()
        with pytest.raises(DatabaseLockedError) as caught:
            Database.open(tmp_path / "db")
        assert time.perf_counter() - started < 1
        assert caught.value.pid == owner.pid
        owner.kill()
        owner.wait()
        started = time.perf_counter()
        Database.open(tmp_path / "db").close()
        assert time.perf_counter() - started < 5


def test_starting_up_builds_nothing_again(tmp_path: Path) -> None:
    """Opening 20,000 sealed rows builds no index and replays no change."""
    with Database.open(tmp_path / "db", seal_rows=4_096) as database:
        collection = database.create_collection("c", Schema())
        for begin in range(0, 20_000, 2_000):
            collection.add([{"id": str(begin + i)} for i in range(2_000)], {"v": rows(2_000, 16, begin)})
        collection.state.seal()
    with Database.open(tmp_path / "db") as database:
        collection = database.collection("c")
        stats = collection.stats()
        assert collection.state.builds == 0
        assert (stats["documents"], stats["head_documents"]) == (20_000, 0)
        assert len(collection.snapshot().search(np.ones(16), 10)) == 10
        assert collection.state.builds == 0


@pytest.mark.slow
def test_a_million_rows_answer_within_two_seconds_of_opening(tmp_path: Path) -> None:
    """P6: from `open` to the first answer of a search, in a fresh process, with the files in the page cache."""
    with Database.open(tmp_path / "db", seal_rows=100_000) as database:
        collection = database.create_collection("c", Schema())
        for begin in range(0, 1_000_000, 20_000):
            documents = [{"id": str(begin + i), "n": i} for i in range(20_000)]
            collection.add(documents, {"v": rows(20_000, 16, begin)})
        while collection.state.merge():
            pass
        collection.state.seal()
    program = """
import json, sys, time
import numpy as np
import engine.database, engine.vector.index, engine.search
started = time.perf_counter()
with engine.Database.open(sys.argv[1]) as database:
    collection = database.collection("c")
    hits = collection.snapshot().search(np.ones(16), 10)
    seconds = time.perf_counter() - started
    print(json.dumps([len(hits), collection.snapshot().count(), collection.state.builds, seconds]), flush=True)
"""
    best = min((run(program, tmp_path / "db") for _ in range(3)), key=lambda answer: answer[3])
    assert best[:3] == [10, 1_000_000, 0]
    assert best[3] < 2


def test_a_collection_is_never_in_a_state_of_indexing(tmp_path: Path) -> None:
    """Every document is found by the first search after its write; the background work comes to an end by itself."""
    with Database.open(tmp_path / "db", seal_rows=500) as database:
        collection = database.create_collection("c", Schema())
        for begin in range(0, 5_000, 250):
            given = rows(250, 8, begin + 1)
            collection.add([{"id": str(begin + i)} for i in range(250)], {"v": given})
            assert collection.snapshot().search(given.vectors[100], 1).ids == [str(begin + 100)]
        until = time.monotonic() + 20
        while collection.stats()["head_documents"] >= 500 and time.monotonic() < until:
            time.sleep(0.05)
        assert collection.stats()["head_documents"] < 500


def test_a_scroll_neither_repeats_nor_skips_while_others_write(tmp_path: Path) -> None:
    """Page by page, with writes, deletes and a merge between the pages: what was there at the first page, once."""
    with lumaai.connect(tmp_path / "db") as database:
        notes = database.create_collection("notes", {"n": "integer"}, embed={})
        notes.add([{"id": str(i), "n": i} for i in range(1_000)])
        seen: list[str] = []
        page = notes.scroll(limit=100)
        while True:
            seen += [document["id"] for document in page.documents]
            if page.next_cursor is None:
                break
            place = len(seen)
            notes.add([{"id": str((place + i) % 1_000), "n": -1} for i in range(100, 200)])
            notes.add([{"id": f"new {place}"}])
            notes.delete(ids=[str((place * 7 + 300) % 1_000)])
            notes.optimize(wait=True)
            page = notes.scroll(limit=100, cursor=page.next_cursor)
        assert sorted(seen, key=int) == [str(i) for i in range(1_000)]


def test_a_batch_may_have_ten_thousand_documents(tmp_path: Path) -> None:
    """In one call, all or nothing, and found at once."""
    with Database.open(tmp_path / "db") as database:
        collection = database.create_collection("c", Schema())
        result = collection.add([{"id": str(i), "n": i} for i in range(10_000)], {"v": rows(10_000)})
        assert result.added == 10_000
        assert collection.snapshot().count() == 10_000


def test_concurrent_upserts_of_the_same_ids_make_no_duplicates(tmp_path: Path) -> None:
    """Eight threads write the same 50 ids over and over: 50 documents, all of one batch, with one vector each."""
    with Database.open(tmp_path / "db", seal_rows=300) as database:
        collection = database.create_collection("c", Schema())

        def write(number: int) -> None:
            for i in range(10):
                documents = [{"id": str(j), "writer": number, "round": i} for j in range(50)]
                collection.add(documents, {"v": VectorRows(np.full((50, 4), number + 1, np.float32), np.arange(50))})

        threads = [threading.Thread(target=write, args=(number,)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        collection.optimize()
        snapshot = collection.snapshot()
        assert sorted(map(int, snapshot.ids(snapshot.ordinals()))) == list(range(50))
        assert len(snapshot.search(np.ones(4), 1_000)) == 50
        (last,) = {(document["writer"], document["round"]) for document in snapshot.documents(snapshot.ordinals())}
        assert all(snapshot.vectors_of(str(j), "v").tolist() == [[last[0] + 1] * 4] for j in range(50))


def test_a_full_disk_during_a_delete_ends_nothing(tmp_path: Path) -> None:
    """Each delete is done, or refused as a full disk and nothing is gone; reads go on; with room all is well again."""
    answer = run(FULL_DELETE, tmp_path / "db")
    gone = [kind == "deleted" for kind in answer["kinds"]]
    assert answer["done"] > 10
    assert answer["found"] == [not each for each in gone] + [True] * (answer["done"] - 5)
    assert answer["left"] == answer["again"] == answer["done"] - sum(gone) - 2
