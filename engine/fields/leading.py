"""The rows that come first under a key, without sorting all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa

from engine.fields import kernels as pc
from engine.fields.origin import Places


def leading(column: Any, count: int, *, descending: bool) -> Places | None:
    """The places of the `count` least (or greatest) values and of all that equal the last of them, in their order.

    Args:
        column: numbers, dates or flags.
        count: how many are wanted at least.
        descending: the greatest first.

    Returns:
        None where it would not help: strings, as many rows as are wanted, or too few values, so that nulls come too.
    """
    kind = column.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_timestamp(kind)):
        return None
    if not 0 < count < len(column) - column.null_count:
        return None
    known = column.drop_null().cast(pa.int64()) if pa.types.is_timestamp(kind) else column.drop_null()
    values = known.combine_chunks().to_numpy(zero_copy_only=False)
    at = len(values) - count if descending else count - 1
    bound = np.partition(values, at)[at]
    numbers = column.cast(pa.int64()) if pa.types.is_timestamp(kind) else column
    reached = (pc.greater_equal if descending else pc.less_equal)(numbers, bound.item())
    places: Places = np.flatnonzero(reached.fill_null(False).to_numpy()).astype(np.int64)
    return places
