"""How many text indexes may have a writer at once: each takes a heap, and a thread."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable

from engine.text.index import HEAP_BYTES, HEAP_BYTES_MIN

WRITERS_BYTES_DEFAULT = HEAP_BYTES


class TextWriters:
    """Closes the writer that was used least recently when there are too many. Safe for many threads.

    `_lock` guards the table, and is held for moments only.

    Args:
        bytes_max: of all heaps; there is always room for one of `HEAP_BYTES_MIN`.

    Attributes:
        heap_bytes: of each.
    """

    def __init__(self, bytes_max: int = WRITERS_BYTES_DEFAULT) -> None:
        self.heap_bytes = min(HEAP_BYTES, max(HEAP_BYTES_MIN, bytes_max))
        self._count_max = max(1, bytes_max // self.heap_bytes)
        self._lock = threading.Lock()
        self._open: OrderedDict[object, Callable[[], bool]] = OrderedDict()

    def use(self, owner: object, close: Callable[[], bool]) -> None:
        """Take note that `owner` writes, and close others' writers while there are too many.

        Args:
            owner: of the index.
            close: closes its writer; says whether it did, without waiting for anybody.
        """
        with self._lock:
            self._open[owner] = close
            self._open.move_to_end(owner)
            others = list(self._open.items())[:-1]
            excess = len(self._open) - self._count_max
        for other, close_other in others:
            if excess <= 0:
                return
            if close_other():
                self.forget(other)
                excess -= 1

    def forget(self, owner: object) -> None:
        """Take note that the writer of `owner` is closed."""
        with self._lock:
            self._open.pop(owner, None)

    def __len__(self) -> int:
        return len(self._open)
