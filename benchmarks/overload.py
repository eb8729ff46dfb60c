"""More requests than the service can answer: what becomes of those that it takes, of its memory, and of it afterwards.

Requests come at fixed times, as from many callers that know nothing of each other, over the connections of one lean
process; a time is from the moment at which a request was due to the last byte of its answer, so that what waits in the
client counts. What is due while all connections have a request under way is not sent, and counted.

A shared machine stops for ten milliseconds now and then, some minutes often and others never: a p99 is the median of
those of windows of `WINDOW_SECONDS`, idle ones before and after those under load; that over all times stands beside it.
`python -m benchmarks.overload --seconds 60` keeps the table in `results/overload.md`.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import json
import multiprocessing
import tempfile
import time
from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import cast

import numpy as np
import uvloop

import lumaai
from benchmarks.data import clustered
from benchmarks.report import Report
from benchmarks.service import served
from benchmarks.timing import load_average, rss_bytes

ROWS, DIM = 20_000, 384
CONNECTIONS = 256
CONNECTED_SECONDS, LAST_SECONDS_MAX = 0.5, 5.0
WINDOW_SECONDS, IDLE_WINDOWS = 5.0, 4  # idle ones before the load, and as many after
OVERLOAD = 4.0
RECOVERY_SECONDS = 5.0
P99_MAX, GROWTH_MAX = 3.0, 1.05
MIX = ("vector", "filtered", "keyword")


@dataclass(slots=True)
class Outcome:
    """What became of requests: milliseconds of those that were answered, and how many had which status."""

    milliseconds: list[float] = field(default_factory=list)
    due: list[float] = field(default_factory=list)  # seconds from the begin at which these were
    statuses: Counter[int] = field(default_factory=Counter)
    begin: float = 0.0  # by the clock of its process
    seconds: float = 0.0
    unsent: int = 0

    def percentile(self, share: float) -> float:
        return float(np.quantile(self.milliseconds, share)) if self.milliseconds else float("nan")

    def p99_of_windows(self) -> list[float]:
        """The p99 of each window that has a hundred answers at least, in milliseconds."""
        windows = np.asarray(self.due) // WINDOW_SECONDS
        parts = [np.asarray(self.milliseconds)[windows == window] for window in np.unique(windows)]
        return [float(np.quantile(part, 0.99)) for part in parts if len(part) >= 100]

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
    idle = at_rate(port, rate=sustainable.rate / 10, seconds=IDLE_WINDOWS * WINDOW_SECONDS)
    before = rss_bytes(pid)
    busy = at_rate(port, rate=OVERLOAD * sustainable.rate, seconds=seconds)
    after = rss_bytes(pid)
    time.sleep(RECOVERY_SECONDS / 2)
    again = at_once(port, connections=4, seconds=RECOVERY_SECONDS / 2)
    idle_again = at_rate(port, rate=sustainable.rate / 10, seconds=IDLE_WINDOWS * WINDOW_SECONDS)
    p99_idle = float(np.median(idle.p99_of_windows() + idle_again.p99_of_windows()))
    p99_busy = float(np.median(busy.p99_of_windows()))
    weather = f"load average {load_average()}"
    report.add("sustainable: 4 callers, one request after the other", f"{sustainable.rate:,.0f} requests/s", weather)
    report.add(
        "idle: a tenth of that, before and after",
        f"p50 {idle.percentile(0.5):.2f} ms, p99 {p99_idle:.2f} ms",
        f"p99 of all together {idle.percentile(0.99):.1f} and {idle_again.percentile(0.99):.1f} ms",
    )
    taken = f"{busy.rate:,.0f} requests/s, p50 {busy.percentile(0.5):.2f} ms, p99 {p99_busy:.2f} ms"
    refused = sum(count for status, count in busy.statuses.items() if status in (429, 503))
    others = {status: count for status, count in busy.statuses.items() if status not in (200, 429, 503)}
    report.add(
        f"{OVERLOAD:g} × the sustainable rate for {seconds:g} s: taken",
        taken,
        f"{refused:,} refused, {busy.unsent:,} not sent, {others} others; p99 of all {busy.percentile(0.99):.1f} ms",
    )
    report.add(
        "p99 of what is taken, to idle", f"{p99_busy / p99_idle:.2f} ×", "medians of windows", f"at most {P99_MAX:g} ×"
    )
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
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        pipe.send(runner.run(_callers(port, rate, connections, seconds)))


async def _callers(port: int, rate: float | None, connections: int, seconds: float) -> Outcome:
    loop, outcome = asyncio.get_running_loop(), Outcome()
    requests = [_head(path, len(body)) + body for path, body in bodies()]
    free: deque[_Caller] = deque()
    callers = []
    for number in range(connections):
        made = await loop.create_connection(
            functools.partial(_Caller, outcome, requests, number, free), "127.0.0.1", port
        )
        callers.append(made[1])
    await asyncio.sleep(CONNECTED_SECONDS)  # what it takes the service to accept them is another matter
    begin = outcome.begin = time.perf_counter()
    end = begin + seconds
    if rate is None:
        await asyncio.gather(*(_one_after_the_other(caller, free, end) for caller in callers))
    else:
        free.extend(callers)
        await _clockwork(free, outcome, rate, begin, end)
    outcome.seconds = time.perf_counter() - begin
    for caller in callers:
        caller.transport.close()
    return outcome


async def _one_after_the_other(caller: _Caller, free: deque[_Caller], end: float) -> None:
    while (now := time.perf_counter()) < end:
        await caller.ask(now)
    free.clear()


async def _clockwork(free: deque[_Caller], outcome: Outcome, rate: float, begin: float, end: float) -> None:
    """Send requests as they become due, on any free connection; what finds none is counted and not sent."""
    count = 0
    while (now := time.perf_counter()) < end:
        while (due := begin + count / rate) <= now:
            if free:
                free.popleft().ask(due)
            else:
                outcome.unsent += 1
            count += 1
        await asyncio.sleep(0.0005)
    while len(free) < CONNECTIONS and time.perf_counter() < end + LAST_SECONDS_MAX:  # noqa: ASYNC110 - many events
        await asyncio.sleep(0.01)


class _Caller(asyncio.Protocol):
    """One connection with one request under way; of answers it reads the status and the length."""

    transport: asyncio.Transport

    def __init__(self, outcome: Outcome, requests: Sequence[bytes], number: int, free: deque[_Caller]) -> None:
        self._outcome = outcome
        self._requests = requests
        self._number = number
        self._free = free
        self._answer = b""
        self._due = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def ask(self, due: float) -> asyncio.Future[None]:
        """Send the next request; done when it is answered."""
        self._done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._due, self._answer = due, b""
        self.transport.write(self._requests[self._number % len(self._requests)])
        self._number += 1
        return self._done

    def data_received(self, data: bytes) -> None:
        self._answer += data
        head, blank, body = self._answer.partition(b"\r\n\r\n")
        if not blank or len(body) < int(head.lower().partition(b"content-length:")[2].split(b"\r\n", 1)[0]):
            return
        status = int(head[9:12])
        self._outcome.statuses[status] += 1
        if status == 200:
            self._outcome.milliseconds.append(1000 * (time.perf_counter() - self._due))
            self._outcome.due.append(self._due - self._outcome.begin)
        self._free.append(self)
        self._done.set_result(None)

    def connection_lost(self, exc: Exception | None) -> None:
        if exc is not None:
            raise RuntimeError("the service closed a connection") from exc


def _head(path: str, length: int) -> bytes:
    head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {length}\r\n\r\n".encode()


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0)
    report = Report()
    run(report, parser.parse_args(arguments).seconds)
    print(report.save("overload"))


if __name__ == "__main__":
    main()
