"""Vectors and texts to measure on: the public sets where they are beside the repository, else made ones."""

from __future__ import annotations

import gzip
import io
import json
import lzma
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

SHARED_DATA = Path(__file__).parent.parent.parent / "shared" / "data"
Array = npt.NDArray[np.float32]


def read_jsonl(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as file:
        return [json.loads(line) for line in file]


def read_npy(path: Path) -> npt.NDArray[Any]:
    with lzma.open(path) as file:
        array: npt.NDArray[Any] = np.load(io.BytesIO(file.read()))
    return array


def fashion_mnist() -> tuple[Array, Array, npt.NDArray[np.int32]] | None:
    """60,000 rows, 10,000 queries, their nearest 100; None where the set is not there."""
    folder = SHARED_DATA / "fashion-mnist"
    if not folder.is_dir():
        return None
    base = read_npy(folder / "train.npy.xz").astype(np.float32)
    queries = read_npy(folder / "test.npy.xz").astype(np.float32)
    return base, queries, read_npy(folder / "neighbors.npy.xz")


def clustered(rows: int, dim: int, seed: int = 0) -> Array:
    """Unit vectors that lie near a random 32-dimensional subspace, as those of real texts do."""
    random = np.random.default_rng(seed)
    basis = random.standard_normal((32, dim))
    centers = random.standard_normal((64, 32))
    points = centers[random.integers(64, size=rows)] + 0.7 * random.standard_normal((rows, 32))
    vectors = points @ basis + 0.3 * random.standard_normal((rows, dim))
    unit: Array = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)
    return unit
