"""One cap for what the database keeps only to be quick, and what all the rest takes.

The cap is shared by the store's block cache, the masks of filters and the indexes of fields. None is needed for an
answer, so all give way by themselves; heads and vector indexes are data, and are only counted. What is merely mapped is
counted apart: the system keeps as much of it in memory as there is room for.
"""

from __future__ import annotations

import ctypes
import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyroaring import BitMap

from engine.arrays import Mask
from engine.fields.bitmaps import bitmap_bytes
from engine.fields.index_cache import INDEXES_BYTES_DEFAULT, IndexCache
from engine.fields.paths import LeafCache

if TYPE_CHECKING:
    from engine.statistics import StatisticsCache

MEMORY_BYTES_DEFAULT = 160 * 1024 * 1024
MEMORY_BYTES_MIN = 1024 * 1024
GIVE_BACK_BYTES = 32 * 1024 * 1024  # of files of segments that were joined: their indexes took about as much
MASKS_SHARE = 0.2  # one mask of a million documents takes 1 MB
EMBEDDINGS_SHARE = 0.1  # about 8,500 vectors of 384 numbers in 16 MB
TEXT_SHARE = 0.1  # the heap of one text index's writer, which is at least 15 MB
SQL_BYTES_MIN = 128 * 1024 * 1024
INDEXES_SHARE = 0.2  # the index of a field of a million numbers takes 9 MB
MASKS_BYTES_DEFAULT = int(MEMORY_BYTES_DEFAULT * MASKS_SHARE)
_BITMAP = "bitmap of "  # before the condition of one
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
        indexes_bytes: postings and sorted values of fields, for filters.
        embeddings_bytes: vectors of the texts last embedded; kept by who embeds, counted there.
        text_bytes: heaps of text indexes' writers; there is always room for one.
    """

    block_cache_bytes: int
    masks_bytes: int
    embeddings_bytes: int
    indexes_bytes: int
    text_bytes: int

    @classmethod
    def split(cls, memory_bytes_max: int = MEMORY_BYTES_DEFAULT) -> MemoryLimits:
        """The shares of one cap.

        Raises:
            ValueError: less than `MEMORY_BYTES_MIN`.
        """
        if memory_bytes_max < MEMORY_BYTES_MIN:
            raise ValueError(
                f"memory_bytes_max is too small: expected at least {MEMORY_BYTES_MIN} got={memory_bytes_max}"
            )
        masks, embeddings = int(memory_bytes_max * MASKS_SHARE), int(memory_bytes_max * EMBEDDINGS_SHARE)
        indexes, text = int(memory_bytes_max * INDEXES_SHARE), int(memory_bytes_max * TEXT_SHARE)
        return cls(memory_bytes_max - masks - embeddings - indexes - text, masks, embeddings, indexes, text)


def sql_bytes(memory_bytes_max: int = MEMORY_BYTES_DEFAULT) -> int:
    """What all SQL queries may take together while they run: as much as the cap, and no less than what a join needs.

    It is taken only meanwhile, and beyond it queries use the disk: it stands beside the shares and is no part of them.
    """
    return max(memory_bytes_max, SQL_BYTES_MIN)


class MaskCache:
    """Which documents of a part satisfy a filter, the least recently used forgotten first.

    Parts are immutable and outlive snapshots, so the masks are kept for parts: a write costs none of them.

    Safe for many threads; `_lock` guards the table.

    Args:
        bytes_max: of the masks.
        indexes_bytes_max: of the indexes.

    Attributes:
        indexes: of the fields of the parts, from which masks are made.
        leaves: of the objects in the parts; at most 2,000 paths a field.
    """

    def __init__(self, bytes_max: int = MASKS_BYTES_DEFAULT, indexes_bytes_max: int = INDEXES_BYTES_DEFAULT) -> None:
        self.bytes_max = bytes_max
        self.indexes = IndexCache(indexes_bytes_max)
        self.leaves = LeafCache()
        self._statistics: StatisticsCache | None = None
        self._bytes = 0
        self._lock = threading.Lock()
        self._masks: OrderedDict[tuple[weakref.ref[Any], str], tuple[Any, Mask | BitMap]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._masks)

    @property
    def statistics(self) -> StatisticsCache:
        """Figures of the fields of the parts; a few kilobytes each."""
        if self._statistics is None:
            from engine.statistics import StatisticsCache

            self._statistics = StatisticsCache()
        return self._statistics

    @property
    def bytes(self) -> int:
        """What the masks take."""
        return self._bytes

    def get(self, part: Any, condition: str, schema: Any) -> Mask | None:
        """The mask of `condition` over `part`, if it is known under just this `schema`. Do not write."""
        found: Mask | None = self._find(part, condition, schema)
        return found

    def get_bitmap(self, part: Any, condition: str, schema: Any) -> BitMap | None:
        """As `get`, of what was put as a bitmap."""
        found: BitMap | None = self._find(part, _BITMAP + condition, schema)
        return found

    def put_bitmap(self, part: Any, condition: str, schema: Any, bitmap: BitMap) -> None:
        """As `put`, of places in `part`."""
        self.put(part, _BITMAP + condition, schema, bitmap)

    def _find(self, part: Any, condition: str, schema: Any) -> Any:
        key = (weakref.ref(part), condition)
        with self._lock:
            found = self._masks.get(key)
            if found is None or found[0] is not schema:
                return None
            self._masks.move_to_end(key)
            return found[1]

    def put(self, part: Any, condition: str, schema: Any, mask: Mask | BitMap) -> None:
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
        self.indexes.forget_dead()

    def _forget(self, key: tuple[weakref.ref[Any], str]) -> None:
        found = self._masks.pop(key, None)
        if found is not None:
            self._bytes -= _size(key[1], found[1])


def _size(condition: str, mask: Mask | BitMap) -> int:
    size = bitmap_bytes(mask) if isinstance(mask, BitMap) else mask.nbytes
    return size + len(condition) + _ENTRY_BYTES
