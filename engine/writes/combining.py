"""Writers of one collection that come at the same time: one of them writes for all, and waits for the sync for all.

A lock that each takes in turn, and a wait of its own for each, cost 16 writers more processor time than their writes:
every thread is woken three times, and waits for the interpreter each time. So each is woken once.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from engine.writes.commit import WAKE_SECONDS
from engine.writes.plan import WriteResult
from engine.writes.waking import Waking

SERVE_SECONDS = 0.005  # of others' work, at most, before one's own is seen to; a long one is begun none the less

Write = Callable[[], tuple[WriteResult, Callable[[], None]]]


@dataclass(slots=True, eq=False)
class _Request:
    """One write; `wait` is there when it is written, `done` when it holds or has failed."""

    write: Write
    result: WriteResult | None = None
    wait: Callable[[], None] | None = None
    error: Exception | None = None
    done: bool = False
    writer: Waking = field(default_factory=Waking)  # told when there is something to look at

    def finish(self) -> None:
        """Wait until what was written holds."""
        try:
            if self.wait is not None:
                self.wait()
        except Exception as error:  # noqa: BLE001  (raised to its writer)
            self.error = error
        self.done = True


class Combining:
    """The writers of one collection. Safe for many threads; who holds `_lock` writes, and nobody else does.

    A request in `_requests` is nobody's yet. Its thread looks after it whenever it is woken, and at the latest every
    second: so it comes to no harm when whoever was at it is interrupted.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requests: deque[_Request] = deque()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody writes meanwhile."""
        try:
            with self._lock:
                yield
        finally:
            self._hand_on()

    def submit(self, write: Write) -> WriteResult:
        """Have a write done while nobody else writes, by this thread or another; return when it holds.

        Args:
            write: returns what it did, and what waits until that holds. What it raises is raised here.
        """
        request = _Request(write)
        self._requests.append(request)
        try:
            while not request.done:
                if self._lock.acquire(blocking=False):
                    self._serve(request)
                elif not request.writer.wait(WAKE_SECONDS) and request.wait is not None:
                    request.finish()  # whoever wrote it was interrupted, or the disk is slow
        except BaseException:  # Ctrl-C: what is not begun shall not be
            with suppress(ValueError):
                self._requests.remove(request)
            raise
        if request.error is not None:
            try:
                raise request.error
            finally:
                # This frame is in the error's traceback: they would hold each other, and all documents of the batch.
                request.error = None
        assert request.result is not None
        return request.result

    def _serve(self, own: _Request) -> None:
        """Write for all that have come, with the lock, and wait for all, without it."""
        served: list[_Request] = []
        until = time.monotonic() + SERVE_SECONDS
        try:
            while self._requests and (not served or time.monotonic() < until):
                request = self._requests.popleft()
                try:
                    request.result, request.wait = request.write()
                except Exception as error:  # noqa: BLE001  (raised to its writer)
                    request.error, request.done = error, True
                except BaseException:
                    if request is not own:
                        self._requests.appendleft(request)
                    raise
                served.append(request)
        except IndexError:  # who was the last has just been interrupted
            pass
        finally:
            self._lock.release()
            self._hand_on()
        for request in served:
            request.finish()
        for request in served:
            if request is not own:
                request.writer.wake()

    def _hand_on(self) -> None:
        """Let the first that waits look after itself."""
        with suppress(IndexError):
            self._requests[0].writer.wake()
