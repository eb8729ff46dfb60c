"""The rows of an upload: NDJSON line by line as it arrives, other formats from a file that it is kept in first."""

from __future__ import annotations

import asyncio
import hashlib
import os
import re
import secrets
import tempfile
import zlib
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from starlette.requests import ClientDisconnect

from lumaai.errors import InvalidRequestError, LumaError, TooLargeError
from lumaai.ingestion import Record
from lumaai.job_work import IMPORTS
from lumaai.routes.body import header, media_type, require_media_type
from lumaai.routes.operation import NDJSON, Call
from lumaai.routes.parse import is_quick, parse_json, read_large

LINES = frozenset({NDJSON, "application/jsonl", "application/x-jsonlines", "application/jsonlines"})
CSV, TSV = "text/csv", "text/tab-separated-values"
PARQUET = "application/vnd.apache.parquet"
ARROW = frozenset({"application/vnd.apache.arrow.stream", "application/vnd.apache.arrow.file"})
# What an upload may be, and the suffix of the reader that takes it.
SUFFIXES = {CSV: ".csv", TSV: ".tsv", PARQUET: ".parquet", **dict.fromkeys(ARROW, ".arrow")}
# Where uploads are kept while they are read, in the database's directory; emptied when a service starts.
UPLOADS = "uploads"
# Decided before routing, and so on the whole path: a document's id may end like another route.
_UPLOAD = re.compile(r"/v1/collections/[^/]+/documents:bulk")
UTF8_BOM = b"\xef\xbb\xbf"
_NOT_BLANK = re.compile(rb"\S")
RECORDS_AT_ONCE = 256
INFLATED_BYTES_AT_ONCE = 128 << 10
# After so many bytes of lines others have their turn; each counts for some beside its own. A little gzip becomes
# millions of them.
BYTES_A_TURN, LINE_BYTES_MIN = 32 << 10, 128
# What documents inflate to stays far below (deflate itself ends at 1,032 times); little may be what it likes.
INFLATED_TIMES_MAX = 200
INFLATED_FREELY_BYTES = 32 << 20
GZIP_WINDOW = 16 + zlib.MAX_WBITS


@dataclass(frozen=True, slots=True)
class Row:
    """One row of an upload.

    Attributes:
        line: of a text, or number of a row or item, counted from 1.
        document: None where there is a fault.
        fault: code and message.
        bytes: about how much of the upload it takes.
    """

    line: int
    document: dict[str, Any] | None
    fault: tuple[str, str] | None = None
    bytes: int = 0


def is_upload(method: str, path: str) -> bool:
    """Whether a request is a streamed upload, which bounds its size and its waits itself."""
    return method == "POST" and _UPLOAD.fullmatch(path) is not None


async def rows(call: Call, fields: dict[str, Any], first_line: int) -> AsyncGenerator[Row, None]:
    """The rows of a request's body.

    Args:
        call: the request.
        fields: how the collection has its fields, by name: what the cells of CSV become.
        first_line: the number of the body's first line, where the body goes on with an upload that was cut.

    Raises:
        InvalidRequestError: another type (415), cut or standing still (408), or malformed as a whole.
        TooLargeError: larger than `bulk_bytes_max`, also once it is inflated.
    """
    require_media_type(call.request.scope, *LINES, *SUFFIXES, encodings=("gzip",))
    kind = media_type(call.request.scope)
    if kind in LINES:
        async with aclosing(_lines(call, first_line)) as lines:
            async for row in lines:
                yield row
        return
    if first_line != 1:
        raise InvalidRequestError(
            "first_line is for NDJSON: send other formats again as a whole, with the same Idempotency-Key",
            code="invalid_value",
        )
    async with aclosing(_records(call, SUFFIXES[kind], fields)) as records:
        async for row in records:
            yield row


async def _lines(call: Call, first_line: int) -> AsyncGenerator[Row, None]:
    """A row for each line that is not blank; the bytes of one that is too long are dropped."""
    lines, taken = _Lines(first_line, call.service.settings.line_bytes_max), 0
    async with aclosing(_pieces(call)) as pieces:
        async for piece in pieces:
            for number, line in lines.of(piece):
                yield await _row(call, number, line)
                taken += LINE_BYTES_MIN + len(line or b"")
                if taken > BYTES_A_TURN:
                    await asyncio.sleep(0)
                    taken = 0
    for number, line in lines.rest():
        yield await _row(call, number, line)


class _Lines:
    """Lines out of pieces of a text, with their numbers; blank ones are passed over many at a time.

    Args:
        first: number of the first.
        bytes_max: of a line; one that has more is None.
    """

    def __init__(self, first: int, bytes_max: int) -> None:
        self._number = first - 1
        self._bytes_max = bytes_max
        self._line, self._is_long = bytearray(), False

    def of(self, piece: bytes) -> Iterator[tuple[int, bytes | None]]:
        """The lines that end in a piece."""
        place = self._past_blank(piece, 0)
        while (end := piece.find(b"\n", place)) >= 0:
            yield from self._ended(piece[place:end])
            place = self._past_blank(piece, end + 1)
        self._add(piece[place:])

    def rest(self) -> Iterator[tuple[int, bytes | None]]:
        """The last line, if it has no end."""
        yield from self._ended(b"")

    def _past_blank(self, piece: bytes, place: int) -> int:
        """Where the first line begins from here on that has more than blanks, or the piece's last line."""
        if self._line or self._is_long or not piece[place : place + 1].isspace():
            return place
        found = _NOT_BLANK.search(piece, place)
        end = piece.rfind(b"\n", place, found.start() if found else len(piece)) + 1
        if end:
            self._number += piece.count(b"\n", place, end)
        return end or place

    def _add(self, part: bytes) -> None:
        self._is_long = self._is_long or len(self._line) + len(part) > self._bytes_max
        if self._is_long:
            self._line = bytearray()
        else:
            self._line += part

    def _ended(self, part: bytes) -> Iterator[tuple[int, bytes | None]]:
        self._add(part)
        self._number += 1
        # Some editors put a mark in front of UTF-8.
        line, is_long = bytes(self._line), self._is_long
        line = line.removeprefix(UTF8_BOM) if self._number == 1 else line
        self._line, self._is_long = bytearray(), False
        if is_long or line.strip():
            yield self._number, None if is_long else line


async def _row(call: Call, number: int, raw: bytes | None) -> Row:
    """One line as a document, or what is wrong with it; read in a thread where it takes long."""
    settings = call.service.settings
    if raw is None:
        message = f"line is too long: maximum={settings.line_bytes_max} bytes"
        return Row(number, None, ("line_too_long", message))
    try:
        if is_quick(raw):
            document = parse_json(raw)
        else:
            read = call.service.bodies.run_when_free
            document = await read(read_large, raw, timeout_seconds=settings.request_seconds_max)
    except (InvalidRequestError, TooLargeError) as error:
        message = error.message.removeprefix("body ").replace(" at line 1 column ", " at column ")
        return Row(number, None, (error.code, message))
    if not isinstance(document, dict):
        message = f"line must be a JSON object: got={type(document).__name__}"
        return Row(number, None, ("wrong_type", message))
    return Row(number, document, None, len(raw))


async def _records(call: Call, suffix: str, fields: dict[str, Any]) -> AsyncGenerator[Row, None]:
    """The rows of a format that is read from a file: kept on disk, so that any length takes little memory."""
    from lumaai.ingestion.uploads import read_upload  # with Parquet's library, which few services need

    settings, lane = call.service.settings, call.service.bodies
    place = call.service.database.path / UPLOADS
    place.mkdir(exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=place, suffix=suffix) as file:
        await _keep(call, file, hashlib.blake2b())
        records = read_upload(Path(file.name), fields=fields, row_bytes_max=settings.line_bytes_max)
        while True:
            some = await lane.run_when_free(_next, records, file.name, timeout_seconds=settings.request_seconds_max)
            for record in some:
                yield _of_record(record, settings.line_bytes_max)
            if len(some) < RECORDS_AT_ONCE:
                return


async def kept(call: Call) -> tuple[Path, bytes]:
    """A whole upload as a file that a job takes in and removes, and a hash of it.

    Raises:
        InvalidRequestError: another type (415), cut, standing still (408), or empty.
        TooLargeError: larger than `bulk_bytes_max`.
    """
    require_media_type(call.request.scope, *LINES, *SUFFIXES, encodings=("gzip",))
    place = call.service.database.path / IMPORTS
    place.mkdir(exist_ok=True)
    suffix, digest = SUFFIXES.get(media_type(call.request.scope), ".jsonl"), hashlib.blake2b(digest_size=16)
    path = place / f"{secrets.token_hex(8)}{suffix}"
    try:
        with path.open("xb") as file:
            await _keep(call, file, digest)
            await call.service.bodies.run(os.fsync, file.fileno())
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    return path, digest.digest()


async def _keep(call: Call, file: IO[bytes], digest: hashlib.blake2b) -> None:
    lane, seconds = call.service.bodies, call.service.settings.request_seconds_max
    size = 0
    async with aclosing(_pieces(call)) as pieces:
        async for piece in pieces:
            await lane.run_when_free(file.write, piece, timeout_seconds=seconds)
            size += len(piece)
            digest.update(piece)
    if not size:
        raise InvalidRequestError("the upload is empty", code="empty_batch")
    await lane.run_when_free(file.flush, timeout_seconds=seconds)


def _next(records: Iterator[Record], name: str) -> list[Record]:
    """The next records; fewer than `RECORDS_AT_ONCE` are the last. The caller knows nothing of a file."""
    some: list[Record] = []
    try:
        while len(some) < RECORDS_AT_ONCE and (record := next(records, None)) is not None:
            some.append(record)
    except LumaError as error:
        message = error.message.replace(name, "the upload")
        raise InvalidRequestError(message, code=error.code) from error
    return some


def _of_record(record: Record, bytes_max: int) -> Row:
    if record.document is None:
        return Row(record.position, None, ("record_invalid", record.problem or ""), record.bytes)
    if record.bytes > bytes_max:
        return Row(record.position, None, ("line_too_long", f"row is too large: maximum={bytes_max} bytes"))
    return Row(record.position, record.document, None, record.bytes)


async def _pieces(call: Call) -> AsyncGenerator[bytes, None]:
    """The body as it arrives, inflated where it is compressed.

    Raises:
        InvalidRequestError: it stands still (408), or is not the gzip that it says (400).
        TooLargeError: inflated it is more than `bulk_bytes_max`.
        OverloadedError: the service ends.
    """
    is_gzip = header(call.request.scope, b"content-encoding") in (b"gzip", b"x-gzip")
    inflate = Inflater(call.service.settings.bulk_bytes_max) if is_gzip else None
    while True:
        try:
            async with call.service.ending.wait(call.service.settings.request_seconds_max):
                message = await call.request.receive()
        except TimeoutError as error:
            raise InvalidRequestError("the upload stood still", code="body_timeout", status=408) from error
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        piece, is_last = message.get("body", b""), not message.get("more_body", False)
        if inflate is not None:
            for inflated in inflate.pieces(piece):
                yield inflated
                await asyncio.sleep(0)  # a little that becomes much must not hold up the others
        elif piece:
            yield piece
        if is_last:
            if inflate is not None:
                inflate.check_whole()
            return


class Inflater:
    """gzip as it arrives, in pieces of bounded size, up to a bound of all.

    Args:
        bytes_max: of all that it becomes.
    """

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._taken = self._bytes = 0
        self._gzip = zlib.decompressobj(GZIP_WINDOW)
        self._has_begun = False

    def pieces(self, piece: bytes) -> Iterator[bytes]:
        """What a piece becomes.

        Raises:
            InvalidRequestError: status 400; it is no gzip.
            TooLargeError: it becomes too much.
        """
        self._taken += len(piece)
        while piece:
            if self._gzip.eof:  # one member after another is one file
                self._gzip = zlib.decompressobj(GZIP_WINDOW)
            self._has_begun = True
            try:
                inflated = self._gzip.decompress(piece, INFLATED_BYTES_AT_ONCE)
            except zlib.error as error:
                raise _no_gzip(str(error)) from error
            self._bytes += len(inflated)
            bytes_max = min(self._bytes_max, max(INFLATED_FREELY_BYTES, INFLATED_TIMES_MAX * self._taken))
            if self._bytes > bytes_max:
                message = f"body is too large when it is inflated: maximum={bytes_max} of {self._taken} bytes"
                raise TooLargeError(message, code="body_too_large")
            if inflated:
                yield inflated
            piece = self._gzip.unconsumed_tail or self._gzip.unused_data

    def check_whole(self) -> None:
        """Refuse what was cut off.

        Raises:
            InvalidRequestError: status 400.
        """
        if self._has_begun and not self._gzip.eof:
            raise _no_gzip("it ends before its end")


def _no_gzip(reason: str) -> InvalidRequestError:
    return InvalidRequestError(f"body is not valid gzip: {reason}", code="invalid_gzip", status=400)
