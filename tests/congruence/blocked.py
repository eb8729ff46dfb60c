"""The asynchronous client as the scripts call it: each call is done by an event loop in a thread of its own."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from typing import Any

from lumaai.aio.client import AsyncClient
from lumaai.aio.collection import AsyncCollection
from lumaai.aio.job import AsyncJob, AsyncJobKeeper
from lumaai.aio.programs import AsyncPrograms
from lumaai.aio.teaching import AsyncLearnedLessons

# What has coroutines of its own.
_OBJECTS = (AsyncClient, AsyncCollection, AsyncPrograms, AsyncLearnedLessons, AsyncJob, AsyncJobKeeper)


class Blocked:
    """An object of the asynchronous client, whose coroutines are waited for."""

    def __init__(self, target: Any, loop: asyncio.AbstractEventLoop) -> None:
        self._target, self._loop = target, loop

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._target, name)
        if not inspect.iscoroutinefunction(inspect.unwrap(found)):
            return self._plain(found)
        return lambda *arguments, **options: self._waited(found(*arguments, **options))

    def __getitem__(self, name: str) -> Any:
        return self._waited(self._target[name])

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Blocked) and bool(self._target == other._target)

    def __hash__(self) -> int:
        return hash(id(self._target))

    def _waited(self, coroutine: Any) -> Any:
        return self._plain(asyncio.run_coroutine_threadsafe(coroutine, self._loop).result())

    def _plain(self, found: Any) -> Any:
        if isinstance(found, _OBJECTS):
            return Blocked(found, self._loop)
        return self._each(found) if isinstance(found, AsyncIterator) else found

    def _each(self, items: AsyncIterator[Any]) -> Iterator[Any]:
        async def following() -> Any:
            return await anext(items, self)  # its own end, because a future cannot raise StopAsyncIteration

        while (item := self._waited(following())) is not self:
            yield item


@contextmanager
def blocked(url: str) -> Iterator[Blocked]:
    """An asynchronous client of a service, for calls that wait."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    client = AsyncClient(url, timeout_seconds=20)
    try:
        yield Blocked(client, loop)
    finally:
        loop.call_soon_threadsafe(client.close)
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()
