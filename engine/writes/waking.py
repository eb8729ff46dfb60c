"""How a writer that waits is told to look: an event for one waiter, of a bare lock, at a third of an event's cost."""

from __future__ import annotations

import threading
from contextlib import suppress


class Waking:
    """Wakes one thread. However often it is called before that thread waits, it is woken once."""

    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def wake(self) -> None:
        """Let whoever waits, or is about to, look."""
        with suppress(RuntimeError):  # it was let go of already
            self._lock.release()

    def wait(self, seconds: float) -> bool:
        """Wait until woken, at most so long; whether it was."""
        return self._lock.acquire(timeout=seconds)
