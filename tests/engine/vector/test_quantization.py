"""engine.vector.quantization: what fits into fewer bits."""

from __future__ import annotations

import numpy as np
import pytest

from engine.schema import Quantization
from engine.vector.index import CannotTrainError
from engine.vector.quantization import check_fits, sub_quantizers


@pytest.mark.parametrize(
    ("dim", "parts"),
    [(784, 196), (384, 96), (1_023, 341), (1_022, 511), (1_025, 205), (383, 383), (25, 25), (50, 25), (1, 1)],
)
def test_sub_vectors_divide_the_dimension(dim: int, parts: int) -> None:
    """Four components each where that goes; fewer where there are few, or none other divides."""
    assert sub_quantizers(dim) == parts
    assert dim % parts == 0


def test_what_does_not_fit_is_refused() -> None:
    """Values beyond float16 on either side, and too few rows to learn ranges from."""
    check_fits(np.full((1, 2), 65_504, np.float32), Quantization.FP16)
    with pytest.raises(CannotTrainError, match="got=65600"):
        check_fits(np.array([[0, -65_600]], np.float32), Quantization.FP16)
    check_fits(np.zeros((100, 2), np.float32), Quantization.SQ8)
    with pytest.raises(CannotTrainError, match="got=99"):
        check_fits(np.zeros((99, 2), np.float32), Quantization.SQ8)
