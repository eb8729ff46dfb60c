"""Made from `lumaai/remote_upkeep.py` by `make twins`: change that file, not this one."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from lumaai.aio.transport import AsyncTransport
from lumaai.errors import OverloadedError
from lumaai.remote_upkeep import POLL_SECONDS, SNAPSHOTS_PATH, model_of_the_service, snapshot_path
from lumaai.reports import (
    CHANGES_LIMIT,
    Changes,
    CheckReport,
    Progress,
    Reembedding,
    SnapshotInfo,
    check_changes,
    check_flag,
    check_snapshot_name,
)
from lumaai.transport import IDEMPOTENCY_KEY, collection_path, given_keys, new_key


class AsyncUpkeep:
    """The part of a `Client` that looks after the service's database. `progress` is told when all is done."""

    _transport: AsyncTransport

    async def changes(self, after: int = 0, *, collection: str | None = None, limit: int = CHANGES_LIMIT) -> Changes:
        """The writes after a sequence, in their order; see `Database.changes`."""
        check_changes(after, limit)
        path = "/v1/changes" if collection is None else f"{collection_path(collection)}/changes"
        return Changes.from_json(await self._transport.get(path, **{"from": after, "limit": limit}))

    async def refresh(self) -> int:
        """The sequence of the last write; a service always shows everything."""
        return int((await self._transport.get("/v1/stats"))["sequence"])

    async def create_snapshot(self, name: str | None = None, *, progress: Progress | None = None) -> SnapshotInfo:
        """Keep the whole database as it is now; see `Database.create_snapshot`."""
        body = given_keys({"name": None if name is None else check_snapshot_name(name)})
        return SnapshotInfo.from_json(await self._long(SNAPSHOTS_PATH, body, "archive", progress))

    async def snapshots(self) -> list[SnapshotInfo]:
        """All snapshots, by name."""
        return [SnapshotInfo.from_json(item) for item in (await self._transport.get(SNAPSHOTS_PATH))["snapshots"]]

    async def export_snapshot(self, name: str, target: str | Path) -> Path:
        """Write a snapshot into one tar file here; see `Database.export_snapshot`."""
        # With tarfile and shutil: a light client seldom needs them.
        from lumaai.aio.ingesting import write_file

        path = Path(target).expanduser()
        async with self._transport.pieces(snapshot_path(name)) as pieces:
            await write_file(pieces, path)
        return path

    async def restore_snapshot(self, name: str, *, progress: Progress | None = None) -> SnapshotInfo:
        """Go back to a snapshot; see `Database.restore_snapshot`."""
        return SnapshotInfo.from_json(await self._long(f"{snapshot_path(name)}:restore", {}, "restore", progress))

    async def delete_snapshot(self, name: str) -> None:
        """Delete a snapshot; see `Database.delete_snapshot`."""
        await self._transport.send("DELETE", snapshot_path(name), safe=False, patient=True)

    async def reembed(
        self,
        collection: str,
        model: str,
        *,
        field: str | None = None,
        wait: bool = True,
        progress: Progress | None = None,
    ) -> Reembedding:
        """Embed a collection anew, with another model; see `Database.reembed`."""
        body = given_keys({"model": model, "field": field})
        path = f"{collection_path(collection)}/reembedding"
        with model_of_the_service():
            state = Reembedding.from_json(await self._transport.post(path, body, safe=True))
        if not check_flag("wait", wait):
            return state
        while not state.has_ended:
            await asyncio.sleep(POLL_SECONDS)
            state = await self.reembedding(collection) or state
            if progress is not None:
                progress("embedding anew", state.documents / max(state.total, 1))
        if state.state != "done":
            raise OverloadedError(str(state.error), code=state.state, retryable=False)
        return state

    async def reembedding(self, collection: str) -> Reembedding | None:
        """How far a collection is on its way to another model; see `Database.reembedding`."""
        found = (await self._transport.get(f"{collection_path(collection)}/reembedding"))["reembedding"]
        return None if found is None else Reembedding.from_json(found)

    async def cancel_reembedding(self, collection: str) -> None:
        """Stay with the old model; see `Database.cancel_reembedding`."""
        await self._transport.send("DELETE", f"{collection_path(collection)}/reembedding", safe=True, patient=True)

    async def check(self, *, repair: bool = True, progress: Progress | None = None) -> CheckReport:
        """Read everything and compare it; see `Database.check`."""
        body = {"repair": check_flag("repair", repair)}
        return CheckReport.from_json(await self._long("/v1/check", body, "check", progress))

    async def compact(self, *, progress: Progress | None = None) -> dict[str, Any]:
        """Give disk back; see `Database.compact`."""
        figures: dict[str, Any] = await self._long("/v1/compact", {}, "compact", progress)
        return figures

    async def purge(self, *, progress: Progress | None = None) -> dict[str, Any]:
        """Leave nothing of what was deleted in any file; see `Database.purge`."""
        figures: dict[str, Any] = await self._long("/v1/purge", {}, "purge", progress)
        return figures

    async def _long(self, path: str, body: dict[str, Any], stage: str, progress: Progress | None) -> Any:
        """The answer to a POST that may take as long as it takes."""
        answer = (
            await self._transport.send("POST", path, body=body, headers={IDEMPOTENCY_KEY: new_key()}, patient=True)
        ).json()
        if progress is not None:
            progress(stage, 1.0)
        return answer
