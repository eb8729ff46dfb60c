"""More requests than the service can answer: what becomes of those that it takes, of its memory, and of it afterwards.

Requests come at fixed times, as from many callers that know nothing of each other, over connections of one process of
its own; a time is from the moment at which a request was due to the last byte of its answer, so that what waits in the
client counts. `python -m benchmarks.overload --seconds 60` keeps the table in `results/overload.md`.
"""

from __future__ import annotations

import argparse
import http.client
import json
import multiprocessing
import queue
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection

import numpy as np

import lumaai
from benchmarks.data import clustered
from benchmarks.report import Report
from benchmarks.service import served
from benchmarks.timing import load_average, rss_bytes

ROWS, DIM = 20_000, 384
CONNECTIONS = 32
IDLE_REQUESTS = 400
OVERLOAD = 4.0
RECOVERY_SECONDS = 5.0
P99_MAX, GROWTH_MAX = 3.0, 1.05
MIX = ("vector", "filtered", "keyword")


@dataclass(slots=True)
class Outcome:
    """What became of requests: milliseconds of those that were answered, and how many had which status."""

    milliseconds: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)
    seconds: float = 0.0

    def percentile(self, share: float) -> float:
        return float(np.quantile(self.milliseconds, share)) if self.milliseconds else float("nan")

    @property
    def rate(self) -> float:
        """Requests answered in a second."""
        return len(self.milliseconds) / self.seconds


def run(report: Report, seconds: float = 15.0) -> None:
    with tempfile.TemporaryDirectory() as folder:
        fill(folder)
        with served(folder) as (port, pid):
            measure(report, port, pid, seconds)


def measure(report: Report, port: int, pid: int, seconds: float) -> None:
    sustainable = at_once(port, connections=4, seconds=min(10.0, seconds))
    idle = at_rate(port, rate=sustainable.rate / 10, seconds=max(5.0, IDLE_REQUESTS * 10 / sustainable.rate))
    before = rss_bytes(pid)
    busy = at_rate(port, rate=OVERLOAD * sustainable.rate, seconds=seconds)
    after = rss_bytes(pid)
    time.sleep(RECOVERY_SECONDS / 2)
    again = at_once(port, connections=4, seconds=RECOVERY_SECONDS / 2)
    weather = f"load average {load_average()}"
    report.add("sustainable: 4 callers, one request after the other", f"{sustainable.rate:,.0f} requests/s", weather)
    report.add("idle: a tenth of that", f"p50 {idle.percentile(0.5):.2f} ms, p99 {idle.percentile(0.99):.2f} ms")
    taken = f"{busy.rate:,.0f} requests/s, p50 {busy.percentile(0.5):.2f} ms, p99 {busy.percentile(0.99):.2f} ms"
    refused = sum(count for status, count in busy.statuses.items() if status in (429, 503))
    others = {status: count for status, count in busy.statuses.items() if status not in (200, 429, 503)}
    report.add(
        f"{OVERLOAD:g} × the sustainable rate for {seconds:g} s: taken", taken, f"{refused:,} refused, {others} others"
    )
    ratio = busy.percentile(0.99) / idle.percentile(0.99)
    report.add("p99 of what is taken, to idle", f"{ratio:.2f} ×", "", f"at most {P99_MAX:g} ×")
    grown = f"{before / 2**20:,.0f} → {after / 2**20:,.0f} MiB"
    report.add("memory of the service, before and after", grown, f"{after / before:.3f} ×", f"at most {GROWTH_MAX:g} ×")
    speed = again.rate / sustainable.rate
    report.add(f"speed within {RECOVERY_SECONDS:g} s after", f"{again.rate:,.0f} requests/s", f"{speed:.2f} ×", "1 ×")


def bodies() -> list[tuple[str, bytes]]:
    """Paths and bodies of the mix: by vector, by vector under a filter of 10 %, by words."""
    found = []
    for index, query in enumerate(clustered(90, DIM, seed=1)):
        kind = MIX[index % len(MIX)]
        body: dict[str, object] = {"limit": 10}
        if kind == "keyword":
            body |= {"query": f"row number {index}", "mode": "keyword"}
        else:
            body |= {"vector": [round(float(value), 6) for value in query]}
        if kind == "filtered":
            body |= {"filter": {"bucket": index % 10}}
        found.append(("/v1/collections/bench/search", json.dumps(body).encode()))
    return found


def fill(folder: str) -> None:
    vectors = clustered(ROWS, DIM)
    with lumaai.connect(folder) as database:
        fields = {"vector": {"type": "vector", "dim": DIM}, "title": {"type": "text"}}
        collection = database.create_collection("bench", fields, embed={})
        for begin in range(0, ROWS, 1_000):
            numbers = range(begin, begin + 1_000)
            collection.add(
                ids=[str(number) for number in numbers],
                vectors=vectors[begin : begin + 1_000],
                fields={
                    "bucket": [number % 10 for number in numbers],
                    "title": [f"row number {number % 97}" for number in numbers],
                },
            )
        collection.optimize(wait=True)
        collection.search("row number 1", mode="keyword")


def at_once(port: int, *, connections: int, seconds: float) -> Outcome:
    """So many callers, each with its next request when the last was answered."""
    return _in_process(port, None, connections, seconds)


def at_rate(port: int, *, rate: float, seconds: float) -> Outcome:
    """Requests that come at a rate, whatever becomes of them."""
    return _in_process(port, rate, CONNECTIONS, seconds)


def _in_process(port: int, rate: float | None, connections: int, seconds: float) -> Outcome:
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_drive, args=(there, port, rate, connections, seconds))
    process.start()
    there.close()
    outcome: Outcome = here.recv()
    process.join()
    return outcome


def _drive(pipe: Connection, port: int, rate: float | None, connections: int, seconds: float) -> None:
    requests, outcome, lock = bodies(), Outcome(), threading.Lock()
    due: queue.SimpleQueue[float | None] = queue.SimpleQueue()
    begin = time.perf_counter() + 0.2
    end = begin + seconds

    def caller(number: int) -> None:
        times, statuses = [], Counter[int]()
        connection = http.client.HTTPConnection("127.0.0.1", port)
        while (moment := _next(due, rate, end)) is not None:
            path, body = requests[number % len(requests)]
            number += connections
            connection.request("POST", path, body, {"content-type": "application/json"})
            response = connection.getresponse()
            response.read()
            statuses[response.status] += 1
            if response.status == 200:
                times.append(1000 * (time.perf_counter() - moment))
        with lock:
            outcome.milliseconds += times
            outcome.statuses += statuses

    threads = [threading.Thread(target=caller, args=(number,)) for number in range(connections)]
    time.sleep(max(0.0, begin - time.perf_counter()))
    for thread in threads:
        thread.start()
    if rate is not None:
        _clockwork(due, rate, begin, end, connections)
    for thread in threads:
        thread.join()
    outcome.seconds = time.perf_counter() - begin
    pipe.send(outcome)


def _next(due: queue.SimpleQueue[float | None], rate: float | None, end: float) -> float | None:
    """When the next request is due; None at the end."""
    if rate is not None:
        return due.get()
    now = time.perf_counter()
    return now if now < end else None


def _clockwork(due: queue.SimpleQueue[float | None], rate: float, begin: float, end: float, callers: int) -> None:
    """Hand out moments as they come. Those that no connection was free for in time are dropped: nobody waits for them.

    A hundred connections' worth would else wait in this process, which is no part of what is measured.
    """
    count = 0
    while (now := time.perf_counter()) < end:
        while begin + count / rate <= now:
            if due.qsize() < callers:
                due.put(begin + count / rate)
            count += 1
        time.sleep(0.001)
    for _ in range(callers):
        due.put(None)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    report = Report()
    run(report, parser.parse_args(arguments).seconds)
    print(report.save("overload"))


if __name__ == "__main__":
    main()
