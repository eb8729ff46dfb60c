"""The background threads of a database: one seals heads, merges segments, truncates the log; one records its mark."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

from engine.errors import CollectionNotFoundError, DatabaseClosedError, EngineError

log = logging.getLogger(__name__)

POLL_SECONDS = 0.25
RETRY_SECONDS_MAX = 60.0


class Maintenance:
    """Calls `work` again and again, soon after it did something and seldom after it failed.

    Args:
        work: one round; says whether it did anything.
        pause_seconds: between rounds that did nothing; `POLL_SECONDS` by default.
    """

    def __init__(self, work: Callable[[], bool], pause_seconds: float | None = None) -> None:
        self._work = work
        self._pause_seconds = POLL_SECONDS if pause_seconds is None else pause_seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lumaai-maintenance", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Ask the thread to end."""
        self._stop.set()

    def join(self) -> None:
        """Wait until it has ended."""
        self._thread.join()

    def _run(self) -> None:
        failures = 0
        pause = self._pause_seconds
        while not self._stop.wait(pause):
            try:
                pause = 0.0 if self._work() else self._pause_seconds
                failures = 0
            except (DatabaseClosedError, CollectionNotFoundError):
                continue  # a collection was dropped meanwhile, or the database is closing
            except Exception as error:  # noqa: BLE001  (logged)
                failures += 1
                pause = _retry_seconds(failures)
                _warn(error, retry_seconds=pause)


class _Named(Protocol):
    """What `Rounds` needs of a collection."""

    @property
    def name(self) -> str: ...

    @property
    def number(self) -> int: ...


_Item = TypeVar("_Item", bound=_Named)


class Rounds:
    """The same work for each of several collections. For one thread.

    One that fails is left alone for a while, ever longer while it goes on to; the others do not wait for it.
    """

    def __init__(self) -> None:
        self._failed: dict[int, tuple[int, float]] = {}  # number → failures on end, and when to try again

    def each(self, collections: Iterable[_Item], work: Callable[[_Item], bool]) -> bool:
        """One round; whether anything was done."""
        worked = False
        for collection in collections:
            failures, due = self._failed.get(collection.number, (0, 0.0))
            if time.monotonic() < due:
                continue
            try:
                worked = work(collection) or worked
                self._failed.pop(collection.number, None)
            except (DatabaseClosedError, CollectionNotFoundError):
                self._failed.pop(collection.number, None)  # dropped meanwhile, or the database is closing
            except Exception as error:  # noqa: BLE001  (logged)
                pause = _retry_seconds(failures + 1)
                self._failed[collection.number] = failures + 1, time.monotonic() + pause
                _warn(error, retry_seconds=pause, collection=collection.name)
        return worked


def _retry_seconds(failures: int) -> float:
    return min(RETRY_SECONDS_MAX, POLL_SECONDS * float(2 ** min(failures, 10)))


def _warn(error: Exception, **details: object) -> None:
    expected = isinstance(error, EngineError | OSError)  # the disk's faults; others are ours
    log.warning("maintenance.failed", exc_info=None if expected else error, extra={"reason": str(error), **details})
