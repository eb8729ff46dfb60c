"""Processor time of a client for one search: HTTP libraries with the same bytes, and our own client with its results.

The service is a process that answers every POST with the same ten hits (`canned`), so only the client is measured.
"""

from __future__ import annotations

import asyncio
import http.client
import importlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

import lumaai
from benchmarks.report import Report

DIM, REQUESTS, ROUNDS = 384, 1_000, 5
PATH = "/v1/collections/bench/search"
HEADERS = {"content-type": "application/json"}
HITS = [
    {
        "id": str(i),
        "score": 0.9 - i / 100,
        "document": {"id": str(i), "bucket": i, "title": f"row {i}"},
        "passage": None,
    }
    for i in range(10)
]
SERVER = f"""
import socket, threading
body = {json.dumps({"hits": HITS, "sequence": 3, "milliseconds": 1.5}).encode()!r}
answer = b"HTTP/1.1 200 OK\\r\\ncontent-type: application/json\\r\\ncontent-length: %d\\r\\n\\r\\n" % len(body) + body
def serve(sock):
    data = b""
    while piece := sock.recv(65536):
        data += piece
        head, _, rest = data.partition(b"\\r\\n\\r\\n")
        lines = [line.partition(b":") for line in head.lower().split(b"\\r\\n")]
        length = next(int(value) for name, _, value in lines if name == b"content-length")
        if len(rest) >= length:
            data = b""
            sock.sendall(answer)
server = socket.create_server(("127.0.0.1", 0))
print(server.getsockname()[1], flush=True)
while True:
    threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()
"""

Ask = Callable[[bytes], bytes]


def run(report: Report) -> None:
    vector = np.random.default_rng(7).standard_normal(DIM).astype(np.float32)
    with canned() as url:
        body = _body(vector)
        for name, make in LIBRARIES.items():
            try:
                ask = make(url)
            except ImportError:
                report.add(f"client CPU a request, {name}", "not installed")
                continue
            report.add(f"client CPU a request, {name}", f"{1000 * _cpu(lambda ask=ask: ask(body)):.3f} ms")  # type: ignore[misc]
        with lumaai.connect(url) as client:
            assert isinstance(client, lumaai.Client)
            films = lumaai.RemoteCollection(client._transport, "bench")  # noqa: SLF001 - without asking whether it is there
            each = 1000 * _cpu(lambda: films.search(vector=vector, limit=10))
        report.add(f"client CPU a search, lumaai, {DIM} numbers, ten hits", f"{each:.3f} ms", "", "at most 0.5 ms")
    report.add("CPU of `import lumaai` and a client", f"{_import_seconds():.2f} s", "", "at most 0.3 s")


def _body(vector: np.ndarray) -> bytes:
    import base64

    return json.dumps({"vector": base64.b64encode(vector.tobytes()).decode(), "limit": 10}).encode()


def _cpu(ask: Callable[[], object]) -> float:
    """Seconds of this process's CPU, median of rounds."""
    for _ in range(100):
        ask()
    rounds = []
    for _ in range(ROUNDS):
        before = time.process_time()
        for _ in range(REQUESTS):
            ask()
        rounds.append((time.process_time() - before) / REQUESTS)
    return statistics.median(rounds)


def _import_seconds() -> float:
    code = "import time, lumaai; lumaai.connect('http://127.0.0.1:1').close(); print(time.process_time())"
    times = [float(subprocess.check_output([sys.executable, "-c", code])) for _ in range(ROUNDS)]
    bare = [
        float(subprocess.check_output([sys.executable, "-c", "import time; print(time.process_time())"])) for _ in "abc"
    ]
    return statistics.median(times) - statistics.median(bare)


@contextmanager
def canned() -> Iterator[str]:
    """The address of a service that gives one answer."""
    process = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    finally:
        process.kill()
        process.wait()


def _httpx(url: str) -> Ask:
    session = importlib.import_module("httpx").Client(base_url=url)
    return lambda body: bytes(session.post(PATH, content=body, headers=HEADERS).content)


def _requests(module: str) -> Callable[[str], Ask]:
    def make(url: str) -> Ask:
        session = importlib.import_module(module).Session()
        return lambda body: bytes(session.post(url + PATH, data=body, headers=HEADERS).content)

    return make


def _urllib3(url: str) -> Ask:
    pool = importlib.import_module("urllib3").connection_from_url(url)
    return lambda body: bytes(pool.request("POST", PATH, body=body, headers=HEADERS).data)


def _http_client(url: str) -> Ask:
    connection = http.client.HTTPConnection(url.removeprefix("http://"))

    def ask(body: bytes) -> bytes:
        connection.request("POST", PATH, body, HEADERS)
        return connection.getresponse().read()

    return ask


def _pycurl(url: str) -> Ask:
    pycurl: Any = importlib.import_module("pycurl")
    curl = pycurl.Curl()
    curl.setopt(pycurl.URL, url + PATH)
    curl.setopt(pycurl.HTTPHEADER, ["content-type: application/json", "expect:"])
    curl.setopt(pycurl.POST, 1)

    def ask(body: bytes) -> bytes:
        curl.setopt(pycurl.POSTFIELDS, body)
        found: bytes = curl.perform_rb()
        return found

    return ask


def _ours(url: str) -> Ask:
    from lumaai.http.message import Request
    from lumaai.http.pool import Pool

    pool = Pool(url, 10.0)
    return lambda body: pool.send(Request("POST", PATH, HEADERS, body)).body


def _looped(make: Callable[[str], Awaitable[Callable[[bytes], Awaitable[bytes]]]]) -> Callable[[str], Ask]:
    """An asynchronous library, a request at a time."""

    def made(url: str) -> Ask:
        loop = asyncio.new_event_loop()

        async def opened() -> Callable[[bytes], Awaitable[bytes]]:
            return await make(url)

        ask = loop.run_until_complete(opened())

        async def one(body: bytes) -> bytes:
            return await ask(body)

        return lambda body: loop.run_until_complete(one(body))

    return made


async def _async_httpx(url: str) -> Callable[[bytes], Awaitable[bytes]]:
    session = importlib.import_module("httpx").AsyncClient(base_url=url)

    async def ask(body: bytes) -> bytes:
        return bytes((await session.post(PATH, content=body, headers=HEADERS)).content)

    return ask


async def _aiohttp(url: str) -> Callable[[bytes], Awaitable[bytes]]:
    session = importlib.import_module("aiohttp").ClientSession()

    async def ask(body: bytes) -> bytes:
        async with session.post(url + PATH, data=body, headers=HEADERS) as answer:
            return bytes(await answer.read())

    return ask


async def _async_ours(url: str) -> Callable[[bytes], Awaitable[bytes]]:
    from lumaai.aio.pool import AsyncPool
    from lumaai.http.message import Request

    pool = AsyncPool(url, 10.0)

    async def ask(body: bytes) -> bytes:
        return (await pool.send(Request("POST", PATH, HEADERS, body))).body

    return ask


LIBRARIES: dict[str, Callable[[str], Ask]] = {
    "httpx": _httpx,
    "niquests": _requests("niquests"),
    "requests": _requests("requests"),
    "urllib3": _urllib3,
    "http.client": _http_client,
    "pycurl": _pycurl,
    "lumaai.http": _ours,
    "httpx, asynchronous": _looped(_async_httpx),
    "aiohttp": _looped(_aiohttp),
    "lumaai.aio": _looped(_async_ours),
}
