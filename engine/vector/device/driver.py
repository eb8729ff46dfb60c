"""What the CUDA driver says, without torch or FAISS: importing those costs seconds."""

from __future__ import annotations

import ctypes
from functools import cache
from typing import Any

LIBRARIES = ("libcuda.so.1", "nvcuda.dll")


def load_driver() -> Any | None:
    """The driver's library; None where there is none, and so no CUDA card that could be used."""
    for name in LIBRARIES:
        try:
            return ctypes.CDLL(name)
        except OSError:
            continue
    return None


@cache
def card_bytes() -> int | None:
    """Memory of the first card, in all; None where the driver does not tell.

    By https://docs.nvidia.com/cuda/cuda-driver-api/, whose functions return 0 where all is well.
    """
    driver = load_driver()
    if driver is None or driver.cuInit(0):
        return None
    card, size = ctypes.c_int(), ctypes.c_size_t()
    if driver.cuDeviceGet(ctypes.byref(card), 0) or driver.cuDeviceTotalMem_v2(ctypes.byref(size), card):
        return None
    return size.value
