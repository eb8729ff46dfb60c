"""The device of this thread, which learns centroids and may hold what is built: builders need not be handed one."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

from engine.arrays import Vectors

_thread = threading.local()


@dataclass(frozen=True, slots=True)
class Card:
    """What a device is called, and the bytes of its memory, in all."""

    name: str
    bytes: int


class Trainer(Protocol):
    """A device that learns; see `SearchDevice`."""

    def card(self) -> Card | None:
        """Itself; None where it cannot be used, or does not know its memory."""

    def centroids(self, sample: Vectors, count: int, rounds: int) -> Vectors | None:
        """k-means: (count, dim) centroids of (n, dim) vectors; None where the processor should."""


@contextmanager
def training_on(device: Trainer | None) -> Generator[None, None, None]:
    """What this thread builds meanwhile learns its centroids on `device`; None for the processor."""
    before = getattr(_thread, "device", None)
    _thread.device = device
    try:
        yield
    finally:
        _thread.device = before


def device_centroids(sample: Vectors, count: int, rounds: int) -> Vectors | None:
    """k-means on this thread's device; None where it has none, or that cannot."""
    device: Trainer | None = getattr(_thread, "device", None)
    return None if device is None else device.centroids(sample, count, rounds)


def device_card() -> Card | None:
    """This thread's device; None where it has none, or that cannot be used."""
    device: Trainer | None = getattr(_thread, "device", None)
    return None if device is None else device.card()
