"""Uploads of any length: NDJSON streamed in, one line of answer for each batch and each bad line streamed out."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import msgspec
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from lumaai import wire
from lumaai.access import Verb
from lumaai.batch import Batch
from lumaai.collection import Collection
from lumaai.documents import Write
from lumaai.embedding import EmbedBounds
from lumaai.errors import ErrorDetail, InvalidRequestError, LumaError, TooLargeError
from lumaai.options import WriteOptions
from lumaai.results import WriteResult
from lumaai.routes.body import parse_json, require_media_type
from lumaai.routes.operation import NDJSON, Call, Operation

BATCH_DOCUMENTS = 256
BATCH_BYTES_MAX = 4 << 20
MESSAGE_CHARACTERS_MAX = 300
# Lines of answer kept for a caller that sends all before it reads: with sockets full in both directions neither
# side could go on. At some 200 bytes a line this is about 6 MB.
ANSWER_LINES_MAX = 32_768
UTF8_BOM = b"\xef\xbb\xbf"

Line = dict[str, Any]


async def bulk(call: Call) -> Response:
    """Add or replace the documents of an upload, one JSON object a line; bad lines are named and the rest goes in."""
    scope = call.request.scope
    require_media_type(scope, NDJSON, "application/jsonl", "application/x-jsonlines", "application/jsonlines")
    strict = call.query(wire.BulkQuery).strict
    collection = call.service.database.collection(call.path("c"))
    upload = Upload(call, collection, strict=strict)
    return AnswerStream(upload.run(), call.service.settings.request_seconds_max)


@dataclass(slots=True)
class _Batch:
    """Documents waiting to be written, and the line that each stood on."""

    documents: list[dict[str, Any]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    bytes: int = 0

    @property
    def is_full(self) -> bool:
        return len(self.documents) >= BATCH_DOCUMENTS or self.bytes >= BATCH_BYTES_MAX


class Upload:
    """One upload on its way in; holds one batch and one line at most.

    Args:
        strict: stop at the first bad line; what stood before it is written.
    """

    def __init__(self, call: Call, collection: Collection, *, strict: bool) -> None:
        self._call = call
        self._settings = call.service.settings
        self._collection = collection
        self._strict = strict
        self._totals = {"added": 0, "replaced": 0, "skipped": 0, "failed": 0}
        self._sequence: int | None = None
        self._line = 0
        self._bounds = EmbedBounds(stopped=threading.Event())
        self._stopped = False
        self._has_begun = False

    async def run(self) -> AsyncGenerator[Line, None]:
        """The lines of the answer; the last is the summary.

        Raises:
            LumaError: nothing was written or said yet; later ones end the answer as an "error" line instead.
        """
        try:
            async with aclosing(self._answered()) as lines:
                async for line in lines:
                    yield line
        except LumaError as error:
            if not self._has_begun:
                raise
            # Too late for a status: what is written stays written, and the answer says how it ended.
            self._stopped = True
            yield {"type": "error", "code": error.code, "message": error.message[:MESSAGE_CHARACTERS_MAX]}
            yield self._summary()
        finally:
            self._bounds.stop()

    async def _answered(self) -> AsyncGenerator[Line, None]:
        batch = _Batch()
        async with aclosing(self._lines()) as lines:
            async for raw in lines:
                bad = self._read(raw, batch)
                if batch.is_full or (bad is not None and self._strict):
                    for line in await self._flushed(batch):
                        yield line
                    batch = _Batch()
                if bad is not None and not self._stopped:
                    self._stopped = self._strict
                    yield self._failed(bad)
                if self._stopped:
                    break
        for line in [] if self._stopped else await self._flushed(batch):
            yield line
        if not self._has_begun:
            raise InvalidRequestError("the upload has no lines", code="empty_batch")
        yield self._summary()

    def _read(self, raw: bytes | None, batch: _Batch) -> Line | None:
        """Put one line's document into the batch, or say what is wrong with it."""
        if raw is None:
            return self._bad("line_too_long", f"line is too long: maximum={self._settings.line_bytes_max} bytes")
        try:
            document = parse_json(raw)
        except InvalidRequestError as error:
            message = error.message.removeprefix("body ").replace(" at line 1 column ", " at column ")
            return self._bad(error.code, message)
        if not isinstance(document, dict):
            return self._bad("wrong_type", f"line must be a JSON object: got={type(document).__name__}")
        batch.documents.append(document)
        batch.lines.append(self._line)
        batch.bytes += len(raw)
        return None

    def _bad(self, code: str, message: str) -> Line:
        return {"type": "error", "line": self._line, "code": code, "message": message[:MESSAGE_CHARACTERS_MAX]}

    def _failed(self, bad: Line) -> Line:
        self._totals["failed"] += 1
        self._has_begun = True
        return bad

    async def _flushed(self, batch: _Batch) -> list[Line]:
        """Write a batch: a line for each document that was refused, then one for the batch."""
        if not batch.documents:
            return []
        result = await self._write(batch)
        self._has_begun = True
        self._sequence = result.sequence
        self._stopped = self._strict and bool(result.errors)
        written = {"added": result.added, "replaced": result.replaced, "skipped": result.skipped}
        counts = {**written, "failed": len({error.index for error in result.errors})}
        for name, count in counts.items():
            self._totals[name] += count
        place = {"first_line": batch.lines[0], "last_line": batch.lines[-1]}
        done = {"type": "batch", **place, "sequence": result.sequence, **counts}
        return [*(_refused(error, batch) for error in result.errors), done]

    async def _write(self, batch: _Batch) -> WriteResult:
        seconds = self._settings.request_seconds_max
        work = self._add_strictly if self._strict else self._add
        lane = self._call.service.lane_of(self._collection)
        return await lane.run_when_free(work, batch.documents, timeout_seconds=seconds)

    def _add(self, documents: list[dict[str, Any]]) -> WriteResult:
        return self._add_bounded(documents, atomic=False)

    def _add_bounded(self, documents: list[dict[str, Any]], *, atomic: bool) -> WriteResult:
        write = Write("add", Batch(documents), WriteOptions(atomic))
        return self._collection.write_bounded(write, self._bounds)

    def _add_strictly(self, documents: list[dict[str, Any]]) -> WriteResult:
        """Write what stands before the first document that is refused, and report that one."""
        try:
            return self._add_bounded(documents, atomic=True)
        except (InvalidRequestError, TooLargeError) as error:
            indexes = [detail.index for detail in error.errors if detail.index is not None]
            if not indexes:
                raise
            return self._add_bounded(documents[: min(indexes) + 1], atomic=False)

    def _summary(self) -> Line:
        self._call.count_rows(self._totals["added"] + self._totals["replaced"])
        return {
            "type": "summary",
            "lines": self._line,
            **self._totals,
            "sequence": self._sequence,
            "stopped": self._stopped,
        }

    async def _lines(self) -> AsyncGenerator[bytes | None, None]:
        """Lines that are not blank, counted in `_line`; None for one that is too long, whose bytes are dropped."""
        line, is_long = bytearray(), False
        async with aclosing(self._pieces()) as pieces:
            async for piece in pieces:
                *ends, rest = piece.split(b"\n")
                for end in ends:
                    self._line += 1
                    line = self._unmarked(line + end)
                    is_long = is_long or len(line) > self._settings.line_bytes_max
                    if is_long or line.strip():
                        yield None if is_long else bytes(line)
                    line, is_long = bytearray(), False
                is_long = is_long or len(line) + len(rest) > self._settings.line_bytes_max
                line = bytearray() if is_long else line + rest
        self._line += 1
        line = self._unmarked(line)
        if is_long or line.strip():
            yield None if is_long else bytes(line)
        else:
            self._line -= 1

    def _unmarked(self, line: bytearray) -> bytearray:
        """A whole line; the first without the mark that some editors put in front of UTF-8."""
        return line.removeprefix(UTF8_BOM) if self._line == 1 else line

    async def _pieces(self) -> AsyncGenerator[bytes, None]:
        """The body as it arrives."""
        while True:
            try:
                async with asyncio.timeout(self._settings.request_seconds_max):
                    message = await self._call.request.receive()
            except TimeoutError as error:
                raise InvalidRequestError("the upload stood still", code="body_timeout", status=408) from error
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            piece = message.get("body", b"")
            if piece:
                yield piece
            if not message.get("more_body", False):
                return


def _refused(error: ErrorDetail, batch: _Batch) -> Line:
    """A document's fault, by its line instead of its place in a batch."""
    index = error.index or 0
    found = {"id": error.id, "expected": error.expected, "got": error.got}
    return {
        "type": "error",
        "line": batch.lines[index],
        "pointer": error.pointer.removeprefix(f"/documents/{index}"),
        "code": error.code,
        "message": error.message[:MESSAGE_CHARACTERS_MAX],
        **{key: value for key, value in found.items() if value is not None},
    }


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


OPERATIONS = (
    Operation(
        id="bulk_documents",
        method="POST",
        path="/v1/collections/{c}/documents:bulk",
        handler=bulk,
        summary="Add or replace the documents of an upload, one JSON object a line",
        tag="documents",
        verb=Verb.WRITE,
        answers={200: wire.BulkLine},
        body_media_type=NDJSON,
        answer_media_type=NDJSON,
        query=wire.BulkQuery,
        errors=(404, 507),
    ),
)
