"""Search: one query, or a batch of vectors. The hot routes: documents go out as the bytes they are stored as."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
import numpy as np
from starlette.responses import Response

from engine import WouldWaitError, check_wanted, without_waiting
from lumaai import wire
from lumaai.access import Verb
from lumaai.collection import Collection
from lumaai.errors import ErrorDetail, InvalidRequestError, TooLargeError
from lumaai.pace import CHARACTERS_MAX, is_plain, shape_of
from lumaai.reranking import check_over_http
from lumaai.routes.binary import BINARY, is_binary, search_batch_of, search_of
from lumaai.routes.jobs import started
from lumaai.routes.leaving import run_while_wanted
from lumaai.routes.operation import Call, Operation, json_response
from lumaai.routes.service import Service

R = TypeVar("R")

PATH = "/v1/collections/{c}"
# About what an id and a score take in an answer.
HIT_BYTES = 64


# A request with these keys only, by one vector field, takes the short way.
PLAIN_KEYS = frozenset(
    {"query", "vector", "id", "vector_field", "limit", "offset", "filter", "select", "params", "explain"}
)
# With these keys only, a search's kind tells how long it takes.
SHORT_KEYS = frozenset({"mode", "query", "vector", "id", "vector_field", "limit", "offset", "filter", "select"})
# Words without phrases, signs and fields: how many they are tells about how long they take.
PLAIN_WORDS = re.compile(r"[\w\s]{1,256}")


async def search(call: Call) -> Response:
    """The documents that fit best to a text, a vector, another document or examples, best first."""
    return await _answer(call, await _body(call))


async def _body(call: Call) -> wire.SearchRequest:
    return await search_of(call) if is_binary(call) else await call.body(wire.SearchRequest, call.service.turns)


async def explain(call: Call) -> Response:
    """The same as a search that is asked to explain itself."""
    return await _answer(call, (await _body(call)).model_copy(update={"explain": True}))


async def _answer(call: Call, body: wire.SearchRequest) -> Response:
    _check(call, body)
    collection = call.service.database.collection(call.path("c"))
    asked = collection, body, call.service.settings.response_bytes_max, call.caller.id
    content, rows, ran = await _run(call.service, _kind(collection, body), _search, *asked)
    call.count_rows(rows)
    call.explain(lambda: ran)
    return json_response(content)


async def _run(service: Service, kind: Hashable | None, work: Callable[..., R], *args: Any) -> R:
    """The result of work: at once where its kind is short, so that the turn is enough; else by a thread."""
    if kind is None:
        return await service.searches.run(work, *args)
    if service.pace.is_short(kind):
        try:
            with without_waiting():
                return service.pace.timed(kind, work, *args)
        except WouldWaitError:  # a write came between, or the text index was found damaged
            pass
    return await service.searches.run(service.pace.timed, kind, work, *args)


def _kind(collection: Collection, body: wire.SearchRequest) -> Hashable | None:
    """What searches take about as long as this one; None: no other, or it may wait.

    Who searches words waits for the text index to have all that was written, if it has not; who embeds, for a model.
    """
    given, field, words = body.model_fields_set, body.vector_field, 0
    if not given <= SHORT_KEYS or isinstance(body.filter, str) or not is_plain(body.filter):
        return None
    if field is not None and (not isinstance(field, str) or len(field) > CHARACTERS_MAX):
        return None
    if "query" in given:
        if body.mode != "keyword" or not body.query or PLAIN_WORDS.fullmatch(body.query) is None:
            return None
        if not collection.has_text_at_hand:
            return None
        words = len(body.query.split())
    size = (body.limit + body.offset).bit_length()
    return collection.name, frozenset(given), words, size, field, shape_of(body.filter)


def _search(
    collection: Collection, body: wire.SearchRequest, bytes_max: int, owner: str
) -> tuple[bytes, int, Mapping[str, Any] | None]:
    field = body.vector_field
    if not body.model_fields_set <= PLAIN_KEYS or not (field is None or isinstance(field, str)):
        found = collection.answer_raw(body, bytes_max=bytes_max, owner=owner)
        return found.to_json_bytes(), len(found), found.ran
    hits = collection.search_raw(
        body.query if "query" in body.model_fields_set else None,
        vector=_vector(body.vector) if body.vector else None,
        id=body.id or None,
        vector_field=field,
        limit=body.limit,
        offset=body.offset,
        filter=body.filter,
        select=body.select,
        params=_params(body),
        explain=body.explain,
        bytes_max=bytes_max,
    )
    return hits.to_json_bytes(), len(hits), hits.ran


async def search_batch(call: Call) -> Response:
    """For each vector the ids and scores of its nearest documents, best first; or the answers to several searches.

    Who leaves ends them between two searches.
    """
    collection = call.service.database.collection(call.path("c"))
    if is_binary(call):
        body, array = await search_batch_of(call)
        return await _answer_vectors(call, collection, body, array)
    body = await call.body(wire.SearchBatchRequest)
    bytes_max = call.service.settings.response_bytes_max
    if body.searches:
        searches = body.searches
        for place, each in enumerate(searches):
            _check(call, each, f"/searches/{place}")
        owner = call.caller.id
        content, rows = await run_while_wanted(
            call, call.service.searches, lambda gone: _search_many(gone, collection, searches, bytes_max, owner)
        )
        call.count_rows(rows)
        return json_response(content)
    if isinstance(body.vectors, list):
        _check_vectors(call, len(body.vectors))
    vectors = await call.service.bodies.run(_vectors, body.vectors, _dim(collection, body.vector_field))
    return await _answer_vectors(call, collection, body, vectors)


async def _answer_vectors(
    call: Call, collection: Collection, body: wire.SearchBatchRequest, vectors: np.ndarray
) -> Response:
    _check_limit(call, body.limit)
    _check_vectors(call, len(vectors))
    _check_answer(call, len(vectors) * body.limit)
    content, rows = await run_while_wanted(
        call, call.service.searches, lambda gone: _search_batch(gone, collection, body, vectors)
    )
    call.count_rows(rows)
    return json_response(content)


def _search_many(
    gone: threading.Event, collection: Collection, bodies: Sequence[wire.SearchRequest], bytes_max: int, owner: str
) -> tuple[bytes, int]:
    each_bytes_max = bytes_max // len(bodies)
    answers = collection.answers_raw(bodies, bytes_max=each_bytes_max, cancelled=gone.is_set, owner=owner)
    content = msgspec.json.encode({"answers": [msgspec.Raw(each.to_json_bytes()) for each in answers]})
    return content, sum(map(len, answers))


async def recall(call: Call) -> Response:
    """What searches find of what is there, and how long they take, by parameter. Who leaves ends it."""
    body = await call.body(wire.RecallRequest)
    if body.background:
        names = ("queries", "limit", "vector_field", "filter")
        return await started(call, "recall", call.path("c"), {name: getattr(body, name) for name in names})
    collection = call.service.database.collection(call.path("c"))
    return json_response(
        await run_while_wanted(call, call.service.queries, lambda gone: _recall(gone, collection, body))
    )


def _recall(gone: threading.Event, collection: Collection, body: wire.RecallRequest) -> bytes:
    report = collection.recall_told(
        lambda *_: check_wanted(gone.is_set),
        body.queries,
        body.limit,
        vector_field=body.vector_field,
        filter=body.filter,
    )
    return msgspec.json.encode(report.to_json())


def _search_batch(
    gone: threading.Event, collection: Collection, body: wire.SearchBatchRequest, vectors: np.ndarray
) -> tuple[bytes, int]:
    hits = collection.search_batch_while(
        gone.is_set,
        vectors,
        limit=body.limit,
        vector_field=body.vector_field,
        filter=body.filter,
        params=_params(body),
    )
    return msgspec.json.encode(hits.to_json()), sum(map(len, hits.ids))


def _params(body: wire.SearchRequest | wire.SearchBatchRequest) -> dict[str, Any] | None:
    return body.params.model_dump(exclude_unset=True) if "params" in body.model_fields_set else None


def _check(call: Call, body: wire.SearchRequest, pointer: str = "") -> None:
    _check_limit(call, body.limit + body.offset, pointer)
    if body.rerank is not None:
        check_over_http(body.rerank.model, call.service.settings.rerank_model)


def _check_limit(call: Call, rows: int, pointer: str = "") -> None:
    maximum = call.service.settings.search_limit_max
    if rows > maximum:
        message = f"limit + offset is too large: search_limit_max={maximum} got={rows}"
        raise TooLargeError.at(f"{pointer}/limit", message, maximum, rows, code="limit_too_large")


def _check_vectors(call: Call, count: int) -> None:
    maximum = call.service.settings.search_batch_max
    if count > maximum:
        message = f"too many vectors in one request: search_batch_max={maximum} got={count}"
        raise TooLargeError.at("/vectors", message, maximum, count)


def _check_answer(call: Call, hits: int) -> None:
    maximum = call.service.settings.response_bytes_max
    if hits * HIT_BYTES > maximum:
        message = f"answer may be too large: response_bytes_max={maximum} vectors × limit={hits}; ask for fewer"
        raise TooLargeError.at("/limit", message, maximum // HIT_BYTES, hits, code="response_too_large")


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
        summary="Find documents by meaning, words, vectors, examples, or several of them",
        tag="search",
        verb=Verb.READ,
        answers={200: wire.SearchResponse},
        body=wire.SearchRequest,
        errors=(404, 409),
        more_media_types=BINARY,
        query=wire.SearchQuery,
    ),
    Operation(
        id="search_batch",
        method="POST",
        path=f"{PATH}/search:batch",
        handler=search_batch,
        summary="Find the documents nearest to many vectors, or answer several searches",
        tag="search",
        verb=Verb.READ,
        answers={200: wire.SearchBatchResponse},
        body=wire.SearchBatchRequest,
        errors=(404, 409),
        more_media_types=BINARY,
        query=wire.SearchBatchQuery,
    ),
    Operation(
        id="explain_search",
        method="POST",
        path=f"{PATH}/search:explain",
        handler=explain,
        summary="Search, and say what ran and how long it took",
        tag="search",
        verb=Verb.READ,
        answers={200: wire.SearchResponse},
        body=wire.SearchRequest,
        errors=(404, 409),
        more_media_types=BINARY,
        query=wire.SearchQuery,
    ),
    Operation(
        id="measure_recall",
        method="POST",
        path=f"{PATH}/search:recall",
        handler=recall,
        summary="Measure what searches find, and how long they take, by parameter",
        tag="search",
        verb=Verb.READ,
        answers={200: wire.RecallReport, 202: wire.Job},
        body=wire.RecallRequest,
        needs_body=False,
        errors=(404, 429),
    ),
)
