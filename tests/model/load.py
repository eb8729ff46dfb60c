"""A mixed load on one database for some time: `python -m tests.model.load PATH SECONDS SEED`.

The amount of live data stays the same: documents are replaced and deleted and come back, collections come and go.
Whoever started the process samples what it takes; at the end it prints how much was done, as one JSON line.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from random import Random
from typing import Any

import numpy as np

from engine import Collection, Database, Schema, VectorRows, parse_filter
from engine.store.options import StoreOptions

LIVE = 10_000  # documents
BATCH = 50
DIM = 32
PAUSE_SECONDS = 0.002  # between two operations of one thread: a load, not a race
UPKEEP_SECONDS = 15.0
CACHES_BYTES, MEMTABLES_BYTES = 32 << 20, 16 << 20  # full soon, so that what grows afterwards is none of them


def run(path: Path, seconds: float, seed: int) -> Counter[str]:
    """Load the database until `seconds` have passed; how often each thing was done."""
    done: Counter[str] = Counter()
    failures: list[BaseException] = []
    deadline = time.monotonic() + seconds
    options = StoreOptions(memtables_bytes=MEMTABLES_BYTES)
    with Database.open(path, memory_bytes_max=CACHES_BYTES, options=options) as database:
        busy = database.create_collection("busy", Schema())
        for begin in range(0, LIVE, BATCH):
            replace(busy, Random(begin), begin)

        def repeat(name: str, work: Callable[[Random], object], pause: float, number: int) -> None:
            random = Random(seed * 100 + number)
            try:
                while time.monotonic() < deadline and not failures:
                    work(random)
                    done[name] += 1
                    time.sleep(pause)
            except BaseException as error:  # noqa: BLE001  (raised below, in the main thread)
                failures.append(error)

        jobs: list[tuple[str, Callable[[Random], object], float]] = [
            ("batches written", lambda random: replace(busy, random, random.randrange(0, LIVE, BATCH)), PAUSE_SECONDS),
            ("batches deleted", lambda random: delete(busy, random), 10 * PAUSE_SECONDS),
            ("reads", lambda random: read(busy, random), PAUSE_SECONDS),
            ("reads", lambda random: read(busy, random), PAUSE_SECONDS),
            ("collections made and dropped", lambda random: come_and_go(database, random), 50 * PAUSE_SECONDS),
            ("rounds of upkeep", lambda random: keep_up(database, path, random), UPKEEP_SECONDS),
        ]
        threads = [
            threading.Thread(target=repeat, args=(name, work, pause, number))
            for number, (name, work, pause) in enumerate(jobs)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if failures:
            raise failures[0]
    return done


def replace(collection: Collection, random: Random, begin: int) -> None:
    """Write one batch of ids anew."""
    vectors = np.random.default_rng(random.getrandbits(32)).standard_normal((BATCH, DIM)).astype(np.float32)
    documents = [
        {"id": f"d{begin + i}", "block": begin, "word": f"w{random.randrange(100)}", "text": "some words " * 20}
        for i in range(BATCH)
    ]
    collection.add(documents, {"v": VectorRows(vectors, np.arange(BATCH))})


def delete(collection: Collection, random: Random) -> None:
    """Delete one batch by filter, and put it back."""
    begin = random.randrange(0, LIVE, BATCH)
    collection.delete(where=parse_filter({"block": begin}))
    replace(collection, random, begin)


def read(collection: Collection, random: Random) -> None:
    """Search with and without a filter, get, and count."""
    snapshot = collection.snapshot()
    query = np.random.default_rng(random.getrandbits(32)).standard_normal(DIM)
    where = parse_filter({"word": f"w{random.randrange(100)}"})
    for hits in (snapshot.search(query, 10), snapshot.search(query, 10, where=where)):
        assert len(hits.documents()) == len(hits)
    count = snapshot.count()
    assert LIVE - 5 * BATCH <= count <= LIVE, count
    ids = snapshot.ids(snapshot.ordinals(where))
    assert [None if document is None else document["id"] for document in snapshot.get(ids)] == ids


def come_and_go(database: Database, random: Random) -> None:
    """Create a collection, fill it, ask it, drop it."""
    collection = database.create_collection("passing", Schema())
    replace(collection, random, 0)
    assert len(collection.snapshot().search(np.ones(DIM), 5)) == 5
    if random.random() < 0.2:
        collection.optimize()
    database.drop_collection("passing")


def keep_up(database: Database, path: Path, random: Random) -> None:
    """What an operator does now and then, on a database in use."""
    kind = random.choice(("compact", "purge", "archive", "check"))
    match kind:
        case "compact":
            database.compact()
        case "purge":
            database.purge()
        case "check":
            problems = database.check(repair=False).problems
            assert not problems, problems
        case _:
            target = path.with_name("load-archive.tar")
            database.archive(target)
            target.unlink()


def main(arguments: list[str]) -> Any:
    """Run, and print what was done."""
    print("begun", flush=True)
    print(json.dumps(run(Path(arguments[0]), float(arguments[1]), int(arguments[2]))), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
