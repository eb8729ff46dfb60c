"""Which published snapshots are still being read, so that nothing they show is deleted from the store."""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from engine.snapshot import Pin, Snapshot


class Pins:
    """Numbers the snapshots of a collection, from 1, and knows which of them are alive.

    A snapshot is alive as long as anybody refers to it, or to one made from it (see `Snapshot.pin`): nobody has to say
    that they are done. Safe for many threads; `_lock` guards the table.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._alive: dict[int, weakref.ref[Pin]] = {}
        self._swept = 64
        self.latest = 0

    def add(self, snapshot: Snapshot) -> None:
        """Take in the snapshot that is published next."""
        with self._lock:
            self.latest += 1
            self._alive[self.latest] = weakref.ref(snapshot.pin)
            if len(self._alive) >= self._swept:
                self._sweep()
                self._swept = 2 * len(self._alive) + 64

    def oldest(self) -> int:
        """Number of the oldest snapshot alive; of the next one where there is none."""
        with self._lock:
            self._sweep()
            return next(iter(self._alive), self.latest + 1)

    def alive(self, latest: int) -> int:
        """How many snapshots up to number `latest` are alive."""
        with self._lock:
            self._sweep()
            return sum(number <= latest for number in self._alive)

    def _sweep(self) -> None:
        self._alive = {number: each for number, each in self._alive.items() if each() is not None}
