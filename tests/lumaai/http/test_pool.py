"""Connections as they are used, blocking and asynchronous alike: kept, ended, broken, secured, by way of a proxy."""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from lumaai.aio.pool import AsyncPool
from lumaai.errors import DatabaseClosedError
from lumaai.http import blocking
from lumaai.http.message import NotConnectedError, ProtocolError, Request, Response
from lumaai.http.pool import CONNECTIONS_MAX, Pool

ANSWER = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
GET = Request("GET", "/x", {})


class Either:
    """A pool of either kind, whose calls wait."""

    def __init__(self, url: str, runner: asyncio.Runner | None, timeout: float = 5.0) -> None:
        self._runner = runner
        self._pool: Any = Pool(url, timeout) if runner is None else AsyncPool(url, timeout)

    def send(self, request: Request = GET) -> Response:
        answer = self._pool.send(request)
        found: Response = answer if self._runner is None else self._runner.run(answer)
        return found

    def close(self) -> None:
        self._pool.close()
        if self._runner is not None:
            self._runner.run(asyncio.sleep(0))


Make = Callable[..., Either]


@pytest.fixture(params=["blocking", "asynchronous"])
def make(request: pytest.FixtureRequest) -> Iterator[Make]:
    pools: list[Either] = []
    with asyncio.Runner() as runner:

        def made(url: str, **options: Any) -> Either:
            pools.append(Either(url, runner if request.param == "asynchronous" else None, **options))
            return pools[-1]

        yield made
        for pool in pools:
            pool.close()


@contextmanager
def listening(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """The address of a server that treats each connection so."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    connection = server.accept()[0]
                except OSError:
                    return
                with connection:
                    serve(connection)

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


def head_of(connection: socket.socket) -> bytes:
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        piece = connection.recv(65536)
        if not piece:
            return b""
        head += piece
    return head


def test_a_closed_pool_sends_nothing(make: Make) -> None:
    """As an embedded database that is closed, instead of connecting anew; closing it twice does no harm."""

    def serve(connection: socket.socket) -> None:
        while head_of(connection):
            connection.sendall(ANSWER)

    with listening(serve) as url:
        pool = make(url)
        assert pool.send().body == b"ok"
        pool.close()
        pool.close()
        for _ in range(CONNECTIONS_MAX + 1):  # whose room is given back each time
            with pytest.raises(DatabaseClosedError):
                pool.send()


def test_a_connection_that_was_ended_meanwhile_is_not_used(make: Make) -> None:
    """Each connection answers once and is closed without a word; no request is lost."""
    ended = threading.Semaphore(0)

    def once(connection: socket.socket) -> None:
        head_of(connection)
        connection.sendall(ANSWER)
        connection.shutdown(socket.SHUT_RDWR)
        ended.release()

    with listening(once) as url:
        pool = make(url)
        for _ in range(3):
            assert pool.send().body == b"ok"
            ended.acquire()
            time.sleep(0.01)  # until the end has come through the loopback
            if pool._runner is not None:
                pool._runner.run(asyncio.sleep(0.01))


def test_an_answer_cut_off_is_an_error_and_the_next_one_is_whole(make: Make) -> None:
    """The broken connection does not come back."""
    answers = [ANSWER[:-1], ANSWER]

    def cut(connection: socket.socket) -> None:
        head_of(connection)
        connection.sendall(answers.pop(0))

    with listening(cut) as url:
        pool = make(url)
        with pytest.raises(ProtocolError, match="before the answer was whole"):
            pool.send()
        assert pool.send().body == b"ok"


def test_nothing_listens(make: Make) -> None:
    """So nothing was sent."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(NotConnectedError):
        make(url).send()


def test_silence_ends(make: Make) -> None:
    """After the time limit."""
    with (
        socket.create_server(("127.0.0.1", 0)) as silent,
        pytest.raises(TimeoutError),
    ):
        make(f"http://127.0.0.1:{silent.getsockname()[1]}", timeout=0.05).send()


def test_threads_have_connections_to_themselves() -> None:
    """More threads than there may be connections: all are answered, and no more connections are made."""
    seen: list[socket.socket] = []
    serving: list[threading.Thread] = []

    def each(connection: socket.socket) -> None:
        seen.append(connection)
        with connection:
            while head := head_of(connection):
                name = head.split(b" ")[1]
                connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(name), name))

    with socket.create_server(("127.0.0.1", 0)) as server:

        def accept() -> None:
            while True:
                try:
                    connection = server.accept()[0]
                except OSError:
                    return
                serving.append(threading.Thread(target=each, args=(connection,), daemon=True))
                serving[-1].start()

        accepting = threading.Thread(target=accept, daemon=True)
        accepting.start()
        pool = Pool(f"http://127.0.0.1:{server.getsockname()[1]}", 5.0)
        found: list[bool] = []

        def ask(number: int) -> None:
            for turn in range(5):
                target = f"/{number}.{turn}"
                found.append(pool.send(Request("GET", target, {})).body == target.encode())

        threads = [threading.Thread(target=ask, args=(number,)) for number in range(CONNECTIONS_MAX + 8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        pool.close()
        server.shutdown(socket.SHUT_RDWR)
        for thread in [accepting, *serving]:
            thread.join()
    assert found == [True] * 5 * (CONNECTIONS_MAX + 8)
    assert len(seen) <= CONNECTIONS_MAX


def test_a_task_that_is_cancelled_leaves_no_half_answer_behind() -> None:
    """Its connection ends; the next task gets its own answer."""
    asked = threading.Event()
    answers = [b"", ANSWER]

    def serve(connection: socket.socket) -> None:
        head_of(connection)
        asked.set()
        answer = answers.pop(0)
        connection.sendall(answer) if answer else connection.recv(1)

    async def script(url: str) -> bytes:
        pool = AsyncPool(url, 5.0)
        task = asyncio.create_task(pool.send(GET))
        await asyncio.to_thread(asked.wait)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        answer = await pool.send(GET)
        pool.close()
        await asyncio.sleep(0)
        return answer.body

    with listening(serve) as url:
        assert asyncio.run(script(url)) == b"ok"


def test_a_proxy_is_told_where_to(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Plain HTTP: the whole address in the request line."""
    heads: list[bytes] = []

    def proxy(connection: socket.socket) -> None:
        heads.append(head_of(connection))
        connection.sendall(ANSWER)

    with listening(proxy) as url:
        monkeypatch.setenv("http_proxy", url)
        monkeypatch.delenv("no_proxy", raising=False)
        assert make("http://db.example:8000/luma").send().body == b"ok"
    assert heads[0].startswith(b"GET http://db.example:8000/luma/x HTTP/1.1\r\nhost: db.example:8000\r\n")


@pytest.mark.parametrize("tunnelled", [False, True])
def test_tls_with_a_certificate_that_is_checked(
    make: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tunnelled: bool
) -> None:
    """Directly, and through a proxy's tunnel; a certificate that nobody vouches for is refused."""
    import ssl

    from tests.lumaai.test_server_security import certificate

    files = certificate(tmp_path)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*files)
    heads: list[bytes] = []

    def serve(connection: socket.socket) -> None:
        if tunnelled:
            heads.append(head_of(connection))
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
        try:
            with context.wrap_socket(connection, server_side=True) as secure:
                head_of(secure)
                secure.sendall(ANSWER)
        except OSError:
            return

    with listening(serve) as url:
        port = url.rpartition(":")[2]
        monkeypatch.setenv("no_proxy", "" if tunnelled else "*")
        if tunnelled:
            monkeypatch.setenv("https_proxy", url)
        blocking.tls_context.cache_clear()
        with pytest.raises(NotConnectedError, match=r"(?i)certificate"):
            make(f"https://127.0.0.1:{port}").send()
        monkeypatch.setenv("SSL_CERT_FILE", str(files[0]))
        blocking.tls_context.cache_clear()
        try:
            assert make(f"https://127.0.0.1:{port}").send().body == b"ok"
        finally:
            blocking.tls_context.cache_clear()
    assert not tunnelled or heads[0].startswith(f"CONNECT 127.0.0.1:{port} HTTP/1.1\r\n".encode())
