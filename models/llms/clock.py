"""Time and waiting in one place, so that a test can put its own there."""

from __future__ import annotations

import threading
import time

from models.errors import LLMCancelledError


class Clock:
    """The machine's clock."""

    def now(self) -> float:
        """Seconds since some moment that does not change."""
        return time.monotonic()

    def wait(self, seconds: float, cancelled: threading.Event | None = None) -> None:
        """Return after `seconds`.

        Raises:
            LLMCancelledError: `cancelled` was set before or meanwhile.
        """
        if cancelled is None:
            time.sleep(seconds)
        elif cancelled.wait(seconds):
            raise LLMCancelledError("call was cancelled while it waited")
