"""Uploads of any length, streamed in; for each batch and each bad row a line of answer is streamed out.

An upload that was cut goes on where its answer ended: the same request with the same Idempotency-Key again, or only
what came behind the last batch that was answered, with `first_line`. What had been written without an answer is
answered now, and written once: each batch goes under a key that is made from the upload's and its place in it.
"""

from __future__ import annotations

import asyncio
import hashlib
import threading
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

from starlette.responses import Response

from lumaai import wire
from lumaai.access import Verb
from lumaai.batch import Batch
from lumaai.collection import Collection
from lumaai.documents import Write
from lumaai.embedding import EmbedBounds
from lumaai.errors import ErrorDetail, InvalidRequestError, LumaError, ModelUnavailableError, TooLargeError
from lumaai.ingestion import TEXT_REFUSED_CODES, TEXTS_REFUSED_MAX
from lumaai.options import WriteOptions
from lumaai.results import WriteResult
from lumaai.routes.jobs import started
from lumaai.routes.keyed import once
from lumaai.routes.lines import AnswerStream, Line
from lumaai.routes.operation import NDJSON, Call, Operation
from lumaai.routes.upload import ARROW, CSV, PARQUET, TSV, Row, kept, rows

BATCH_DOCUMENTS = 256
BATCH_BYTES_MAX = 4 << 20
MESSAGE_CHARACTERS_MAX = 300
# So many lines may fail however few are good; beyond that, no more than are good. Each takes fifty times as many bytes
# in the answer as in the upload, where that is gzip of nonsense many thousand times as many.
FAILED_MAX = 10_000
# A model that does not answer is asked again, so many times, with twice the wait in between each time.
MODEL_AWAY = "remote_model_unavailable"
MODEL_TRIES = 4
MODEL_WAIT_SECONDS = 0.25


async def bulk(call: Call) -> Response:
    """Add or replace the documents of an upload: NDJSON, CSV, Parquet or Arrow, also gzipped; bad rows are named.

    The answer has a line for each batch that is written, for each row that is refused, and at the end a summary. What
    a model refuses is found out document by document. It ends where more than 10,000 rows, and most of all, are
    refused. A cut upload goes on without loss and without doubles: send it again with the same Idempotency-Key, or
    what is behind the last line that was answered, with `first_line`.
    """
    asked = call.query(wire.BulkQuery)
    key = call.idempotency_key()
    WriteOptions(False, idempotency_key=key).check()
    collection = call.service.database.collection(call.path("c"))
    if asked.background:
        return await _later(call, asked, key, collection.name)
    upload = Upload(call, collection, asked, key)
    return AnswerStream(upload.run(), call.service.settings.request_seconds_max)


async def _later(call: Call, asked: wire.BulkQuery, key: str | None, collection: str) -> Response:
    """Keep the upload, and let a job take it in."""
    if asked.strict or asked.first_line != 1:
        raise InvalidRequestError("an upload in the background takes neither strict nor first_line")
    path, digest = await kept(call)
    is_taken = False

    async def start() -> Response:
        nonlocal is_taken
        response = await started(call, "import", collection, {"file": path.name})
        is_taken = True
        return response

    try:
        if key is None:
            return await start()
        return await once(call, key, b"import\0" + collection.encode() + digest, start)
    finally:
        if not is_taken:  # it was taken before, under the same key, or could not be
            path.unlink(missing_ok=True)


@dataclass(slots=True)
class _Batch:
    """Documents waiting to be written, and the line that each stood on."""

    documents: list[dict[str, Any]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    bytes: int = 0

    @property
    def is_full(self) -> bool:
        return len(self.documents) >= BATCH_DOCUMENTS or self.bytes >= BATCH_BYTES_MAX

    def halves(self) -> tuple[_Batch, _Batch]:
        middle = len(self.documents) // 2
        return (
            _Batch(self.documents[:middle], self.lines[:middle]),
            _Batch(self.documents[middle:], self.lines[middle:]),
        )


class Upload:
    """One upload on its way in; holds one batch and one row at most.

    Args:
        call: the request.
        collection: to write to.
        asked: `strict`: stop at the first bad row, what stood before it is written; and from where the upload goes on.
        key: its idempotency key, if it has one.
    """

    def __init__(self, call: Call, collection: Collection, asked: wire.BulkQuery, key: str | None) -> None:
        self._call = call
        self._settings = call.service.settings
        self._collection = collection
        self._strict = asked.strict
        self._first_line = asked.first_line
        self._key = key
        self._totals = {"added": 0, "replaced": 0, "skipped": 0, "failed": 0}
        self._sequence: int | None = None
        self._line = asked.first_line - 1
        self._answered_line = self._line
        self._bounds = EmbedBounds(stopped=threading.Event())
        self._texts_refused = 0  # one after the other
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
        fields: dict[str, Any] = self._collection.info().schema["fields"]
        async with aclosing(rows(self._call, fields, self._first_line)) as found:
            async for row in found:
                self._line = row.line
                bad = self._take(row, batch)
                if batch.is_full or (bad is not None and self._strict):
                    async for line in self._flushed(batch):
                        yield line
                    batch = _Batch()
                if bad is not None and not self._stopped:
                    self._stopped = self._strict
                    yield self._failed(bad)
                if self._stopped:
                    break
                if not batch.documents:  # what is read and not written yet would be lost
                    self._call.service.ending.check()
                if self._is_hopeless(len(batch.documents)):
                    async for line in self._flushed(batch):
                        yield line
                    self._answered_line = self._line
                    message = f"most lines are refused, {self._totals['failed']} so far: is it of the type it says?"
                    raise InvalidRequestError(message, code="too_many_errors")
        if not self._stopped:
            async for line in self._flushed(batch):
                yield line
        if not self._has_begun:
            raise InvalidRequestError("the upload has no lines", code="empty_batch")
        yield self._summary()

    def _take(self, row: Row, batch: _Batch) -> Line | None:
        """Put a row's document into the batch, or say what is wrong with it."""
        if row.document is None:
            code, message = row.fault or ("record_invalid", "")
            return {"type": "error", "line": row.line, "code": code, "message": message[:MESSAGE_CHARACTERS_MAX]}
        batch.documents.append(row.document)
        batch.lines.append(row.line)
        batch.bytes += row.bytes
        return None

    def _is_hopeless(self, waiting: int) -> bool:
        """Whether so many lines were refused that the upload is something else, or is meant to be a burden."""
        totals = self._totals
        good = totals["added"] + totals["replaced"] + totals["skipped"] + waiting
        return totals["failed"] >= FAILED_MAX and totals["failed"] > good

    def _failed(self, bad: Line) -> Line:
        self._totals["failed"] += 1
        self._has_begun = True
        return bad

    async def _flushed(self, batch: _Batch) -> AsyncGenerator[Line, None]:
        """Write a batch, in halves where its model refuses it: a line for each refused document, one for each part."""
        if not batch.documents:
            return
        try:
            result = await self._written(batch)
        except (ModelUnavailableError, TooLargeError) as error:
            if not self._is_of_one(error, is_single=len(batch.documents) == 1):
                raise
            if len(batch.documents) == 1:
                yield self._failed(_refused(ErrorDetail("", error.code, error.message, index=0), batch))
                self._answered_line = batch.lines[-1]
                return
            for half in batch.halves():
                async for line in self._flushed(half):
                    yield line
            return
        self._texts_refused = 0
        for line in self._counted(batch, result):
            yield line

    def _is_of_one(self, error: LumaError, *, is_single: bool) -> bool:
        """Whether what a batch failed with may be the fault of one document in it."""
        if isinstance(error, TooLargeError):
            return not self._strict
        self._texts_refused += is_single
        # So many in a row, and the model's service is at fault, not they.
        return not self._strict and error.code in TEXT_REFUSED_CODES and self._texts_refused < TEXTS_REFUSED_MAX

    def _counted(self, batch: _Batch, result: WriteResult) -> list[Line]:
        self._has_begun = True
        self._sequence = max(self._sequence or 0, result.sequence)
        self._answered_line = batch.lines[-1]
        self._stopped = self._strict and bool(result.errors)
        written = {"added": result.added, "replaced": result.replaced, "skipped": result.skipped}
        counts = {**written, "failed": len({error.index for error in result.errors})}
        for name, count in counts.items():
            self._totals[name] += count
        place: Line = {"first_line": batch.lines[0], "last_line": batch.lines[-1]}
        done: Line = {"type": "batch", **place, "sequence": result.sequence, **counts}
        if result.replayed:
            done["replayed"] = True
        return [*(_refused(error, batch) for error in result.errors), done]

    async def _written(self, batch: _Batch) -> WriteResult:
        """Write a batch; a model that does not answer is asked again a few times."""
        seconds = self._settings.request_seconds_max
        work = self._add_strictly if self._strict else self._add
        lane = self._call.service.lane_of(self._collection)
        for tried in range(MODEL_TRIES):
            try:
                return await lane.run_when_free(work, batch, timeout_seconds=seconds)
            except ModelUnavailableError as error:
                if error.code != MODEL_AWAY or tried == MODEL_TRIES - 1:
                    raise
                await asyncio.sleep(MODEL_WAIT_SECONDS * 2**tried)
        raise AssertionError("unreachable: the last try returns or raises")

    def _add(self, batch: _Batch) -> WriteResult:
        return self._add_bounded(batch, atomic=False)

    def _add_bounded(self, batch: _Batch, *, atomic: bool) -> WriteResult:
        write = Write("add", Batch(batch.documents), WriteOptions(atomic, idempotency_key=self._key_of(batch)))
        return self._collection.write_bounded(write, self._bounds)

    def _add_strictly(self, batch: _Batch) -> WriteResult:
        """Write what stands before the first document that is refused, and report that one."""
        try:
            return self._add_bounded(batch, atomic=True)
        except (InvalidRequestError, TooLargeError) as error:
            indexes = [detail.index for detail in error.errors if detail.index is not None]
            if not indexes:
                raise
            end = min(indexes) + 1
            return self._add_bounded(_Batch(batch.documents[:end], batch.lines[:end]), atomic=False)

    def _key_of(self, batch: _Batch) -> str | None:
        """The batch's own key: batches begin at the same lines whenever the same upload comes again."""
        if self._key is None:
            return None
        place = f"{self._key}\n{batch.lines[0]}-{batch.lines[-1]}"
        return f"bulk-{hashlib.blake2b(place.encode(), digest_size=24).hexdigest()}"

    def _summary(self) -> Line:
        self._call.count_rows(self._totals["added"] + self._totals["replaced"])
        return {
            "type": "summary",
            "lines": self._line - self._first_line + 1,
            **self._totals,
            "sequence": self._sequence,
            "stopped": self._stopped,
            "next_line": self._answered_line + 1 if self._stopped else self._line + 1,
        }


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


OPERATIONS = (
    Operation(
        id="bulk_documents",
        method="POST",
        path="/v1/collections/{c}/documents:bulk",
        handler=bulk,
        summary="Add or replace the documents of an upload of any length",
        tag="documents",
        verb=Verb.WRITE,
        answers={200: wire.BulkLine, 202: wire.Job},
        body_media_type=NDJSON,
        more_media_types=(CSV, TSV, PARQUET, *sorted(ARROW)),
        answer_media_type=NDJSON,
        query=wire.BulkQuery,
        errors=(404, 409, 429, 507),
        takes_key=True,
    ),
)
