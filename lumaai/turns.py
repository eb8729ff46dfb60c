"""Turns on the event loop's thread: short work waits for its own, one request a turn, and not for ever.

A few requests at once are served in the order in which they came. When more wait than that, no order serves all of them
in time: then the latest comes first, who can still be answered soon, and who has waited long is told to come again
("adaptive LIFO", Maurer, Fail at Scale, https://doi.org/10.1145/2838344.2839461). First come, first served would
answer everybody late.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable

from lumaai.errors import OverloadedError

# So many wait in the order in which they came, as callers do of which each has one request under way.
FAIR_MAX = 32
# When more wait, the oldest are refused after so long.
WAIT_SECONDS_MAX = 0.05
RETRY_AFTER_SECONDS = 1.0


class Turns:
    """Who waits for a turn of the event loop. For its thread alone.

    Args:
        name: of the kind of work, for messages.
        waiting_max: how many may wait; one more, and the oldest is refused.
        clock: seconds that never go back.
    """

    def __init__(self, name: str, *, waiting_max: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.name = name
        self.waiting_max = waiting_max
        self.given = self.refused = 0
        self._clock = clock
        self._waiting: deque[tuple[float, asyncio.Future[None]]] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    async def take(self) -> None:
        """Wait for a turn: go on from here without waiting for anything else, as long as it matters.

        Raises:
            OverloadedError: it did not come in time.
        """
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        if not self._waiting:
            loop.call_soon(self._give, loop)
        self._waiting.append((self._clock(), turn))
        if len(self._waiting) > max(1, self.waiting_max):
            self._refuse()
        await turn

    def _give(self, loop: asyncio.AbstractEventLoop) -> None:
        """Give one turn; the network has its own before the next."""
        last = self._clock() - WAIT_SECONDS_MAX
        while len(self._waiting) > FAIR_MAX and self._waiting[0][0] < last:
            self._refuse()
        _, turn = self._waiting.popleft() if len(self._waiting) <= FAIR_MAX else self._waiting.pop()
        if not turn.done():  # else its request is gone
            turn.set_result(None)
            self.given += 1
        if self._waiting:
            loop.call_soon(self._give, loop)

    def _refuse(self) -> None:
        _, turn = self._waiting.popleft()
        if not turn.done():
            self.refused += 1
            turn.set_exception(
                OverloadedError(
                    f"too many requests of this kind at once: {self.name} waiting={len(self._waiting) + 1}",
                    retry_after=RETRY_AFTER_SECONDS,
                )
            )
