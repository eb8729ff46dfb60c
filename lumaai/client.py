"""The database behind an address: the same calls, results and errors as the embedded `Database`, over HTTP."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NoReturn, Self
from urllib.parse import quote

import httpx
import numpy as np
from numpy.typing import ArrayLike, NDArray

from engine import parse_filter
from lumaai.batch import Batch, batch_of, vector_array
from lumaai.declare import declared_schema
from lumaai.errors import (
    ConflictError,
    InvalidRequestError,
    ModelUnavailableError,
    NotFoundError,
    NotSupportedError,
    translated,
)
from lumaai.results import BatchHits, CollectionInfo, DeleteResult, Document, Hits, ScrollPage, WriteResult
from lumaai.search import check_mode, check_rows, check_strings, effort_of, whole_number
from lumaai.sendable import check_sendable
from lumaai.transport import Transport

if TYPE_CHECKING:
    from promptql import Answer

Filter = Mapping[str, Any]


class Client:
    """A running service. `lumaai.connect("http://…")` makes one; it connects when it is first asked something.

    Connections are kept alive and shared by threads. Close it, or use it in a `with` block.

    Args:
        url: the service's address.
        api_key: the service's key, where it has one.
        timeout_seconds: how long one answer is waited for.
        transport: what carries requests in place of the network (a test's own).
    """

    def __init__(
        self,
        url: str,
        *,
        api_key: str | None = None,
        timeout_seconds: float = 60.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._transport = Transport(url, api_key=api_key, timeout_seconds=timeout_seconds, transport=transport)

    def __repr__(self) -> str:
        return f"Client({self._transport.url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __getitem__(self, name: str) -> RemoteCollection:
        return self.collection(name)

    @property
    def url(self) -> str:
        """The service's address."""
        return self._transport.url

    def close(self) -> None:
        """Closes the connections."""
        self._transport.close()

    def create_collection(
        self,
        name: str,
        fields: Mapping[str, Any] | None = None,
        *,
        embed: Mapping[str, Any] | None = None,
        strict: bool = False,
        exist_ok: bool = False,
    ) -> RemoteCollection:
        """A new collection; see `Database.create_collection`."""
        if not name or "/" in name:  # no path leads there
            raise InvalidRequestError(f"collection name is malformed: got={name!r:.40}", code="schema_invalid")
        _check_fields(fields, embed, strict=strict)
        body = _given({"fields": fields, "embed": embed, "strict": strict or None})
        try:
            is_new = self._transport.send("PUT", _path(name), body=body, safe=False).status_code == httpx.codes.CREATED
        except ConflictError as error:
            # The service says how the schemas differ; to a caller who wants a new collection it is merely there.
            if exist_ok:
                raise
            raise _exists(name) from error
        except InvalidRequestError as error:
            # To the service the name of a model is the caller's word; to the caller the model is missing.
            if error.code == "model_not_found":
                raise ModelUnavailableError(error.message, code=error.code) from error
            raise
        if not (is_new or exist_ok):
            raise _exists(name)
        return RemoteCollection(self._transport, name)

    def collection(self, name: str) -> RemoteCollection:
        """The collection of that name; see `Database.collection`."""
        collection = RemoteCollection(self._transport, name)
        collection.info()
        return collection

    def collections(self) -> list[str]:
        """Names of all collections, sorted."""
        return sorted(self._collection_names())

    def drop(self, name: str) -> None:
        """Removes a collection and all it holds."""
        self._transport.send("DELETE", _path(name), safe=False)

    def ask(self, question: str, *, collections: Sequence[str] | None = None, planner: str = "auto") -> Answer:
        """Answers a question in natural language; see `Database.ask`."""
        from promptql import Answer

        if planner not in ("auto", "rules", "llm"):
            raise InvalidRequestError(f"planner must be 'auto', 'rules' or 'llm': got={planner!r:.40}")
        if not isinstance(question, str):
            raise InvalidRequestError(f"question is not text: got={type(question).__name__}", code="question_not_text")
        body = _given({"question": question, "collections": collections, "planner": planner})
        return Answer.from_json(self._transport.post("/v1/ask", body, safe=True))

    def sql(self, query: str, params: Sequence[Any] = ()) -> NoReturn:  # noqa: ARG002
        """Not in this version.

        Raises:
            NotSupportedError: always.
        """
        raise NotSupportedError("sql is not built yet: use search, count with a filter, or ask")

    def stats(self) -> dict[str, Any]:
        """Bytes on disk and in memory."""
        stats: dict[str, Any] = self._transport.get("/v1/stats")
        return stats

    def _collection_names(self) -> Iterator[str]:
        cursor: str | None = ""
        while cursor is not None:
            page = self._transport.get("/v1/collections", **({"cursor": cursor} if cursor else {}))
            yield from (item["name"] for item in page["collections"])
            cursor = page.get("next_cursor")


class RemoteCollection:
    """A collection of a running service: the methods of `Collection`, over HTTP.

    What is said here is what differs: limits on sizes are the service's (`/v1/limits`).
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
        return CollectionInfo.from_json(self._transport.get(_path(self.name)))

    def add(
        self,
        documents: Iterable[Mapping[str, Any]] | None = None,
        *,
        ids: Sequence[str] | None = None,
        vectors: ArrayLike | Mapping[str, ArrayLike] | None = None,
        fields: Mapping[str, Sequence[Any]] | None = None,
        atomic: bool = True,
    ) -> WriteResult:
        """Add documents, or replace those that have their ids; see `Collection.add`."""
        batch = batch_of(documents, ids=ids, vectors=vectors, fields=fields)
        check_sendable(batch.documents)
        rows = self._with_vectors(batch) if batch.vectors else batch.documents
        # Without ids the service makes some, and would make others if the same documents came again.
        repeatable = all(isinstance(row, Mapping) and row.get("id") is not None for row in rows)
        parameters = {} if atomic else {"atomic": "false"}
        path = f"{_path(self.name)}/documents"
        body = {"documents": [dict(row) if isinstance(row, Mapping) else row for row in rows]}
        try:
            return WriteResult.from_json(self._transport.post(path, body, safe=repeatable, parameters=parameters))
        except InvalidRequestError as error:
            raise _of_column(error, batch) from error

    def get(self, ids: Sequence[str], *, vectors: bool = False) -> list[Document | None]:
        """Documents by id, None where there is none; see `Collection.get`."""
        names = check_strings("ids", ids)
        if not names:
            return []
        documents: list[Document | None] = self._read("/documents:fetch", ids=names, vectors=vectors)["documents"]
        return documents

    def count(self, filter: Filter | None = None) -> int:  # noqa: A002 - the API's word
        """How many documents there are, or match a filter."""
        return int(self._read("/count", filter=_checked(filter))["count"])

    def delete(
        self,
        *,
        ids: Sequence[str] | None = None,
        filter: Filter | None = None,  # noqa: A002
        dry_run: bool = False,
    ) -> DeleteResult:
        """Delete documents by id, or all that match a filter; see `Collection.delete`."""
        if (ids is None) == (filter is None):
            raise InvalidRequestError("give either ids or filter")
        names = None if ids is None else check_strings("ids", ids)
        if names == []:
            return DeleteResult(self.info().sequence, 0)
        body = _given({"ids": names, "filter": _checked(filter), "dry_run": dry_run})
        path = f"{_path(self.name)}/documents:delete"
        # Sent once: a second time, it would say that there was less to delete than there was.
        return DeleteResult.from_json(self._transport.post(path, body, safe=dry_run))

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
        self._transport.send("POST", f"{_path(self.name)}/optimize", body={"wait": wait})

    def stats(self) -> dict[str, Any]:
        """Documents, rows, segments, bytes."""
        stats: dict[str, Any] = self._transport.get(f"{_path(self.name)}/stats")
        return stats

    def _read(self, action: str, **values: Any) -> Any:
        """A POST that may be repeated without harm, because it only reads."""
        return self._transport.post(f"{_path(self.name)}{action}", _given(values), safe=True)

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


@translated
def _check_fields(fields: Mapping[str, Any] | None, embed: Mapping[str, Any] | None, *, strict: bool) -> None:
    """Refuse a malformed declaration; the sizes of fields that a model fills are the service's to know."""
    if isinstance(fields, Mapping) and isinstance(embed, Mapping):
        fields = {name: spec for name, spec in fields.items() if name not in embed}
    declared_schema(fields, {}, strict=strict, default_model="", identity_of=lambda _: {})


def _of_column(error: InvalidRequestError, batch: Batch) -> InvalidRequestError:
    """What is wrong with a column of vectors, which travelled as part of the documents, as the column's error."""
    first = error.errors[0] if error.errors else None
    if not batch.vectors or first is None or first.code not in {"dimension_mismatch", "invalid_value"}:
        return error
    return InvalidRequestError(first.message, code=first.code, errors=[first])


def _exists(name: str) -> ConflictError:
    return ConflictError(f"collection exists already: {name!r}", code="collection_exists")


def _only_field(known: Sequence[str]) -> str:
    """The vector field that is meant without a name: the only one, or the one that the first vectors make."""
    if len(known) > 1:
        names = ", ".join(known)
        raise InvalidRequestError(f"name the vector field: expected one of {names}", code="invalid_value")
    return known[0] if known else "vector"


def _base64(vectors: NDArray[np.float32]) -> str:
    return base64.b64encode(vectors.astype("<f4", copy=False).tobytes()).decode()


def _path(name: str) -> str:
    if not name or "/" in name:  # no path leads to such a collection, because none can be made
        raise NotFoundError(f"collection does not exist: {name!r}", code="collection_not_found")
    quoted = quote(name, safe="")
    # Dots alone would be steps in the path.
    return f"/v1/collections/{quoted if quoted.strip('.') else quoted.replace('.', '%2E')}"


def _given(body: Mapping[str, Any]) -> dict[str, Any]:
    """The keys that say something: None is what the service assumes anyway."""
    return {key: value for key, value in body.items() if value is not None}
