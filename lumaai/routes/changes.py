"""The change feed: what was written, from a sequence on."""

from __future__ import annotations

import msgspec
from starlette.responses import Response

from lumaai import wire
from lumaai.access import Verb
from lumaai.routes.operation import Call, Operation, Reach, json_response


async def list_changes(call: Call) -> Response:
    """The writes after `from`, in their order. Ask again with `from` = `next` to follow.

    A document that was written several times comes with the last of its changes. The log goes back at least 10,000
    writes; 410 says that it does not go back to `from`, and where it begins.
    """
    query = call.query(wire.DatabaseChangesQuery)
    return await _changes(call, query, query.collection or None)


async def list_collection_changes(call: Call) -> Response:
    """The writes to one collection after `from`, in their order. Ask again with `from` = `next` to follow."""
    return await _changes(call, call.query(wire.ChangesQuery), call.path("c"))


async def _changes(call: Call, query: wire.ChangesQuery, collection: str | None) -> Response:
    database = call.database

    def read() -> tuple[bytes, int]:
        found = database.changes(query.from_, collection=collection, limit=query.limit)
        return msgspec.json.encode(found.to_json()), sum(len(change.documents) for change in found)

    content, rows = await call.service.searches.run(read)
    call.count_rows(rows)
    return json_response(content)


OPERATIONS = (
    Operation(
        id="list_changes",
        method="GET",
        path="/v1/changes",
        handler=list_changes,
        summary="Follow what is written",
        tag="documents",
        verb=Verb.READ,
        reach=Reach.SOME,
        answers={200: wire.Changes},
        query=wire.DatabaseChangesQuery,
        errors=(404, 410),
    ),
    Operation(
        id="list_collection_changes",
        method="GET",
        path="/v1/collections/{c}/changes",
        handler=list_collection_changes,
        summary="Follow what is written to a collection",
        tag="documents",
        verb=Verb.READ,
        answers={200: wire.Changes},
        query=wire.ChangesQuery,
        errors=(404, 410),
    ),
)
