"""The end of a service: uploads, which may take as long as they like, are told to stop at their next batch."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from lumaai.errors import OverloadedError

# How long after a signal an upload may go on; requests of other kinds may for the whole time of the draining.
UPLOAD_SECONDS_MAX = 5.0


class Ending:
    """Whether what takes long is to stop. For the event loop's thread."""

    def __init__(self) -> None:
        self.has_begun = False
        self._waits: set[asyncio.Timeout] = set()

    def begin(self) -> None:
        """Have what takes long stop, also what waits for its caller just now."""
        self.has_begun = True
        for wait in self._waits:
            wait.reschedule(0)

    def check(self) -> None:
        """Stop where it has begun.

        Raises:
            OverloadedError: code "shutting_down".
        """
        if self.has_begun:
            raise OverloadedError("the service is shutting down: go on when it is back", code="shutting_down")

    @asynccontextmanager
    async def wait(self, seconds: float) -> AsyncIterator[None]:
        """Wait within it for something from a caller.

        Args:
            seconds: at most.

        Raises:
            OverloadedError: the end began before.
            TimeoutError: it took too long.
        """
        self.check()
        try:
            async with asyncio.timeout(seconds) as timeout:
                self._waits.add(timeout)
                try:
                    yield
                finally:
                    self._waits.discard(timeout)
        except TimeoutError:
            self.check()
            raise
