"""Requests with an Idempotency-Key whose answers are kept whole: done once, and answered the same for 24 hours."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message

from lumaai.options import WriteOptions
from lumaai.replays import KeptAnswer, KeyedRequest
from lumaai.routes.body import read_bytes
from lumaai.routes.operation import JSON, Call, Handler


async def answered_once(call: Call, handler: Handler) -> Response:
    """The answer of a handler, or what it answered before to the same request with the same key.

    Raises:
        InvalidRequestError: the key is malformed, or was used for another request.
        ConflictError: the same request is under way.
    """
    key = call.idempotency_key()
    if key is None:
        return await handler(call)
    scope = call.request.scope
    content = await read_bytes(call.request.receive)
    asked = (call.operation.id.encode(), scope["path"].encode(), scope["query_string"], content)

    async def received() -> Message:
        return {"type": "http.request", "body": content, "more_body": False}

    call.request = Request(scope, received)
    return await once(call, key, b"\0".join(asked), lambda: handler(call))


async def once(call: Call, key: str, asked: bytes, work: Callable[[], Awaitable[Response]]) -> Response:
    """The answer of `work`, or what it answered before.

    Args:
        call: the request.
        key: of it.
        asked: what tells it from other requests.
        work: makes the answer.
    """
    WriteOptions(idempotency_key=key).check()
    service = call.service
    request = KeyedRequest.of(call.caller.id, key, asked, is_secret=call.operation.gives_secret)
    kept = await service.searches.run(service.replays.begin, request)
    if kept is not None:
        return _replayed(kept)
    response: Response | None = None
    try:
        response = await work()
    finally:
        if response is None or response.status_code >= 300:
            service.replays.end(request)
    if response.status_code < 300:
        location = response.headers.get("location")
        await service.writes.run(service.replays.end, request, response.status_code, bytes(response.body), location)
    return response


def _replayed(kept: KeptAnswer) -> Response:
    headers = {"Idempotency-Replayed": "true", **({} if kept.location is None else {"Location": kept.location})}
    if kept.status == 204:
        return Response(status_code=204, headers=headers)
    return Response(kept.body, kept.status, headers, JSON)
