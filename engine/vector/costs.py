"""What comparing with one vector costs on this machine, measured once for each dimension, in a few milliseconds."""

from __future__ import annotations

import time
from functools import lru_cache

import faiss
import numpy as np

from engine.vector.index import use_threads

BYTES = 24 * 1024 * 1024  # of vectors to choose from: more than a core's caches hold
ROWS = 512  # compared with
ROUNDS = 5
ROW_NANOSECONDS_MIN = 1.0


@lru_cache(maxsize=64)
def distance_nanoseconds(dim: int) -> float:
    """Of an exact comparison with one float32 row somewhere in memory, on one processor."""
    count = max(ROWS, BYTES // (4 * dim))
    index = faiss.IndexFlat(dim, faiss.METRIC_L2)
    index.add(np.ones((count, dim), dtype=np.float32))
    query = np.zeros((1, dim), dtype=np.float32)
    random = np.random.default_rng(0)
    use_threads(1)
    times = []
    for _ in range(ROUNDS):
        rows = np.sort(random.choice(count, ROWS, replace=False))
        selector = faiss.IDSelectorArray(len(rows), faiss.swig_ptr(rows))
        parameters = faiss.SearchParameters(sel=selector)
        started = time.thread_time()
        index.search(query, 1, params=parameters)
        times.append(time.thread_time() - started)
    return max(ROW_NANOSECONDS_MIN, 1e9 * min(times) / ROWS)
