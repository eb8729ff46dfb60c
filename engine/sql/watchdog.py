"""Stops queries that take too long or too much, and lets go of what nobody reads any more."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

TICK_SECONDS = 0.02
STALE_SECONDS = 1.0
MEMORY_FACTOR = 4  # DuckDB does not count single values: so often its limit may the process grow during a query
MEMORY_BYTES_MIN = 1 << 30
_STATUS = Path("/proc/self/status")


@dataclass(slots=True, eq=False)
class Watch:
    """One query that runs.

    Attributes:
        interrupt: stops it.
        until: by the monotonic clock.
        bytes_max: what the process may take meanwhile; None where the system does not tell.
        cancelled: whether whoever asked has lost interest; None: never.
        reason: why it was stopped: "time", "memory" or "cancelled".
    """

    interrupt: Callable[[], None]
    until: float
    bytes_max: int | None
    cancelled: Callable[[], bool] | None = None
    reason: str | None = None


class Watchdog:
    """A thread that looks at the running queries fifty times a second, and sleeps while there are none.

    `_condition` guards the set of watches.

    Args:
        memory_bytes: DuckDB's limit.
        tidy: called about once a second after there were queries; whether to go on calling it.
    """

    def __init__(self, memory_bytes: int, tidy: Callable[[], bool]) -> None:
        self._bytes = max(MEMORY_BYTES_MIN, MEMORY_FACTOR * memory_bytes)
        self._tidy = tidy
        self._condition = threading.Condition()
        self._watches: set[Watch] = set()
        self._thread: threading.Thread | None = None
        self._untidy = False
        self._closed = False

    @contextmanager
    def watching(
        self, interrupt: Callable[[], None], until: float, cancelled: Callable[[], bool] | None = None
    ) -> Iterator[Watch]:
        """Have what runs inside stopped when it takes too long or too much, or is cancelled; `Watch.reason` says so."""
        taken = anonymous_bytes()
        watch = Watch(interrupt, until, None if taken is None else taken + self._bytes, cancelled)
        with self._condition:
            self._watches.add(watch)
            self._untidy = True
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="engine-sql", daemon=True)
                self._thread.start()
            self._condition.notify()
        try:
            yield watch
        finally:
            with self._condition:
                self._watches.discard(watch)

    def close(self) -> None:
        """End the thread."""
        with self._condition:
            self._closed = True
            self._condition.notify()
        if self._thread is not None:
            self._thread.join()

    def _run(self) -> None:
        tidied = time.monotonic()
        while True:
            with self._condition:
                if self._closed:
                    return
                self._look()
                pause = TICK_SECONDS if self._watches else STALE_SECONDS if self._untidy else None
                self._condition.wait(pause)
                due = self._untidy and time.monotonic() - tidied >= STALE_SECONDS
            if due and not self._closed:
                tidied = time.monotonic()
                untidy = self._tidy()
                with self._condition:
                    self._untidy = untidy or bool(self._watches)

    def _look(self) -> None:
        if not self._watches:
            return
        now, taken = time.monotonic(), anonymous_bytes()
        for watch in self._watches:
            if now >= watch.until:
                watch.reason = watch.reason or "time"
            elif taken is not None and watch.bytes_max is not None and taken > watch.bytes_max:
                watch.reason = watch.reason or "memory"
            elif watch.cancelled is not None and watch.cancelled():
                watch.reason = watch.reason or "cancelled"
            if watch.reason is not None:
                watch.interrupt()  # again at every look: one that comes between two steps is lost


def anonymous_bytes() -> int | None:
    """Memory of this process that no file stands behind; None where the system does not tell."""
    with suppress(OSError, ValueError):
        for line in _STATUS.read_text().splitlines():
            if line.startswith("RssAnon:"):
                return int(line.split()[1]) * 1024
    return None
