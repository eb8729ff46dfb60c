"""How many connections a service holds: files must be left for the database, whoever connects.

A process may open so many files, and connections are files. Those that nobody sends a request on go first, the oldest
before the others, then those that wait for another request; while all are at work, new ones are refused.
"""

from __future__ import annotations

import logging
import resource
import time
from collections.abc import Callable
from typing import Protocol

log = logging.getLogger("lumaai")

# What is asked of the system, where it lets us have it.
FILES_WANTED = 1 << 16
# Of all files the share that connections may be; the rest is the database's: its store keeps its own open.
CONNECTIONS_SHARE = 0.5
# Between two lines of the log that say that it is full.
SAY_SECONDS = 60.0


class Closable(Protocol):
    """A connection."""

    def make_room(self) -> None:
        """Close it; nothing is under way on it."""


def files_max() -> int:
    """How many files this process may open, once it has asked for more where it had few."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return FILES_WANTED
    wanted = FILES_WANTED if hard == resource.RLIM_INFINITY else min(hard, FILES_WANTED)
    if soft < wanted:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        except (OSError, ValueError):  # some systems allow less than they say
            return soft
        return wanted
    return soft


class Connections:
    """The connections of one service. For the event loop's thread.

    Args:
        maximum: that are held at once.
        clock: seconds that never go back.
    """

    def __init__(self, maximum: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.maximum = maximum
        self.held = 0
        self._clock = clock
        self._said_at: float | None = None
        # Dictionaries keep the order in which connections came, and give them back at little cost.
        self._new: dict[Closable, None] = {}
        self._waiting: dict[Closable, None] = {}

    @classmethod
    def within(cls, maximum: int, files: int) -> Connections:
        """Bounded by what is asked for, and by the files that this process may open."""
        return cls(max(1, min(maximum, int(files * CONNECTIONS_SHARE))))

    def enter(self, connection: Closable) -> bool:
        """Take a new connection, in the place of an idle one where there is no other; whether it may stay."""
        self.held += 1
        if self.held > self.maximum:
            self._say()
            idle = next(iter(self._new or self._waiting), None)
            if idle is None:
                return False
            self.work(idle)
            idle.make_room()
        self._new[connection] = None
        return True

    def work(self, connection: Closable) -> None:
        """A request is under way on it, or it is on its way out."""
        self._new.pop(connection, None)
        self._waiting.pop(connection, None)

    def wait(self, connection: Closable) -> None:
        """It was answered, and waits for another request."""
        self._waiting[connection] = None

    def leave(self, connection: Closable) -> None:
        """It is closed."""
        self.held -= 1
        self.work(connection)

    def _say(self) -> None:
        now = self._clock()
        if self._said_at is None or now - self._said_at >= SAY_SECONDS:
            self._said_at = now
            log.warning("connections.full", extra={"maximum": self.maximum})
