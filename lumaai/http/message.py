"""Requests as bytes and bytes as responses, without input and output (RFC 9112)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httptools
import msgspec

HEAD_BYTES_MAX = 65_536


class ProtocolError(OSError):
    """The other side does not speak HTTP, or stopped in the middle of it."""


class NotConnectedError(OSError):
    """No connection could be made, so nothing was sent."""


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked.

    Attributes:
        target: path and query string, quoted.
        headers: beside Host and Content-Length; names in lower case.
        body: None: there is none.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes | None = None

    def encode(self, authority: str, prefix: str = "") -> bytes:
        """The bytes of it, head and body in one, so that they leave in one packet; `prefix` goes before the target.

        Raises:
            ValueError: a header that would end early, or is not ASCII.
        """
        fields = {"host": authority, **self.headers}
        if self.body is not None:
            fields["content-length"] = str(len(self.body))
        lines = [
            f"{self.method} {prefix}{self.target} HTTP/1.1",
            *(f"{name}: {value}" for name, value in fields.items()),
        ]
        if not all(map(str.isprintable, lines)):
            raise ValueError("a header has characters that no header can have")
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("ascii")
        return head if self.body is None else head + self.body


@dataclass(frozen=True, slots=True)
class Response:
    """A whole answer; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def is_success(self) -> bool:
        """Whether the status is one of 2xx."""
        return 200 <= self.status < 300

    def json(self) -> Any:
        """The body as a JSON value.

        Raises:
            ValueError: it is none.
        """
        try:
            return msgspec.json.decode(self.body)
        except msgspec.DecodeError:
            return json.loads(self.body)  # NaN and infinities, which msgspec refuses


class Reader:
    """Turns the bytes of one response into its head and the pieces of its body."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.status = 0
        self.has_head = False
        self.is_whole = False
        self.is_reusable = False  # whether another request may follow on the connection
        self._pieces: list[bytes] = []
        self._head_bytes = 0
        self._parser = httptools.HttpResponseParser(self)

    @property
    def _has_length(self) -> bool:
        return "content-length" in self.headers or "transfer-encoding" in self.headers or self.status == 204

    def feed(self, data: bytes) -> None:
        """Take what has arrived; b"" says that nothing more will.

        Raises:
            ProtocolError: it is not HTTP, or the end came too early.
        """
        if not data:
            if self.has_head and not self._has_length:
                self.is_whole = True  # a body may end with its connection
                return
            raise ProtocolError("the connection was closed before the answer was whole")
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            raise ProtocolError(f"the answer is not HTTP: {error}") from error

    def take(self) -> bytes:
        """What there is of the body, and was not taken before."""
        if len(self._pieces) == 1:
            return self._pieces.pop()
        body = b"".join(self._pieces)
        self._pieces.clear()
        return body

    def on_header(self, name: bytes, value: bytes) -> None:
        """Called by the parser."""
        self._head_bytes += len(name) + len(value)
        if self._head_bytes > HEAD_BYTES_MAX:
            raise ProtocolError(f"the head of the answer is larger than {HEAD_BYTES_MAX} bytes")
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        """Called by the parser."""
        self.status = self._parser.get_status_code()
        self.has_head = self.status >= 200  # what comes before is provisional (RFC 9110, 15.2)
        if not self.has_head:
            self.headers.clear()

    def on_body(self, body: bytes) -> None:
        """Called by the parser."""
        self._pieces.append(body)

    def on_message_complete(self) -> None:
        """Called by the parser."""
        self.is_whole = self.has_head
        # Asked here: once this returns, the parser has forgotten.
        self.is_reusable = self.is_whole and bool(self._parser.should_keep_alive())
