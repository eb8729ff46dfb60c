"""HTTP as connections speak it: bounds on what they may send, and what is answered before it is a request."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Callable
from typing import cast

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from lumaai.app import Application
from lumaai.connections import FILES_WANTED, Connections
from lumaai.errors import InvalidRequestError, OverloadedError
from lumaai.joined import JoinedWrites
from lumaai.problems import raw_problem
from lumaai.routes.upload import is_upload

HEAD_BYTES_MAX = 65_536
HEAD_SECONDS_MAX = 30.0
IDLE_SECONDS_MAX = 5.0
# What is still taken of a body whose request is answered already, so that its sender comes to read the answer.
REST_BYTES_MAX = 64 << 20
REST_SECONDS_MAX = 5.0


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
        joined = JoinedWrites(cast("asyncio.Transport", transport), self.loop)
        super().connection_made(cast("asyncio.Transport", joined))
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
