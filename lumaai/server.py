"""Running the service: what it refuses before it starts, the listening socket, and stopping in order."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import uvicorn
from pydantic import ValidationError
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from lumaai.app import create_app
from lumaai.database import Database
from lumaai.errors import LumaError
from lumaai.settings import Settings
from lumaai.telemetry import log_core

FAILED = 1
REFUSED = 2
BACKLOG_CONNECTIONS = 2048
# Longer than clients keep idle connections (httpx 5 s, browsers about a minute): who closes first loses no request.
KEEP_ALIVE_SECONDS = 75
DRAIN_SECONDS_MAX = 30
HEAD_BYTES_MAX = 65_536
HEAD_SECONDS_MAX = 30.0


def serve(
    settings: Settings | None = None,
    *,
    directory: Path | None = None,
    host: str | None = None,
    port: int | None = None,
    insecure: bool | None = None,
) -> None:
    """Serve a database over HTTP until SIGINT or SIGTERM; then answer what is under way and close the database.

    Args:
        settings: read from the environment if not given; the other arguments come before either.
        directory: where the database is.
        host: address to listen on.
        port: 0 takes a free one, which is printed.
        insecure: listen on other addresses than loopback without a key.

    Raises:
        SystemExit: 2 if what is asked for is refused or malformed, 1 if it cannot be done; one line on stderr says why.
    """
    given = {"directory": directory, "host": host, "port": port, "insecure": insecure}
    chosen = _settings(settings, {key: value for key, value in given.items() if value is not None})
    if not (chosen.is_loopback or chosen.api_key is not None or chosen.insecure):
        _leave(
            REFUSED,
            f"refusing to listen on {chosen.host} without an API key: others could read and write everything; "
            "set LUMAAI_API_KEY, or say --insecure if the network itself keeps others out",
        )
    with _listening(chosen) as listener, _opened(chosen) as database:
        _run(chosen, listener, database)


def _settings(settings: Settings | None, given: dict[str, object]) -> Settings:
    if settings is not None:
        return settings.model_copy(update=given)
    try:
        return Settings(**given)  # type: ignore[arg-type]  # checked by pydantic right here
    except ValidationError as error:
        problems = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in error.errors())
        _leave(REFUSED, f"settings are wrong: {problems}")


def _leave(code: int, message: str) -> NoReturn:
    sys.stderr.write(f"lumaai serve: {message}\n")
    raise SystemExit(code)


@contextmanager
def _listening(settings: Settings) -> Iterator[socket.socket]:
    """A listening socket; while it listens, nobody else can take the port."""
    host, port = settings.host.strip("[]"), settings.port
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        _leave(FAILED, f"no such address: {host} ({_reason(error)})")
    with listener:
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listener.bind(address)
            listener.listen(BACKLOG_CONNECTIONS)
        except OSError as error:
            _leave(FAILED, f"cannot listen on {host} port {port}: {_reason(error)}")
        yield listener


@contextmanager
def _opened(settings: Settings) -> Iterator[Database]:
    try:
        database = Database(
            settings.directory,
            default_model=settings.model,
            llm=lambda: settings.llm,  # made when the first question is asked
            threads=settings.threads,
        )
    except LumaError as error:
        _leave(FAILED, f"cannot open {settings.directory}: {error}")
    except OSError as error:
        _leave(FAILED, f"cannot open {settings.directory}: {_reason(error)}")
    with database:
        yield database


def _reason(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)


def _run(settings: Settings, listener: socket.socket, database: Database) -> None:
    log_core()
    config = uvicorn.Config(
        create_app(database, settings),
        loop="uvloop",
        http=BoundedProtocol,
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=DRAIN_SECONDS_MAX,
    )
    Server(config, settings, listener).run(sockets=[listener])


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with bounds on the head of a request: how large it may be, and how long it may take.

    Without them one connection that sends headers for ever, or none at all, holds memory or a descriptor for ever.
    """

    _head_bytes = 0
    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for a first request."""
        super().connection_made(transport)  # type: ignore[arg-type]  # a transport of TCP
        self._expect_head()

    def on_message_begin(self) -> None:
        """Begin to wait for the rest of a head."""
        super().on_message_begin()
        self._expect_head()

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._stop_waiting()
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Take bytes in; what is still no whole head must be small."""
        super().data_received(data)
        if self._deadline is not None:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES_MAX:
                self._refuse(b"431 Request Header Fields Too Large")

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self._stop_waiting()
        super().connection_lost(exc)

    def _expect_head(self) -> None:
        self._stop_waiting()
        self._head_bytes = 0
        self._deadline = self.loop.call_later(HEAD_SECONDS_MAX, self._refuse, b"408 Request Timeout")

    def _stop_waiting(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _refuse(self, status: bytes) -> None:
        self._stop_waiting()
        before: RequestResponseCycle | None = self.cycle
        # Nothing is said to a connection that asked nothing, nor amid the answer to its request before.
        if self._head_bytes and (before is None or before.response_complete):
            self.transport.write(b"HTTP/1.1 " + status + b"\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")
        self.transport.close()


class Server(uvicorn.Server):
    """uvicorn's server; says where it is once it answers, and returns after a signal instead of dying of it."""

    def __init__(self, config: uvicorn.Config, settings: Settings, listener: socket.socket) -> None:
        super().__init__(config)
        self._settings = settings
        self.url = url_of(listener)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer, then print the address."""
        await super().startup(sockets=sockets)
        guarded = "an API key is required" if self._settings.api_key else "no API key is required"
        sys.stdout.write(
            f"LumaDB AI serves {self._settings.directory} at {self.url} ({guarded}; try {self.url}/docs)\n"
        )
        sys.stdout.flush()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop in order on SIGINT and SIGTERM; uvicorn's own would then raise the signal once more."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        handlers = {number: signal.signal(number, self.handle_exit) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            yield
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)


def url_of(listener: socket.socket) -> str:
    """The address to reach a listening socket at; of all addresses, this machine's."""
    host, port = listener.getsockname()[:2]
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
        host = "127.0.0.1"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
