"""Vectors to measure recall on: fashion-mnist where it lies beside the repository, and clustered ones."""

from __future__ import annotations

import io
import lzma
from functools import cache
from pathlib import Path

import numpy as np
import pytest

FASHION = Path(__file__).resolve().parents[2].parent / "shared" / "data" / "fashion-mnist"


@cache  # unpacking takes longer than most tests
def fashion(name: str) -> np.ndarray:
    """An array of fashion-mnist, images as (n, 784) uint8. Skips the test where the data is not there."""
    if not FASHION.is_dir():
        pytest.skip("the data beside the repository is not there: shared/data/fashion-mnist")
    with lzma.open(FASHION / f"{name}.npy.xz") as file:
        array: np.ndarray = np.load(io.BytesIO(file.read()))
    return array.reshape(len(array), -1) if array.ndim > 1 else array


def clustered(rows: int, dim: int, seed: int) -> np.ndarray:
    """Points around 100 centres, in a space of intrinsic dimension 16."""
    rng = np.random.default_rng(seed)
    basis = np.random.default_rng(0).standard_normal((16, dim))
    centres = np.random.default_rng(1).standard_normal((100, 16)) * 2
    points = (centres[rng.integers(0, 100, rows)] + rng.standard_normal((rows, 16))) @ basis
    return np.asarray(points + 0.1 * rng.standard_normal((rows, dim)), dtype=np.float32)
