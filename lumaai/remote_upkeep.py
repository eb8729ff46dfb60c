"""What is done to a database as a whole, behind an address: the methods of `Upkeep`, over HTTP."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

from lumaai.errors import InvalidRequestError, ModelUnavailableError, OverloadedError
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
from lumaai.transport import IDEMPOTENCY_KEY, Transport, collection_path, given_keys, new_key

SNAPSHOTS_PATH = "/v1/snapshots"
POLL_SECONDS = 0.1


@contextmanager
def model_of_the_service() -> Iterator[None]:
    """To the service the name of a model is the caller's word (422); to the caller the model is missing."""
    try:
        yield
    except InvalidRequestError as error:
        if error.code in {"model_not_found", "model_unsupported"}:
            raise ModelUnavailableError(error.message, code=error.code) from error
        raise


class RemoteUpkeep:
    """The part of a `Client` that looks after the service's database. `progress` is told when all is done."""

    _transport: Transport

    def changes(self, after: int = 0, *, collection: str | None = None, limit: int = CHANGES_LIMIT) -> Changes:
        """The writes after a sequence, in their order; see `Database.changes`."""
        check_changes(after, limit)
        path = "/v1/changes" if collection is None else f"{collection_path(collection)}/changes"
        return Changes.from_json(self._transport.get(path, **{"from": after, "limit": limit}))

    def refresh(self) -> int:
        """The sequence of the last write; a service always shows everything."""
        return int(self._transport.get("/v1/stats")["sequence"])

    def create_snapshot(self, name: str | None = None, *, progress: Progress | None = None) -> SnapshotInfo:
        """Keep the whole database as it is now; see `Database.create_snapshot`."""
        body = given_keys({"name": None if name is None else check_snapshot_name(name)})
        return SnapshotInfo.from_json(self._long(SNAPSHOTS_PATH, body, "archive", progress))

    def snapshots(self) -> list[SnapshotInfo]:
        """All snapshots, by name."""
        return [SnapshotInfo.from_json(item) for item in self._transport.get(SNAPSHOTS_PATH)["snapshots"]]

    def export_snapshot(self, name: str, target: str | Path) -> Path:
        """Write a snapshot into one tar file here; see `Database.export_snapshot`."""
        # With tarfile and shutil: a light client seldom needs them.
        from lumaai.snapshots import write_file

        path = Path(target).expanduser()
        with self._transport.pieces(snapshot_path(name)) as pieces:
            write_file(pieces, path)
        return path

    def restore_snapshot(self, name: str, *, progress: Progress | None = None) -> SnapshotInfo:
        """Go back to a snapshot; see `Database.restore_snapshot`."""
        return SnapshotInfo.from_json(self._long(f"{snapshot_path(name)}:restore", {}, "restore", progress))

    def delete_snapshot(self, name: str) -> None:
        """Delete a snapshot; see `Database.delete_snapshot`."""
        self._transport.send("DELETE", snapshot_path(name), safe=False, patient=True)

    def reembed(
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
            state = Reembedding.from_json(self._transport.post(path, body, safe=True))
        if not check_flag("wait", wait):
            return state
        while not state.has_ended:
            time.sleep(POLL_SECONDS)
            state = self.reembedding(collection) or state
            if progress is not None:
                progress("embedding anew", state.documents / max(state.total, 1))
        if state.state != "done":
            raise OverloadedError(str(state.error), code=state.state, retryable=False)
        return state

    def reembedding(self, collection: str) -> Reembedding | None:
        """How far a collection is on its way to another model; see `Database.reembedding`."""
        found = self._transport.get(f"{collection_path(collection)}/reembedding")["reembedding"]
        return None if found is None else Reembedding.from_json(found)

    def cancel_reembedding(self, collection: str) -> None:
        """Stay with the old model; see `Database.cancel_reembedding`."""
        self._transport.send("DELETE", f"{collection_path(collection)}/reembedding", safe=True, patient=True)

    def check(self, *, repair: bool = True, progress: Progress | None = None) -> CheckReport:
        """Read everything and compare it; see `Database.check`."""
        body = {"repair": check_flag("repair", repair)}
        return CheckReport.from_json(self._long("/v1/check", body, "check", progress))

    def compact(self, *, progress: Progress | None = None) -> dict[str, Any]:
        """Give disk back; see `Database.compact`."""
        figures: dict[str, Any] = self._long("/v1/compact", {}, "compact", progress)
        return figures

    def purge(self, *, progress: Progress | None = None) -> dict[str, Any]:
        """Leave nothing of what was deleted in any file; see `Database.purge`."""
        figures: dict[str, Any] = self._long("/v1/purge", {}, "purge", progress)
        return figures

    def _long(self, path: str, body: dict[str, Any], stage: str, progress: Progress | None) -> Any:
        """The answer to a POST that may take as long as it takes."""
        answer = self._transport.send(
            "POST", path, body=body, headers={IDEMPOTENCY_KEY: new_key()}, patient=True
        ).json()
        if progress is not None:
            progress(stage, 1.0)
        return answer


def snapshot_path(name: str) -> str:
    """The path of a snapshot."""
    return f"{SNAPSHOTS_PATH}/{quote(check_snapshot_name(name), safe='')}"
