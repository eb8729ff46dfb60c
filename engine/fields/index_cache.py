"""Indexes of fields, what ranges find in them, and columns of paths: made when asked for, and kept within a cap."""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, TypeVar

from pyroaring import BitMap

from engine.fields.bitmaps import bitmap_bytes
from engine.fields.indexes import FieldIndex, build_index
from engine.schema import Field

ROWS_MIN = 4096  # a column of fewer is compared in the time that an index takes to be found
ASKED_MIN = 2  # an index costs about as much as a hundred passes over its column: once is no reason
ASKED_AGAIN_MIN = 50  # after it had to make room: as often as would have been
INDEXES_BYTES_DEFAULT = 32 * 1024 * 1024  # of a field of a million numbers: 9 MB

Kept = TypeVar("Kept")
_Key = tuple[weakref.ref[Any], str, Field | None]


def is_indexed(part: Any) -> bool:
    """Whether fields of a part may have indexes: it must stay, and be large."""
    return bool(part.lasts) and len(part.ordinals) >= ROWS_MIN


class IndexCache:
    """What was made of the columns of immutable parts, the least recently used forgotten first.

    Safe for many threads; `_lock` guards the tables. An index is made outside of it, by one thread; the others do
    without meanwhile.
    """

    def __init__(self, bytes_max: int = INDEXES_BYTES_DEFAULT) -> None:
        self.bytes_max = bytes_max
        self._bytes = 0
        self._lock = threading.Lock()
        self._kept: OrderedDict[_Key, tuple[Any, int]] = OrderedDict()
        self._wanted: dict[_Key, int] = {}  # how often still to be asked for
        self._passing: weakref.WeakKeyDictionary[Any, dict[str, tuple[Field, Any]]] = weakref.WeakKeyDictionary()

    @property
    def bytes(self) -> int:
        """What is kept takes."""
        return self._bytes

    def index(self, part: Any, name: str, field: Field, column: Callable[[str, Field], Any]) -> FieldIndex | None:
        """The index of a field, if it is there or now worth making.

        Args:
            part: immutable; its ordinals say how many rows it has.
            name: of the field, or the path.
            field: its type now.
            column: gives the Arrow column of the field.
        """
        key = weakref.ref(part), name, field
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
                index: FieldIndex | None = found[0]
                return index
            if not is_indexed(part):
                return None
            left = self._wanted.get(key, ASKED_MIN) - 1
            self._wanted[key] = left
            if left:  # below 0: it is being made, or does not fit
                return None
        made = build_index(field, column(name, field))
        self._keep(key, made, 0 if made is None else made.nbytes)
        return made

    def bitmap(self, part: Any, condition: str, field: Field | None, make: Callable[[], BitMap]) -> BitMap:
        """The places that satisfy a condition on one field of an immutable part, which `make` finds. Do not write.

        `condition` is the field's name, a NUL, and an operator with its operand.
        """
        key = weakref.ref(part), condition, field
        with self._lock:  # as `_made` does: a call more is noticed where two sets are intersected
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
                kept: BitMap = found[0]
                return kept
        return self._made(key, make, bitmap_bytes)

    def path(self, part: Any, name: str, root: Field, make: Callable[[], tuple[Field, Any]]) -> tuple[Field, Any]:
        """The column of a path within JSON, which `make` reads from the documents of `part`."""
        if not part.lasts:
            return self._passing_path(part, name, make)
        return self._made((weakref.ref(part), f"{name}\0column", root), make, lambda made: int(made[1].nbytes))

    def has_path(self, part: Any, name: str, root: Field) -> bool:
        """Whether the column of a path is there."""
        with self._lock:
            if not part.lasts:
                return name in self._passing.get(part, {})
            return (weakref.ref(part), f"{name}\0column", root) in self._kept

    def _passing_path(self, part: Any, name: str, make: Callable[[], tuple[Field, Any]]) -> tuple[Field, Any]:
        with self._lock:
            found = self._passing.setdefault(part, {}).get(name)
        if found is None:
            found = make()
            with self._lock:
                self._passing.setdefault(part, {})[name] = found
        return found

    def _made(self, key: _Key, make: Callable[[], Kept], size_of: Callable[[Kept], int]) -> Kept:
        with self._lock:
            found = self._kept.get(key)
            if found is not None:
                self._kept.move_to_end(key)
                kept: Kept = found[0]
                return kept
        made = make()
        self._keep(key, made, size_of(made))
        return made

    def forget_dead(self) -> None:
        """Let go what was made of parts that are no more."""
        with self._lock:
            for key in [key for key in self._kept if key[0]() is None]:
                self._forget(key)
            self._wanted = {key: left for key, left in self._wanted.items() if key[0]() is not None}

    def _keep(self, key: _Key, made: Any, size: int) -> None:
        if size > self.bytes_max:
            return
        with self._lock:
            self._forget(key)
            self._kept[key] = made, size
            self._bytes += size
            while self._bytes > self.bytes_max:
                oldest = next(iter(self._kept))
                self._forget(oldest)
                if "\0" not in oldest[1]:  # an index: what is made of one costs less
                    self._wanted[oldest] = ASKED_AGAIN_MIN

    def _forget(self, key: _Key) -> None:
        self._wanted.pop(key, None)
        found = self._kept.pop(key, None)
        if found is not None:
            self._bytes -= found[1]
