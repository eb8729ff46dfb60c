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
# A queue may be too long for so long: a burst that is worked off within it is no overload.
BURST_SECONDS = 0.25
# Overload is over when no work came too late for so long.
CALM_SECONDS = 0.5
# Work may wait so many times as long as it takes itself: the slowest of an idle service take a few times the mean.
PATIENCE = 4
# Of the mean time that work takes, the share that is the last one's.
LAST_SHARE = 0.05
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
        wait_seconds_max: how long work may wait by expectation, or `PATIENCE` times as long as it takes itself where
            that is longer. More than that in a burst that is worked off in `BURST_SECONDS`, or else what comes is
            refused: a queue that stands makes everybody wait and nobody faster (Nichols and Jacobson, CoDel, https://doi.org/10.1145/2208917.2209336).
            None: no bound.
        clock: seconds that never go back.
    """

    def __init__(
        self,
        name: str,
        *,
        threads: int,
        queue_max: int,
        wait_seconds_max: float | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.name = name
        self.threads = threads
        self.capacity = threads + queue_max
        self.wait_seconds_max = wait_seconds_max
        self.refused = 0
        self.done = 0
        self.seconds = 0.0  # of work, on average, the latest more than the earlier
        self._clock = clock
        self._late_since = self._late_last = -CALM_SECONDS
        self._executor = ThreadPoolExecutor(threads, thread_name_prefix=f"lumaai-{name}")
        self._lock = threading.Lock()
        self._taken = 0

    @property
    def taken(self) -> int:
        """Pieces of work running or waiting now."""
        return self._taken

    @property
    def wait_seconds(self) -> float:
        """How long work that comes now has to wait, by expectation."""
        return max(0, self._taken - self.threads + 1) * self.seconds / self.threads

    def check_room(self) -> None:
        """Refuse what would be refused anyhow, before any work is done for it.

        Raises:
            OverloadedError: as `run`.
        """
        if self._taken < self.threads:
            return
        with self._lock:
            self._check_room()

    def _check_room(self) -> None:
        if self._taken >= self.capacity:
            self.refused += 1
            raise OverloadedError(
                f"too many requests of this kind at once: {self.name} maximum={self.capacity}",
                retry_after=RETRY_AFTER_SECONDS,
            )
        if self.wait_seconds_max is None or self._taken < self.threads:
            return
        wait = self.wait_seconds
        bound = max(self.wait_seconds_max, PATIENCE * self.seconds)
        if wait > bound and (self._is_overloaded() or wait > max(bound, BURST_SECONDS)):
            self.refused += 1
            raise OverloadedError(
                f"requests of this kind wait too long: {self.name} maximum={bound:.3g} expected={wait:.3g} seconds",
                retry_after=max(RETRY_AFTER_SECONDS, wait),
            )

    def _is_overloaded(self) -> bool:
        """Whether work has been coming too late for longer than a burst takes; it comes too late now."""
        now = self._clock()
        if now - self._late_last > CALM_SECONDS:
            self._late_since = now
        self._late_last = now
        return now - self._late_since >= BURST_SECONDS

    async def run(self, work: Callable[..., R], *args: Any) -> R:
        """The result of `work(*args)`, run in a thread of this lane.

        Raises:
            OverloadedError: all threads are busy, and the queue is full or stands; nothing was started.
        """
        with self._lock:
            self._check_room()
            self._taken += 1
        try:
            future = self._executor.submit(self._timed, work, *args)
        except RuntimeError as error:
            self._release()
            raise OverloadedError("the service is shutting down", code="shutting_down") from error
        future.add_done_callback(self._release)
        try:
            return await asyncio.wrap_future(future)
        finally:
            # What it raised has this frame in its traceback: with both ways open, all that it holds is garbage that
            # has to be looked for, a large body among it.
            del future

    async def run_when_free(self, work: Callable[..., R], *args: Any, timeout_seconds: float) -> R:
        """As `run`, but waits for a place, for callers that hold a half-read upload.

        Raises:
            OverloadedError: no place came free in time.
        """
        waited = 0.0
        while waited < timeout_seconds:
            try:
                self.check_room()
                break
            except OverloadedError:
                await asyncio.sleep(WAIT_SECONDS)
                waited += WAIT_SECONDS
        return await self.run(work, *args)

    def close(self, *, timeout_seconds: float) -> None:
        """Wait for what is running, so long at most; what has not begun is dropped. Idempotent."""
        self._executor.shutdown(wait=False, cancel_futures=True)
        last = time.monotonic() + timeout_seconds
        while self._taken and time.monotonic() < last:
            time.sleep(WAIT_SECONDS)

    def _timed(self, work: Callable[..., R], *args: Any) -> R:
        started = self._clock()
        try:
            return work(*args)
        finally:
            seconds = self._clock() - started
            self.seconds += (seconds - self.seconds) * (LAST_SHARE if self.done else 1)
            self.done += 1

    def _release(self, _: Future[Any] | None = None) -> None:
        with self._lock:
            self._taken -= 1
