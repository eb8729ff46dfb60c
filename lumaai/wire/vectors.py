"""Vectors as requests carry them: lists of numbers, or float32 in base64."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

import numpy as np

# Whole float32 numbers: three are 16 characters, the last one or two end in padding.
BASE64_FLOATS = (
    r"^([A-Za-z0-9+/]{16})*([A-Za-z0-9+/]{5}[AQgw]==|[A-Za-z0-9+/]{10}[AEIMQUYcgkosw048]=|[A-Za-z0-9+/]{16})$"
)


def vector_of(given: Sequence[float] | Sequence[Sequence[float]] | str) -> np.ndarray:
    """The (dim,) float32 vector of a request; of rows of equal length, (n, dim).

    Raises:
        ValueError: not base64, not whole float32 numbers, or a number float32 cannot hold.
    """
    if isinstance(given, str):
        try:
            raw = base64.b64decode(given, validate=True)
        except (binascii.Error, ValueError) as error:
            raise ValueError("vector is not base64") from error
        if len(raw) % 4:
            raise ValueError(f"vector is not whole float32 numbers: bytes={len(raw)}")
        vector = np.frombuffer(raw, dtype="<f4")
    else:
        with np.errstate(over="ignore"):
            vector = np.asarray(given, dtype=np.float32)
    if not np.isfinite(vector).all():
        raise ValueError("vector has numbers that are not finite float32")
    return vector


def vectors_of(given: list[list[float]] | str, dim: int) -> np.ndarray:
    """The (n, dim) float32 vectors of a request; `dim` cuts base64 into rows.

    Raises:
        ValueError: as for `vector_of`, or rows of unequal length.
    """
    if isinstance(given, str):
        flat = vector_of(given)
        if len(flat) % dim:
            raise ValueError(f"vectors are not whole rows: dim={dim} got={len(flat)} numbers")
        return flat.reshape(-1, dim)
    lengths = sorted({len(row) for row in given})
    if len(lengths) > 1:
        raise ValueError(f"vectors have different sizes: smallest={lengths[0]} largest={lengths[-1]}")
    return vector_of(given)
