"""A collection behind an address: the methods of `Collection`, over HTTP."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine import parse_filter
from lumaai.batch import Batch, vector_array
from lumaai.documents import Removal, WritableCollection, Write
from lumaai.errors import InvalidRequestError
from lumaai.results import BatchHits, CollectionInfo, DeleteResult, Document, Fetched, Hits, ScrollPage, WriteResult
from lumaai.search import check_mode, check_rows, check_strings, effort_of, whole_number
from lumaai.sendable import check_sendable
from lumaai.translation import translated
from lumaai.transport import Transport, collection_path, given_keys, new_key

Filter = Mapping[str, Any]


class RemoteCollection(WritableCollection):
    """A collection of a running service: the methods of `Collection`, over HTTP.

    What is said here is what differs: limits on sizes are the service's (`/v1/limits`). Writes that would do more when
    they are sent twice (`insert`, `patch`, conditions, documents without ids) go under a key that is made for the call
    where none is given, so that also those of them that change no document move the database's sequence.
    """

    def __init__(self, transport: Transport, name: str) -> None:
        self._transport = transport
        self._name = name

    def __repr__(self) -> str:
        return f"RemoteCollection({self.name!r}, {self._transport.url!r})"

    @property
    def name(self) -> str:
        """The name it was created with."""
        return self._name

    def info(self) -> CollectionInfo:
        """Name, size and schema."""
        return CollectionInfo.from_json(self._transport.get(collection_path(self.name)))

    def _write(self, write: Write) -> WriteResult:
        batch, options = write.batch, write.options
        check_sendable(batch.documents)
        rows = self._with_vectors(batch) if batch.vectors else batch.documents
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
            answer = self._transport.write(f"{collection_path(self.name)}/documents", given_keys(body), key=key)
        except InvalidRequestError as error:
            raise _of_column(error, batch) from error
        # Under a key made here a replay is this very call, whose first answer got lost.
        return WriteResult.from_json(answer.body, replayed=answer.replayed and options.idempotency_key is not None)

    def _remove(self, removal: Removal) -> DeleteResult:
        given = removal.options.idempotency_key
        what = {"ids": removal.ids, "filter": _checked(removal.filter), "dry_run": removal.dry_run or None}
        body = given_keys({**what, **removal.options.to_body()})
        key = None if removal.dry_run else given
        path = f"{collection_path(self.name)}/documents:delete"
        # Sent once without a key: a second time, it would say that there was less to delete than there was.
        answer = self._transport.write(path, body, key=key, safe=removal.dry_run or key is not None)
        return DeleteResult.from_json(answer.body, replayed=answer.replayed)

    def get(self, ids: Sequence[str], *, vectors: bool = False) -> list[Document | None]:
        """Documents by id, None where there is none; see `Collection.get`."""
        names = check_strings("ids", ids)
        if not names:
            return []
        documents: list[Document | None] = self._read("/documents:fetch", ids=names, vectors=vectors)["documents"]
        return documents

    def fetch(self, ids: Sequence[str], *, vectors: bool = False) -> Fetched:
        """Documents by id with the versions they have; see `Collection.fetch`."""
        names = check_strings("ids", ids)
        if not names:
            return Fetched([], [])
        return Fetched.from_json(self._read("/documents:fetch", ids=names, vectors=vectors, versions=True))

    def count(self, filter: Filter | None = None) -> int:  # noqa: A002 - the API's word
        """How many documents there are, or match a filter."""
        return int(self._read("/count", filter=_checked(filter))["count"])

    def search(
        self,
        query: str | None = None,
        *,
        vector: ArrayLike | None = None,
        id: str | None = None,  # noqa: A002
        vector_field: str | None = None,
        limit: int = 10,
        offset: int = 0,
        filter: Filter | None = None,  # noqa: A002
        select: Sequence[str] | None = None,
        params: Mapping[str, Any] | None = None,
        mode: str = "semantic",
        explain: bool = False,
    ) -> Hits:
        """The documents nearest to a text, to a vector, or to another document; see `Collection.search`."""
        check_mode(mode)
        check_rows(limit, offset)
        effort_of(params)
        fields = None if select is None else check_strings("select", select)
        if sum(given is not None for given in (query, vector, id)) != 1:
            raise InvalidRequestError("give exactly one of query, vector and id", code="exactly_one")
        if query is not None and not isinstance(query, str):
            raise InvalidRequestError(f"query must be a string: got={type(query).__name__}", code="query_invalid")
        if id is not None:
            check_strings("id", [id])
        target = None if vector is None else vector_array(vector, dimensions=1)
        if target is not None and not len(target):
            self._check_size(target[np.newaxis], vector_field)
        answer = self._read(
            "/search", query=query, vector=None if target is None else _base64(target), id=id,
            vector_field=vector_field, limit=limit, offset=offset or None, filter=_checked(filter), select=fields,
            params=params, explain=explain or None,
        )  # fmt: skip
        return Hits.from_json(answer)

    def search_batch(
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
            answer = self._read(
                "/search:batch", vectors=_base64(queries), vector_field=vector_field, limit=rows,
                filter=_checked(filter), params=params,
            )  # fmt: skip
        except InvalidRequestError:
            self._check_size(queries, vector_field)
            raise
        # Numbers of another width may still fall into whole rows of the right one, and other rows than were meant.
        if len(answer["ids"]) != len(queries):
            self._check_size(queries, vector_field)
        return BatchHits.from_json(answer, limit=rows)

    def scroll(
        self,
        *,
        limit: int = 1000,
        cursor: str | None = None,
        filter: Filter | None = None,  # noqa: A002
    ) -> ScrollPage:
        """A page of all documents, or of those that match; see `Collection.scroll`."""
        rows = whole_number("limit", limit, least=1)
        return ScrollPage.from_json(self._read("/scroll", limit=rows, cursor=cursor, filter=_checked(filter)))

    def optimize(self, *, wait: bool = True) -> None:
        """Merge what has been written into one index; see `Collection.optimize`."""
        self._transport.send("POST", f"{collection_path(self.name)}/optimize", body={"wait": wait}, patient=wait)

    def stats(self) -> dict[str, Any]:
        """Documents, rows, segments, bytes."""
        stats: dict[str, Any] = self._transport.get(f"{collection_path(self.name)}/stats")
        return stats

    def _read(self, action: str, **values: Any) -> Any:
        """A POST that may be repeated without harm, because it only reads."""
        return self._transport.post(f"{collection_path(self.name)}{action}", given_keys(values), safe=True)

    def _check_size(self, vectors: NDArray[np.float32], vector_field: str | None) -> None:
        """Refuse vectors of another size than their field, as the embedded database words it."""
        declared = self.info().schema["fields"].items()
        sizes = {name: spec["dim"] for name, spec in declared if spec["type"] == "vector"}
        expected = sizes.get(vector_field) if vector_field or len(sizes) != 1 else next(iter(sizes.values()))
        got = vectors.shape[1]
        if expected is not None and expected != got:
            message = f"vector has wrong size: expected={expected} got={got}"
            raise InvalidRequestError(message, code="dimension_mismatch")

    def _with_vectors(self, batch: Batch) -> list[dict[str, Any]]:
        """The batch's documents, each with its own vectors under the names of their fields."""
        declared = self.info().schema["fields"]
        known = [name for name, spec in declared.items() if spec["type"] == "vector"]
        named = {name or _only_field(known): array for name, array in batch.vectors.items()}
        for name in named:
            if known and name not in known:
                raise InvalidRequestError(
                    f"no vector field {name!r}: expected one of {', '.join(known)}", code="vector_field_unknown"
                )
        columns = {name: array.tolist() for name, array in named.items()}
        return [
            {**document, **{name: column[row] for name, column in columns.items()}}
            for row, document in enumerate(batch.documents)
        ]


@translated
def _checked(filter: Filter | None) -> Filter | None:  # noqa: A002
    """The filter, if it has the form of one; whether its types are those of the fields, the service knows."""
    if filter is not None:
        parse_filter(filter)
    return filter


def _of_column(error: InvalidRequestError, batch: Batch) -> InvalidRequestError:
    """What is wrong with a column of vectors, which travelled as part of the documents, as the column's error."""
    first = error.errors[0] if error.errors else None
    if not batch.vectors or first is None or first.code not in {"dimension_mismatch", "invalid_value"}:
        return error
    return InvalidRequestError(first.message, code=first.code, errors=[first])


def _only_field(known: Sequence[str]) -> str:
    """The vector field that is meant without a name: the only one, or the one that the first vectors make."""
    if len(known) > 1:
        names = ", ".join(known)
        raise InvalidRequestError(f"name the vector field: expected one of {names}", code="invalid_value")
    return known[0] if known else "vector"


def _base64(vectors: NDArray[np.float32]) -> str:
    return base64.b64encode(vectors.astype("<f4", copy=False).tobytes()).decode()
