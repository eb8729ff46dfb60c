"""Search: one query, or a batch of vectors. The hot routes: documents go out as the bytes they are stored as."""

from __future__ import annotations

from typing import Any

import msgspec
import numpy as np
from starlette.responses import Response

from lumaai import wire
from lumaai.collection import Collection
from lumaai.errors import ErrorDetail, InvalidRequestError, NotSupportedError, TooLargeError
from lumaai.routes.operation import Call, Operation, json_response

PATH = "/v1/collections/{c}"
# About what an id and a score take in an answer.
HIT_BYTES = 64


async def search(call: Call) -> Response:
    """The documents nearest to a text, a vector or another document, best first."""
    body = await call.body(wire.SearchRequest)
    if body.positive is not None or body.negative is not None:
        raise NotSupportedError("this version does not search by examples: leave positive and negative out")
    _check_limit(call, body.limit + body.offset)
    collection = call.service.database.collection(call.path("c"))
    content, rows = await call.service.searches.run(_search, collection, body, call.service.settings.response_bytes_max)
    call.count_rows(rows)
    return json_response(content)


def _search(collection: Collection, body: wire.SearchRequest, bytes_max: int) -> tuple[bytes, int]:
    hits = collection.search_raw(
        body.query if "query" in body.model_fields_set else None,
        vector=_vector(body.vector) if body.vector else None,
        id=body.id or None,
        vector_field=body.vector_field,
        limit=body.limit,
        offset=body.offset,
        filter=body.filter,
        select=body.select,
        params=_params(body.params),
        mode=body.mode,
        explain=body.explain,
        bytes_max=bytes_max,
    )
    return hits.to_json_bytes(), len(hits)


async def search_batch(call: Call) -> Response:
    """For each vector the ids and scores of its nearest documents, best first."""
    body = await call.body(wire.SearchBatchRequest)
    _check_limit(call, body.limit)
    collection = call.service.database.collection(call.path("c"))
    vectors = _vectors(body.vectors, _dim(collection, body.vector_field))
    maximum = call.service.settings.search_batch_max
    if len(vectors) > maximum:
        raise TooLargeError(f"too many vectors in one request: search_batch_max={maximum} got={len(vectors)}")
    _check_answer(call, len(vectors) * body.limit)
    content, rows = await call.service.searches.run(_search_batch, collection, body, vectors)
    call.count_rows(rows)
    return json_response(content)


def _search_batch(collection: Collection, body: wire.SearchBatchRequest, vectors: np.ndarray) -> tuple[bytes, int]:
    hits = collection.search_batch(
        vectors,
        limit=body.limit,
        vector_field=body.vector_field,
        filter=body.filter,
        params=_params(body.params),
    )
    return msgspec.json.encode(hits.to_json()), sum(map(len, hits.ids))


def _params(params: wire.SearchParams) -> dict[str, Any] | None:
    return params.model_dump(exclude_unset=True) or None


def _check_limit(call: Call, rows: int) -> None:
    maximum = call.service.settings.search_limit_max
    if rows > maximum:
        raise TooLargeError(
            f"limit + offset is too large: search_limit_max={maximum} got={rows}", code="limit_too_large"
        )


def _check_answer(call: Call, hits: int) -> None:
    maximum = call.service.settings.response_bytes_max
    if hits * HIT_BYTES > maximum:
        raise TooLargeError(
            f"answer may be too large: response_bytes_max={maximum} vectors × limit={hits}; ask for fewer",
            code="response_too_large",
        )


def _vector(given: list[float] | str) -> np.ndarray:
    try:
        return wire.vector_of(given)
    except ValueError as error:
        raise _invalid("/vector", error) from error


def _vectors(given: list[list[float]] | str, dim: int) -> np.ndarray:
    try:
        return wire.vectors_of(given, dim)
    except ValueError as error:
        raise _invalid("/vectors", error) from error


def _invalid(pointer: str, error: ValueError) -> InvalidRequestError:
    message = str(error)
    return InvalidRequestError(message, code="invalid_value", errors=[ErrorDetail(pointer, "invalid_value", message)])


def _dim(collection: Collection, name: str | None) -> int:
    """How many numbers a row of base64 vectors has; the collection itself refuses a field that it does not have."""
    fields = {
        field: spec["dim"] for field, spec in collection.info().schema["fields"].items() if spec["type"] == "vector"
    }
    if name is None and len(fields) == 1:
        return int(next(iter(fields.values())))
    return int(fields.get(name or "", 1))


OPERATIONS = (
    Operation(
        id="search",
        method="POST",
        path=f"{PATH}/search",
        handler=search,
        summary="Find the documents nearest to a text, a vector or a document",
        tag="search",
        answers={200: wire.SearchResponse},
        body=wire.SearchRequest,
        errors=(404,),
    ),
    Operation(
        id="search_batch",
        method="POST",
        path=f"{PATH}/search:batch",
        handler=search_batch,
        summary="Find the documents nearest to many vectors",
        tag="search",
        answers={200: wire.SearchBatchResponse},
        body=wire.SearchBatchRequest,
        errors=(404,),
    ),
)
