"""Vectors to index, and what is nearest in them by plain numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from engine.schema import Metric

Array = npt.NDArray[np.float32]


def clustered(rows: int, dim: int, seed: int = 0) -> Array:
    """Points around 20 centres in a space of intrinsic dimension 8."""
    random = np.random.default_rng(seed)
    basis = np.random.default_rng(100).standard_normal((8, dim))
    centres = np.random.default_rng(101).standard_normal((20, 8)) * 2
    points = centres[random.integers(0, 20, rows)] + random.standard_normal((rows, 8))
    return np.asarray(points @ basis + 0.1 * random.standard_normal((rows, dim)), dtype=np.float32)


def brute(queries: Array, vectors: Array, metric: Metric) -> npt.NDArray[np.float64]:
    """Scores (q, n) in float64."""
    q, v = queries.astype(np.float64), vectors.astype(np.float64)
    if metric is Metric.L2:
        return np.asarray(-np.sqrt(((q[:, None] - v[None]) ** 2).sum(-1)))
    if metric is Metric.COSINE:
        q, v = q / np.linalg.norm(q, axis=1, keepdims=True), v / np.linalg.norm(v, axis=1, keepdims=True)
    return np.asarray(q @ v.T)


def recall(rows: Any, scores: npt.NDArray[np.float64]) -> float:
    """Mean share of the true nearest among `rows` (q, k)."""
    best = np.argsort(-scores, axis=1)[:, : rows.shape[1]]
    return float(np.mean([len(set(a) & set(b)) / len(b) for a, b in zip(rows.tolist(), best.tolist(), strict=True)]))
