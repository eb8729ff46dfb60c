"""Which vectors are refused, on their way in and as queries: those that could not be compared."""

from __future__ import annotations

from typing import Any

import numpy as np

from engine.arrays import Vectors
from engine.errors import DimensionMismatchError, InvalidInputError
from engine.schema import Metric, VectorField

LENGTH_MAX = 1e18  # under l2 and dot: squares of sums of a few such vectors stay far below float32's 3.4e38


def check_vectors(array: Vectors, spec: VectorField) -> Vectors:
    """`array`, (dim,) or (n, dim) of numbers, as contiguous float32.

    Raises:
        DimensionMismatchError: the vectors have another size than the field.
        InvalidInputError: one is not finite, zero under cosine, or so long that what it is compared by would not be
            finite; of several, `details["row"]` says which.
    """
    if array.shape[-1] != spec.dim:
        raise DimensionMismatchError(spec.dim, array.shape[-1])
    with np.errstate(over="ignore"):
        vectors: Vectors = np.ascontiguousarray(array, dtype=np.float32)
    squares = np.einsum("...i,...i->...", vectors, vectors)
    # A finite sum of squares proves every component finite; one that overflows, or is 0, is looked at again.
    if not np.isfinite(squares).all() and not np.isfinite(vectors).all():
        raise _not_finite(vectors)
    if spec.metric is not Metric.COSINE:
        if not (squares <= LENGTH_MAX**2).all():
            raise _too_long(vectors, squares, spec.metric)
    elif not squares.all() and not vectors.any(axis=-1).all():
        message = "vector is zero, which has no direction: metric=cosine"
        raise InvalidInputError(message, **_row(~vectors.any(axis=-1)))
    return vectors


def _not_finite(vectors: Vectors) -> InvalidInputError:
    first = tuple(np.argwhere(~np.isfinite(vectors))[0].tolist())
    what = "vector has a component that is not finite (NaN, infinite, or beyond float32)"
    return InvalidInputError(
        f"{what}: component={first[-1]} got={vectors[first]}", **_row(~np.isfinite(vectors).all(axis=-1))
    )


def _too_long(vectors: Vectors, squares: Any, metric: Metric) -> InvalidInputError:
    wrong = ~(squares <= LENGTH_MAX**2)
    length = np.linalg.norm(np.atleast_2d(vectors)[np.flatnonzero(wrong)[0]].astype(np.float64))
    message = f"vector is too long to be compared in float32: metric={metric} maximum={LENGTH_MAX:g} got={length:g}"
    return InvalidInputError(message, **_row(wrong))


def _row(wrong: Any) -> dict[str, Any]:
    """The first vector that is wrong, where there are several."""
    return {"row": int(np.flatnonzero(wrong)[0])} if np.ndim(wrong) else {}
