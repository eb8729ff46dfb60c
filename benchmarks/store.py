"""The store beside raw rocksdict: inserting, getting, group commit, and what is given back of disk and memory."""

from __future__ import annotations

import gc
import json
import os
import random
import statistics
import string
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from rocksdict import Options, Rdict, WriteBatch

import engine
from benchmarks.report import Report
from benchmarks.timing import in_turn, rss_bytes, seconds
from engine.document import decode
from engine.reclaim import disk_bytes
from engine.store import keys
from engine.store.rocks import DOCUMENTS, IDS

Document = dict[str, object]
DOCUMENTS_INSERTED, BATCH, GET_IDS = 10_000, 1_000, 100
WRITERS, WRITES_SECONDS, SLOW_SYNC_SECONDS = 16, 1.5, 0.005
COPY_DOCUMENTS, COPIES = 50_000, 10
ROUNDS = 1_000


def run(report: Report) -> None:
    _insert(report)
    _get(report)
    _commit(report)
    _add_again(report)
    _create_and_drop(report)


def _insert(report: Report) -> None:
    """New documents each time, in batches, each batch durable when it returns; on the other side their bare bytes."""
    batches = iter(_batches())
    with _database() as database, _raw() as raw:
        collection = database.create_collection("bench", engine.Schema())
        given: list[list[Document]] = []

        def ours() -> None:
            for batch in given:
                collection.add(batch)

        def theirs() -> None:
            for batch in given:
                _write_raw(raw, [(str(document["id"]).encode(), body) for document, body in encoded[id(batch)]])

        encoded: dict[int, list[tuple[Document, bytes]]] = {}
        ratios, rates, raw_rates = [], [], []
        for _ in range(6):
            given = [next(batches) for _ in range(DOCUMENTS_INSERTED // BATCH)]
            encoded = {id(batch): [(each, msgspec.json.encode(each)) for each in batch] for batch in given}
            mine, raws = seconds(ours), seconds(theirs)
            ratios.append(raws / mine)
            rates.append(DOCUMENTS_INSERTED / mine)
            raw_rates.append(DOCUMENTS_INSERTED / raws)
    report.add(
        f"insert of 1 KB documents, six indexed fields, batches of {BATCH:,}, each durable",
        f"{statistics.median(rates[1:]):,.0f}/s",
        f"raw rocksdict {statistics.median(raw_rates[1:]):,.0f}/s: {statistics.median(ratios[1:]):.2f} ×",
        "0.15 × and 20,000/s",
    )


def _get(report: Report) -> None:
    """The same keys from the same tables; on the other side two multi-gets and the decoding."""
    with _database() as database:
        collection = database.create_collection("bench", engine.Schema())
        batches = _batches()
        for _ in range(20):
            collection.add(next(batches))
        database.compact()
        store = database._store  # noqa: SLF001  (the very same tables, without our layers)
        ids, documents = store._families[IDS], store._families[DOCUMENTS]  # noqa: SLF001
        chooser = random.Random(0)
        asked = [[f"doc-{chooser.randrange(20 * BATCH)}" for _ in range(GET_IDS)] for _ in range(200)]
        id_keys: list[Any] = [keys.id_keys(1, wanted) for wanted in asked]
        pack, unpack = struct.Struct(">II").pack, struct.Struct(">IQ").unpack
        snapshot = collection.snapshot()

        def ours() -> None:
            for wanted in asked:
                snapshot.get(wanted)

        def theirs() -> None:
            for wanted in id_keys:
                found: Any = ids.get(wanted)
                values: Any = documents.get([pack(1, unpack(value)[0]) for value in found])
                [decode(value[1:]) for value in values]

        mine, raws, ratio = in_turn(ours, theirs, rounds=15)
        count = len(asked) * GET_IDS
        report.add(
            f"get by {GET_IDS} ids at a time, documents of 1 KB in the cache",
            f"{count / mine:,.0f}/s",
            f"two raw multi-gets and decoding {count / raws:,.0f}/s: {ratio:.2f} ×",
            "0.7 ×",
        )


def _commit(report: Report) -> None:
    """One small document a write, each durable when the call returns."""
    with _database() as database, _raw() as raw:
        collection = database.create_collection("bench", engine.Schema())
        bare = _BareLoop(raw)
        numbers = iter(range(10**9))

        def ours() -> None:
            collection.add([{"id": f"{next(numbers)}", "n": 1}])

        def theirs() -> None:
            bare.write(b"%d" % next(numbers), b'{"n":1}')

        _writes(ours, 1), _writes(theirs, 1)
        pairs = [(_writes(ours, WRITERS), _writes(theirs, WRITERS)) for _ in range(5)]
        mine, raws = (statistics.median(side) for side in zip(*pairs, strict=True))
        ratio = statistics.median(a / b for a, b in pairs)
        report.add(
            f"{WRITERS} writers of one document each, durable",
            f"{mine:,.0f}/s",
            f"bare loop of leader and followers {raws:,.0f}/s: {ratio:.2f} ×",
            "0.7 ×",
        )
        with _slow_sync(database):
            pairs = [(_writes(ours, WRITERS), _writes(ours, 1)) for _ in range(3)]
        many, one = (statistics.median(side) for side in zip(*pairs, strict=True))
        ratio = statistics.median(a / b for a, b in pairs)
        report.add(
            f"{WRITERS} writers where a sync takes {1000 * SLOW_SYNC_SECONDS:.0f} ms",
            f"{many:,.0f}/s",
            f"one writer {one:,.0f}/s: {ratio:.1f} ×",
            "8 ×",
        )


def _add_again(report: Report) -> None:
    """Each time all documents are others, under the same ids."""
    with _database() as database:
        collection = database.create_collection("bench", engine.Schema())
        folder = Path(str(database.stats()["path"]))

        def write(copy: int) -> None:
            batches = _batches(seed=copy + 1)
            for _ in range(COPY_DOCUMENTS // BATCH):
                collection.add(next(batches))

        write(0)
        database.purge()  # the least that one copy can take
        once = disk_bytes(folder)
        for copy in range(1, COPIES):
            write(copy)
        peak = disk_bytes(folder)
        waited = _until_settled(lambda: disk_bytes(folder))
        by_itself = disk_bytes(folder)
        database.compact()
        compacted = disk_bytes(folder)
        report.add(
            f"{COPY_DOCUMENTS:,} documents written {COPIES} times over, disk after maintenance by itself",
            f"{by_itself / once:.2f} ×, {waited:.0f} s after the last write",
            f"one copy {once / 2**20:.0f} MiB; before {peak / once:.1f} ×; after compact {compacted / once:.2f} ×",
            "at most 1.2 ×",
        )


def _create_and_drop(report: Report) -> None:
    """In a process of its own, whose memory nothing else has grown."""
    child = subprocess.run(
        [sys.executable, "-c", "from benchmarks.store import rounds; rounds()"], stdout=subprocess.PIPE, check=True
    )
    before, after, opened_before, opened_after, elapsed = json.loads(child.stdout.splitlines()[-1])
    report.add(
        f"{ROUNDS:,} rounds of create, add, search, drop: RSS and descriptors",
        f"{100 * (after / before - 1):+.1f} %, {opened_after - opened_before:+d}",
        f"{before / 2**20:.0f} MiB, {opened_before} descriptors before; {ROUNDS / elapsed:.0f} rounds/s",
        "within 5 % and 5",
    )


def rounds() -> None:
    """Create collections with vectors, seal every tenth, search, and drop; print what was open and resident."""
    vectors = np.random.default_rng(0).standard_normal((50, 32)).astype(np.float32)
    documents = [{"id": str(i), "text": f"text {i}", "n": i} for i in range(50)]
    with _database() as database:

        def once(i: int) -> None:
            collection = database.create_collection(f"c{i}", engine.Schema())
            collection.add(documents, {"v": engine.VectorRows(vectors, np.arange(50))})
            if i % 10 == 0:
                collection.optimize()
            assert len(collection.snapshot().search(vectors[3], 5).documents()) == 5
            database.drop_collection(f"c{i}")

        for i in range(ROUNDS // 5):
            once(i)
        before, opened_before = _settled()
        started = time.perf_counter()
        for i in range(ROUNDS):
            once(ROUNDS + i)
        elapsed = time.perf_counter() - started
        after, opened_after = _settled()
    print(json.dumps([before, after, opened_before, opened_after, elapsed]))


def _settled() -> tuple[int, int]:
    """Resident bytes and open descriptors, when maintenance has had its turn."""
    time.sleep(2.5)
    gc.collect()
    return rss_bytes(os.getpid()), sum(1 for _ in Path("/proc/self/fd").iterdir())


def _until_settled(measure: Callable[[], int]) -> float:
    """Wait until a figure has not changed for three seconds, or for a minute; how long it did change."""
    started = changed = time.perf_counter()
    last = measure()
    while time.perf_counter() - changed < 3 and time.perf_counter() - started < 60:
        time.sleep(0.1)
        if (now := measure()) != last:
            last, changed = now, time.perf_counter()
    return changed - started


class _BareLoop:
    """The least a group commit needs: write, then wait for a leader who syncs for all that have written."""

    def __init__(self, raw: Rdict) -> None:
        self._raw = raw
        self._order, self._leader = threading.Lock(), threading.Lock()
        self._written = self._synced = 0

    def write(self, key: bytes, value: bytes) -> None:
        batch = WriteBatch(raw_mode=True)
        batch.put(key, value)
        with self._order:
            self._raw.write(batch)
            self._written = mine = self._written + 1
        with self._leader:
            if self._synced < mine:
                reached = self._written
                self._raw.flush_wal(True)
                self._synced = reached


def _writes(write: Callable[[], None], threads: int) -> float:
    """Writes a second of so many threads together."""
    counts = [0] * threads
    until = time.perf_counter() + WRITES_SECONDS

    def work(place: int) -> None:
        while time.perf_counter() < until:
            write()
            counts[place] += 1

    started = time.perf_counter()
    running = [threading.Thread(target=work, args=(place,)) for place in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return sum(counts) / (time.perf_counter() - started)


@contextmanager
def _slow_sync(database: engine.Database) -> Iterator[None]:
    store = database._store  # noqa: SLF001  (a disk whose sync takes long)
    real = store._db  # noqa: SLF001

    class Slow:
        def __getattr__(self, name: str) -> object:
            return getattr(real, name)

        def flush_wal(self, sync: bool) -> None:  # noqa: FBT001  (as rocksdict has it)
            time.sleep(SLOW_SYNC_SECONDS)
            real.flush_wal(sync)

    store._db = Slow()  # type: ignore[assignment]  # noqa: SLF001
    try:
        yield
    finally:
        store._db = real  # noqa: SLF001


@contextmanager
def _database() -> Iterator[engine.Database]:
    with tempfile.TemporaryDirectory() as folder, engine.Database.open(folder) as database:
        yield database


@contextmanager
def _raw() -> Iterator[Rdict]:
    with tempfile.TemporaryDirectory() as folder:
        raw = Rdict(str(Path(folder) / "raw"), Options(raw_mode=True))
        try:
            yield raw
        finally:
            raw.close()


def _write_raw(raw: Rdict, items: list[tuple[bytes, bytes]]) -> None:
    batch = WriteBatch(raw_mode=True)
    for key, value in items:
        batch.put(key, value)
    raw.write(batch)
    raw.flush_wal(True)


def _batches(seed: int = 0) -> Iterator[list[Document]]:
    """Endless batches of documents of 1 KB with six fields to index and one of text."""
    chooser = random.Random(seed)
    words = ["".join(chooser.choices(string.ascii_lowercase, k=7)) for _ in range(20_000)]
    number = 0
    while True:
        batch: list[Document] = []
        for _ in range(BATCH):
            batch.append(
                {
                    "id": f"doc-{number}",
                    "category": f"c{number % 20}",
                    "year": 1950 + number % 75,
                    "rating": number % 100 / 10,
                    "active": number % 3 == 0,
                    "created": f"2024-01-{1 + number % 28:02d}",
                    "author": chooser.choice(words),
                    "text": " ".join(chooser.choices(words, k=105)),
                }
            )
            number += 1
        yield batch
