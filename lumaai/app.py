"""The HTTP service as an ASGI application: routes, problems for every error, and one middleware at its edge."""

from __future__ import annotations

import asyncio
import functools
import re
import secrets
import shutil
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import cast
from urllib.parse import unquote_to_bytes

import msgspec
from fastapi import FastAPI
from opentelemetry.trace import TracerProvider
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import lumaai
from lumaai.access import ANYBODY, Caller
from lumaai.audit import AuditLog
from lumaai.auth import Gatekeeper
from lumaai.database import Database
from lumaai.errors import (
    DatabaseClosedError,
    InternalError,
    InvalidRequestError,
    LumaError,
    OverloadedError,
    TooLargeError,
)
from lumaai.limits import Lane
from lumaai.rates import Meter
from lumaai.routes import all_operations, upload
from lumaai.routes.body import header
from lumaai.routes.openapi import openapi_document
from lumaai.routes.operation import MethodNotAllowedError, Resource, no_such_route
from lumaai.routes.page import HEADERS, page
from lumaai.routes.service import Service
from lumaai.settings import Settings
from lumaai.telemetry import RequestRecord, Telemetry
from lumaai.tracing import Tracing, otlp_provider
from lumaai.translation import translate
from lumaai.turns import RETRY_AFTER_SECONDS
from lumaai.wire import OPENAI_PARTS, as_openai

DOCS = "/docs"
PAGES = frozenset({"/", DOCS, "/openapi.json"})  # the way to the documentation, and the documentation
PROBLEM = "application/problem+json"
CLIENT_CLOSED_REQUEST = 499  # nginx's status for a client that went away: in logs and metrics only
# What pages from the origins that LUMAAI_CORS_ORIGINS names may send, and read of answers. No cookies: there are none.
CORS_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
CORS_HEADERS = (
    "Authorization", "Content-Type", "Idempotency-Key", "If-Match", "If-None-Match", "X-Api-Key", "X-Request-Id"
)  # fmt: skip
CORS_EXPOSED = (
    "ETag", "Idempotency-Replayed", "Location", "RateLimit", "RateLimit-Policy", "Retry-After", "X-Request-Id"
)  # fmt: skip
CORS_SECONDS = 600
# Paths whose operations are remembered, and how long such a path may be.
PATHS_MAX, PATH_CHARACTERS_MAX = 4_096, 256
USES_SECONDS = 60.0  # between two times that the last uses of keys are written down
_REQUEST_ID = re.compile(rb"[A-Za-z0-9._\-]{1,128}")
# Work on all files, and downloads of it: these take as long as they take, in lanes of their own.
_PATIENT = re.compile(r"/v1/(snapshots(/.*)?|check|compact|purge|collections/[^/]+/optimize)")
_DOCUMENTS = re.compile(r"/v1/collections/[^/]+/documents(/.+)?", re.DOTALL)


def create_app(
    database: Database,
    settings: Settings,
    *,
    telemetry: Telemetry | None = None,
    spans: TracerProvider | None = None,
) -> FastAPI:
    """The application that serves a database.

    Args:
        database: is closed when the application shuts down.
        settings: limits and the key; where to listen is the server's concern.
        telemetry: where requests are counted and logged; one of its own, logging to stderr, if not given.
        spans: where traces go, if the settings name no collector; None: nowhere.

    Raises:
        InvalidRequestError: a collector is named and the extra is missing.
    """
    watched = telemetry or Telemetry()
    watched.slow_seconds = settings.slow_request_seconds
    tracing = Tracing(otlp_provider(settings.otlp_endpoint) if settings.otlp_endpoint else spans)
    service = Service.of(database, settings, watched, tracing)
    watched.watch(service.gauges)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        writing = asyncio.create_task(_write_uses(service))
        await asyncio.to_thread(_begin, service)
        yield
        writing.cancel()
        await asyncio.to_thread(_close, service)

    operations = all_operations()
    like_openai = _pattern_of(
        [
            *(operation.path for operation in operations if operation.like_openai),
            *(f"/v1/{part}{below}" for part in OPENAI_PARTS for below in ("", "/{path}")),
        ]
    )
    app = Application(
        title="LumaDB AI",
        version=lumaai.__version__,
        lifespan=lifespan,
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
        # Requests have spans where these are wanted; metrics and log lines are our own.
        telemetry={
            "tracing": tracing.is_on,
            "tracer_provider": tracing.provider,
            "metrics": False,
            "logs": False,
            "operation_spans": False,
            "auto_configure": False,
        },
    )
    app.state.service = service
    app.state.like_openai = like_openai
    routes = []
    for path in dict.fromkeys(operation.path for operation in operations):
        there = [operation for operation in operations if operation.path == path]
        routes.append(Route(_converted(path), Resource(path, there), include_in_schema=False))
    app.router.routes += routes
    app.router.routes.append(Route("/", _to_documentation, include_in_schema=False))
    app.router.routes.append(Route(DOCS, _documentation, include_in_schema=False))
    guarded = service.gatekeeper.is_guarding
    document = openapi_document(operations, settings, version=lumaai.__version__, guarded=guarded)
    app.openapi = lambda: document  # type: ignore[method-assign]
    app.state.page = functools.cache(functools.partial(page, document))  # made when it is first looked at
    app.add_exception_handler(HTTPException, _routing_error)
    edge = functools.partial(
        Edge,
        settings=settings,
        telemetry=watched,
        is_closed=lambda: database.is_closed,
        gatekeeper=service.gatekeeper,
        lane=service.identifying,
        audit=service.audit,
        like_openai=like_openai,
        check_room=service.check_room,
        tracing=tracing,
    )
    app.add_middleware(edge)
    if not settings.cors_origins and not tracing.is_on:
        app.go_straight(routes, edge)
        app.door = functools.partial(_turned_away, service)
    if settings.cors_origins:
        app.add_middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=CORS_METHODS,
            allow_headers=CORS_HEADERS,
            expose_headers=CORS_EXPOSED,
            max_age=CORS_SECONDS,
        )
    return app


class Application(FastAPI):
    """FastAPI's application, in which requests for operations go straight to them where nothing else wants to see them.

    Starlette's router compares a path with each route, and five layers of middleware around ours pass requests on
    unchanged: 70 of the 330 µs that a search request takes beside the search itself. Pages and unknown paths take the
    way through them.
    """

    # What a request gets that is refused for its path and the hour alone, before anything is made for it; else None.
    door: Callable[[str, bytes, Iterable[tuple[bytes, bytes]]], bytes | None] | None = None
    _edge: ASGIApp | None = None

    def go_straight(self, routes: Sequence[Route], edge: Callable[[ASGIApp], ASGIApp]) -> None:
        """Let requests that match the routes pass through `edge` only.

        Args:
            routes: to operations, in the order in which they are looked at.
            edge: makes the middleware around an application.
        """

        @functools.lru_cache(PATHS_MAX)
        def find(path: str) -> tuple[Resource, dict[str, str]] | None:
            for route in routes:
                if found := route.path_regex.match(path):
                    return cast("Resource", route.endpoint), found.groupdict()
            return None

        async def answer(scope: Scope, receive: Receive, send: Send) -> None:
            await scope["lumaai.resource"](scope, receive, send)

        self._find = find
        self._edge = edge(answer)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or begin and end the service."""
        if self._edge is not None and scope["type"] == "http" and len(scope["path"]) <= PATH_CHARACTERS_MAX:
            found = self._find(scope["path"])
            if found is not None:
                resource, parameters = found
                scope.update({"app": self, "lumaai.resource": resource, "path_params": {**parameters}})
                scope["lumaai.route"] = resource.path  # also of what is refused before it is reached
                await self._edge(scope, receive, send)
                return
        await super().__call__(scope, receive, send)


class Edge:
    """What surrounds every request: id, admission, limits on size and time, problems, metrics and the log line."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        settings: Settings,
        telemetry: Telemetry,
        is_closed: Callable[[], bool],
        gatekeeper: Gatekeeper,
        lane: Lane,
        audit: AuditLog,
        like_openai: re.Pattern[str],
        check_room: Callable[[str], None],
        tracing: Tracing,
    ) -> None:
        self._app = app
        self._is_closed = is_closed
        self._settings = settings
        self._telemetry = telemetry
        self._gatekeeper = gatekeeper
        self._lane = lane
        self._audit = audit
        self._like_openai = like_openai
        self._check_room = check_room
        self._tracing = tracing

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; what is not HTTP is passed on."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        record = RequestRecord(_request_id(scope), scope["method"])
        is_upload = upload.is_upload(record.method, scope["path"])
        exchange = _Exchange(record, receive, send, self._body_bytes_max(scope, is_upload=is_upload))
        scope["lumaai.request_id"] = record.id
        self._tracing.mark_request(record.id)
        try:
            self._check_room(scope["path"])
            await self._guarded(scope, exchange, is_upload=is_upload)
        except ClientDisconnect:
            record.status = CLIENT_CLOSED_REQUEST
        except Exception as error:  # noqa: BLE001 - told to the caller and, where it is ours, to the log
            # Amid an answer nothing can be told any more: the server closes a connection whose answer is not whole.
            await self._answer(scope, exchange, error)
        finally:
            record.seconds = time.perf_counter() - started
            record.route = scope.get("lumaai.route") or (scope["path"] if scope["path"] in PAGES else record.route)
            record.rows = scope.get("lumaai.rows")
            record.code = record.code or scope.get("lumaai.code")
            record.explain = scope.get("lumaai.explain")
            self._telemetry.record(record)
            if "lumaai.act" in scope or "lumaai.acts" in scope:
                self._note(scope, record)

    async def _guarded(self, scope: Scope, exchange: _Exchange, *, is_upload: bool) -> None:
        caller = await self._gatekeeper.admit(scope["path"], scope["headers"], self._lane)
        scope["lumaai.caller"] = caller
        if caller is not ANYBODY:
            exchange.record.caller = caller.id
            exchange.meter = caller.meter
            self._gatekeeper.count(caller)
        _check_path(scope)
        exchange.check_declared_length(header(scope, b"content-length"))
        if is_upload or _PATIENT.fullmatch(scope["path"]):
            # An upload or a download may take as long as it moves: what reads or sends it bounds each wait instead.
            await self._app(scope, exchange.receive, exchange.send)
            return
        seconds = self._settings.request_seconds_max
        try:
            async with asyncio.timeout(seconds) as timeout:
                await self._app(scope, exchange.receive, exchange.send)
        except TimeoutError as error:
            if not timeout.expired():
                raise
            raise exchange.timed_out(seconds) from error

    def _note(self, scope: Scope, record: RequestRecord) -> None:
        """Put what was administered into the audit log."""
        targets = dict(scope.get("path_params") or {})
        acts = [(scope["lumaai.act"], targets)] if "lumaai.act" in scope else []
        acts += [(act, {"c": target}) for act, target in scope.get("lumaai.acts", ())]
        caller: Caller = scope["lumaai.caller"]
        for act, named in acts:
            self._audit.note(
                act, caller=caller.id, targets=named, status=record.status, request=record.id, code=record.code
            )

    async def _answer(self, scope: Scope, exchange: _Exchange, error: Exception) -> None:
        """Tell the error to the caller as problem details, if no answer has begun."""
        luma_error = self._while_restoring(translate(error) or _as_luma_error(error))
        if luma_error.status >= 500 and isinstance(luma_error, InternalError):
            self._telemetry.failed(exchange.record, error)
        exchange.record.code = luma_error.code
        if not exchange.record.status:
            like_openai = self._like_openai.fullmatch(scope["path"]) is not None
            response = problem_response(luma_error, exchange.record.id, like_openai=like_openai)
            await response(_NO_SCOPE, exchange.receive, exchange.send)

    def _while_restoring(self, error: LumaError) -> LumaError:
        """The error; if the database was closed under the request by a restore, that it is to be sent again."""
        if isinstance(error, DatabaseClosedError) and not self._is_closed():
            message = "the database is being replaced by a snapshot: nothing was done"
            return OverloadedError(message, code="restoring", retry_after=1.0)
        return error

    def _body_bytes_max(self, scope: Scope, *, is_upload: bool) -> int:
        if is_upload:
            return self._settings.bulk_bytes_max
        takes_documents = scope["method"] in {"POST", "PUT"} and _DOCUMENTS.fullmatch(scope["path"]) is not None
        sizes = self._settings.body_bytes_max, self._settings.request_bytes_max
        return sizes[0] if takes_documents else min(sizes)


_NO_SCOPE: Scope = {"type": "http"}


class _Exchange:
    """One request's `receive` and `send`, counting what comes in and noting what goes out."""

    def __init__(self, record: RequestRecord, receive: Receive, send: Send, bytes_max: int) -> None:
        self.record = record
        self._receive = receive
        self._send = send
        self._bytes_max = bytes_max
        self._bytes = 0
        self._body_is_whole = False
        self.meter: Meter | None = None

    def check_declared_length(self, value: bytes | None) -> None:
        """Refuse what says itself that it is too large, before reading it."""
        if value is not None and value.isdigit() and int(value[:20]) > self._bytes_max:
            raise self._too_large(int(value[:20]))

    async def receive(self) -> Message:
        """The next message; raises TooLargeError when the body passes its limit."""
        message = await self._receive()
        if message["type"] == "http.request":
            self._bytes += len(message.get("body", b""))
            self._body_is_whole = not message.get("more_body", False)
            if self._bytes > self._bytes_max:
                raise self._too_large(self._bytes)
        return message

    async def send(self, message: Message) -> None:
        """Send, with the request's id among the headers."""
        if message["type"] == "http.response.start":
            self.record.status = message["status"]
            message["headers"] = [*message.get("headers", ()), (b"x-request-id", self.record.id.encode())]
            if self.meter is not None:
                message["headers"] += self.meter.headers(time.time())
        await self._send(message)

    def timed_out(self, seconds: float) -> LumaError:
        """Whose fault it is that the time is over: the caller's while the body is still on its way."""
        if not self._body_is_whole and self.record.method in {"POST", "PUT"}:
            return InvalidRequestError(
                f"the body did not arrive in time: maximum={seconds:g} seconds", code="body_timeout", status=408
            )
        return OverloadedError(
            f"the request took too long: maximum={seconds:g} seconds; a write may still be done",
            code="request_timeout",
            retryable=False,
        )

    def _too_large(self, got: int) -> TooLargeError:
        return TooLargeError(
            f"body is too large: maximum={self._bytes_max} got={got} bytes or more", code="body_too_large"
        )


_SEARCH = re.compile(rb"/v1/collections/[^/]+/search")
_SEARCH_ROUTE = "/v1/collections/{c}/search"


def _turned_away(service: Service, method: str, path: bytes, headers: Iterable[tuple[bytes, bytes]]) -> bytes | None:
    """The whole answer to a search while too many others wait for their turn, as `Edge` would give it."""
    if not service.turns.is_full or method != "POST" or _SEARCH.fullmatch(path) is None:
        return None
    record = RequestRecord(_request_id({"headers": headers}), method, _SEARCH_ROUTE)
    error = service.turns.refusal()
    record.status, record.code = error.status, error.code
    service.telemetry.record(record)
    if len(record.id) != len(_ANY_ID):
        return raw_problem(error, record.id)
    return _raw_refusal(error.message).replace(_ANY_ID, record.id.encode())


_ANY_ID = b"*" * 16


@functools.lru_cache(maxsize=4)
def _raw_refusal(message: str) -> bytes:
    """The answer to a request with an id of ours, which is all that differs between them."""
    return raw_problem(OverloadedError(message, retry_after=RETRY_AFTER_SECONDS), _ANY_ID.decode())


def raw_problem(error: LumaError, request_id: str, *, closes: bool = False) -> bytes:
    """An answer to what does not become a request of the application; `closes`: the last on its connection."""
    response = problem_response(error, request_id)
    head = f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}\r\nx-request-id: {request_id}\r\n"
    head += "connection: close\r\n" if closes else ""
    headers = b"".join(name + b": " + value + b"\r\n" for name, value in response.raw_headers)
    return head.encode() + headers + b"\r\n" + bytes(response.body)


def problem_response(error: LumaError, request_id: str, *, like_openai: bool = False) -> Response:
    """An error as RFC 9457 problem details; `like_openai`: that OpenAI's clients read, too."""
    headers: dict[str, str] = {}
    if isinstance(error, MethodNotAllowedError):
        headers["Allow"] = error.allow
    if error.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if error.status in {429, 503} and (error.retry_after is not None or error.retryable):
        headers["Retry-After"] = str(max(1, round(error.retry_after or 1)))
    problem = error.to_problem(instance=request_id)
    if like_openai:
        problem = as_openai(problem)
        headers["X-Should-Retry"] = "true" if error.retryable else "false"
    content = msgspec.json.encode(problem)
    return Response(content, status_code=problem["status"], headers=headers, media_type=PROBLEM)


def _as_luma_error(error: Exception) -> LumaError:
    if isinstance(error, RecursionError):
        return InvalidRequestError("the request is nested too deeply", code="too_deep")
    return InternalError("something went wrong in the service: its log has more under this request's id")


async def _routing_error(request: Request, error: Exception) -> Response:
    """Problem details for what the router itself refuses: unknown paths, and methods of pages."""
    assert isinstance(error, HTTPException)
    luma_error: LumaError
    if error.status_code == 405:
        allow: Mapping[str, str] = error.headers or {}
        luma_error = MethodNotAllowedError(request.method, allow.get("Allow", "GET"))
    elif error.status_code == 404:
        luma_error = no_such_route(request.url.path)
    else:
        luma_error = InvalidRequestError(str(error.detail), status=error.status_code)
    request.scope["lumaai.code"] = luma_error.code
    like_openai: re.Pattern[str] = request.app.state.like_openai
    alike = like_openai.fullmatch(request.scope["path"]) is not None
    return problem_response(luma_error, request.scope["lumaai.request_id"], like_openai=alike)


async def _to_documentation(_: Request) -> Response:
    return RedirectResponse(DOCS)


async def _documentation(request: Request) -> Response:
    return HTMLResponse(request.app.state.page(), headers=HEADERS)


def _check_path(scope: Scope) -> None:
    """Refuse a path whose percent-encoding is no UTF-8: servers decode it to another, with U+FFFD in it.

    Raises:
        InvalidRequestError: status 400.
    """
    raw: bytes = scope.get("raw_path") or b""
    if b"%" in raw:
        try:
            unquote_to_bytes(raw).decode()
        except UnicodeDecodeError as error:
            raise InvalidRequestError("path is not UTF-8", code="path_invalid", status=400) from error


def _request_id(scope: Scope) -> str:
    """The caller's X-Request-Id if it is a plain word, else a new one."""
    given = header(scope, b"x-request-id")
    if given is not None and _REQUEST_ID.fullmatch(given):
        return given.decode("ascii")
    return secrets.token_hex(8)


def _converted(path: str) -> str:
    """The router's form of a template: ids of documents and models may hold slashes, which reach it decoded."""
    return path.replace("{id}", "{id:path}").replace("{model}", "{model:path}")


def _pattern_of(paths: Iterable[str]) -> re.Pattern[str]:
    """What the paths of these templates match, parts with slashes included."""
    return re.compile("|".join(re.sub(r"\{\w+\}", ".+", path) for path in dict.fromkeys(paths)), re.DOTALL)


async def _write_uses(service: Service) -> None:
    """Write down now and then when keys were last used."""
    while True:
        await asyncio.sleep(USES_SECONDS)
        await asyncio.to_thread(service.write_uses, service.gatekeeper.uses())


def _begin(service: Service) -> None:
    """What a new process takes over from the one before."""
    shutil.rmtree(service.database.path / upload.UPLOADS, ignore_errors=True)
    service.resume_jobs()


def _close(service: Service) -> None:
    service.write_uses(service.gatekeeper.uses())
    service.close()
    service.database.close()
