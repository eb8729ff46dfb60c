"""NumPy's linear algebra in one thread, for matrices so small that several threads mostly wait for each other."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import numpy as np


@contextmanager
def one_thread() -> Iterator[None]:
    """Have the OpenBLAS that comes with NumPy use one thread until the block's end; nothing where there is another.

    Its threads spin while they wait. On two cores with other work a system of 130 equations took 43 ms in two threads,
    and 0.5 ms in one. The setting is the process's: the last block that ends puts back what was there before the first.
    """
    library = _openblas()
    if library is None:
        yield
        return
    _enter(library)
    try:
        yield
    finally:
        _leave(library)


_lock = threading.Lock()  # guards the two below, and the library's setting
_blocks = 0
_before = 1


def _enter(library: ctypes.CDLL) -> None:
    global _blocks, _before  # noqa: PLW0603  (the setting is the process's too)
    with _lock:
        if _blocks == 0:
            _before = int(library.scipy_openblas_get_num_threads64_())
            library.scipy_openblas_set_num_threads64_(1)
        _blocks += 1


def _leave(library: ctypes.CDLL) -> None:
    global _blocks  # noqa: PLW0603
    with _lock:
        _blocks -= 1
        if _blocks == 0:
            library.scipy_openblas_set_num_threads64_(_before)


@cache
def _openblas() -> ctypes.CDLL | None:
    """The library in NumPy's wheels; None in builds with another."""
    for path in sorted((Path(np.__file__).parent.parent / "numpy.libs").glob("libscipy_openblas64_*")):
        try:
            library = ctypes.CDLL(str(path))
        except OSError:
            continue
        if hasattr(library, "scipy_openblas_set_num_threads64_"):
            return library
    return None
