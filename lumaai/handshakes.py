"""Handshakes of TLS: connections like the others, before there is a protocol to speak on them."""

from __future__ import annotations

import asyncio
import functools
import ssl
from collections.abc import Callable
from typing import Any, cast

from lumaai.connections import Connections

HANDSHAKE_SECONDS_MAX = 10.0
SHUTDOWN_SECONDS_MAX = 5.0  # to wait for the other side's last word


class Handshake(asyncio.Protocol):
    """One connection until it is encrypted; then `make` makes the protocol that goes on with it.

    It holds a place in `room` from the first packet. The event loop's own servers make a protocol known to nobody
    before the handshake is done, so that those who never do it could hold any number of files.

    Args:
        make: the protocol for what is encrypted.
        context: of the certificate.
        room: for this connection, too.
        seconds: until a handshake has to be done.
    """

    def __init__(
        self,
        make: Callable[[], asyncio.Protocol],
        context: ssl.SSLContext,
        room: Connections,
        seconds: float = HANDSHAKE_SECONDS_MAX,
    ) -> None:
        self._make = make
        self._context = context
        self._room = room
        self._seconds = seconds
        self._holds_place = False
        self._first = b""
        self._task: asyncio.Task[None] | None = None  # kept here: the loop alone would let it go

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take a place, and begin."""
        self._raw = cast("asyncio.Transport", transport)
        self._holds_place = True
        if not self._room.enter(self):
            self._raw.abort()
            return
        self._task = asyncio.get_running_loop().create_task(self._shake_hands())

    def data_received(self, data: bytes) -> None:
        """Keep what comes before the handshake has begun: uvloop reads as soon as `connection_made` is done."""
        self._first += data

    def make_room(self) -> None:
        """Close it for another one."""
        self._raw.abort()

    def connection_lost(self, _: Exception | None) -> None:
        """Give the place back."""
        self._leave()

    async def _shake_hands(self) -> None:
        early, loop = _Early(), asyncio.get_running_loop()
        begun = loop.start_tls(
            self._raw,
            early,
            self._context,
            server_side=True,
            ssl_handshake_timeout=self._seconds,
            ssl_shutdown_timeout=SHUTDOWN_SECONDS_MAX,
        )
        try:
            self._raw.pause_reading()  # until the loop's own protocol is there
            shaking = loop.create_task(begun)
            # It begins in the next turn, and is told of the connection in the one after; then it can take bytes.
            loop.call_soon(loop.call_soon, self._give_first)
            transport = await shaking
        except (OSError, RuntimeError):  # no TLS, too late, or gone; RuntimeError: gone before it began
            self._raw.abort()
            return
        finally:
            self._leave()
        if transport is not None and not self._raw.is_closing():  # as it is where room was made meanwhile
            early.hand_over(transport, self._make())

    def _give_first(self) -> None:
        """What a transport does with bytes for a protocol that has buffers, as those of TLS have."""
        protocol, data = self._raw.get_protocol(), memoryview(self._first)
        if protocol is self or self._raw.is_closing():
            return
        tls = cast("asyncio.BufferedProtocol", protocol)  # uvloop's is one without saying so
        while data:
            buffer = memoryview(tls.get_buffer(len(data)))
            taken = min(len(buffer), len(data))
            buffer[:taken] = data[:taken]
            tls.buffer_updated(taken)
            data = data[taken:]

    def _leave(self) -> None:
        if self._holds_place:
            self._holds_place = False
            self._room.leave(self)


def behind_tls(protocol: type[asyncio.Protocol], context: ssl.SSLContext, room: Connections) -> type[asyncio.Protocol]:
    """What makes, of what `protocol` is made of, a handshake that it follows."""

    def made(**given: Any) -> Handshake:
        return Handshake(functools.partial(protocol, **given), context, room)

    return cast("type[asyncio.Protocol]", made)


class _Early(asyncio.Protocol):
    """What comes with the last packet of a handshake, before the protocol that it is for is there."""

    def __init__(self) -> None:
        self._data: list[bytes] = []
        self._has_ended = False
        self._lost: list[Exception | None] = []

    def data_received(self, data: bytes) -> None:
        self._data.append(data)

    def eof_received(self) -> bool:
        self._has_ended = True
        return True  # what was asked may still be answered

    def connection_lost(self, error: Exception | None) -> None:
        self._lost.append(error)

    def hand_over(self, transport: asyncio.Transport, protocol: asyncio.Protocol) -> None:
        """Tell the protocol all that there was, in its order."""
        if self._lost:
            return
        transport.set_protocol(protocol)
        protocol.connection_made(transport)
        if self._data:
            protocol.data_received(b"".join(self._data))
        if self._has_ended and not protocol.eof_received():
            transport.close()
