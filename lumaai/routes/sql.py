"""Queries in SQL."""

from __future__ import annotations

import threading
from typing import Any

import msgspec
from starlette.responses import Response

from lumaai import wire
from lumaai.access import Verb
from lumaai.errors import TooLargeError
from lumaai.routes.leaving import run_while_wanted
from lumaai.routes.operation import Call, Operation, Reach, json_response


async def sql(call: Call) -> Response:
    """The rows that a query finds, in a lane of its own: it takes as long as it may. Who leaves ends it."""
    body = await call.body(wire.SqlRequest)
    ran: dict[str, Any] = {}
    call.explain(lambda: dict(ran))  # also of one that fails
    content, rows = await run_while_wanted(call, call.service.queries, lambda gone: _answer(call, body, gone, ran))
    call.count_rows(rows)
    return json_response(content)


def _answer(call: Call, body: wire.SqlRequest, gone: threading.Event, ran: dict[str, Any]) -> tuple[bytes, int]:
    result = call.database.sql_while(
        gone,
        body.sql,
        body.params,
        limit=body.limit,
        timeout_seconds=min(body.timeout, call.service.settings.request_seconds_max),
        dialect=body.dialect,
        explain=body.explain,
        told=ran,
    )
    return encoded(call, result.to_json()), len(result)


def encoded(call: Call, answer: object) -> bytes:
    """An answer as JSON.

    Raises:
        TooLargeError: it is more than an answer may be.
    """
    content = msgspec.json.encode(answer)
    maximum = call.service.settings.response_bytes_max
    if len(content) > maximum:
        raise TooLargeError(
            f"answer is too large: response_bytes_max={maximum} got={len(content)} bytes; ask for fewer rows",
            code="response_too_large",
        )
    return content


OPERATIONS = (
    Operation(
        id="sql",
        method="POST",
        path="/v1/sql",
        handler=sql,
        summary="Run a query in SQL over the collections",
        tag="queries",
        verb=Verb.READ,
        reach=Reach.SOME,
        answers={200: wire.SqlResponse},
        body=wire.SqlRequest,
        errors=(404, 408, 507),
    ),
)
