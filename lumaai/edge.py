"""What surrounds every request: id, admission, limits on size and time, problems, metrics and the log line."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Callable
from urllib.parse import unquote_to_bytes

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lumaai.access import ANYBODY, Caller
from lumaai.audit import AuditLog
from lumaai.auth import Gatekeeper
from lumaai.errors import (
    InternalError,
    InvalidRequestError,
    LumaError,
    OverloadedError,
    TooLargeError,
)
from lumaai.limits import Lane
from lumaai.opened import while_restoring
from lumaai.problems import as_luma_error, problem_response, request_id_of
from lumaai.rates import Meter
from lumaai.routes import upload
from lumaai.routes.body import header
from lumaai.settings import Settings
from lumaai.telemetry import RequestRecord, Telemetry
from lumaai.tracing import Tracing
from lumaai.translation import translate

DOCS, OPENAPI = "/docs", "/openapi.json"
PAGES = frozenset({"/", DOCS, OPENAPI})  # the way to the documentation, and the documentation
CLIENT_CLOSED_REQUEST = 499  # nginx's status for a client that went away: in logs and metrics only
# Work on all files, and downloads of it: these take as long as they take, in lanes of their own.
_PATIENT = re.compile(r"/v1/(snapshots(/.*)?|check|compact|purge|collections/[^/]+/optimize)")
_DOCUMENTS = re.compile(r"/v1/collections/[^/]+/documents(/.+)?", re.DOTALL)


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
        record = RequestRecord(request_id_of(scope), scope["method"])
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
        luma_error = while_restoring(translate(error) or as_luma_error(error), is_closed=self._is_closed())
        if luma_error.status >= 500 and isinstance(luma_error, InternalError):
            self._telemetry.failed(exchange.record, error)
        exchange.record.code = luma_error.code
        if not exchange.record.status:
            like_openai = self._like_openai.fullmatch(scope["path"]) is not None
            response = problem_response(luma_error, exchange.record.id, like_openai=like_openai)
            await response(_NO_SCOPE, exchange.receive, exchange.send)

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
