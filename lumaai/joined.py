"""The head of an answer and its body in one system call, and so in one packet."""

from __future__ import annotations

import asyncio
from typing import Any


class JoinedWrites:
    """A transport that keeps the head of an answer back for what is written after it in the same turn of the loop.

    Args:
        transport: that writes at once what it is given.
        loop: that the transport is of.
    """

    __slots__ = ("_call_soon", "_head", "_transport", "is_closing")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._call_soon = loop.call_soon
        self._head: bytes | None = None
        self.is_closing = transport.is_closing

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        """Write, a head with what follows; at the latest before the loop waits again."""
        if self._head is not None:
            head, self._head = self._head, None
            self._transport.writelines((head, data))
        elif data.startswith(b"HTTP/1.1 ") and data.endswith(b"\r\n\r\n"):
            self._head = data
            self._call_soon(self._write_head)
        else:
            self._transport.write(data)

    def close(self) -> None:
        """Close once all is written."""
        self._write_head()
        self._transport.close()

    def _write_head(self) -> None:
        if self._head is not None:
            head, self._head = self._head, None
            self._transport.write(head)
