"""Expiry: when a document ceases to be, decided when it is written and stored with it; and snapshots that show it.

Whatever reads takes its snapshot through `show`, so that a document is gone from the instant at which it expires.
Later it is deleted by an ordinary write of the log; no decision is made when the log is replayed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
from pyroaring import BitMap

from engine.arrays import Ordinals
from engine.schema import JSON, Ttl
from engine.store.codec import NEVER
from engine.writes.inference import parse_datetime

if TYPE_CHECKING:
    from engine.segments.part import Part
    from engine.snapshot import Snapshot

Microseconds = npt.NDArray[np.int64]  # (n,) since 1970, UTC; NEVER for what does not expire
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Clock:
    """The time in microseconds since 1970. It never goes back: what has expired stays so."""

    def __init__(self, nanoseconds: Callable[[], int] = time.time_ns) -> None:
        self._nanoseconds = nanoseconds
        self._last = 0

    def now(self) -> int:
        """The latest time seen. Two threads may see it go back by as much as their calls overlap, no more."""
        self._last = now = max(self._last, self._nanoseconds() // 1000)
        return now


def expiry_of(value: JSON) -> int | None:
    """The moment that the field of a `Ttl` names: `NEVER` for none, None where it is no date."""
    if value is None:
        return NEVER
    moment = parse_datetime(value) if isinstance(value, str) else None
    return None if moment is None else (moment - _EPOCH) // _MICROSECOND


def expiry_after(ttl: Ttl, now: int) -> int:
    """When what is written at `now` expires, under a time to live in seconds."""
    assert ttl.seconds is not None
    return now + int(ttl.seconds * 1_000_000)


class Expiries:
    """When the documents of a part expire. Immutable.

    Args:
        ordinals: (n,) of the part.
        times: for each of them.
    """

    def __init__(self, ordinals: Ordinals, times: Microseconds) -> None:
        self._ordinals = ordinals
        self.times = times

    def before(self, now: int) -> Ordinals:
        """Ordinals of the documents that have expired, (n,), in the order in which they did."""
        times, order = self._sorted
        expired: Ordinals = self._ordinals[order[: int(np.searchsorted(times, now, side="right"))]]
        return expired

    def next_after(self, now: int) -> int:
        """When the next of the others expires; `NEVER` if none does."""
        times, _ = self._sorted
        place = int(np.searchsorted(times, now, side="right"))
        return int(times[place]) if place < len(times) else NEVER

    @cached_property
    def _sorted(self) -> tuple[Microseconds, Any]:
        order = np.argsort(self.times, kind="stable")
        return self.times[order], order


def show(base: Snapshot, clock: Clock) -> Snapshot:
    """`base` without what has expired; the same object as long as nothing more does.

    What was shown last is kept with `base`. Where nothing expires, this costs one comparison.
    """
    shown, until = base.shown or _hide(base, clock.now())
    if until != NEVER and until <= clock.now():
        shown, until = _hide(base, clock.now())
    return shown or base


def _hide(base: Snapshot, now: int) -> tuple[Snapshot | None, int]:
    known = [part.expiries for part in base.parts if part.expiries is not None]
    hidden = BitMap(np.concatenate([expiries.before(now) for expiries in known])) if known else BitMap()
    hidden -= base.deleted
    until = min((expiries.next_after(now) for expiries in known), default=NEVER)
    base.shown = (base.without(hidden) if hidden else None, until)
    return base.shown


def joined(parts: Sequence[Part], kept: Sequence[Any]) -> Microseconds | None:
    """When the documents at some places of several parts expire, in a row; None where none does."""
    if all(part.expiries is None for part in parts):
        return None
    times = [
        np.full(len(places), NEVER, dtype=np.int64) if part.expiries is None else part.expiries.times[places]
        for part, places in zip(parts, kept, strict=True)
    ]
    return np.concatenate(times)
