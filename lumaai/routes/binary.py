"""Bodies that are arrays: NumPy's and Arrow's. What JSON says beside a vector is in the query string."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ValidationError

from lumaai import wire
from lumaai.arrays import array_of_npy
from lumaai.batch import Batch
from lumaai.errors import ErrorDetail, InvalidRequestError
from lumaai.routes.body import media_type, read_bytes, require_media_type
from lumaai.routes.operation import Call, M
from lumaai.routes.parse import parse_json
from lumaai.routes.upload import ARROW
from lumaai.wire.faults import invalid_request

NPY = "application/x-npy"
BINARY = (NPY, *sorted(ARROW))

Array = NDArray[np.float32]


def is_binary(call: Call) -> bool:
    """Whether a request's body is an array; what is no array says nothing in the query string.

    Raises:
        InvalidRequestError: it does.
    """
    scope = call.request.scope
    if media_type(scope) in BINARY:
        return True
    if scope["query_string"]:
        _refuse_query(call)
    return False


def _refuse_query(call: Call) -> None:
    """Refuse what is said in the query string, and say where it belongs."""
    try:
        call.query(wire.NoQuery)
    except InvalidRequestError as error:
        body = call.operation.body
        belong = [pair[0] for pair in parse_qsl(call.request.scope["query_string"].decode("latin-1"), True)]
        if body is None or not all(name in body.model_fields for name in belong):
            raise
        message = f"goes into a JSON body, and into the query string only beside an array: {', '.join(belong)}"
        details = [ErrorDetail(f"/{name}", "unknown_key", message) for name in belong]
        raise InvalidRequestError(message, code="unknown_key", errors=details) from error


async def search_of(call: Call) -> wire.SearchRequest:
    """The search by a body that is one vector, when it has come whole and its turn has come, too.

    Raises:
        InvalidRequestError: no such array, or a query string that means nothing.
        OverloadedError: too many wait for their turn.
    """
    given = _asked(call, wire.SearchQuery)
    vectors = await _vectors(call)
    await call.service.turns.take()
    if vectors.ndim == 2 and len(vectors) == 1:
        vectors = vectors[0]
    if vectors.ndim != 1:
        raise _refused(f"body must be one vector: got shape {vectors.shape}")
    return call.checked(_validated(wire.SearchRequest, {**given, "vector": _base64(vectors)}))


async def search_batch_of(call: Call) -> tuple[wire.SearchBatchRequest, Array]:
    """The searches by a body that is many vectors, and these.

    Raises:
        InvalidRequestError: as for `search_of`.
    """
    given = _asked(call, wire.SearchBatchQuery)
    vectors = await _vectors(call)
    if vectors.ndim != 2 or not len(vectors):
        raise _refused(f"body must be rows of vectors: got shape {vectors.shape}")
    if not np.isfinite(vectors).all():
        raise _refused("vectors have numbers that are not finite float32")
    # The vectors themselves go on as they are; the body only says what is asked of them.
    return call.checked(_validated(wire.SearchBatchRequest, {**given, "vectors": _base64(vectors[0, :1])})), vectors


async def documents_of(call: Call) -> tuple[wire.DocumentsQuery, Batch]:
    """The documents of a body that is a table, or vectors with ids beside them; and how they are written.

    Raises:
        InvalidRequestError: as for `search_of`; or not as many ids as vectors.
        TooLargeError: larger than one request's documents may be.
    """
    asked = call.query(wire.DocumentsQuery)
    bytes_max = call.service.settings.body_bytes_max
    if media_type(call.request.scope) != NPY:
        if asked.ids or asked.vector_field:
            raise _refused("ids and vector_field are for x-npy: Arrow has columns")
        from lumaai.ingestion.arrow_bodies import documents_of_arrow

        content = await _content(call)
        documents = await call.service.bodies.run(lambda: documents_of_arrow(content, bytes_max=bytes_max))
        return asked, Batch(documents)
    vectors = await _vectors(call)
    ids = asked.ids.split(",") if asked.ids else []
    if vectors.ndim != 2 or (ids and len(ids) != len(vectors)):
        raise _refused(f"body must be as many vectors as there are ids: ids={len(ids)} got shape {vectors.shape}")
    if not len(vectors):
        raise _refused("body has no vectors")
    rows: list[Any] = [{"id": id_} for id_ in ids] or [{} for _ in range(len(vectors))]
    return asked, Batch(rows, {asked.vector_field: vectors})


async def _vectors(call: Call) -> Array:
    content = await _content(call)
    if media_type(call.request.scope) == NPY:
        return array_of_npy(content)
    from lumaai.ingestion.arrow_bodies import vectors_of_arrow  # with a library that few searches need

    return await call.service.bodies.run(vectors_of_arrow, content)


async def _content(call: Call) -> bytes:
    require_media_type(call.request.scope, *BINARY)
    content = await read_bytes(call.request.receive)
    if not content:
        raise InvalidRequestError("body is empty", code="invalid_npy", status=400)
    return content


def _asked(call: Call, model: type[BaseModel]) -> dict[str, Any]:
    """What the query string says, in the shape of a JSON body."""
    given = call.query(model).model_dump(exclude_unset=True)
    for name in ("filter", "params"):
        text = given.get(name)
        if isinstance(text, str) and text.lstrip().startswith("{"):
            given[name] = _parsed(name, text)
    if "select" in given:
        given["select"] = given["select"].split(",")
    return given


def _parsed(name: str, text: str) -> Any:
    """JSON in the query string; what is none is a value that means nothing, not a body that is none."""
    try:
        return parse_json(text.encode())
    except InvalidRequestError as error:
        message = f"{name} is not valid JSON: {error.message}"
        detail = ErrorDetail(f"/{name}", "invalid_value", message)
        raise InvalidRequestError(message, code="invalid_value", errors=[detail]) from error


def _validated(model: type[M], data: dict[str, Any]) -> M:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise invalid_request(error, data, "query string does not have the right shape", model) from error


def _base64(vector: Array) -> str:
    return base64.b64encode(vector.astype("<f4", copy=False).tobytes()).decode()


def _refused(message: str) -> InvalidRequestError:
    return InvalidRequestError(message, code="invalid_value", errors=[ErrorDetail("", "invalid_value", message)])
