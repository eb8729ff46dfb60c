"""Sixteen callers of our service and of Chroma's server, in turn, by one lean client; and how soon ours is ready.

The client speaks HTTP over plain kept-alive connections of one event loop in a process of its own: requests are made
beforehand, of answers only the length and the status are read. Both servers search the same vectors, ten nearest of
each, by JSON numbers; ours also by the same numbers in base64, as its own client sends them.
"""

from __future__ import annotations

import asyncio
import base64
import http.client
import json
import multiprocessing
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import numpy as np
import uvloop

import lumaai
from benchmarks.data import Array, clustered
from benchmarks.environments import EnvironmentFailedError, environment_python
from benchmarks.report import Report
from benchmarks.service import served
from benchmarks.timing import cpu_seconds, load_average

ROWS, DIM, QUERIES, K = 20_000, 384, 100, 10
CALLERS, ROUNDS, ROUND_SECONDS = 16, 5, 3.0
CHROMA = ("chromadb==1.5.9",)
START_SECONDS_MAX = 60.0
READY_ROUNDS, READY_SECONDS_MAX = 5, 3.0
AT_LEAST = 3.0
TENANT = "/api/v2/tenants/default_tenant/databases/default_database/collections"


def run(report: Report) -> None:
    ready, cpu = zip(*sorted(readiness() for _ in range(READY_ROUNDS)), strict=True)
    spent = f"{statistics.median(cpu):.2f} s of CPU"
    said = f"slowest {ready[-1]:.2f} s; {spent}; load average {load_average()}"
    what = "first readiness with an empty directory, from the start of the process"
    report.add(what, f"{statistics.median(ready):.2f} s", said, f"at most {READY_SECONDS_MAX:g} s")
    try:
        python = environment_python("chroma-server", CHROMA)
    except EnvironmentFailedError as error:
        report.add("Chroma's server", "not measured", str(error))
        return
    compare(report, python)


def readiness() -> tuple[float, float]:
    """Seconds from the start of a process to `/readyz` saying 200, and those of its CPU."""
    with tempfile.TemporaryDirectory() as folder:
        port = _free_port()
        command = [sys.executable, "-m", "lumaai", "serve", "--data", f"{folder}/db", "--port", str(port)]
        started = time.perf_counter()
        with _process(command) as process:
            _wait_for(port, "/readyz")
            return time.perf_counter() - started, cpu_seconds(process.pid)


def compare(report: Report, python: Path) -> None:
    vectors, queries = clustered(ROWS, DIM), clustered(QUERIES, DIM, seed=1)
    with tempfile.TemporaryDirectory() as folder:
        _fill(f"{folder}/ours", vectors)
        with served(f"{folder}/ours") as (port, pid), chroma(python, f"{folder}/chroma") as (other, other_pid):
            path = _fill_chroma(other, vectors)
            rivals = {
                "lumaai": (port, pid, _requests("/v1/collections/bench/search", map(_ours, queries))),
                "lumaai, base64": (port, pid, _requests("/v1/collections/bench/search", map(_encoded, queries))),
                "chroma": (other, other_pid, _requests(path, map(_theirs, queries))),
            }
            rates: dict[str, list[float]] = {name: [] for name in rivals}
            cpu: dict[str, list[float]] = {name: [] for name in rivals}
            refused: dict[str, list[float]] = {name: [] for name in rivals}
            for _ in range(ROUNDS):
                for name, (at, process, requests) in rivals.items():
                    before = cpu_seconds(process)
                    rate, refusals = drive(at, requests)
                    rates[name].append(rate)
                    refused[name].append(refusals)
                    cpu[name].append(1000 * (cpu_seconds(process) - before) / (rate * ROUND_SECONDS))
    for name in rivals:
        each = f"{statistics.median(cpu[name]):.2f} ms of server CPU a request"
        each += f"; {statistics.median(refused[name]):,.0f} refused/s"
        report.add(f"{CALLERS} callers, {name}", f"{statistics.median(rates[name]):,.0f} requests/s", each)
    for name in ("lumaai", "lumaai, base64"):
        ratio = statistics.median(a / b for a, b in zip(rates[name], rates["chroma"], strict=True))
        weather = f"chromadb {CHROMA[0].partition('==')[2]}, load average {load_average()}"
        report.add(f"{CALLERS} callers, {name} to Chroma's server", f"{ratio:.2f} ×", weather, f"{AT_LEAST:g} ×")


def drive(port: int, requests: Sequence[bytes]) -> tuple[float, float]:
    """Requests a second that are answered with 200, and refused, while `CALLERS` ask one after the other."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    process = context.Process(target=_drive, args=(there, port, requests))
    process.start()
    there.close()
    answered, refused = here.recv()
    process.join()
    return answered, refused


def _drive(pipe: Connection, port: int, requests: Sequence[bytes]) -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        pipe.send(runner.run(_callers(port, requests)))


async def _callers(port: int, requests: Sequence[bytes]) -> tuple[float, float]:
    end = time.perf_counter() + ROUND_SECONDS
    counts = await asyncio.gather(*(_caller(port, requests, number, end) for number in range(CALLERS)))
    answered, refused = map(sum, zip(*counts, strict=True))
    return answered / ROUND_SECONDS, refused / ROUND_SECONDS


async def _caller(port: int, requests: Sequence[bytes], number: int, end: float) -> tuple[int, int]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    count = refused = 0
    while time.perf_counter() < end:
        writer.write(requests[(number + count * CALLERS) % len(requests)])
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        await reader.readexactly(int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0]))
        if head.startswith(b"http/1.1 200"):
            count += 1
        elif head.startswith(b"http/1.1 503"):
            refused += 1
        else:
            raise RuntimeError(head.decode("latin-1"))
    writer.close()
    return count, refused


def _requests(path: str, bodies: Iterator[dict[str, Any]]) -> list[bytes]:
    found = []
    for body in bodies:
        content = json.dumps(body).encode()
        head = f"POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
        found.append(f"{head}Content-Length: {len(content)}\r\n\r\n".encode() + content)
    return found


def _ours(query: Array) -> dict[str, Any]:
    return {"vector": query.tolist(), "limit": K}


def _encoded(query: Array) -> dict[str, Any]:
    return {"vector": base64.b64encode(query.astype("<f4").tobytes()).decode(), "limit": K}


def _theirs(query: Array) -> dict[str, Any]:
    return {"query_embeddings": [query.tolist()], "n_results": K, "include": ["distances", "metadatas"]}


def _fill(folder: str, vectors: Array) -> None:
    with lumaai.connect(folder) as database:
        collection = database.create_collection("bench", {"vector": {"type": "vector", "dim": DIM}}, embed={})
        for begin in range(0, ROWS, 1_000):
            ids = [str(begin + i) for i in range(1_000)]
            buckets: list[object] = [(begin + i) % 10 for i in range(1_000)]
            collection.add(ids=ids, vectors=vectors[begin : begin + 1_000], fields={"bucket": buckets})
        collection.optimize(wait=True)


@contextmanager
def chroma(python: Path, folder: str) -> Iterator[tuple[int, int]]:
    """Chroma's own server: port and process id."""
    port = _free_port()
    command = [str(python.with_name("chroma")), "run", "--path", folder, "--port", str(port)]
    with _process(command) as process:
        _wait_for(port, "/api/v2/heartbeat")
        yield port, process.pid


def _fill_chroma(port: int, vectors: Array) -> str:
    """The path of a collection's queries."""
    hnsw = {"space": "l2", "ef_construction": 100, "max_neighbors": 16}
    made = _post(port, TENANT, {"name": "bench", "configuration": {"hnsw": hnsw}})
    path = f"{TENANT}/{made['id']}"
    for begin in range(0, ROWS, 1_000):
        rows: list[np.ndarray] = list(vectors[begin : begin + 1_000])
        body = {
            "ids": [str(begin + i) for i in range(len(rows))],
            "embeddings": [row.tolist() for row in rows],
            "metadatas": [{"bucket": (begin + i) % 10} for i in range(len(rows))],
        }
        _post(port, f"{path}/add", body)
    return f"{path}/query"


def _post(port: int, path: str, body: dict[str, Any]) -> Any:
    connection = http.client.HTTPConnection("127.0.0.1", port)
    connection.request("POST", path, json.dumps(body).encode(), {"content-type": "application/json"})
    response = connection.getresponse()
    content = response.read()
    if response.status not in (200, 201):
        raise RuntimeError(f"{path} answered {response.status}: {content[:200]!r}")
    return json.loads(content) if content else None


@contextmanager
def _process(command: Sequence[str]) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


def _wait_for(port: int, path: str) -> None:
    last = time.perf_counter() + START_SECONDS_MAX
    while time.perf_counter() < last:
        with suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            connection.request("GET", path)
            if connection.getresponse().status == 200:
                return
        time.sleep(0.01)
    raise RuntimeError(f"nobody answers at port {port}")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


if __name__ == "__main__":
    made = Report()
    run(made)
    print(made.save("servers"))
