"""Running the service: what it refuses before it starts, the listening socket, and stopping in order."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import re
import secrets
import signal
import socket
import ssl
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn, cast

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from lumaai.app import Application, create_app, raw_problem
from lumaai.connections import FILES_WANTED, Connections, files_max
from lumaai.database import Database
from lumaai.ending import UPLOAD_SECONDS_MAX
from lumaai.errors import InvalidRequestError, LumaError, OverloadedError
from lumaai.routes.upload import is_upload
from lumaai.settings import Settings, load_settings, misspelt
from lumaai.telemetry import log_core

log = logging.getLogger("lumaai")

FAILED = 1
REFUSED = 2
BACKLOG_CONNECTIONS = 2048
# Longer than clients keep idle connections (httpx 5 s, browsers about a minute): who closes first loses no request.
KEEP_ALIVE_SECONDS = 75
DRAIN_SECONDS_MAX = 30
HEAD_BYTES_MAX = 65_536
HEAD_SECONDS_MAX = 30.0
IDLE_SECONDS_MAX = 5.0
# What is still taken of a body whose request is answered already, so that its sender comes to read the answer.
REST_BYTES_MAX = 64 << 20
REST_SECONDS_MAX = 5.0
# How long a thread that comes back from native code waits for a busy event loop, each time; CPython's default is 5 ms.
SWITCH_SECONDS = 0.0005
# After a signal the process ends within DRAIN_SECONDS_MAX for requests and this for all else, whatever hangs.
END_SECONDS_MAX = 5


def serve(
    settings: Settings | None = None,
    *,
    directory: Path | None = None,
    host: str | None = None,
    port: int | None = None,
    insecure: bool | None = None,
    durability: str | None = None,
    memory_bytes_max: int | None = None,
    device: str | None = None,
    snapshots_directory: Path | None = None,
) -> None:
    """Serve a database over HTTP until SIGINT or SIGTERM; then answer what is under way and close the database.

    Args:
        settings: read from the environment if not given; the other arguments come before either.
        directory: where the database is.
        host: address to listen on.
        port: 0 takes a free one, which is printed.
        insecure: listen on other addresses than loopback without a key.
        durability: of writes that ask for none.
        memory_bytes_max: of all caches together.
        device: where vectors are searched: "auto", "cpu" or "cuda".
        snapshots_directory: where snapshots are kept.

    Raises:
        SystemExit: 2 if what is asked for is refused or malformed, 1 if it cannot be done; one line on stderr says why.
    """
    given = {
        "directory": directory, "host": host, "port": port, "insecure": insecure, "durability": durability,
        "memory_bytes_max": memory_bytes_max, "device": device, "snapshots_directory": snapshots_directory,
    }  # fmt: skip
    chosen = _settings(settings, {key: value for key, value in given.items() if value is not None})
    if not _needs_keys(chosen) or chosen.directory.is_dir():  # which may hold keys; a new one is not made in vain
        began = time.perf_counter()
        with _listening(chosen) as listener, _opened(chosen) as database:
            if not _needs_keys(chosen) or len(database.keyring):
                _run(chosen, listener, database, began)
                return
    _leave(
        REFUSED,
        f"refusing to listen on {chosen.host} without an API key: others could read and write everything; "
        "set LUMAAI_API_KEY, make a key with `lumaai keys create`, or say --insecure if the network itself keeps "
        "others out",
    )


def _needs_keys(settings: Settings) -> bool:
    """Whether it may only be served where the database has keys: others can reach it, and nothing else keeps them."""
    return not (settings.is_loopback or settings.has_credentials or settings.insecure)


def _settings(settings: Settings | None, given: dict[str, object]) -> Settings:
    if settings is not None:
        return settings.model_copy(update=given)
    try:
        return load_settings(**given)
    except LumaError as error:
        _leave(REFUSED, error.message)


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
            model_options=settings.model_options,
            durability=settings.durability,
            sync_interval_seconds=settings.sync_interval_seconds,
            memory_bytes_max=settings.memory_bytes_max,
            device=settings.device,
            snapshots_directory=settings.snapshots_directory,
        )
    except LumaError as error:
        _leave(FAILED, f"cannot open {settings.directory}: {error}")
    except OSError as error:
        _leave(FAILED, f"cannot open {settings.directory}: {_reason(error)}")
    with database:
        yield database


def _reason(error: OSError) -> str:
    return os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)


def _run(settings: Settings, listener: socket.socket, database: Database, began: float) -> None:
    log_core()
    sys.setswitchinterval(SWITCH_SECONDS)
    for name, meant in misspelt(os.environ).items():
        log.warning("setting.unknown", extra={"variable": name, "did_you_mean": meant})
    say_opened(database, time.perf_counter() - began)
    if settings.preload_models:
        threading.Thread(target=load_models, args=(database,), name="lumaai-models", daemon=True).start()
    try:
        app = create_app(database, settings)
        context = _tls_context(settings)
    except LumaError as error:
        _leave(REFUSED, error.message)
    config = uvicorn.Config(
        app,
        ssl_context_factory=None if context is None else lambda *_: context,
        loop="uvloop",
        http=bounded_protocol(settings.idle_seconds_max, Connections.within(settings.connections_max, files_max())),
        ws="none",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=DRAIN_SECONDS_MAX,
    )
    url, is_guarding = url_of(listener, secure=context is not None), app.state.service.gatekeeper.is_guarding
    Server(config, settings, url, is_guarding=is_guarding).run(sockets=[listener])


def say_opened(database: Database, seconds: float) -> None:
    """Log what there is to serve."""
    infos = database.infos()
    extra = {
        "collections": len(infos),
        "damaged": sum(info.damaged is not None for info in infos),
        "documents": sum(info.documents for info in infos),
        "sequence": database.sequence,
        "models": database.served_models.in_use([info.name for info in infos]),
        "seconds": round(seconds, 3),
    }
    log.info("database.opened", extra=extra)


def load_models(database: Database) -> None:
    """Load the models of the collections, one by one, and log each; meanwhile all else is served already."""
    for model in database.served_models.in_use(database.collections()):
        started = time.perf_counter()
        try:
            database.served_models.load(model)
        except Exception as error:  # noqa: BLE001 - whoever needs the model is told
            if not database.is_closed:
                log.warning("model.not_loaded", extra={"model": model, "error": type(error).__name__})
            continue
        log.info("model.loaded", extra={"model": model, "seconds": round(time.perf_counter() - started, 3)})


def _tls_context(settings: Settings) -> ssl.SSLContext | None:
    """What connections are encrypted by, where that is asked for: TLS 1.2 or newer, HTTP/1.1.

    Raises:
        InvalidRequestError: the files cannot be used.
    """
    if settings.tls_certificate is None or settings.tls_key is None:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    try:
        # Nobody can be asked for a password here: a key that needs one is an error.
        context.load_cert_chain(settings.tls_certificate, settings.tls_key, password="")
    except (OSError, ValueError) as error:
        reason = _reason(error) if isinstance(error, OSError) and not isinstance(error, ssl.SSLError) else str(error)
        raise InvalidRequestError(
            f"TLS files cannot be used: {settings.tls_certificate}, {settings.tls_key}: {reason}", code="tls_invalid"
        ) from error
    return context


class _Answered:
    """What stands for a request that was answered without having been one; it has no state, and one is enough."""

    response_started = response_complete = keep_alive = True
    disconnected = False

    def __init__(self) -> None:
        self.message_event = asyncio.Event()


_ANSWERED = _Answered()


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol with bounds on what a connection may send besides bodies that somebody reads.

    These are the head of a request, trailers and chunk headers, and the rest of a body whose request is answered.
    Without bounds, one connection that sends them for ever, or none at all, holds memory or a descriptor for ever.

    Heads and bodies that end in their middle are refused at once, and those that stop coming after `idle_seconds_max`;
    uploads bound their waits themselves.
    """

    idle_seconds_max = IDLE_SECONDS_MAX
    room = Connections(FILES_WANTED)
    # Bytes that are no part of a body that is read, since the last such part; and how long to wait for the next.
    _idle_bytes = 0
    _idle_bytes_max = HEAD_BYTES_MAX
    _deadline: asyncio.TimerHandle | None = None
    _idle: asyncio.TimerHandle | None = None
    _last_seconds = 0.0  # by the loop's clock, when bytes came last
    _in_body = False
    _got_body = False
    _ended = False  # a request did, in these bytes: how many of them belong to the next is not known

    @property
    def _door(self) -> Callable[..., bytes | None] | None:
        app = self.config.loaded_app
        return app.door if isinstance(app, Application) else None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin to wait for a first request."""
        super().connection_made(transport)  # type: ignore[arg-type]  # a transport of TCP
        if self.room.enter(self):
            self._expect_head()
            return
        error = OverloadedError("too many connections at once", code="too_many_connections", retry_after=1.0)
        self.transport.write(raw_problem(error, secrets.token_hex(8), closes=True))
        self.transport.close()

    def make_room(self) -> None:
        """Close it for another one."""
        self._stop_waiting()
        self.transport.close()

    def on_message_begin(self) -> None:
        """Begin to wait for the rest of a head."""
        super().on_message_begin()
        self._expect_head()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header; trailers are left out."""
        if not self._in_body:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self.room.work(self)
        self._stop_waiting()
        if not self._is_turned_away():
            super().on_headers_complete()  # or refuses a target that is none: then no body follows
            if self.parser.should_upgrade():
                # The parser takes what follows for another protocol, and it is none of ours.
                self.cycle.keep_alive = False
        self._in_body = True

    def _is_turned_away(self) -> bool:
        """Answer what is refused at the door; the connection stays open, and the rest of its body is nobody's."""
        door = self._door
        if door is None or self.expect_100_continue or not self.parser.should_keep_alive():
            return False
        if self._last is not None and not self._last.response_complete:
            return False  # answers come in the order of requests
        if self.flow.write_paused:
            return False  # who does not read answers gets no more of them, which would be kept for them
        answer = door(self.parser.get_method().decode("ascii"), self.url.partition(b"?")[0], self.headers)
        if answer is None:
            return False
        self._in_body = True
        self.cycle = cast("RequestResponseCycle", _ANSWERED)
        self.transport.write(answer)
        self.on_response_complete()
        return True

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._got_body = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The body is whole; wait for nothing until the answer, or for the next request if that was given already."""
        self._in_body, self._ended = False, True
        self._stop_waiting()
        super().on_message_complete()
        self._rest_if_idle()

    def on_response_complete(self) -> None:
        """Take the rest of a body that nobody read, within bounds."""
        super().on_response_complete()
        self._rest_if_idle()
        if self._in_body and self.cycle.response_complete and not self.transport.is_closing():
            self._unset_keepalive_if_required()
            self._wait(REST_SECONDS_MAX, REST_BYTES_MAX, self.transport.close)

    def _rest_if_idle(self) -> None:
        is_answered = self._last is not None and self._last.response_complete
        if is_answered and not self._in_body and not self.transport.is_closing():
            self.room.wait(self)

    def data_received(self, data: bytes) -> None:
        """Take bytes in; what is no body that somebody reads must be little."""
        if not self._in_body and b"pgrade" in data:
            data = _without_upgrade(data)
        self._got_body = self._ended = False
        self._last_seconds = self.loop.time()
        super().data_received(data)
        if self.transport.is_closing():
            return
        if self._got_body and self._deadline is None:
            self._idle_bytes = 0
        elif self._in_body or self._deadline is not None:
            self._idle_bytes += 1 if self._ended else len(data)
            if self._idle_bytes > self._idle_bytes_max:
                self._refuse(431, "head of the request is too large", "head_too_large")
        elif self._last is not None and self._last.response_complete and self.timeout_keep_alive_task is None:
            # The rest of a body, or blank lines between requests, have stopped uvicorn's timer.
            self.timeout_keep_alive_task = self.loop.call_later(
                self.timeout_keep_alive, self.timeout_keep_alive_handler
            )
        if self._idle is None and self._unfinished is not None:
            self._idle = self.loop.call_later(self.idle_seconds_max, self._may_be_idle)

    def eof_received(self) -> None:
        """Nothing more comes: what is not whole never will be, and is refused before the connection closes."""
        if self.transport.is_closing():
            return
        part = self._unfinished_part
        if part is not None:
            self._refuse(400, f"{part} of the request ended before it was whole", f"{part}_incomplete")

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing more."""
        self.room.leave(self)
        self._stop_waiting()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP."""
        self._refuse(400, msg.rstrip(".").lower(), "invalid_http")

    @property
    def _last(self) -> RequestResponseCycle | None:
        """The request that came last; uvicorn declares that there always is one."""
        return self.cycle

    @property
    def _unfinished_part(self) -> str | None:
        """What has begun to come and is not whole, "head" or "body"; None: nothing, or the rest of what is answered."""
        if self._in_body:
            return None if self.cycle.response_complete else "body"
        return "head" if self._deadline is not None and self._idle_bytes else None

    @property
    def _unfinished(self) -> str | None:
        """As `_unfinished_part`, of what may not stop coming."""
        part = self._unfinished_part
        return None if part == "body" and is_upload(self.scope["method"], self.scope["path"]) else part

    def _may_be_idle(self) -> None:
        """Refuse what has stopped coming, unless it is we who do not take it."""
        self._idle = None
        part, now = self._unfinished, self.loop.time()
        if part is None:
            return
        if part == "body" and (self.flow.read_paused or self.cycle.waiting_for_100_continue):
            self._last_seconds = now
        left = self._last_seconds + self.idle_seconds_max - now
        if left > 0:
            self._idle = self.loop.call_later(left, self._may_be_idle)
            return
        seconds = f"maximum={self.idle_seconds_max:g} seconds between two pieces"
        self._refuse(408, f"{part} of the request stopped coming: {seconds}", f"{part}_timeout")

    def _expect_head(self) -> None:
        self._in_body = False
        self._wait(HEAD_SECONDS_MAX, HEAD_BYTES_MAX, self._head_is_late)

    def _head_is_late(self) -> None:
        if self._idle_bytes:
            self._refuse(408, "head of the request did not arrive in time", "head_timeout")
        else:
            self.transport.close()  # nothing is said to a connection that asked nothing

    def _wait(self, seconds: float, bytes_max: int, then: Callable[[], None]) -> None:
        self._stop_waiting()
        self._idle_bytes_max = bytes_max
        self._deadline = self.loop.call_later(seconds, then)

    def _stop_waiting(self) -> None:
        self._idle_bytes, self._idle_bytes_max = 0, HEAD_BYTES_MAX
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def _refuse(self, status: int, message: str, code: str) -> None:
        """Answer with a problem, unless that would be amid another answer, and close."""
        self._stop_waiting()
        cycle = self._last
        if cycle is None:
            may_answer = True
        elif self._in_body:
            may_answer = not cycle.response_started and not self.pipeline
        else:
            may_answer = cycle.response_complete
        if may_answer:
            self.transport.write(
                raw_problem(InvalidRequestError(message, code=code, status=status), secrets.token_hex(8), closes=True)
            )
        if cycle is not None and not cycle.response_complete:
            cycle.disconnected = True
            cycle.message_event.set()
        self.transport.close()


_UPGRADE = re.compile(rb"(?<=\r\n)upgrade(?=:)", re.IGNORECASE)


def _without_upgrade(data: bytes) -> bytes:
    """A head that asks for no other protocol, which the server may ignore: the parser would not read its body.

    Java's HttpClient asks for HTTP/2 so with each first request.
    """
    head, end, rest = data.partition(b"\r\n\r\n")
    return _UPGRADE.sub(b"x-not-upgraded", head) + end + rest


def bounded_protocol(idle_seconds_max: float, room: Connections) -> type[BoundedProtocol]:
    """The protocol with bounds of its own on how long heads and bodies may stop coming, and on connections."""
    return type("ConfiguredProtocol", (BoundedProtocol,), {"idle_seconds_max": idle_seconds_max, "room": room})


class Server(uvicorn.Server):
    """uvicorn's server; says where it is once it answers, and returns after a signal instead of dying of it."""

    def __init__(self, config: uvicorn.Config, settings: Settings, url: str, *, is_guarding: bool) -> None:
        super().__init__(config)
        self._settings = settings
        self._is_guarding = is_guarding
        self.url = url

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to answer, then print the address."""
        await super().startup(sockets=sockets)
        gc.enable()
        gc.freeze()  # what is there now stays; to look through it for garbage would hold up everybody for 0.1 s
        guarded = "an API key is required" if self._is_guarding else "no API key is required"
        sys.stdout.write(
            f"LumaDB AI serves {self._settings.directory} at {self.url} ({guarded}; try {self.url}/docs)\n"
        )
        sys.stdout.flush()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Answer what is under way and close; the process ends in time even where a thread hangs."""
        last = threading.Timer(DRAIN_SECONDS_MAX + END_SECONDS_MAX, _end)
        last.daemon = True
        last.start()
        log.info("service.draining", extra={"requests": len(self.server_state.tasks)})
        app = self.config.loaded_app
        if isinstance(app, Application):
            asyncio.get_running_loop().call_later(UPLOAD_SECONDS_MAX, app.state.service.ending.begin)
        await super().shutdown(sockets=sockets)  # which closes the database: all that was written is synced
        log.info("service.stopped")

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


def _end() -> NoReturn:
    """End the process as if killed: what was answered is on disk, and what hangs never ends."""
    sys.stderr.write("lumaai serve: ended with work that did not end\n")
    sys.stderr.flush()
    os._exit(FAILED)


def url_of(listener: socket.socket, *, secure: bool = False) -> str:
    """The address to reach a listening socket at; of all addresses, this machine's. `secure`: by TLS."""
    host, port = listener.getsockname()[:2]
    if host in {"0.0.0.0", "::"}:  # noqa: S104 - compared, not bound
        host = "127.0.0.1"
    scheme = "https" if secure else "http"
    return f"{scheme}://[{host}]:{port}" if ":" in host else f"{scheme}://{host}:{port}"
