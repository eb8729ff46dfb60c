"""Statements in LQL, JQL and NQL."""

from __future__ import annotations

from starlette.responses import Response

from lumaai import wire
from lumaai.access import Verb
from lumaai.routes.operation import Call, Operation, Reach, json_response
from lumaai.routes.sql import encoded


async def query(call: Call) -> Response:
    """What a statement finds or writes, in the lane of queries: it may take as long as one in SQL."""
    body = await call.body(wire.QueryRequest)
    content, rows = await call.service.queries.run(_answer, call, body)
    call.count_rows(rows)
    return json_response(content)


def _answer(call: Call, body: wire.QueryRequest) -> tuple[bytes, int]:
    timeout = min(body.timeout, call.service.settings.request_seconds_max)
    database = call.service.database.seen_by(call.caller, call.note_act)
    result = database.query(body.language, body.query, body.params, limit=body.limit, timeout=timeout)
    return encoded(call, result.to_json()), len(result)


OPERATIONS = (
    Operation(
        id="query",
        method="POST",
        path="/v1/query",
        handler=query,
        summary="Run a statement in LQL, JQL or NQL",
        tag="queries",
        verb=Verb.READ,
        reach=Reach.KNOWN,
        answers={200: wire.SqlResponse},
        body=wire.QueryRequest,
        errors=(403, 404, 408, 409, 507),
        takes_key=True,
        keeps_answer=True,
    ),
)
