"""Work on all files: checking them, and giving disk back. In a lane of its own, without a limit of time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from starlette.responses import Response

from lumaai import wire
from lumaai.routes.jobs import started
from lumaai.routes.operation import Call, Operation, json_response


async def check(call: Call) -> Response:
    """Read everything and compare it with its checksums and with the store; repair what is derived from it."""
    body = await call.body(wire.CheckDatabase)
    repair = body.repair
    if body.background:
        return await started(call, "check", None, {"repair": repair})
    report = await call.service.maintenance.run(lambda: call.service.database.check(repair=repair))
    return json_response(msgspec.json.encode(report.to_json()))


async def compact(call: Call) -> Response:
    """Give disk back that deleted and replaced documents take; reads and writes go on. Snapshots keep theirs."""
    return await _reclaim(call, "compact", call.service.database.compact)


async def purge(call: Call) -> Response:
    """Leave nothing in any file of what was deleted; scrolls under way end. Snapshots keep what they hold."""
    return await _reclaim(call, "purge", call.service.database.purge)


async def _reclaim(call: Call, kind: str, work: Callable[[], dict[str, Any]]) -> Response:
    if (await call.body(wire.ReclaimDisk)).background:
        return await started(call, kind)
    return json_response(msgspec.json.encode(await call.service.maintenance.run(work)))


OPERATIONS = (
    Operation(
        id="check",
        method="POST",
        path="/v1/check",
        handler=check,
        summary="Check all files, and repair what can be",
        tag="maintenance",
        answers={200: wire.CheckReport, 202: wire.Job},
        body=wire.CheckDatabase,
        needs_body=False,
        errors=(429, 507),
        takes_key=True,
        keeps_answer=True,
    ),
    Operation(
        id="compact",
        method="POST",
        path="/v1/compact",
        handler=compact,
        summary="Give disk back",
        tag="maintenance",
        answers={200: wire.Reclaimed, 202: wire.Job},
        body=wire.ReclaimDisk,
        needs_body=False,
        errors=(429, 507),
        takes_key=True,
        keeps_answer=True,
    ),
    Operation(
        id="purge",
        method="POST",
        path="/v1/purge",
        handler=purge,
        summary="Leave nothing of what was deleted in any file",
        tag="maintenance",
        answers={200: wire.Reclaimed, 202: wire.Job},
        body=wire.ReclaimDisk,
        needs_body=False,
        errors=(409, 429, 507),
        takes_key=True,
        keeps_answer=True,
    ),
)
