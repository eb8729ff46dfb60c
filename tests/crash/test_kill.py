"""kill -9 while writing, sealing and merging: what was acknowledged is there, and nothing else."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

from engine import Collection, Database, parse_filter

ROUNDS = 8
SECONDS_MAX = 1.5
BATCH = 20

# Each thread writes to a collection of its own: batches of documents with vectors; now and then it deletes or
# replaces one of its earlier batches. What is acknowledged is written to its oracle, fsynced, before going on.
WRITER = """
import json, os, sys, threading
import numpy as np
import engine

path, round_ = sys.argv[1], int(sys.argv[2])
database = engine.Database.open(path, seal_rows=300)

def write(name):
    if name not in database.collections():
        database.create_collection(name, engine.Schema())
    collection = database.collection(name)
    oracle = open(f"{path}.{name}.oracle", "a")
    rng = np.random.default_rng(round_)
    def acknowledge(**entry):
        oracle.write(json.dumps(entry) + "\\n"); oracle.flush(); os.fsync(oracle.fileno())
    def add(batch, version):
        acknowledge(begin=batch, version=version)
        ids = [f"{batch}:{i}" for i in range(20)]
        vectors = np.stack([np.random.default_rng([batch, i, version]).standard_normal(8) for i in range(20)])
        documents = [{"id": id_, "batch": batch, "version": version} for id_ in ids]
        rows = engine.VectorRows(np.repeat(vectors, 2, axis=0).astype("f4"), np.repeat(np.arange(20), 2))
        collection.add(documents, {"v": rows})
        acknowledge(added=batch, version=version)
    for n in range(100_000):
        add(round_ * 100_000 + n, 0)
        if n % 5 == 4:
            victim = round_ * 100_000 + int(rng.integers(0, n))
            if n % 2:
                add(victim, n)
            else:
                acknowledge(begin=victim, version=-1)
                collection.delete(where=engine.parse_filter({"batch": victim}))
                acknowledge(added=victim, version=-1)

threads = [threading.Thread(target=write, args=(name,)) for name in ("a", "b", "c")]
[thread.start() for thread in threads]
print("writing", flush=True)
[thread.join() for thread in threads]
"""


def read_oracle(path: Path) -> tuple[dict[int, int], dict[int, int]]:
    """Batch → last acknowledged version (-1: deleted); batch → version begun and not acknowledged."""
    acknowledged: dict[int, int] = {}
    begun: dict[int, int] = {}
    for line in path.read_text().splitlines():
        try:
            entry: dict[str, Any] = json.loads(line)
        except ValueError:
            continue  # the last line, cut short: its write came after what it would have said
        if "begin" in entry:
            begun[entry["begin"]] = entry["version"]
        else:
            acknowledged[entry["added"]] = entry["version"]
            begun.pop(entry["added"], None)
    return acknowledged, begun


def check(collection: Collection, path: Path) -> int:
    """Compare a collection with its oracle; how many documents it has."""
    acknowledged, begun = read_oracle(path)
    snapshot = collection.snapshot()
    expected = 0
    for batch in acknowledged.keys() | begun.keys():
        ids = [f"{batch}:{i}" for i in range(BATCH)]
        found = snapshot.get(ids)
        versions = {None if document is None else document["version"] for document in found}
        assert len(versions) == 1, f"batch {batch} is partly there: {versions}"
        (version,) = versions
        allowed = {acknowledged.get(batch, -1), begun.get(batch, acknowledged.get(batch, -1))}
        assert (-1 if version is None else version) in allowed, f"batch {batch}: {version} is none of {allowed}"
        if batch % 5 == 0:
            assert snapshot.count(parse_filter({"batch": batch})) == (0 if version is None else BATCH)
        expected += 0 if version is None else BATCH
        if version is not None and batch % 5 == 1:
            vector = np.random.default_rng([batch, 7, version]).standard_normal(8)
            hits = snapshot.search(vector, 1, exact=True)
            assert hits.ids == [f"{batch}:7"]
            assert hits.scores[0] > 0.9999
    assert snapshot.count() == expected == len(snapshot.ordinals())
    assert len(set(snapshot.ids(snapshot.ordinals()))) == expected
    return expected


def test_nothing_acknowledged_is_lost_to_kill_9(tmp_path: Path) -> None:
    """Eight rounds of killing at a random moment: none lost, in part, or resurrected, through seals and merges."""
    path = tmp_path / "db"
    moments = random.Random(20261122)
    documents = 0
    for round_ in range(ROUNDS):
        writer = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path), str(round_)], stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        assert writer.stdout is not None
        assert writer.stderr is not None
        assert writer.stdout.readline() == b"writing\n", writer.stderr.read()
        time.sleep(moments.uniform(0.1, SECONDS_MAX))
        writer.kill()
        _, errors = writer.communicate()
        assert errors == b""
        with Database.open(path, seal_rows=300) as database:
            assert set(database.collections()) <= {"a", "b", "c"}
            for name in database.collections():
                documents += check(database.collection(name), tmp_path / f"db.{name}.oracle")
    assert documents > 0
    with Database.open(path, seal_rows=300) as database:
        segments = [len(database.collection(name).stats()["segments"]) for name in database.collections()]
        assert max(segments) > 0
        for name in database.collections():
            database.collection(name).optimize()
            check(database.collection(name), tmp_path / f"db.{name}.oracle")
