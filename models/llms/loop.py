"""The thread that runs the SDKs' requests, so that a caller can leave one at any moment.

A blocking read cannot be interrupted from another thread; a task of an event loop can be cancelled, and its connection
is closed with it. One loop serves all clients of the process.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import threading
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator
from typing import Any, Generic, TypeVar

from models.errors import LLMCancelledError, LLMUnavailableError

T = TypeVar("T")

CHECK_SECONDS = 0.02  # how often an event that cancels is looked at
UNWIND_SECONDS = 2.0  # for a cancelled request to close its connection

# Where the SDKs and the HTTP libraries below them log requests and headers, and so questions and rows.
_LOGGERS = (
    *(f"{sdk}{part}" for sdk in ("openai", "anthropic") for part in ("", "._base_client", "._response")),
    "openai._legacy_response",
    *("httpx", "httpx2"),
    *(
        f"{library}.{part}"
        for library in ("httpcore", "httpcore2")
        for part in ("connection", "http11", "http2", "proxy")
    ),
)


class LoopThread:
    """An event loop in a daemon thread. What runs there is logged by none of the libraries that it goes through."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="llm-requests", daemon=True)
        self._thread.start()
        for name in _LOGGERS:
            logging.getLogger(name).addFilter(self._is_of_others)

    def run(
        self,
        make: Callable[[], Coroutine[Any, Any, T]],
        *,
        seconds: float,
        cancelled: threading.Event | None = None,
    ) -> T:
        """The coroutine's result.

        Args:
            make: makes it, in the loop's thread.
            seconds: after which it is given up.
            cancelled: gives it up soon after it is set.

        Raises:
            LLMUnavailableError: it took too long.
            LLMCancelledError: `cancelled` was set.
        """
        job = _Job(self._loop, make)
        try:
            job.wait(seconds, cancelled)
        except BaseException:
            job.cancel()
            raise
        return job.result()

    def iterate(
        self,
        items: AsyncGenerator[T, None],
        *,
        seconds: float,
        silence_seconds: float,
        cancelled: threading.Event | None = None,
    ) -> Generator[T, None, None]:
        """The generator's items.

        Args:
            items: it.
            seconds: all of it may take.
            silence_seconds: each of them may take.
            cancelled: as in `run`.

        Raises:
            LLMUnavailableError: it took too long.
            LLMCancelledError: `cancelled` was set.
        """
        ends = time.monotonic() + seconds
        following = functools.partial(_next, items)
        try:
            while True:
                left = min(silence_seconds, max(ends - time.monotonic(), 0))
                item = self.run(following, seconds=left, cancelled=cancelled)
                if item is None:
                    return
                yield item
        finally:
            self.run(items.aclose, seconds=UNWIND_SECONDS)

    def _is_of_others(self, record: logging.LogRecord) -> bool:
        del record
        return threading.current_thread() is not self._thread


class _Job(Generic[T]):
    """One task of the loop, seen from another thread."""

    def __init__(self, loop: asyncio.AbstractEventLoop, make: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self.ended = threading.Event()
        self._loop, self._make = loop, make
        self._task: asyncio.Task[T] | None = None
        loop.call_soon_threadsafe(self._start)

    def wait(self, seconds: float, cancelled: threading.Event | None) -> None:
        """Return at the task's end; raises what `LoopThread.run` does."""
        ends = time.monotonic() + seconds
        while not self.ended.wait(max(min(ends - time.monotonic(), CHECK_SECONDS if cancelled else seconds), 0)):
            if cancelled is not None and cancelled.is_set():
                raise LLMCancelledError("call was cancelled", sent=True)
            if time.monotonic() >= ends:
                raise LLMUnavailableError(f"language model took too long: seconds={seconds:.1f}", sent=True)

    def result(self) -> T:
        assert self._task is not None
        return self._task.result()

    def cancel(self) -> None:
        """Cancel the task and wait for its end, but not for long."""
        self._loop.call_soon_threadsafe(self._cancel)
        self.ended.wait(UNWIND_SECONDS)

    def _start(self) -> None:
        self._task = self._loop.create_task(self._make())
        self._task.add_done_callback(self._end)

    def _cancel(self) -> None:
        assert self._task is not None
        self._task.cancel()

    def _end(self, task: asyncio.Task[T]) -> None:
        if not task.cancelled():
            task.exception()  # looked at, so that asyncio does not complain of one that nobody waits for any more
        self.ended.set()


async def _next(items: AsyncGenerator[T, None]) -> T | None:
    return await anext(items, None)


class _OneLoop:
    """The process's loop thread, started when it is first asked for."""

    def __init__(self) -> None:
        self._thread: LoopThread | None = None
        self._lock = threading.Lock()  # guards the start: connections belong to one loop

    def get(self) -> LoopThread:
        with self._lock:
            self._thread = self._thread or LoopThread()
            return self._thread

    def forget(self) -> None:
        """In the child of a fork: threads stay behind in the parent."""
        self.__init__()  # type: ignore[misc] # also the lock may be held by a thread that is not here


_one = _OneLoop()
os.register_at_fork(after_in_child=_one.forget)


def loop_thread() -> LoopThread:
    """The process's own, started when it is first needed."""
    return _one.get()
