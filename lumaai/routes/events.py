"""Server-sent events: what happens during a piece of work, sent as it happens."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import TimeoutError as FutureTimeoutError
from typing import TYPE_CHECKING, Protocol, Self, TypeAlias

import msgspec
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from lumaai.errors import LumaError
from lumaai.routes.leaving import seen
from lumaai.routes.operation import Call
from lumaai.translation import translate

if TYPE_CHECKING:
    from promptql import Event, Tell

EVENT_STREAM = "text/event-stream"
EVENTS_WAITING_MAX = 256  # that are not sent yet; then the work waits for the caller
WAIT_SECONDS = 0.2  # between two looks whether the caller is still there

Work: TypeAlias = "Callable[[Tell, threading.Event], object]"


class CallerGoneError(Exception):
    """Nobody takes the events any more: the work ends at its next one."""


class Framing(Protocol):
    """How events are written into a stream."""

    def written(self, event: Event) -> bytes:
        """An event as it is sent; empty where nothing is."""

    def failed(self, error: LumaError) -> bytes:
        """What is sent where the work fails when it is too late for a status."""


class Events:
    """Each event by its name, as JSON."""

    def __init__(self, request_id: str) -> None:
        self._request_id = request_id

    def written(self, event: Event) -> bytes:
        """The event."""
        return _framed(event.type, event.to_json())

    def failed(self, error: LumaError) -> bytes:
        """An event `error` with a problem."""
        return _framed("error", error.to_problem(instance=self._request_id))


class EventStream(Response):
    """The events of work that runs in the lane of questions; it holds its place there until it ends.

    The answer begins with the first event, so that what fails before it is a problem with a status of its own. What
    fails later is told as an event `error`. When the caller goes, the work is told to end.
    """

    media_type = EVENT_STREAM

    def __init__(self, call: Call, work: Work, framing: Framing) -> None:
        super().__init__(media_type=EVENT_STREAM, headers={"Cache-Control": "no-cache", "X-Accel-Buffering": "no"})
        del self.headers["content-length"]
        self._loop = asyncio.get_running_loop()
        self._waiting: asyncio.Queue[Event] = asyncio.Queue(EVENTS_WAITING_MAX)
        self._gone = threading.Event()
        self._framing = framing
        self._send_seconds_max = call.service.settings.request_seconds_max
        self._done = asyncio.ensure_future(call.service.asks.run(work, self._tell, self._gone))
        self._done.add_done_callback(seen)
        self._first: Event | None = None

    @classmethod
    async def begun(cls, call: Call, work: Work, framing: Framing | None = None) -> Self:
        """A stream whose first event is there; `framing` is how events are written, by default as they are.

        Raises:
            OverloadedError: the lane is full.
            LumaError: the work failed before it had anything to tell.
        """
        request_id = str(call.request.scope.get("lumaai.request_id", ""))
        stream = cls(call, work, Events(request_id) if framing is None else framing)
        try:
            stream._first = await stream._next()
        except BaseException:
            stream._gone.set()
            raise
        return stream

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        leaving = asyncio.ensure_future(self._watch(receive))  # servers take what is sent to nobody in silence
        try:
            await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
            event = self._first
            while event is not None:
                await self._sent(send, self._framing.written(event))
                try:
                    event = await self._next()
                except Exception as error:
                    if self._gone.is_set():  # what ended so has failed nobody
                        raise ClientDisconnect from error
                    # Told to the caller: it is too late for a status.
                    await self._sent(send, self._framing.failed(self._told(error, scope)))
                    break
            await send({"type": "http.response.body", "body": b"", "more_body": False})
        finally:
            leaving.cancel()
            self._gone.set()

    async def _watch(self, receive: Receive) -> None:
        """Wait until the caller goes, and tell the work."""
        while (await receive())["type"] != "http.disconnect":
            pass
        self._gone.set()

    async def _sent(self, send: Send, body: bytes) -> None:
        if not body:
            return
        try:
            async with asyncio.timeout(self._send_seconds_max):
                await send({"type": "http.response.body", "body": body, "more_body": True})
        except TimeoutError as error:
            raise ClientDisconnect from error

    async def _next(self) -> Event | None:
        """The next event; None when the work has ended and all is told."""
        taking = asyncio.ensure_future(self._waiting.get())
        try:
            await asyncio.wait({taking, self._done}, return_when=asyncio.FIRST_COMPLETED)
            if taking.done():
                return taking.result()
        finally:
            taking.cancel()
        if not self._waiting.empty():
            return self._waiting.get_nowait()
        self._done.result()
        return None

    def _tell(self, event: Event) -> None:
        """Called by the work, in its thread."""
        waiting = asyncio.run_coroutine_threadsafe(self._waiting.put(event), self._loop)
        while True:
            if self._gone.is_set():
                waiting.cancel()
                raise CallerGoneError
            try:
                return waiting.result(WAIT_SECONDS)
            except FutureTimeoutError:
                continue

    @staticmethod
    def _told(error: Exception, scope: Scope) -> LumaError:
        found = error if isinstance(error, LumaError) else translate(error)
        if found is None:
            raise error
        scope["lumaai.code"] = found.code
        return found


def _framed(name: str, data: object) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), msgspec.json.encode(data))
