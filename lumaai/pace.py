"""How long work of a kind takes, as the latest of it took: what decides whether a thread is worth it."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, TypeVar

R = TypeVar("R")

# What takes less may hold up everything else for as long.
SHORT_SECONDS = 0.003
# An estimate follows a slower piece at once, and a faster one by this share.
FASTER_SHARE = 0.05
KINDS_MAX = 1_024
# How deep a filter is looked at to tell kinds; what is deeper is alike.
DEPTH_MAX = 4


class Pace:
    """Seconds by kind of work; the kinds that were asked for longest ago are forgotten. Safe for many threads.

    A wrong guess costs little: work that was short and is no more is found out by its first piece.
    """

    def __init__(self) -> None:
        self._seconds: OrderedDict[Hashable, float] = OrderedDict()

    def is_short(self, kind: Hashable) -> bool:
        """Whether work of the kind is known, and short."""
        return self._seconds.get(kind, SHORT_SECONDS) < SHORT_SECONDS

    def took(self, kind: Hashable, seconds: float) -> None:
        """Learn how long a piece of work took."""
        known = self._seconds.get(kind, 0.0)
        self._seconds[kind] = max(seconds, known + FASTER_SHARE * (seconds - known))
        if len(self._seconds) > KINDS_MAX:
            self._seconds.popitem(last=False)

    def here(self, kind: Hashable, work: Callable[..., R], *args: Any) -> R:
        """Do short work where it holds up others, and learn for how long."""
        started = time.perf_counter()
        try:
            return work(*args)
        finally:
            self.took(kind, time.perf_counter() - started)

    def aside(self, kind: Hashable, work: Callable[..., R], *args: Any) -> R:
        """Do work in a thread, and learn of its processor time: waiting for others is none of it."""
        started = time.thread_time()
        try:
            return work(*args)
        finally:
            self.took(kind, time.thread_time() - started)


def shape_of(value: Any, depth: int = DEPTH_MAX) -> Hashable:
    """What of a JSON value tells how much work it is: keys, types and orders of magnitude, no values."""
    if isinstance(value, str | bytes):
        return len(value).bit_length()
    if isinstance(value, Mapping):
        if depth == 0:
            return len(value).bit_length()
        return tuple((key, shape_of(each, depth - 1)) for key, each in value.items())
    if isinstance(value, Sequence):
        first = shape_of(value[0], depth - 1) if value and depth else None
        return len(value).bit_length(), first
    return type(value).__name__
