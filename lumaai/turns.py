"""Turns on the event loop's thread: short work waits for its own, one request a turn, first come, first served.

Callers that each have one request under way are all served, two or three dozen of them. When more come than that,
everybody would be answered late: then hardly anybody may wait, so that who is let in is answered soon, and the others
are told at once to come again. Now and then it is tried whether there is room for all of them again.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

from lumaai.errors import OverloadedError

# How many may wait, and how many while there are too many.
WAITING_MAX, FEW = 32, 1
# When nobody was refused for so long, there are no longer too many.
CALM_SECONDS = 1.0
# Meanwhile it is tried whether more are enough for all, twice as many each time, with so long between for each of them.
# Callers that come again at once, and too many for one place, so get theirs; one request in two seconds waits for that.
TRY_SECONDS = 2.0
RETRY_AFTER_SECONDS = 1.0


class Turns:
    """Who waits for a turn of the event loop. For its thread alone.

    Args:
        name: of the kind of work, for messages.
        clock: seconds that never go back.
    """

    def __init__(self, name: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self.given = self.refused = 0
        self.waiting_max = WAITING_MAX
        self._clock = clock
        self._refused_last = -CALM_SECONDS
        self._tried, self._try_at = FEW, 0.0
        self._waiting: deque[asyncio.Future[None]] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    @property
    def is_full(self) -> bool:
        """Whether who comes now is refused."""
        if len(self._waiting) < self.waiting_max:
            return False
        now = self._clock()
        if now - self._refused_last >= CALM_SECONDS:
            self.waiting_max, self._tried = WAITING_MAX, FEW
        elif now >= self._try_at:
            self.waiting_max = self._tried = min(2 * self._tried, WAITING_MAX)
            self._try_at = now + self._tried * TRY_SECONDS
        return len(self._waiting) >= self.waiting_max

    def refusal(self) -> OverloadedError:
        """Count one that is refused, and what it is told."""
        now = self._clock()
        if self.waiting_max == WAITING_MAX:
            self._try_at = now + TRY_SECONDS
        self.refused += 1
        self.waiting_max, self._refused_last = FEW, now
        return OverloadedError(f"too many requests of this kind at once: {self.name}", retry_after=RETRY_AFTER_SECONDS)

    async def take(self) -> None:
        """Wait for a turn: go on from here without waiting for anything else, as long as it matters.

        Raises:
            OverloadedError: too many wait.
        """
        if self.is_full:
            raise self.refusal()
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._give, loop)
        self._waiting.append(turn)
        await turn

    def _give(self, loop: asyncio.AbstractEventLoop) -> None:
        """Give one turn; the network has its own before the next."""
        turn = self._waiting.popleft()
        if not turn.done():  # else its request is gone
            turn.set_result(None)
            self.given += 1
        if self._waiting:
            loop.call_soon(self._give, loop)
