"""Time as the tests will have it."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from engine.writes import expiry

BEGIN = 1_800_000_000_000_000  # µs since 1970, in January 2027


class Clock:
    """While it is open, every database that is opened goes by it.

    Attributes:
        now: µs since 1970, the latest that was shown: what a database must take the time to be.
    """

    def __init__(self) -> None:
        self.now = BEGIN
        self._behind = 0
        self._defaults = expiry.Clock.__init__.__defaults__
        expiry.Clock.__init__.__defaults__ = (self._read,)

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._behind = 0
        self.now += round(seconds * 1_000_000)

    def jump_back(self, seconds: float) -> None:
        """Show an earlier time, as a machine's clock may, until `advance` or `recover`."""
        self._behind = round(seconds * 1_000_000)

    def recover(self) -> None:
        """Show the right time again."""
        self._behind = 0

    def close(self) -> None:
        """Give databases opened from now on the real time."""
        expiry.Clock.__init__.__defaults__ = self._defaults

    def _read(self) -> int:
        return 1000 * (self.now - self._behind)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
