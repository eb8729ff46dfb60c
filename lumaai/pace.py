"""How long work of a kind takes, as the latest of it took: what decides whether a thread is worth it."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any, TypeVar

R = TypeVar("R")

# What takes less may hold up everything else for as long; what takes longer gains by the other processors.
SHORT_SECONDS = 0.002
# Of an estimate, the share that is the last piece's: one that met a busy machine makes no kind long.
LAST_SHARE = 0.2
# The longest piece counts as well, less with each that follows: a kind of which now and then one holds up everybody
# for so long is not short, however short the others are.
PEAK_SECONDS, PEAK_FADES = 10 * SHORT_SECONDS, 0.02
KINDS_MAX = 1_024
# How deep a filter is looked at to tell kinds; what is deeper is alike.
DEPTH_MAX = 4
# What filters may have whose shape tells how much work they are. A pattern takes as long as it is wicked, and what is
# large would be kept with its kind.
PLAIN_OPERATORS = frozenset(
    {"$and", "$or", "$not", "$eq", "$ne", "$gt", "$gte", "$lt", "$lte", "$in", "$nin", "$exists", "$is_null"}
)
VALUES_MAX, CHARACTERS_MAX = 64, 256


class Pace:
    """Seconds by kind of work; the kinds that were asked for longest ago are forgotten. Safe for many threads.

    A wrong guess costs little: work that was short and is no more is found out by its first pieces.
    """

    def __init__(self) -> None:
        # Of each kind the estimate, and the longest piece as far as it counts.
        self._seconds: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()

    def is_short(self, kind: Hashable) -> bool:
        """Whether work of the kind is known, and short."""
        seconds, peak = self._seconds.get(kind, (SHORT_SECONDS, 0.0))
        return seconds < SHORT_SECONDS and peak < PEAK_SECONDS

    def took(self, kind: Hashable, seconds: float) -> None:
        """Learn how long a piece of work took."""
        known, peak = self._seconds.get(kind, (seconds, 0.0))
        self._seconds[kind] = known + LAST_SHARE * (seconds - known), max(seconds, peak * (1 - PEAK_FADES))
        if len(self._seconds) > KINDS_MAX:
            self._seconds.popitem(last=False)

    def timed(self, kind: Hashable, work: Callable[..., R], *args: Any) -> R:
        """Do work, and learn of its processor time: that others had the machine meanwhile says nothing of it."""
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


def is_plain(value: Any) -> bool:
    """Whether a JSON value is a small filter with comparisons only, so that its shape tells how much work it is."""
    left, values = VALUES_MAX, [value]
    while values:
        left -= 1
        each = values.pop()
        if isinstance(each, Mapping):
            if len(each) > left or not all(map(_is_plain_key, each)):
                return False
            values += each.values()
        elif isinstance(each, str | bytes):
            if len(each) > CHARACTERS_MAX:
                return False
        elif isinstance(each, Sequence):
            if len(each) > left:
                return False
            values += each
        if len(values) > left:
            return False
    return True


def _is_plain_key(key: str) -> bool:
    return key in PLAIN_OPERATORS if key.startswith("$") else len(key) <= CHARACTERS_MAX
