"""Which device searches run on, and by which way of searching there.

`auto` takes a CUDA card where there is one and says nothing where there is none; `cuda` warns once and goes on
without. FAISS-GPU serves where its wheel is installed, else torch; neither is needed.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
from enum import StrEnum
from typing import Any

from engine.errors import InvalidInputError
from engine.vector.device.backend import Backend
from engine.vector.device.driver import load_driver

log = logging.getLogger(__name__)

TOP_PASSES = 3  # a tile of scores is written once and read twice: by the bias, by the maxima
GATHER_PASSES = 3  # rows of lists are read, written together, and read again


class DeviceChoice(StrEnum):
    """What a caller may ask for."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


def parse_choice(value: str) -> DeviceChoice:
    """The choice that `value` names.

    Raises:
        InvalidInputError: it names none.
    """
    try:
        return DeviceChoice(value)
    except ValueError:
        expected = ", ".join(DeviceChoice)
        raise InvalidInputError(f"unknown device: expected one of {expected} got={value!r:.40}") from None


def has_driver() -> bool:
    """Whether there can be a CUDA card at all; costs nothing, where importing torch costs seconds."""
    return load_driver() is not None


def find_backend(choice: DeviceChoice) -> Backend | None:
    """What can search on the device that was chosen; None for the processor, with a warning if a card was asked for."""
    if choice is DeviceChoice.CPU:
        return None
    backend, reason = _cuda_backend() if has_driver() else (None, "there is no CUDA driver")
    if backend is None and choice is DeviceChoice.CUDA:
        log.warning("device.missing", extra={"device": choice.value, "reason": reason})
    return backend


def lists_are_cheaper(queries: int, rows: int, dim: int, nprobe: int, lists: int) -> bool:
    """Whether looking through some inverted lists moves fewer bytes of the device's memory than comparing with all.

    Both are bound by memory: all rows are read once for all queries, but a score a row and query is written and read;
    rows of lists are gathered for each query.
    """
    size = 2 * rows * dim  # half precision
    exact = size + 4 * TOP_PASSES * queries * rows
    return GATHER_PASSES * queries * size * min(1.0, nprobe / lists) < exact


def _cuda_backend() -> tuple[Backend | None, str]:
    """A backend on the first CUDA card, or why there is none."""
    faiss: Any = importlib.import_module("faiss")
    if hasattr(faiss, "StandardGpuResources") and faiss.get_num_gpus() > 0:
        from engine.vector.device.faiss_gpu import FaissBackend

        return FaissBackend(), ""
    if importlib.util.find_spec("torch") is None:
        return None, "neither FAISS-GPU nor torch is installed"
    torch: Any = importlib.import_module("torch")
    if not torch.cuda.is_available():
        return None, "torch finds no CUDA card"
    from engine.vector.device.tensors import TorchBackend

    return TorchBackend("cuda"), ""
