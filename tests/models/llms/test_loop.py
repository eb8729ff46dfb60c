from __future__ import annotations

import asyncio
import os
import sys
import threading
import time
from collections.abc import AsyncGenerator, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest

from models import LLMCancelledError, LLMUnavailableError
from models.llms.loop import LoopThread, _OneLoop, loop_thread


@pytest.fixture
def busy_interpreter() -> Iterator[None]:
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def test_threads_that_ask_at_once_get_one_loop(busy_interpreter: None) -> None:
    """Connections of one client belong to one loop: the first questions of a service may come together."""
    for _ in range(20):
        one, barrier = _OneLoop(), threading.Barrier(8)

        def ask(_: int, one: _OneLoop = one, barrier: threading.Barrier = barrier) -> LoopThread:
            barrier.wait()
            return one.get()

        with ThreadPoolExecutor(8) as threads:
            assert len(set(threads.map(ask, range(8)))) == 1
        one.get()._loop.call_soon_threadsafe(one.get()._loop.stop)
        one.get()._thread.join()
        one.get()._loop.close()


async def value() -> int:
    return 3


async def failing() -> int:
    raise ValueError("wrong")


async def endless(ended: threading.Event) -> None:
    try:
        await asyncio.sleep(60)
    finally:
        ended.set()


def test_results_and_errors_come_back() -> None:
    """As from a call."""
    assert loop_thread().run(value, seconds=60) == 3
    with pytest.raises(ValueError, match="wrong"):
        loop_thread().run(failing, seconds=60)


def test_what_takes_too_long_is_cancelled() -> None:
    """And has ended when the call returns."""
    ended = threading.Event()
    with pytest.raises(LLMUnavailableError, match=r"too long: seconds=0\.1"):
        loop_thread().run(lambda: endless(ended), seconds=0.1)
    assert ended.is_set()


def test_what_is_given_up_is_cancelled() -> None:
    """Soon after the event."""
    ended, cancelled = threading.Event(), threading.Event()
    threading.Timer(0.1, cancelled.set).start()
    started = time.monotonic()
    with pytest.raises(LLMCancelledError):
        loop_thread().run(lambda: endless(ended), seconds=60, cancelled=cancelled)
    assert ended.is_set()
    assert time.monotonic() - started < 10


def test_a_generator_that_is_left_is_closed() -> None:
    """Its clean-up runs in its own loop."""
    closed = threading.Event()

    async def count() -> AsyncGenerator[int, None]:
        try:
            for number in range(10):
                yield number
        finally:
            closed.set()

    items = loop_thread().iterate(count(), seconds=60, silence_seconds=60)
    assert [next(items), next(items)] == [0, 1]
    items.close()
    assert closed.is_set()
    assert list(loop_thread().iterate(count(), seconds=60, silence_seconds=60)) == list(range(10))


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_the_child_of_a_fork_has_a_loop_of_its_own() -> None:
    """The parent's thread is not there."""
    assert loop_thread().run(value, seconds=60) == 3
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if loop_thread().run(value, seconds=20) == 3 else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
