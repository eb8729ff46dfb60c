"""The background threads of a database: one seals heads, merges segments, truncates the log; one records its mark."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

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
            except Exception as error:
                failures += 1
                pause = min(RETRY_SECONDS_MAX, POLL_SECONDS * 2 ** min(failures, 10))
                expected = isinstance(error, EngineError | OSError)  # the disk's faults; others are ours
                details = {"reason": str(error), "retry_seconds": pause}
                log.warning("maintenance.failed", exc_info=not expected, extra=details)
