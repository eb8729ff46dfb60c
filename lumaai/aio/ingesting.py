"""Files, for the asynchronous client: a thread reads and writes them, and the event loop asks the service."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from lumaai.ingestion import DirectorySummary, Progress
    from lumaai.ingestion.directory import Ingestible
    from lumaai.ingestion.manifest import Kept
    from lumaai.ingestion.walk import Selection


class Bridge:
    """A collection of the loop as a thread sees it: each call is done by the loop, and waited for.

    The thread must not be the loop's own, which would wait for itself.
    """

    def __init__(self, target: object, loop: asyncio.AbstractEventLoop) -> None:
        self._target, self._loop = target, loop

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        if not asyncio.iscoroutinefunction(found):
            return found

        def call(*arguments: Any, **options: Any) -> Any:
            return _waited(found(*arguments, **options), self._loop)

        return call


async def ingest_directory(
    collection: Ingestible,
    manifest: object,
    path: str | Path,
    selection: Selection,
    *,
    prefix: str,
    sync: bool,
    force: bool,
    strict: bool,
    on_progress: Callable[[Progress], None] | None,
) -> DirectorySummary:
    """As `lumaai.ingestion.directory.ingest_directory`, in a thread; `on_progress` is called there."""
    from lumaai.ingestion.directory import ingest_directory as ingest_blocking

    loop = asyncio.get_running_loop()
    return await asyncio.to_thread(
        ingest_blocking, cast("Ingestible", Bridge(collection, loop)), cast("Kept", Bridge(manifest, loop)), path,
        selection, prefix=prefix, sync=sync, force=force, strict=strict, on_progress=on_progress,
    )  # fmt: skip


async def write_file(pieces: AsyncIterator[bytes], target: Path) -> None:
    """As `lumaai.snapshots.write_file`: the thread that writes asks the loop for each piece."""
    from lumaai.snapshots import write_file as write_blocking

    loop = asyncio.get_running_loop()

    def blocking() -> Iterator[bytes]:
        with contextlib.suppress(StopAsyncIteration):
            while True:
                yield _waited(_next(pieces), loop)

    await asyncio.to_thread(write_blocking, blocking(), target)


async def _next(pieces: AsyncIterator[bytes]) -> bytes:
    return await anext(pieces)


def _waited(coroutine: Coroutine[Any, Any, Any], loop: asyncio.AbstractEventLoop) -> Any:
    return asyncio.run_coroutine_threadsafe(coroutine, loop).result()
