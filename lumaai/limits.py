"""Bounds on the work in hand: one lane of threads for each kind of work, with a queue that refuses early."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from lumaai.errors import OverloadedError

R = TypeVar("R")

RETRY_AFTER_SECONDS = 1.0
# How often a caller that may wait looks for a free place.
WAIT_SECONDS = 0.02


class Lane:
    """Threads for one kind of work, so that slow work of one kind never starves another.

    A place is held until the work itself ends, also when the request that asked for it is gone: a thread cannot be
    stopped, so a lane full of abandoned work says that it is full. The lock guards the count of places taken.

    Args:
        name: of the kind of work, for messages and thread names.
        threads: pieces of work running at once.
        queue_max: pieces of work waiting for a thread.
    """

    def __init__(self, name: str, *, threads: int, queue_max: int) -> None:
        self.name = name
        self.threads = threads
        self.capacity = threads + queue_max
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=f"lumaai-{name}")
        self._lock = threading.Lock()
        self._taken = 0

    @property
    def taken(self) -> int:
        """Pieces of work running or waiting now."""
        return self._taken

    async def run(self, work: Callable[..., R], *args: Any) -> R:
        """The result of `work(*args)`, run in a thread of this lane.

        Raises:
            OverloadedError: all threads are busy and the queue is full; nothing was started.
        """
        with self._lock:
            if self._taken >= self.capacity:
                raise OverloadedError(
                    f"too many requests of this kind at once: {self.name} maximum={self.capacity}",
                    retry_after=RETRY_AFTER_SECONDS,
                )
            self._taken += 1
        try:
            future = self._executor.submit(work, *args)
        except RuntimeError as error:
            self._release()
            raise OverloadedError("the service is shutting down", code="shutting_down") from error
        future.add_done_callback(self._release)
        return await asyncio.wrap_future(future)

    async def run_when_free(self, work: Callable[..., R], *args: Any, timeout_seconds: float) -> R:
        """As `run`, but waits for a place, for callers that hold a half-read upload.

        Raises:
            OverloadedError: no place came free in time.
        """
        waited = 0.0
        while self._taken >= self.capacity and waited < timeout_seconds:
            await asyncio.sleep(WAIT_SECONDS)
            waited += WAIT_SECONDS
        return await self.run(work, *args)

    def close(self, *, timeout_seconds: float) -> None:
        """Wait for what is running, so long at most; what has not begun is dropped. Idempotent."""
        self._executor.shutdown(wait=False, cancel_futures=True)
        last = time.monotonic() + timeout_seconds
        while self._taken and time.monotonic() < last:
            time.sleep(WAIT_SECONDS)

    def _release(self, _: Future[Any] | None = None) -> None:
        with self._lock:
            self._taken -= 1
