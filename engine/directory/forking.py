"""Forked children of a process with an open database: they may not hold its lock or use its store.

RocksDB's threads stay with the parent, and whoever waited for them in the child would wait for ever. Children that are
spawned, or exec another program, have none of these troubles.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import weakref
from typing import Protocol


class Forked(Protocol):
    """Something open that a child inherits in name only."""

    def forked(self) -> None:
        """Called in the child, before anything else of it runs."""


_open: weakref.WeakSet[Forked] = weakref.WeakSet()


def watch(opened: Forked) -> None:
    """Call `opened.forked()` in children that are forked from now on, for as long as it lives."""
    _open.add(opened)


def unwatch(opened: Forked) -> None:
    """It was closed: children need no longer know of it."""
    _open.discard(opened)


def _in_child() -> None:
    opened = list(_open)
    for each in opened:
        each.forked()
    if opened:
        _leave_without_destructors()


def _leave_without_destructors() -> None:
    """End the child by `_exit`: RocksDB's last destructor would join threads that are not there, and crash.

    `on_exit` is of glibc alone, and its handlers run before older ones; where it is missing, children should end by
    `os._exit`, as those of `multiprocessing` do.
    """
    library = ctypes.CDLL(None)
    with contextlib.suppress(AttributeError):
        library.on_exit(ctypes.cast(library["_exit"], ctypes.c_void_p), None)


os.register_at_fork(after_in_child=_in_child)
