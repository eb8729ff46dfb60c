"""Snapshots: make, list, download, delete, restore."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import msgspec
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from lumaai import wire
from lumaai.limits import Lane
from lumaai.routes.jobs import started
from lumaai.routes.operation import Call, Operation, json_response
from lumaai.snapshots import TarOfSnapshot

PATH = "/v1/snapshots"
SNAPSHOT = f"{PATH}/{{name}}"
TAR = "application/x-tar"


async def create_snapshot(call: Call) -> Response:
    """Keep the whole database as it is now. Quick, and small at first: files are linked, not copied."""
    body = await call.body(wire.CreateSnapshot)
    if body.background:
        return await started(call, "snapshot", None, {"name": body.name})
    info = await call.service.maintenance.run(call.service.database.create_snapshot, body.name)
    return json_response(msgspec.json.encode(info.to_json()), 201)


async def list_snapshots(call: Call) -> Response:
    """All snapshots by name."""
    infos = await call.service.searches.run(call.service.database.snapshots)
    return json_response(msgspec.json.encode({"snapshots": [info.to_json() for info in infos]}))


async def download_snapshot(call: Call) -> Response:
    """A snapshot as one tar file, which `lumaai restore` takes. It is made while it is sent."""
    name, service = call.path("name"), call.service
    tar = await service.downloads.run(service.database.snapshot_tar, name)
    return TarStream(tar, name, service.downloads, service.settings.request_seconds_max)


async def delete_snapshot(call: Call) -> Response:
    """Delete a snapshot; what it shares with the database or other snapshots stays."""
    await call.service.maintenance.run(call.service.database.delete_snapshot, call.path("name"))
    return Response(status_code=204)


async def restore_snapshot(call: Call) -> Response:
    """Go back to a snapshot: everything written since is gone, and cursors from before answer 410.

    It is checked as a whole first, while the service goes on; where it is damaged nothing changes. During the exchange
    itself requests are answered with 503 and `retryable`.
    """
    if (await call.body(wire.RestoreSnapshot)).background:
        return await started(call, "restore", None, {"name": call.path("name")})
    info = await call.service.maintenance.run(call.service.database.restore_snapshot, call.path("name"))
    return json_response(msgspec.json.encode(info.to_json()))


class TarStream(Response):
    """Sends a tar piece by piece, each read in a thread; its length is known beforehand, so a cut one is noticed."""

    media_type = TAR

    def __init__(self, tar: TarOfSnapshot, name: str, lane: Lane, send_seconds_max: float) -> None:
        disposition = f'attachment; filename="{name}.tar"'
        super().__init__(
            media_type=TAR, headers={"content-length": str(tar.length), "content-disposition": disposition}
        )
        self._pieces = tar.pieces()
        self._lane = lane
        self._send_seconds_max = send_seconds_max

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's signature
        """Answer one request."""
        # The first piece is read before the answer begins: what is wrong with it can still be said with a status.
        piece = await self._read()
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        try:
            while piece is not None and scope["method"] != "HEAD":
                message = {"type": "http.response.body", "body": piece, "more_body": True}
                await asyncio.wait_for(send(message), self._send_seconds_max)
                piece = await self._read()
        except TimeoutError as error:
            raise ClientDisconnect from error
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _read(self) -> bytes | None:
        work = _next_piece, self._pieces
        return await self._lane.run_when_free(*work, timeout_seconds=self._send_seconds_max)


def _next_piece(pieces: Iterator[bytes]) -> bytes | None:
    return next(pieces, None)


OPERATIONS = (
    Operation(
        id="list_snapshots",
        method="GET",
        path=PATH,
        handler=list_snapshots,
        summary="List all snapshots",
        tag="maintenance",
        answers={200: wire.SnapshotList},
    ),
    Operation(
        id="create_snapshot",
        method="POST",
        path=PATH,
        handler=create_snapshot,
        summary="Keep the whole database as it is now",
        tag="maintenance",
        answers={201: wire.SnapshotInfo, 202: wire.Job},
        body=wire.CreateSnapshot,
        needs_body=False,
        errors=(409, 429, 507),
        takes_key=True,
        keeps_answer=True,
    ),
    # Before the downloads: the router tries paths in this order, and a name may hold any of these characters but ":".
    Operation(
        id="restore_snapshot",
        method="POST",
        path=f"{SNAPSHOT}:restore",
        handler=restore_snapshot,
        summary="Go back to a snapshot",
        tag="maintenance",
        answers={200: wire.SnapshotInfo, 202: wire.Job},
        body=wire.RestoreSnapshot,
        needs_body=False,
        errors=(404, 429, 507),
        takes_key=True,
        keeps_answer=True,
    ),
    Operation(
        id="download_snapshot",
        method="GET",
        path=SNAPSHOT,
        handler=download_snapshot,
        summary="Download a snapshot as a tar",
        tag="maintenance",
        answers={200: TAR},
        answer_media_type=TAR,
        errors=(404,),
    ),
    Operation(
        id="delete_snapshot",
        method="DELETE",
        path=SNAPSHOT,
        handler=delete_snapshot,
        summary="Delete a snapshot",
        tag="maintenance",
        answers={204: None},
        errors=(404, 409, 507),
    ),
)
