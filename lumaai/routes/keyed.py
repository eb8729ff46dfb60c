"""Requests with an Idempotency-Key whose answers are kept whole: done once, and answered the same for 24 hours."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Message

from lumaai.options import WriteOptions
from lumaai.replays import KeptAnswer, KeyedRequest
from lumaai.routes.body import read_bytes
from lumaai.routes.leaving import seen
from lumaai.routes.operation import JSON, Call, Handler
from lumaai.routes.service import Service


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
    service.replays.claim(request)
    keeping: asyncio.Task[None] | None = None
    try:
        kept = await service.searches.run(service.replays.find, request)
        if kept is not None:
            return _replayed(kept)
        response = await work()
        if response.status_code < 300:
            keeping = asyncio.ensure_future(_keep(service, request, response))
            await asyncio.shield(keeping)
        return response
    finally:
        if keeping is None:
            service.replays.release(request)
        else:  # goes on where this task is cancelled: until the answer is kept, the request is under way
            keeping.add_done_callback(seen)
            keeping.add_done_callback(lambda _: service.replays.release(request))


async def _keep(service: Service, request: KeyedRequest, response: Response) -> None:
    """Write an answer down; the work is done, and so this waits for its place where others are refused."""
    location = response.headers.get("location")
    kept = service.replays.keep, request, response.status_code, bytes(response.body), location
    await service.writes.run_when_free(*kept, timeout_seconds=service.settings.request_seconds_max)


def _replayed(kept: KeptAnswer) -> Response:
    headers = {"Idempotency-Replayed": "true", **({} if kept.location is None else {"Location": kept.location})}
    if kept.status == 204:
        return Response(status_code=204, headers=headers)
    return Response(kept.body, kept.status, headers, JSON)
