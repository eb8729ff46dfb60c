"""What a device must be able to do, whichever library drives it."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, Protocol

from engine.arrays import Mask, Rows, Scores, Vectors
from engine.schema import Metric
from engine.vector.allowed import Allowed


class DeviceFullError(Exception):
    """The device's memory does not hold what was to be done."""


class DeviceBrokenError(Exception):
    """The device, or the library that drives it, failed; it should not be asked again."""


class RowsOf(Protocol):
    """Vectors that may have to be decoded: an array, or one that makes float32 of what is taken out of it."""

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, dim)."""

    def __len__(self) -> int:
        """Rows."""

    def __getitem__(self, chosen: Any, /) -> Vectors:
        """(m, dim) float32 at a slice or at an array of rows."""


@dataclass(frozen=True, slots=True)
class Source:
    """What is to lie on the device.

    Attributes:
        vectors: (n, dim), prepared for `metric`; only read while the index lives that they are of.
        metric: of the field.
        centroids: (lists, dim) of inverted lists; None where there are none.
        list_of: (n,) in which list each row is.
    """

    vectors: RowsOf
    metric: Metric
    centroids: Vectors | None = None
    list_of: Rows | None = None

    @property
    def lists(self) -> int:
        """How many inverted lists there are."""
        return 0 if self.centroids is None else len(self.centroids)


@dataclass(frozen=True, slots=True)
class Nearest:
    """Scores (q, k) and rows (q, k), best first, -1 where there are no more; and how they were found.

    Attributes:
        sure: (q,) whether nothing nearer can have been missed, as far as the way of searching goes.
    """

    scores: Scores
    rows: Rows
    sure: Mask
    how: str


class Resident(Protocol):
    """Vectors that lie on the device. For the thread that owns it.

    Attributes:
        bytes: of the device's memory.
        lists: inverted lists; 0 for none.
    """

    bytes: int
    lists: int

    def search(self, queries: Vectors, k: int, allowed: Allowed | None, nprobe: int | None) -> Nearest | None:
        """The k nearest rows of each query; k at most the number of allowed rows. None where it cannot.

        Args:
            queries: (q, dim) float32, prepared.
            k: rows.
            allowed: which rows may be returned; None for all.
            nprobe: lists to look through; None for comparing with every row.

        Raises:
            DeviceFullError: there is no memory for it.
            DeviceBrokenError: the device failed.
        """


class Backend(Protocol):
    """A device and the library that drives it.

    Attributes:
        name: for people: "cuda", "cuda by FAISS".
    """

    name: str

    def load(self, source: Source) -> Generator[None, None, Resident]:
        """Put vectors there, in steps between which the device may do other work.

        Raises:
            DeviceFullError: they do not fit.
            DeviceBrokenError: the device failed.
        """

    def memory_bytes(self) -> int | None:
        """Of the device, in all; None where that cannot be told."""

    def centroids(self, sample: Vectors, count: int, rounds: int) -> Vectors:
        """k-means: (count, dim) centroids of (n, dim) vectors after some rounds.

        Raises:
            DeviceFullError: there is no memory for it.
            DeviceBrokenError: the device failed.
        """
