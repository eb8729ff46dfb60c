"""A full disk and a failed sync, made by the operating system in child processes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from engine import Database

FULL = """
import json, os, resource, sys
import engine
limit = 3_000_000
database = engine.Database.open(sys.argv[1], seal_rows=1_000_000)
collection = database.create_collection("c", engine.Schema())
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
done, kinds = [], []
for i in range(40):
    ids = [f"{i}-{j}" for j in range(10)]
    try:
        collection.add([{"id": id_, "t": os.urandom(10_000).hex()} for id_ in ids])
        done += ids
    except engine.StorageError as error:
        kinds.append(type(error).__name__)
snapshot = collection.snapshot()
assert all(body is not None for body in snapshot.get(done))
print(json.dumps({"done": done, "kinds": kinds, "count": snapshot.count()}), flush=True)
os._exit(0)
"""

FREED = """
import json, os, resource, sys, threading
import engine
database = engine.Database.open(sys.argv[1], seal_rows=1_000_000)
collection = database.create_collection("c", engine.Schema())
other = database.create_collection("other", engine.Schema())
other.add([{"id": "1"}])
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (3_000_000, most))
done, kinds = [], []
def write(thread):
    for i in range(40):
        try:
            collection.add([{"id": f"{thread}-{i}", "t": os.urandom(50_000).hex()}])
            done.append(f"{thread}-{i}")
        except engine.StorageError as error:
            kinds.append(type(error).__name__)
threads = [threading.Thread(target=write, args=(i,)) for i in range(4)]
[t.start() for t in threads]; [t.join() for t in threads]
gone = done.pop()
deleted = collection.delete(ids=[gone]).deleted
database.drop_collection("other")
names = database.collections()
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
collection.add([{"id": "freed"}])
count = collection.snapshot().count()
database.close()
with engine.Database.open(sys.argv[1]) as database:
    again = database.collection("c").snapshot()
    found = again.get([*done, "freed"])
    answer = {"lost": found.count(None), "gone": again.get([gone]), "counts": [count, again.count()]}
    answer["names"] = [names, database.collections()]
print(json.dumps({"done": len(done), "kinds": kinds, "deleted": deleted, **answer}), flush=True)
os._exit(0)
"""

KILLED = """
import os, sys
import engine
database = engine.Database.open(sys.argv[1], seal_rows=1_000_000)
collection = database.create_collection("c", engine.Schema())
for i in range(80):
    collection.add([{"id": f"{i}", "t": os.urandom(50_000).hex()}])
print("{}", flush=True)
os._exit(0)
"""

REOPENED = """
import json, os, resource, sys
import engine
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, most))
kinds, counts = [], []
for _ in range(2):
    with engine.Database.open(sys.argv[1], seal_rows=1_000_000) as database:
        collection = database.collection("c")
        counts.append(collection.snapshot().count())
        deleted = collection.delete(ids=[f"{i}" for i in range(len(counts) * 10)]).deleted
        counts.append(deleted)
        try:
            collection.add([{"id": "new"}])
        except engine.StorageError as error:
            kinds.append(type(error).__name__)
        database.create_collection(f"small{len(counts)}", engine.Schema())
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
with engine.Database.open(sys.argv[1]) as database:
    database.collection("c").add([{"id": "new"}])
    counts.append(database.collection("c").snapshot().count())
    problems = len(database.check().problems)
left = [name for name in os.listdir(f"{sys.argv[1]}/store") if name.startswith(("ballast", "room"))]
print(json.dumps({"kinds": kinds, "counts": counts, "problems": problems, "left": left}), flush=True)
os._exit(0)
"""

CLOSE = """
import json, os, resource, sys
import engine
database = engine.Database.open(sys.argv[1], seal_rows=1_000_000)
collection = database.create_collection("c", engine.Schema())
collection.add([{"id": "1", "t": os.urandom(100_000).hex()}])
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, most))
try:
    database.close()
    kind = None
except engine.EngineError as error:
    kind = type(error).__name__
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
with engine.Database.open(sys.argv[1]) as database:
    print(json.dumps({"kind": kind, "count": database.collection("c").snapshot().count()}), flush=True)
os._exit(0)
"""

SYNC = """
import json, os, sys, threading
import engine
database = engine.Database.open(sys.argv[1], seal_rows=1_000_000)
collection = database.create_collection("c", engine.Schema())
collection.add([{"id": "before"}])
(wal,) = [fd for fd in os.listdir("/proc/self/fd") if os.path.islink(f"/proc/self/fd/{fd}")
          and os.readlink(f"/proc/self/fd/{fd}").endswith(".log")]
os.dup2(os.open("/dev/null", os.O_WRONLY), int(wal))  # takes writes, cannot be synced
kinds = []
def write(i):
    try:
        collection.add([{"id": f"after{i}"}])
        kinds.append("acknowledged")
    except engine.StorageError as error:
        kinds.append(type(error).__name__)
threads = [threading.Thread(target=write, args=(i,)) for i in range(8)]
[t.start() for t in threads]; [t.join() for t in threads]
write(9)
print(json.dumps({"kinds": kinds, "count": collection.snapshot().count()}), flush=True)
os._exit(0)
"""


ARCHIVE = """
import json, os, resource, sys
import engine
from pathlib import Path
path = Path(sys.argv[1])
database = engine.Database.open(path, seal_rows=1_000_000)
collection = database.create_collection("c", engine.Schema())
for i in range(8):
    collection.add([{"id": f"{i}-{j}", "t": os.urandom(10_000).hex(), "vector": [1.0, i, j]} for j in range(10)])
collection.state.seal()
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, most))
kinds = []
for use in (
    lambda: database.archive(path.parent / "copy.tar"),
    lambda: collection.add([{"id": "big", "t": os.urandom(400_000).hex()}]),
    lambda: database.archive(path.parent / "copy.tar"),
):
    try:
        use()
        kinds.append(None)
    except engine.EngineError as error:
        kinds.append(type(error).__name__)
count = collection.snapshot().count()
left = sorted(entry.name for entry in path.parent.iterdir())
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
collection.add([{"id": "freed"}])
info = database.archive(path.parent / "copy.tar")
resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, most))
try:
    engine.restore_archive(path.parent / "copy.tar", path.parent / "restored")
except engine.EngineError as error:
    kinds.append(type(error).__name__)
left_again = sorted(entry.name for entry in path.parent.iterdir())
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
engine.restore_archive(path.parent / "copy.tar", path.parent / "restored")
database.close()
with engine.Database.open(path.parent / "restored") as restored:
    again = restored.collection("c").snapshot().count()
answer = {"kinds": kinds, "count": count, "left": left, "left_again": left_again, "again": again}
print(json.dumps(answer), flush=True)
os._exit(0)
"""

SEAL = """
import json, os, resource, sys
import engine
database = engine.Database.open(sys.argv[1], seal_rows=1_000_000)
collection = database.create_collection("c", engine.Schema())
vectors = [[float((i * 7 + i * j * j) % 1009) - 500 for j in range(200)] for i in range(400)]
for i in range(4):
    part = range(i * 100, i * 100 + 100)
    collection.add([{"id": str(j), "vector": vectors[j]} for j in part])
    if i < 3:
        collection.state.seal()
_, most = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, most))
kinds = []
for work in (collection.state.seal, collection.optimize):
    try:
        work()
        kinds.append(None)
    except (engine.EngineError, OSError, RuntimeError) as error:
        kinds.append(type(error).__name__)
snapshot = collection.snapshot()
found = [snapshot.count(), snapshot.search(vectors[399], 1, exact=True).ids, snapshot.get(["0"])]
resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
collection.optimize()
snapshot = collection.snapshot()
found += [snapshot.count(), len(collection.stats()["segments"]), database.check().problems]
database.close()
print(json.dumps({"kinds": kinds, "found": found}), flush=True)
os._exit(0)
"""


def run_child(code: str, path: Path) -> dict[str, Any]:
    child = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, check=False, timeout=60)
    assert child.returncode == 0, child.stderr.decode()
    answer: dict[str, Any] = json.loads(child.stdout)
    return answer


def test_a_full_disk_is_an_error_and_loses_nothing_acknowledged(path: Path) -> None:
    """A limit on the size of files makes writes fail; what was acknowledged is there before and after reopening."""
    answer = run_child(FULL, path)
    assert answer["kinds"]
    assert set(answer["kinds"]) <= {"StorageFullError"}
    assert answer["count"] == len(answer["done"]) > 0
    with Database.open(path) as database:
        found = database.collection("c").snapshot().get(answer["done"])
        assert all(document is not None for document in found)


def test_writes_go_on_when_a_full_disk_has_room_again(path: Path) -> None:
    """Without a restart, with four writers, and no acknowledged document lost; deletes went on."""
    answer = run_child(FREED, path)
    assert answer["kinds"]
    assert set(answer["kinds"]) == {"StorageFullError"}
    assert (answer["lost"], answer["deleted"], answer["gone"]) == (0, 1, [None])
    assert answer["counts"] == [answer["done"] + 1] * 2
    assert answer["names"] == [["c"]] * 2


def test_a_full_disk_can_be_opened_and_deleted_from(path: Path) -> None:
    """By the next process, after a kill: what its log holds fits in no table, so it stays in the log. Twice over."""
    run_child(KILLED, path)
    (path / "store" / "room.probe").write_bytes(b"left by an earlier version")
    answer = run_child(REOPENED, path)
    assert answer["kinds"] == ["StorageFullError"] * 2
    assert answer["counts"] == [80, 10, 70, 20, 51]
    assert (answer["problems"], answer["left"]) == (0, ["ballast"])


def test_a_close_that_fails_still_lets_go(path: Path) -> None:
    """Tables cannot be written while closing: the error is one of ours, and the same process can open again."""
    answer = run_child(CLOSE, path)
    assert answer["kind"] in (None, "StorageFullError")
    assert answer["count"] == 1


def test_a_sync_that_fails_acknowledges_nobody(path: Path) -> None:
    """The log's descriptor is one that cannot be synced: all eight waiting writers fail, and the next one too."""
    answer = run_child(SYNC, path)
    assert answer["kinds"] == ["StorageError"] * 9
    assert answer["count"] == 1
    with Database.open(path) as database:
        assert database.collection("c").snapshot().get(["before"]) == [{"id": "before"}]


def test_a_full_disk_while_sealing_and_merging_leaves_the_head_and_the_segments(path: Path) -> None:
    """Both fail, searches and reads go on over what was there, and with room both are done."""
    answer = run_child(SEAL, path)
    assert answer["kinds"] == ["StorageFullError"] * 2
    count, nearest, first, count_again, segments, problems = answer["found"]
    assert (count, nearest, first) == (400, ["399"], [{"id": "0"}])
    assert (count_again, segments, problems) == (400, 1, [])


def test_a_full_disk_while_archiving_and_restoring_leaves_nothing_behind(path: Path) -> None:
    """Reads go on, no draft stays, and with room the same calls succeed."""
    answer = run_child(ARCHIVE, path)
    assert answer["kinds"] == ["StorageFullError"] * 4
    assert answer["count"] == 80
    assert answer["left"] == ["db"]
    assert answer["left_again"] == ["copy.tar", "db"]
    assert answer["again"] == 81
