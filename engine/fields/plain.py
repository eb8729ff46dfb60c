"""Python's single values that JSON lacks and whose meaning is plain: dates and times, decimals, UUIDs, NumPy's scalars.

Elasticsearch's and Qdrant's clients write them likewise. What has no one meaning (bytes, durations) stays as it is.
"""

from __future__ import annotations

import datetime as dt
import decimal
import uuid
from typing import Any

PLAIN = frozenset({str, int, float, bool, type(None)})


def plain_scalar(value: Any) -> Any:
    """What a value is in JSON: ISO 8601 strings, numbers, strings; None for what is no time (NaT); else the value."""
    if type(value) in PLAIN:
        return value
    match value:
        case dt.date() | dt.time():
            return value.isoformat() if value == value else None  # noqa: PLR0124  (pandas' NaT is not)
        case decimal.Decimal() if value.is_finite():
            return int(value) if value.as_tuple().exponent == 0 else float(value)
        case uuid.UUID():
            return str(value)
        case _:
            return _of_numpy(value) if type(value).__module__ == "numpy" else value


def _of_numpy(value: Any) -> Any:
    """Duck-typed, so that NumPy is not imported for it; arrays are left to who takes vectors."""
    if getattr(value, "shape", None) != () or not hasattr(value, "item"):
        return value
    if value.dtype.kind == "M":
        return _of_moment(value)
    if value.dtype.kind not in "biufU":
        return value
    item = value.item()
    return item if type(item) in PLAIN else float(item)  # of more than 64 bits, which NumPy keeps


def _of_moment(value: Any) -> Any:
    """NumPy gives numbers for what is no date of Python's (before the year 1, after 9999): such stay as they are."""
    made = value if value.dtype.name in _ITEMS else value.astype("datetime64[us]")
    wrapped = made.astype("datetime64[Y]") != value.astype("datetime64[Y]") and value == value  # noqa: PLR0124  (NaT)
    item = made.item()
    return value if wrapped or isinstance(item, int) else plain_scalar(item)


_ITEMS = frozenset({"datetime64[D]", "datetime64[s]", "datetime64[ms]", "datetime64[us]"})  # that are dates of Python's
