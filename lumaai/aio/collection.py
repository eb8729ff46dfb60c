"""Made from `lumaai/remote_collection.py` by `make twins`: change that file, not this one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from types import EllipsisType
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lumaai.aio.countable import AsyncCountable
from lumaai.aio.documents import AsyncWritable
from lumaai.aio.searchable import AsyncSearchable
from lumaai.aio.transport import AsyncTransport
from lumaai.batch import Batch, vector_array
from lumaai.declare import said_of
from lumaai.documents import Removal, Write
from lumaai.errors import InvalidRequestError, TooLargeError
from lumaai.pieces import Pieces
from lumaai.remote_collection import (
    Filter,
    Order,
    _base64,
    _checked,
    _checked_facets,
    _checked_order,
    _of_column,
    _only_field,
)
from lumaai.results import (
    BatchHits,
    CollectionInfo,
    DeleteResult,
    Document,
    Fetched,
    Hits,
    RecallReport,
    ScrollPage,
    WriteResult,
)
from lumaai.search import check_page, check_rows, check_strings, effort_of
from lumaai.searchable import Search
from lumaai.sendable import check_sendable
from lumaai.transport import collection_path, given_keys, new_key


class AsyncCollection(AsyncWritable, AsyncSearchable, AsyncCountable):
    """A collection of a running service: the methods of `Collection`, over HTTP.

    What is said here is what differs: limits on sizes are the service's (`/v1/limits`). An `add` of more than fits into
    one request goes in several, one after the other, each all or nothing by itself: where one is refused, those before
    it are written, and the error says how many documents that is. `insert` and `patch` do so with `atomic=False`; with
    conditions or a key of yours nothing is split, and too much is refused (TooLargeError).

    Writes that would do more when they are sent twice (`insert`, `patch`, conditions, documents without ids) go under a
    key that is made for the call where none is given, so that also those of them that change no document move the
    database's sequence.
    """

    def __init__(self, transport: AsyncTransport, name: str) -> None:
        self._transport = transport
        self._name = name

    def __repr__(self) -> str:
        return f"AsyncCollection({self.name!r}, {self._transport.url!r})"

    @property
    def name(self) -> str:
        """The name it was created with."""
        return self._name

    async def info(self) -> CollectionInfo:
        """Name, size and schema."""
        return CollectionInfo.from_json(await self._transport.get(collection_path(self.name)))

    async def describe(
        self,
        description: str | EllipsisType | None = ...,
        synonyms: Sequence[str] | EllipsisType | None = ...,
        fields: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> CollectionInfo:
        """Say what the collection and its fields are about; see `Collection.describe`."""
        body = said_of(description, synonyms, fields)
        answer = await self._transport.send("PATCH", collection_path(self.name), body=body, safe=True)
        return CollectionInfo.from_json(answer.json())

    async def _write(self, write: Write) -> WriteResult:
        check_sendable(write.batch.documents)
        pieces = Pieces(write.mode, write.batch, write.options)
        while not pieces.is_done:
            try:
                pieces.written(await self._write_piece(replace(write, batch=pieces.next())))
            except TooLargeError as error:
                if not pieces.smaller(error):
                    pieces.refused(error)
                    raise
            except InvalidRequestError as error:
                pieces.refused(error)
                raise
            else:
                write.tell(pieces.done, pieces.total)
        return pieces.result()

    async def _write_piece(self, write: Write) -> WriteResult:
        batch, options = write.batch, write.options
        rows = await self._with_vectors(batch) if batch.vectors else batch.documents
        documents = [dict(row) if isinstance(row, Mapping) else row for row in rows]
        body = {"documents": documents, "mode": None if write.mode == "add" else write.mode, **options.to_body()}
        # Adding the same documents again does no more than once, if they have ids; all else is made so by a key.
        repeatable = (
            write.mode == "add"
            and not options.has_conditions
            and all(isinstance(row, Mapping) and row.get("id") is not None for row in rows)
        )
        key = options.idempotency_key or (None if repeatable else new_key())
        try:
            answer = await self._transport.write(f"{collection_path(self.name)}/documents", given_keys(body), key=key)
        except InvalidRequestError as error:
            raise _of_column(error, batch) from error
        # Under a key made here a replay is this very call, whose first answer got lost.
        return WriteResult.from_json(answer.body, replayed=answer.replayed and options.idempotency_key is not None)

    async def _manifest(self) -> AsyncCollection:
        from lumaai.ingestion.manifest import FIELDS, manifest_name

        await self.info()  # of a collection that is not there no manifest is made
        name = manifest_name(self.name)
        await self._transport.send("PUT", collection_path(name), body={"fields": FIELDS, "embed": {}}, safe=True)
        return AsyncCollection(self._transport, name)

    async def _remove(self, removal: Removal) -> DeleteResult:
        given = removal.options.idempotency_key
        what = {"ids": removal.ids, "filter": _checked(removal.filter), "dry_run": removal.dry_run or None}
        body = given_keys({**what, **removal.options.to_body()})
        key = None if removal.dry_run else given
        path = f"{collection_path(self.name)}/documents:delete"
        # Sent once without a key: a second time, it would say that there was less to delete than there was.
        answer = await self._transport.write(path, body, key=key, safe=removal.dry_run or key is not None)
        return DeleteResult.from_json(answer.body, replayed=answer.replayed)

    async def get(self, ids: Sequence[str], *, vectors: bool = False) -> list[Document | None]:
        """Documents by id, None where there is none; see `Collection.get`."""
        names = check_strings("ids", ids)
        if not names:
            return []
        documents: list[Document | None] = (await self._read("/documents:fetch", ids=names, vectors=vectors))[
            "documents"
        ]
        return documents

    async def fetch(self, ids: Sequence[str], *, vectors: bool = False) -> Fetched:
        """Documents by id with the versions they have; see `Collection.fetch`."""
        names = check_strings("ids", ids)
        if not names:
            return Fetched([], [])
        return Fetched.from_json(await self._read("/documents:fetch", ids=names, vectors=vectors, versions=True))

    async def count(self, filter: Filter | None = None) -> int:  # noqa: A002 - the API's word
        """How many documents there are, or match a filter."""
        return int((await self._read("/count", filter=_checked(filter)))["count"])

    async def _search(self, search: Search) -> Hits:
        if not search.more:
            await self._check_plain(search)
        _checked(search.filter)
        return Hits.from_json(await self._read("/search", **search.body()))

    async def _search_many(self, bodies: list[dict[str, Any]]) -> list[Hits]:
        return [Hits.from_json(answer) for answer in (await self._read("/search:batch", searches=bodies))["answers"]]

    async def _recall(self, body: dict[str, Any]) -> RecallReport:
        _checked(body.get("filter"))
        return RecallReport.from_json(await self._read("/search:recall", **body))

    async def _check_plain(self, search: Search) -> None:
        """Refuse in the words of the embedded database what it refuses before it looks."""
        if search.query is not None and not isinstance(search.query, str):
            raise InvalidRequestError(
                f"query must be a string: got={type(search.query).__name__}", code="query_invalid"
            )
        if search.id is not None:
            check_strings("id", [search.id])
        target = None if search.vector is None else vector_array(search.vector, dimensions=1)
        if target is not None and not len(target):
            await self._check_size(target[np.newaxis], search.vector_field)

    async def search_batch(
        self,
        vectors: ArrayLike,
        *,
        vector_field: str | None = None,
        limit: int = 10,
        filter: Filter | None = None,  # noqa: A002
        params: Mapping[str, Any] | None = None,
    ) -> BatchHits:
        """Ids and scores for many vectors at once; see `Collection.search_batch`."""
        rows = check_rows(limit)
        effort_of(params)
        queries = vector_array(vectors, dimensions=2)
        if not len(queries):
            raise InvalidRequestError("batch is empty: give at least one vector", code="batch_empty")
        try:
            answer = await self._read(
                "/search:batch", vectors=_base64(queries), vector_field=vector_field, limit=rows,
                filter=_checked(filter), params=params,
            )  # fmt: skip
        except InvalidRequestError:
            await self._check_size(queries, vector_field)
            raise
        # Numbers of another width may still fall into whole rows of the right one, and other rows than were meant.
        if len(answer["ids"]) != len(queries):
            await self._check_size(queries, vector_field)
        return BatchHits.from_json(answer, limit=rows)

    async def scroll(
        self,
        *,
        limit: int = 1000,
        cursor: str | None = None,
        filter: Filter | None = None,  # noqa: A002
        order_by: Order | None = None,
    ) -> ScrollPage:
        """A page of all documents, or of those that match; see `Collection.scroll`."""
        rows = check_page(limit)
        order = _checked_order(order_by)
        return ScrollPage.from_json(
            await self._read("/scroll", limit=rows, cursor=cursor, filter=_checked(filter), order_by=order)
        )

    async def optimize(self, *, wait: bool = True) -> None:
        """Merge what has been written into one index; see `Collection.optimize`."""
        await self._transport.send("POST", f"{collection_path(self.name)}/optimize", body={"wait": wait}, patient=wait)

    async def stats(self) -> dict[str, Any]:
        """Documents, rows, segments, bytes."""
        stats: dict[str, Any] = await self._transport.get(f"{collection_path(self.name)}/stats")
        return stats

    async def _facets(self, facets: Any, filter: Filter | None) -> dict[str, Any]:  # noqa: A002
        found: dict[str, Any] = (await self._read("/facets", facets=_checked_facets(facets), filter=_checked(filter)))[
            "facets"
        ]
        return found

    async def _statistics(self) -> dict[str, Any]:
        found: dict[str, Any] = (await self._transport.get(f"{collection_path(self.name)}/statistics"))["fields"]
        return found

    async def _explain(self, filter: Filter) -> dict[str, Any]:  # noqa: A002
        found: dict[str, Any] = (await self._read("/count", filter=_checked(filter), explain=True))["explain"]
        return found

    async def _read(self, action: str, **values: Any) -> Any:
        """A POST that may be repeated without harm, because it only reads."""
        return await self._transport.post(f"{collection_path(self.name)}{action}", given_keys(values), safe=True)

    async def _check_size(self, vectors: NDArray[np.float32], vector_field: str | None) -> None:
        """Refuse vectors of another size than their field, as the embedded database words it."""
        declared = (await self.info()).schema["fields"].items()
        sizes = {name: spec["dim"] for name, spec in declared if spec["type"] == "vector"}
        expected = sizes.get(vector_field) if vector_field or len(sizes) != 1 else next(iter(sizes.values()))
        got = vectors.shape[1]
        if expected is not None and expected != got:
            message = f"vector has wrong size: expected={expected} got={got}"
            raise InvalidRequestError(message, code="dimension_mismatch")

    async def _with_vectors(self, batch: Batch) -> list[dict[str, Any]]:
        """The batch's documents, each with its own vectors under the names of their fields."""
        declared = (await self.info()).schema["fields"]
        known = [name for name, spec in declared.items() if spec["type"] == "vector"]
        named = {name or _only_field(known): array for name, array in batch.vectors.items()}
        for name in named:
            if known and name not in known:
                raise InvalidRequestError(
                    f"no vector field {name!r}: expected one of {', '.join(known)}", code="vector_field_unknown"
                )
        # Base64 is what a field that is there reads; one that the first vectors make is made by numbers.
        columns = {
            name: [_base64(row) for row in array] if name in known else array.tolist() for name, array in named.items()
        }
        return [
            {**document, **{name: column[row] for name, column in columns.items()}}
            for row, document in enumerate(batch.documents)
        ]
