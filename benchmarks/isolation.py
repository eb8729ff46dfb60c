"""P14, noise stays local: small collections beside a large busy one, and reads beside writes, each against idleness.

The load comes from a process of its own that is stopped (SIGSTOP) for the idle rounds, so idle and busy alternate
within one run. Both sides are medians over rounds, because single percentiles of a shared machine jump.
"""

from __future__ import annotations

import http.client
import json
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

import lumaai
from benchmarks.data import clustered
from benchmarks.report import Report
from benchmarks.service import served
from benchmarks.timing import percentiles

SMALL, SMALL_ROWS = 100, 200
LARGE_ROWS, DIM = 20_000, 128
ROUNDS, REQUESTS = 7, 400
BATCH = 100
SETTLE_SECONDS = 0.3
SMALL_P99_MAX, READS_MAX = 2.0, 3.0
RATES = {"write": 5.0, "search": 50.0}  # requests/s of a busy collection that leaves a processor to the others


@dataclass(frozen=True, slots=True)
class Isolation:
    """Medians over rounds, in milliseconds: p50 and p99, idle and busy."""

    idle: tuple[float, float]
    busy: tuple[float, float]

    @property
    def ratios(self) -> tuple[float, float]:
        """Of p50 and of p99, busy to idle."""
        return self.busy[0] / self.idle[0], self.busy[1] / self.idle[1]


def run(report: Report) -> None:
    with tempfile.TemporaryDirectory() as folder:
        fill(folder)
        with served(folder) as (port, _):
            small = Requests(port, [f"small{i}" for i in range(SMALL)])
            large = Requests(port, ["large"])
            with load(port, "write", "search", paced=True) as process:
                _report(report, f"search in {SMALL} small collections, a large one busy", compare(small, process), 1)
            with load(port, "write", "search") as process:
                found = compare(small, process)
                ratios = f"{found.ratios[0]:.1f} × and {found.ratios[1]:.1f} × idle"
                what = "the same, all processors saturated (p50, p99)"
                report.add(what, f"{found.busy[0]:.2f} ms, {found.busy[1]:.2f} ms", ratios)
            with load(port, "write") as process:
                _report(report, "search in the large collection while it is written to", compare(large, process), 0)


def _report(report: Report, what: str, found: Isolation, percentile: int) -> None:
    name, most = (("p50", READS_MAX), ("p99", SMALL_P99_MAX))[percentile]
    p50, p99 = found.busy
    idle = f"idle p50 {found.idle[0]:.2f} ms, p99 {found.idle[1]:.2f} ms"
    report.add(f"{what} (p50, p99)", f"{p50:.2f} ms, {p99:.2f} ms", idle)
    report.add(f"{what}: {name} to idle", f"{found.ratios[percentile]:.2f} ×", "", f"at most {most:.0f} ×")


class Requests:
    """Searches by one lean client, through the collections in turn."""

    def __init__(self, port: int, names: list[str]) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port)
        self._names = names
        self._bodies = [json.dumps({"vector": each.tolist(), "limit": 10}) for each in clustered(50, DIM, seed=1)]

    def __call__(self, i: int) -> None:
        path = f"/v1/collections/{self._names[i % len(self._names)]}/search"
        request(self._connection, path, self._bodies[i % len(self._bodies)])


def request(connection: http.client.HTTPConnection, path: str, body: str) -> bytes:
    """One POST that must succeed."""
    connection.request("POST", path, body, {"content-type": "application/json"})
    response = connection.getresponse()
    answer = response.read()
    assert response.status < 300, answer
    return answer


def compare(work: Callable[[int], None], process: subprocess.Popen[str], rounds: int = ROUNDS) -> Isolation:
    """Idle and busy by turns."""
    idle, busy = [], []
    for _ in range(rounds):
        process.send_signal(signal.SIGSTOP)
        time.sleep(SETTLE_SECONDS)
        idle.append(percentiles(work, REQUESTS))
        process.send_signal(signal.SIGCONT)
        time.sleep(SETTLE_SECONDS)
        busy.append(percentiles(work, REQUESTS))
    return Isolation(_medians(idle), _medians(busy))


def _medians(pairs: list[tuple[float, float]]) -> tuple[float, float]:
    return statistics.median(p50 for p50, _ in pairs), statistics.median(p99 for _, p99 in pairs)


def fill(folder: str, large_rows: int = LARGE_ROWS, small: int = SMALL) -> None:
    """The collections, sealed."""
    field = {"vector": {"type": "vector", "dim": DIM}}
    with lumaai.connect(folder) as database:
        for name, count in [("large", large_rows), *((f"small{i}", SMALL_ROWS) for i in range(small))]:
            collection = database.create_collection(name, field, embed={})
            vectors = clustered(count, DIM)
            for begin in range(0, count, 2_000):
                chosen = vectors[begin : begin + 2_000]
                ids = [str(begin + i) for i in range(len(chosen))]
                collection.add(ids=ids, vectors=chosen, fields={"title": [f"row {id_}" for id_ in ids]})
        database["large"].optimize(wait=True)


@contextmanager
def load(port: int, *kinds: str, paced: bool = False) -> Iterator[subprocess.Popen[str]]:
    """A process that keeps the large collection busy: one client a kind, each with one request under way.

    Args:
        port: of the service.
        kinds: "write" (batches of `BATCH`), "search".
        paced: at `RATES`; else as fast as answers come, which saturates two processors.
    """
    command = [sys.executable, "-m", "benchmarks.isolation", str(port), "paced" if paced else "saturating", *kinds]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "busy\n"
        try:
            yield process
        finally:
            process.send_signal(signal.SIGCONT)
            process.kill()


def make_busy(port: int, kinds: list[str], *, paced: bool) -> None:
    """Write to or search the large collection until killed."""
    paths = {"write": "/v1/collections/large/documents", "search": "/v1/collections/large/search"}

    def repeat(kind: str) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port)
        random = np.random.default_rng(0)
        bodies = [_write(random) if kind == "write" else _search(random) for _ in range(50)]
        for i in range(10**9):
            started = time.perf_counter()
            request(connection, paths[kind], bodies[i % len(bodies)])
            if paced:
                time.sleep(max(0.0, 1 / RATES[kind] - (time.perf_counter() - started)))

    threads = [threading.Thread(target=repeat, args=(kind,)) for kind in kinds]
    for thread in threads:
        thread.start()
    print("busy", flush=True)


def _write(random: np.random.Generator) -> str:
    vectors = random.standard_normal((BATCH, DIM)).round(4).tolist()
    ids = random.integers(LARGE_ROWS, size=BATCH).tolist()
    documents = [{"id": str(id_), "title": f"row {id_}", "vector": v} for id_, v in zip(ids, vectors, strict=True)]
    return json.dumps({"documents": documents})


def _search(random: np.random.Generator) -> str:
    return json.dumps({"vector": random.standard_normal(DIM).tolist(), "limit": 10})


if __name__ == "__main__":
    make_busy(int(sys.argv[1]), sys.argv[3:], paced=sys.argv[2] == "paced")
