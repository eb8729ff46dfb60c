"""The vectors last used, in this process."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np

from models.cache import Vector
from models.embedder import Vectors

DEFAULT_BYTES_MAX = 64 << 20

# What Python keeps beside the numbers of one entry: array header, digest, tuple, places in the dictionary (measured).
_OVERHEAD_BYTES = 400


class MemoryCache:
    """Bounded by bytes; what was used longest ago goes first. The lock guards everything.

    Args:
        bytes_max: memory of all vectors, with what Python keeps beside them.
    """

    name = "memory"

    def __init__(self, bytes_max: int = DEFAULT_BYTES_MAX) -> None:
        self._bytes_max = bytes_max
        self._lock = threading.Lock()
        self._vectors: OrderedDict[tuple[bytes, str], Vector] = OrderedDict()
        self._models: dict[str, int] = {}  # how many vectors each model has; usually it is one
        self._bytes = 0

    @property
    def memory_bytes(self) -> int:
        """What is held now."""
        return self._bytes

    def get_many(self, model: str, digests: Sequence[bytes]) -> list[Vector | None]:
        """The vector under each digest, or None; read-only arrays."""
        found: list[Vector | None] = []
        with self._lock:
            for digest in digests:
                vector = self._vectors.get((digest, model))
                if vector is not None:
                    self._vectors.move_to_end((digest, model))
                found.append(vector)
        return found

    def put_many(self, model: str, digests: Sequence[bytes], vectors: Vectors) -> None:
        """Keep copies of vectors, (n, dim) float32."""
        with self._lock:
            for digest, vector in zip(digests, vectors, strict=True):
                self._remove((digest, model))
                kept = np.array(vector, dtype=np.float32)  # a copy: a row would keep its whole batch in memory
                kept.flags.writeable = False
                self._vectors[digest, model] = kept
                self._models[model] = self._models.get(model, 0) + 1
                self._bytes += kept.nbytes + _OVERHEAD_BYTES
            while self._bytes > self._bytes_max:
                self._remove(next(iter(self._vectors)))

    def delete_many(self, digests: Sequence[bytes]) -> None:
        """Forget these digests, of all models."""
        with self._lock:
            for model in list(self._models):
                for digest in digests:
                    self._remove((digest, model))

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._vectors.clear()
            self._models.clear()
            self._bytes = 0

    def close(self) -> None:
        """Forget everything."""
        self.clear()

    def _remove(self, key: tuple[bytes, str]) -> None:
        vector = self._vectors.pop(key, None)
        if vector is None:
            return
        self._bytes -= vector.nbytes + _OVERHEAD_BYTES
        self._models[key[1]] -= 1
        if not self._models[key[1]]:
            del self._models[key[1]]
