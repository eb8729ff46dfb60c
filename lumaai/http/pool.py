"""Kept-alive connections to one service, and requests over them. The asynchronous twin is made from this file."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from threading import Semaphore

from lumaai.errors import DatabaseClosedError
from lumaai.http.address import Address, proxy_of
from lumaai.http.blocking import Stream
from lumaai.http.message import NotConnectedError, ProtocolError, Reader, Request, Response

CONNECT_SECONDS_MAX = 5.0
CONNECTIONS_MAX = 32
IDLE_SECONDS_MAX = 30.0  # below the service's own 75: who closes first loses no request
PROXY_REPLY_BYTES_MAX = 65_536


class Pool:
    """Connections to one service. May be used from many threads: each has a connection to itself while it asks.

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
        self._idle: list[tuple[Stream, float]] = []
        self._process = os.getpid()
        self._is_closed = False

    def close(self) -> None:
        """Close the connections that nobody uses; the others are closed when they are no longer used."""
        self._is_closed = True
        while self._idle:
            self._idle.pop()[0].close()

    def send(self, request: Request, *, patient: bool = False) -> Response:
        """The whole answer.

        Raises:
            DatabaseClosedError: it was closed.
            NotConnectedError: nothing was sent.
            TimeoutError: nothing came for as long as is waited; never where `patient`.
            OSError: the connection broke.
        """
        exchange = self.open(request, patient=patient)
        try:
            return Response(exchange.status, exchange.headers, exchange.read())
        finally:
            exchange.close()

    def open(self, request: Request, *, patient: bool = False) -> Exchange:
        """The answer as far as its head; it has to be closed. Raises as `send`."""
        self._room.acquire()
        exchange = Exchange(self, None if patient else self.timeout_seconds)
        try:
            self._check_open()
            stream = self._kept() or self._connected()
            exchange.begin(stream, request.encode(self.address.authority, self._prefix))
        except BaseException:
            exchange.close()
            raise
        return exchange

    def give_back(self, stream: Stream | None, *, reusable: bool) -> None:
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

    def _kept(self) -> Stream | None:
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

    def _connected(self) -> Stream:
        wait = min(self.timeout_seconds, CONNECT_SECONDS_MAX)
        stream = Stream.connect(self._proxy or self.address, wait)
        if not self.address.is_secure:
            return stream
        try:
            if self._proxy is not None:
                self._tunnel(stream, wait)
            stream.secure(self.address.host, wait)
        except BaseException:
            stream.close()
            raise
        return stream

    def _tunnel(self, stream: Stream, wait: float) -> None:
        """Ask the proxy for a tunnel (RFC 9110, 9.3.6)."""
        authority = f"{self.address.authority}:443" if self.address.port == 443 else self.address.authority
        stream.write(f"CONNECT {authority} HTTP/1.1\r\nhost: {authority}\r\n\r\n".encode("ascii"), wait)
        reply = b""
        while b"\r\n\r\n" not in reply:
            piece = stream.read(wait)
            reply += piece
            if not piece or len(reply) > PROXY_REPLY_BYTES_MAX:
                raise NotConnectedError("the proxy did not answer")
        if reply.split(b" ", 2)[1:2] != [b"200"]:
            status = reply.split(b"\r\n", 1)[0].decode("latin-1")
            raise NotConnectedError(f"the proxy refused: {status[:100]}")


class Exchange:
    """One request and the answer to it, as it arrives."""

    def __init__(self, pool: Pool, timeout: float | None) -> None:
        self._pool = pool
        self._timeout = timeout
        self._reader = Reader()
        self._stream: Stream | None = None
        self._is_open = True

    @property
    def status(self) -> int:
        """Of HTTP."""
        return self._reader.status

    @property
    def headers(self) -> dict[str, str]:
        """By lower-case name."""
        return self._reader.headers

    def begin(self, stream: Stream, request: bytes) -> None:
        """Send the request, and wait for the head of the answer."""
        self._stream = stream
        stream.write(request, self._timeout)
        while not self._reader.has_head:
            self._reader.feed(stream.read(self._timeout))

    def pieces(self) -> Iterator[bytes]:
        """The body, as it arrives."""
        while True:
            piece = self._reader.take()
            if piece:
                yield piece
            if self._reader.is_whole:
                break
            self._more()
        piece = self._reader.take()
        if piece:
            yield piece

    def read(self) -> bytes:
        """The rest of the body."""
        while not self._reader.is_whole:
            self._more()
        return self._reader.take()

    def close(self) -> None:
        """Give the connection back; where the answer was not read to its end, it is of no further use."""
        if self._is_open:
            self._is_open = False
            self._pool.give_back(self._stream, reusable=self._reader.is_reusable)

    def _more(self) -> None:
        if self._stream is None:
            raise ProtocolError("the exchange has not begun")
        self._reader.feed(self._stream.read(self._timeout))
