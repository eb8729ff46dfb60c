"""Handshakes of TLS over real sockets."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from pathlib import Path
from typing import cast

import httpx
import pytest
import uvloop

from lumaai.connections import Connections
from lumaai.handshakes import Handshake
from tests.lumaai.test_server import START_SECONDS_MAX, start
from tests.lumaai.test_server_security import certificate

CLIENT_HELLO_BEGINS = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"


class Echo(asyncio.Protocol):
    """Answers what it gets."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.transport.write(data)


def context_of(directory: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """A server's, and that of a client who trusts it."""
    files = certificate(directory)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*files)
    return context, ssl.create_default_context(cafile=files[0])


@pytest.mark.parametrize("sent", [b"", CLIENT_HELLO_BEGINS, b"GET / HTTP/1.1\r\n\r\n"])
@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_a_handshake_that_does_not_end_is_ended(tmp_path: Path, sent: bytes, loop: object) -> None:
    """Nothing, a beginning, or no TLS at all: it holds a place for so long, and then neither place nor file."""
    context, _ = context_of(tmp_path)
    room = Connections(10)

    async def exchange() -> bytes:
        server = await asyncio.get_running_loop().create_server(
            lambda: Handshake(Echo, context, room, seconds=0.3), "127.0.0.1", 0
        )
        async with server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            try:
                writer.write(sent)
                await asyncio.sleep(0.1)
                assert room.held == (0 if sent.startswith(b"GET") else 1)
                try:
                    told = await asyncio.wait_for(reader.read(), 10)
                except ConnectionError:
                    told = b""
                await asyncio.sleep(0.05)
                assert room.held == 0
            finally:
                writer.transport.abort()
            return told

    with asyncio.Runner(loop_factory=loop) as runner:  # type: ignore[arg-type]
        assert b"HTTP" not in runner.run(exchange())


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop])
def test_what_comes_with_the_end_of_a_handshake_is_not_lost(tmp_path: Path, loop: object) -> None:
    """A client of TLS 1.3 sends its first request with the last packet of the handshake."""
    context, trusting = context_of(tmp_path)
    room = Connections(10)

    async def exchange() -> list[bytes]:
        server = await asyncio.get_running_loop().create_server(lambda: Handshake(Echo, context, room), "127.0.0.1", 0)
        async with server:
            address = server.sockets[0].getsockname()
            return [await asyncio.to_thread(in_one_packet, address, trusting) for _ in range(20)]

    with asyncio.Runner(loop_factory=loop) as runner:  # type: ignore[arg-type]
        assert runner.run(exchange()) == [b"hello"] * 20
    assert room.held == 0


def received(sock: socket.socket) -> bytes:
    """The next bytes, of which there are some."""
    data = sock.recv(65_536)
    assert data, "closed by the server"
    return data


def in_one_packet(address: tuple[str, int], context: ssl.SSLContext) -> bytes:
    """What the server answers to five bytes that came with the end of the handshake."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname="127.0.0.1")
    with socket.create_connection(address) as sock:
        sock.settimeout(10)
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                sock.sendall(outgoing.read())
                incoming.write(received(sock))
        tls.write(b"hello")
        sock.sendall(outgoing.read())  # the end of the handshake, too
        while True:
            try:
                return tls.read(100)
            except ssl.SSLWantReadError:
                incoming.write(received(sock))


def test_handshakes_are_connections_like_others(tmp_path: Path) -> None:
    """More than there may be, which never go on: the oldest make room, and who speaks TLS is answered."""
    files = certificate(tmp_path)
    settings = {"LUMAAI_TLS_CERTIFICATE": str(files[0]), "LUMAAI_TLS_KEY": str(files[1])}
    child = start(tmp_path / "data", LUMAAI_CONNECTIONS_MAX="4", **settings)
    silent: list[socket.socket] = []
    try:
        assert child.stdout is not None
        url = child.stdout.readline().split(" at ")[1].split()[0]
        address = ("127.0.0.1", int(url.rpartition(":")[2]))
        for _ in range(20):
            silent.append(socket.create_connection(address))
            silent[-1].settimeout(5)
            time.sleep(0.02)
        assert [each.recv(1) for each in silent[:16]] == [b""] * 16  # long before they would be too late
        silent[-1].settimeout(0.1)
        with pytest.raises(TimeoutError):
            silent[-1].recv(1)
        context = ssl.create_default_context(cafile=files[0])
        assert httpx.get(f"{url}/healthz", verify=context).json()["status"] == "ok"
    finally:
        for each in silent:
            each.close()
        child.terminate()
        child.communicate(timeout=START_SECONDS_MAX)
    assert child.returncode == 0
