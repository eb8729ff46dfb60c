"""What segments and head have dropped, until the store may forget it: when no snapshot of before is alive."""

from __future__ import annotations

from functools import reduce

from pyroaring import BitMap

from engine.segments.garbage import Garbage
from engine.segments.pins import Pins
from engine.snapshot import Snapshot


class Dropped:
    """Garbage, each with the number of the last snapshot that may show it. Guarded by the lock of its owner."""

    def __init__(self) -> None:
        self._pins = Pins()
        self._waiting: list[tuple[int, Garbage]] = []

    @property
    def latest(self) -> int:
        """Number of the newest snapshot."""
        return self._pins.latest

    def published(self, snapshot: Snapshot) -> None:
        """Take note of the snapshot that is published next."""
        self._pins.add(snapshot)

    def ordinals(self) -> BitMap:
        """Of the documents in it."""
        return BitMap.union(BitMap(), *(garbage.ordinals for _, garbage in self._waiting))

    def add(self, garbage: Garbage) -> None:
        """Take in what snapshots from here on do not show."""
        if garbage:
            self._waiting.append((self._pins.latest, garbage))

    def start(self, garbage: Garbage) -> None:
        """Begin with what was left when the collection was closed: nobody reads that."""
        self._waiting = [(0, garbage)] if garbage else []

    def ready(self) -> tuple[int, Garbage]:
        """What no snapshot alive shows, and of how many `add`s it is, for `forget`."""
        oldest = self._pins.oldest()
        ready = [garbage for number, garbage in self._waiting if number < oldest]
        return len(ready), reduce(Garbage.__or__, ready, Garbage())

    def forget(self, count: int) -> None:
        """Let go of what was `ready`."""
        self._waiting = self._waiting[count:]

    def clear(self) -> None:
        """Let go of all."""
        self._waiting = []

    def size(self, until: int | None) -> int:
        """Documents and rows; `until`: of what was dropped by that snapshot."""
        return sum(len(each) for number, each in self._waiting if until is None or number <= until)

    def pinned_by(self, until: int | None) -> int:
        """How many snapshots keep it; `until` as for `size`."""
        numbers = [number for number, _ in self._waiting if until is None or number <= until]
        return self._pins.alive(max(numbers, default=0))
