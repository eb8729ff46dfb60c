"""A connection of bytes, waited for by a task of an event loop: what `lumaai.http.blocking.Stream` is to a thread."""

from __future__ import annotations

import asyncio
import socket

from lumaai.http.address import Address
from lumaai.http.blocking import PIECE_BYTES, tls_context
from lumaai.http.message import NotConnectedError


class AsyncStream:
    """A connection, of the loop that it was made in.

    Raises:
        OSError: from all methods: the connection broke; TimeoutError: it took too long.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader, self._writer = reader, writer

    @classmethod
    async def connect(cls, address: Address, timeout: float | None) -> AsyncStream:
        """A connection to an address, in the clear; raises as `Stream.connect`."""
        try:
            async with asyncio.timeout(timeout):
                reader, writer = await asyncio.open_connection(address.host, address.port)
        except OSError as error:
            raise NotConnectedError(str(error) or type(error).__name__) from error
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return cls(reader, writer)

    async def secure(self, host: str, timeout: float | None) -> None:
        """Speak TLS from now on; raises as `Stream.secure`."""
        try:
            async with asyncio.timeout(timeout):
                await self._writer.start_tls(tls_context(), server_hostname=host)
        except OSError as error:
            raise NotConnectedError(str(error)) from error

    async def write(self, data: bytes, timeout: float | None) -> None:
        """Send all of it."""
        self._writer.write(data)
        async with asyncio.timeout(timeout):
            await self._writer.drain()

    async def read(self, timeout: float | None) -> bytes:
        """What has arrived, at least a byte; b"" at the end."""
        async with asyncio.timeout(timeout):
            return await self._reader.read(PIECE_BYTES)

    @property
    def is_usable(self) -> bool:
        """Whether the other side still listens."""
        return not self._reader.at_eof() and not self._writer.is_closing()

    def close(self) -> None:
        """End it; what was not sent yet is not waited for."""
        self._writer.transport.abort()
