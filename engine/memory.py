"""One cap for what the database keeps only to be quick, and what all the rest takes.

The cap is shared by the store's block cache and the masks of filters. Neither is needed for an answer, so both give way
by themselves; heads and indexes are data, and are only counted. What is merely mapped is counted apart: the system
keeps as much of it in memory as there is room for.
"""

from __future__ import annotations

import ctypes
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from engine.arrays import Mask

MEMORY_BYTES_DEFAULT = 160 * 1024 * 1024
MEMORY_BYTES_MIN = 1024 * 1024
GIVE_BACK_BYTES = 32 * 1024 * 1024  # of files of segments that were joined: their indexes took about as much
MASKS_SHARE = 0.2  # one mask of a million documents takes 1 MB
MASKS_BYTES_DEFAULT = int(MEMORY_BYTES_DEFAULT * MASKS_SHARE)
_ENTRY_BYTES = 400  # of a mask besides its flags: key, array header, place in the table; measured


def _find_trim() -> Callable[[int], int] | None:
    """Glibc's `malloc_trim`; other C libraries have none, and give back by themselves what they give back."""
    try:
        function = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError):
        return None
    function.argtypes, function.restype = (ctypes.c_size_t,), ctypes.c_int
    return function


_trim = _find_trim()


def give_back() -> None:
    """Let the system have what was freed: glibc and Arrow keep most of it, in case somebody wants as much again.

    Takes milliseconds for each 100 MB, without the GIL: for after what has freed much.
    """
    pa.default_memory_pool().release_unused()
    if _trim is not None:
        _trim(0)


@dataclass(frozen=True, slots=True)
class MemoryLimits:
    """How the cap is split.

    Attributes:
        block_cache_bytes: blocks of the store, uncompressed.
        masks_bytes: which documents of a part satisfy a filter.
    """

    block_cache_bytes: int
    masks_bytes: int

    @classmethod
    def split(cls, memory_bytes_max: int = MEMORY_BYTES_DEFAULT) -> MemoryLimits:
        """Both shares of one cap.

        Raises:
            ValueError: less than `MEMORY_BYTES_MIN`.
        """
        if memory_bytes_max < MEMORY_BYTES_MIN:
            raise ValueError(
                f"memory_bytes_max is too small: expected at least {MEMORY_BYTES_MIN} got={memory_bytes_max}"
            )
        masks = int(memory_bytes_max * MASKS_SHARE)
        return cls(memory_bytes_max - masks, masks)


class MaskCache:
    """Which documents of a part satisfy a filter, the least recently used forgotten first.

    Parts are immutable and outlive snapshots, so the masks are kept for parts: a write costs none of them.

    Safe for many threads; `_lock` guards the table.
    """

    def __init__(self, bytes_max: int = MASKS_BYTES_DEFAULT) -> None:
        self.bytes_max = bytes_max
        self._bytes = 0
        self._lock = threading.Lock()
        self._masks: OrderedDict[tuple[weakref.ref[Any], str], tuple[Any, Mask]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._masks)

    @property
    def bytes(self) -> int:
        """What the masks take."""
        return self._bytes

    def get(self, part: Any, condition: str, schema: Any) -> Mask | None:
        """The mask of `condition` over `part`, if it is known under just this `schema`. Do not write."""
        key = (weakref.ref(part), condition)
        with self._lock:
            found = self._masks.get(key)
            if found is None or found[0] is not schema:
                return None
            self._masks.move_to_end(key)
            return found[1]

    def put(self, part: Any, condition: str, schema: Any, mask: Mask) -> None:
        """Keep a mask, which nobody writes to any more; one too large for the cache is not kept."""
        size = _size(condition, mask)
        if size > self.bytes_max:
            return
        key = (weakref.ref(part), condition)
        with self._lock:
            self._forget(key)
            self._masks[key] = (schema, mask)
            self._bytes += size
            while self._bytes > self.bytes_max:
                self._forget(next(iter(self._masks)))

    def forget_dead(self) -> None:
        """Let the masks of parts go that are no more."""
        with self._lock:
            for key in [key for key in self._masks if key[0]() is None]:
                self._forget(key)

    def _forget(self, key: tuple[weakref.ref[Any], str]) -> None:
        found = self._masks.pop(key, None)
        if found is not None:
            self._bytes -= _size(key[1], found[1])


def _size(condition: str, mask: Mask) -> int:
    return mask.nbytes + len(condition) + _ENTRY_BYTES
