"""A search request over HTTP: processor time of the server, and latency seen by a lean client."""

from __future__ import annotations

import http.client
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

import lumaai
from benchmarks.data import clustered
from benchmarks.report import Report
from benchmarks.timing import cpu_seconds, load_average, percentiles, rss_bytes

ROWS, DIM, REQUESTS = 20_000, 384, 1_000
INDEXES = ("auto", "hnsw")  # what who declares nothing gets, and a graph of the vectors as they are


def run(report: Report) -> None:
    vectors = clustered(ROWS, DIM)
    queries = clustered(100, DIM, seed=1)
    with tempfile.TemporaryDirectory() as folder:
        for index in INDEXES:
            _fill(folder, vectors, index)
        with lumaai.connect(folder) as database:
            for index in INDEXES:
                search = database[index].search
                p50, p99 = percentiles(lambda i, search=search: search(vector=queries[i % 100], limit=10), REQUESTS)  # type: ignore[misc]
                what = f"search by vector, embedded, {ROWS:,} × {DIM}, limit 10, index {index}"
                report.add(what, f"p50 {p50:.2f} ms, p99 {p99:.2f} ms")
        with served(folder) as (port, pid):
            for index in INDEXES:
                _over_http(report, queries, port, pid, index)
            report.add("RSS of the server", f"{rss_bytes(pid) / 2**20:,.0f} MiB")


def _over_http(report: Report, queries: np.ndarray, port: int, pid: int, index: str) -> None:
    bodies = [json.dumps({"vector": query.tolist(), "limit": 10}).encode() for query in queries]
    filtered = [
        json.dumps({"vector": query.tolist(), "limit": 10, "filter": {"bucket": i % 10}}).encode()
        for i, query in enumerate(queries)
    ]
    connection = http.client.HTTPConnection("127.0.0.1", port)

    def search(body: bytes) -> bytes:
        headers = {"content-type": "application/json"}
        connection.request("POST", f"/v1/collections/{index}/search", body, headers)
        response = connection.getresponse()
        answer = response.read()
        assert response.status == 200, answer
        return answer

    for name, kind, target in (("", bodies, "at most 1 ms"), (", 10 % filter", filtered, "at most 1.2 ms")):
        for body in kind:
            search(body)
        before = cpu_seconds(pid)
        p50, p99 = percentiles(lambda i, kind=kind: search(kind[i % 100]), REQUESTS)  # type: ignore[misc]
        each = 1000 * (cpu_seconds(pid) - before) / REQUESTS
        weather = f"load average {load_average()}"
        what = f"server CPU per search request, {DIM} JSON numbers, limit 10, index {index}{name}"
        report.add(what, f"{each:.2f} ms", weather, target)
        report.add(f"search over HTTP, index {index}{name}", f"p50 {p50:.2f} ms, p99 {p99:.2f} ms")


def _fill(folder: str, vectors: np.ndarray, index: str) -> None:
    """A collection named after its index."""
    with lumaai.connect(folder) as database:
        field = {"type": "vector", "dim": DIM, "index": index}
        collection = database.create_collection(index, {"vector": field}, embed={})
        for begin in range(0, len(vectors), 1_000):
            ids = [str(begin + i) for i in range(1_000)]
            buckets: list[object] = [(begin + i) % 10 for i in range(1_000)]
            titles: list[object] = [f"row {i}" for i in ids]
            collection.add(ids=ids, vectors=vectors[begin : begin + 1_000], fields={"bucket": buckets, "title": titles})
        collection.optimize(wait=True)


@contextmanager
def served(folder: str) -> Iterator[tuple[int, int]]:
    """The service on a free port over `folder`: port and process id."""
    command = [sys.executable, "-m", "lumaai", "serve", "--data", folder, "--port", "0"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    try:
        for line in process.stdout:
            if found := re.search(r"http://127\.0\.0\.1:(\d+)", line):
                yield int(found.group(1)), process.pid
                break
        else:
            raise RuntimeError("service did not start")
    finally:
        process.terminate()
        process.wait(30)
