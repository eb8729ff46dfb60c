"""Running the service: what it refuses before it starts, the listening socket, and stopping in order."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
import ssl
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import uvicorn

from lumaai.app import Application, create_app
from lumaai.connections import Connections, files_max
from lumaai.database import Database
from lumaai.ending import UPLOAD_SECONDS_MAX
from lumaai.errors import InvalidRequestError, LumaError
from lumaai.handshakes import behind_tls
from lumaai.protocol import bounded_protocol
from lumaai.settings import Settings, load_settings, misspelt
from lumaai.telemetry import log_core

log = logging.getLogger("lumaai")

FAILED = 1
REFUSED = 2
BACKLOG_CONNECTIONS = 2048
# Longer than clients keep idle connections (httpx 5 s, browsers about a minute): who closes first loses no request.
KEEP_ALIVE_SECONDS = 75
DRAIN_SECONDS_MAX = 30
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
    room = Connections.within(settings.connections_max, files_max())
    protocol = bounded_protocol(settings.idle_seconds_max, room)
    config = uvicorn.Config(
        app,
        loop="uvloop",
        http=protocol if context is None else behind_tls(protocol, context, room),
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
