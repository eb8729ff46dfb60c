"""Heads and bodies over a real socket pair."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable

from lumaai.joined import JoinedWrites

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n"


def test_a_head_goes_with_its_body() -> None:
    """It is kept back for what follows in the same turn."""

    async def exchange(joined: JoinedWrites, theirs: socket.socket) -> None:
        joined.write(HEAD)
        assert _received(theirs) == b""
        joined.write(b"body")
        assert _received(theirs) == HEAD + b"body"
        joined.write(b"more")
        assert _received(theirs) == b"more"

    asyncio.run(_connected(exchange))


def test_a_head_waits_for_no_other_turn() -> None:
    """Streams say at once that they begin; closing keeps nothing back."""

    async def exchange(joined: JoinedWrites, theirs: socket.socket) -> None:
        joined.write(HEAD)
        await asyncio.sleep(0)
        assert _received(theirs) == HEAD
        joined.write(HEAD)
        joined.close()
        assert _received(theirs) == HEAD

    asyncio.run(_connected(exchange))


async def _connected(exchange: Callable[[JoinedWrites, socket.socket], Awaitable[None]]) -> None:
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.setblocking(False)
        loop = asyncio.get_running_loop()
        transport, _ = await loop.create_connection(asyncio.Protocol, sock=ours)
        try:
            await exchange(JoinedWrites(transport, loop), theirs)
        finally:
            transport.close()


def _received(theirs: socket.socket) -> bytes:
    try:
        return theirs.recv(4096)
    except BlockingIOError:
        return b""
