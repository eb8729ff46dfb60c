"""Made from `lumaai/http/pool.py` by `make twins`: change that file, not this one."""

from __future__ import annotations

import os
import time
from asyncio import Semaphore
from collections.abc import AsyncIterator

from lumaai.aio.streams import AsyncStream
from lumaai.errors import DatabaseClosedError
from lumaai.http.address import Address, proxy_of
from lumaai.http.message import NotConnectedError, ProtocolError, Reader, Request, Response
from lumaai.http.pool import CONNECT_SECONDS_MAX, CONNECTIONS_MAX, IDLE_SECONDS_MAX, PROXY_REPLY_BYTES_MAX


class AsyncPool:
    """Connections to one service. For the tasks of one event loop: each has a connection to itself while it asks.

    Guards by the atomicity of `list.pop` and `append`, and by a semaphore that bounds how many connections there are.

    Args:
        url: the service's address.
        timeout_seconds: how long each piece of an answer is waited for.

    Raises:
        InvalidRequestError: `url` is not an address of a service.
    """

    def __init__(self, url: str, timeout_seconds: float) -> None:
        self.address = Address.of(url)
        self.timeout_seconds = timeout_seconds
        self._proxy = proxy_of(self.address)
        # A proxy for plain HTTP wants to be told where to (RFC 9112, 3.2.2); for TLS it is asked for a tunnel.
        proxied = self._proxy is not None and not self.address.is_secure
        self._prefix = (f"http://{self.address.authority}" if proxied else "") + self.address.prefix
        self._room = Semaphore(CONNECTIONS_MAX)
        self._idle: list[tuple[AsyncStream, float]] = []
        self._process = os.getpid()
        self._is_closed = False

    def close(self) -> None:
        """Close the connections that nobody uses; the others are closed when they are no longer used."""
        self._is_closed = True
        while self._idle:
            self._idle.pop()[0].close()

    async def send(self, request: Request, *, patient: bool = False) -> Response:
        """The whole answer.

        Raises:
            DatabaseClosedError: it was closed.
            NotConnectedError: nothing was sent.
            TimeoutError: nothing came for as long as is waited; never where `patient`.
            OSError: the connection broke.
        """
        exchange = await self.open(request, patient=patient)
        try:
            return Response(exchange.status, exchange.headers, await exchange.read())
        finally:
            exchange.close()

    async def open(self, request: Request, *, patient: bool = False) -> AsyncExchange:
        """The answer as far as its head; it has to be closed. Raises as `send`."""
        await self._room.acquire()
        exchange = AsyncExchange(self, None if patient else self.timeout_seconds)
        try:
            self._check_open()
            stream = self._kept() or await self._connected()
            await exchange.begin(stream, request.encode(self.address.authority, self._prefix))
        except BaseException:
            exchange.close()
            raise
        return exchange

    def give_back(self, stream: AsyncStream | None, *, reusable: bool) -> None:
        """A connection that is no longer used, and the room of it."""
        if stream is not None:
            if reusable and not self._is_closed:
                self._idle.append((stream, time.monotonic()))
            else:
                stream.close()
        self._room.release()

    def _check_open(self) -> None:
        if self._is_closed:
            raise DatabaseClosedError("the client is closed")

    def _kept(self) -> AsyncStream | None:
        if self._process != os.getpid():  # after a fork they are the parent's
            self._idle, self._process = [], os.getpid()
        while True:
            try:
                stream, since = self._idle.pop()
            except IndexError:
                return None
            if time.monotonic() - since < IDLE_SECONDS_MAX and stream.is_usable:
                return stream
            stream.close()

    async def _connected(self) -> AsyncStream:
        wait = min(self.timeout_seconds, CONNECT_SECONDS_MAX)
        stream = await AsyncStream.connect(self._proxy or self.address, wait)
        if not self.address.is_secure:
            return stream
        try:
            if self._proxy is not None:
                await self._tunnel(stream, wait)
            await stream.secure(self.address.host, wait)
        except BaseException:
            stream.close()
            raise
        return stream

    async def _tunnel(self, stream: AsyncStream, wait: float) -> None:
        """Ask the proxy for a tunnel (RFC 9110, 9.3.6)."""
        authority = f"{self.address.authority}:443" if self.address.port == 443 else self.address.authority
        await stream.write(f"CONNECT {authority} HTTP/1.1\r\nhost: {authority}\r\n\r\n".encode("ascii"), wait)
        reply = b""
        while b"\r\n\r\n" not in reply:
            piece = await stream.read(wait)
            reply += piece
            if not piece or len(reply) > PROXY_REPLY_BYTES_MAX:
                raise NotConnectedError("the proxy did not answer")
        if reply.split(b" ", 2)[1:2] != [b"200"]:
            status = reply.split(b"\r\n", 1)[0].decode("latin-1")
            raise NotConnectedError(f"the proxy refused: {status[:100]}")


class AsyncExchange:
    """One request and the answer to it, as it arrives."""

    def __init__(self, pool: AsyncPool, timeout: float | None) -> None:
        self._pool = pool
        self._timeout = timeout
        self._reader = Reader()
        self._stream: AsyncStream | None = None
        self._is_open = True

    @property
    def status(self) -> int:
        """Of HTTP."""
        return self._reader.status

    @property
    def headers(self) -> dict[str, str]:
        """By lower-case name."""
        return self._reader.headers

    async def begin(self, stream: AsyncStream, request: bytes) -> None:
        """Send the request, and wait for the head of the answer."""
        self._stream = stream
        await stream.write(request, self._timeout)
        while not self._reader.has_head:
            self._reader.feed(await stream.read(self._timeout))

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body, as it arrives."""
        while True:
            piece = self._reader.take()
            if piece:
                yield piece
            if self._reader.is_whole:
                break
            await self._more()
        piece = self._reader.take()
        if piece:
            yield piece

    async def read(self) -> bytes:
        """The rest of the body."""
        while not self._reader.is_whole:
            await self._more()
        return self._reader.take()

    def close(self) -> None:
        """Give the connection back; where the answer was not read to its end, it is of no further use."""
        if self._is_open:
            self._is_open = False
            self._pool.give_back(self._stream, reusable=self._reader.is_reusable)

    async def _more(self) -> None:
        if self._stream is None:
            raise ProtocolError("the exchange has not begun")
        self._reader.feed(await self._stream.read(self._timeout))
