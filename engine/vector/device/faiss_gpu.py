"""FAISS's own search on a CUDA card, where the `faiss-gpu` wheel is installed in place of `faiss-cpu`."""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator
from typing import Any, TypeVar

import faiss
import numpy as np

from engine.arrays import Vectors
from engine.vector.allowed import Allowed
from engine.vector.device.backend import DeviceBrokenError, DeviceFullError, Nearest, Source
from engine.vector.device.driver import card_bytes
from engine.vector.index import faiss_metric, to_scores

ADD_BYTES = 64 * 1024 * 1024
GATHERED_BYTES_MAX = 64 * 1024 * 1024  # of allowed rows that are sent along with a search; more are left to the CPU
K_MAX = 2_048  # FAISS's limit on cards
T = TypeVar("T")


class FaissBackend:
    """The first card, by FAISS. For one thread."""

    name = "cuda by FAISS"

    def __init__(self) -> None:
        self.resources = faiss.StandardGpuResources()

    def load(self, source: Source) -> Generator[None, None, FaissResident]:
        """See `Backend.load`."""
        dim = source.vectors.shape[1]
        metric = faiss_metric(source.metric)
        index = _translated(lambda: faiss.GpuIndexFlat(self.resources, dim, metric))
        step = max(1, ADD_BYTES // (4 * dim))
        for begin in range(0, len(source.vectors), step):
            piece = np.ascontiguousarray(source.vectors[begin : begin + step])
            _translated(functools.partial(index.add, piece))
            yield
        return FaissResident(self, index, source)

    def memory_bytes(self) -> int | None:
        """See `Backend.memory_bytes`."""
        return card_bytes()

    def centroids(self, sample: Vectors, count: int, rounds: int) -> Vectors:
        """See `Backend.centroids`."""
        clustering = faiss.Kmeans(sample.shape[1], count, niter=rounds, min_points_per_centroid=1, seed=1, gpu=1)
        _translated(lambda: clustering.train(sample))
        found: Vectors = clustering.centroids
        return found


class FaissResident:
    """Float32 vectors on the card."""

    lists = 0

    def __init__(self, backend: FaissBackend, index: Any, source: Source) -> None:
        self._backend = backend
        self._index = index
        self._vectors = source.vectors
        self._metric = source.metric
        self.bytes = 4 * int(index.ntotal * index.d)

    def search(self, queries: Vectors, k: int, allowed: Allowed | None, nprobe: int | None) -> Nearest | None:  # noqa: ARG002
        """See `Resident.search`. FAISS takes no selector on cards: allowed rows go along where they are few."""
        if k > K_MAX:
            return None
        if allowed is None:
            distances, rows = _translated(lambda: self._index.search(queries, k))
        elif allowed.count * 4 * self._index.d > GATHERED_BYTES_MAX:
            return None
        else:
            taken = np.ascontiguousarray(self._vectors[allowed.rows])
            metric = faiss_metric(self._metric)
            distances, places = _translated(
                lambda: faiss.knn_gpu(self._backend.resources, queries, taken, k, metric=metric)
            )
            rows = allowed.rows[places]
        sure = np.ones(len(queries), dtype=np.bool_)
        return Nearest(to_scores(distances, self._metric), rows, sure, f"{self._backend.name}, exact float32")


def _translated(work: Callable[[], T]) -> T:
    """FAISS raises one kind of error for all."""
    try:
        return work()
    except RuntimeError as error:
        message = str(error).strip().split("\n", maxsplit=1)[0][:300]
        full = "memory" in message.lower()
        raise (DeviceFullError if full else DeviceBrokenError)(message) from error
