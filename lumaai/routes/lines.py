"""An answer of lines, sent as they are made, while the request may still be coming in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import msgspec
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from lumaai.routes.operation import NDJSON

# Lines of answer kept for a caller that sends all before it reads: with sockets full in both directions neither
# side could go on. At some 200 bytes a line this is about 6 MB.
ANSWER_LINES_MAX = 32_768

Line = dict[str, Any]


class AnswerStream(Response):
    """Sends lines as they are made, while the request may still be coming in.

    The answer begins with its first line, so that what fails before it is a problem with a status of its own.
    Reading goes on while the caller is not listening, up to `ANSWER_LINES_MAX` lines ahead.
    """

    media_type = NDJSON

    def __init__(self, lines: AsyncGenerator[Line, None], send_seconds_max: float) -> None:
        super().__init__(media_type=NDJSON)
        del self.headers["content-length"]
        self._lines = lines
        self._send_seconds_max = send_seconds_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Answer one request."""
        waiting: asyncio.Queue[bytes | None] = asyncio.Queue(ANSWER_LINES_MAX)
        sender = asyncio.create_task(self._send_all(waiting, send))
        try:
            async with aclosing(self._lines) as lines:
                async for line in lines:
                    await self._put(waiting, msgspec.json.encode(line) + b"\n", sender)
            await self._put(waiting, None, sender)
            await sender
        finally:
            sender.cancel()

    async def _put(
        self, waiting: asyncio.Queue[bytes | None], content: bytes | None, sender: asyncio.Task[None]
    ) -> None:
        if sender.done():
            sender.result()
        try:
            async with asyncio.timeout(self._send_seconds_max):
                await waiting.put(content)
        except TimeoutError as error:
            raise ClientDisconnect from error

    async def _send_all(self, waiting: asyncio.Queue[bytes | None], send: Send) -> None:
        content = await waiting.get()
        start = {"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers}
        await send(start)
        while content is not None:
            await asyncio.wait_for(
                send({"type": "http.response.body", "body": content, "more_body": True}), self._send_seconds_max
            )
            content = await waiting.get()
        await send({"type": "http.response.body", "body": b"", "more_body": False})
