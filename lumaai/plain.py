"""Python's values that JSON lacks and whose meaning is plain: dates and times, decimals, UUIDs, NumPy's scalars.

Elasticsearch's and Qdrant's clients write them likewise. What has no one meaning (sets, tuples, bytes) stays as it is,
and is refused where it stands in its document.
"""

from __future__ import annotations

import datetime as dt
import decimal
import uuid
from collections.abc import Iterable
from typing import Any

DEPTH_MAX = 64  # deeper documents are refused
# So many numbers in a list are a vector, which is not looked through: of 384 that takes 8 µs of 12 a document.
VECTOR_NUMBERS_MIN = 16
_PLAIN = frozenset({str, int, float, bool, type(None)})


def plain_documents(documents: Iterable[Any]) -> list[Any]:
    """The documents with JSON's values in place of such others; those without any are the same objects."""
    return [_plain_document(document) for document in documents]


def plain_scalar(value: Any) -> Any:
    """What a value is in JSON: ISO 8601 strings, numbers, strings; None for what is no time (NaT); else the value."""
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
        value = value if value.dtype.name in _ITEMS else value.astype("datetime64[us]")
    elif value.dtype.kind not in "biufU":
        return value
    item = value.item()
    return item if type(item) in _PLAIN else plain_scalar(item)


_ITEMS = frozenset({"datetime64[D]", "datetime64[s]", "datetime64[ms]", "datetime64[us]"})  # that are dates of Python's


class _TooDeepError(Exception):
    pass


def _plain_document(document: Any) -> Any:
    try:
        return _plain(document, DEPTH_MAX)
    except _TooDeepError:
        return document


def _plain(value: Any, depth: int) -> Any:
    kind = type(value)
    if kind in _PLAIN:
        return value
    if kind is not dict and kind is not list:
        return plain_scalar(value)
    if depth == 0:
        raise _TooDeepError
    if kind is list and len(value) >= VECTOR_NUMBERS_MIN and type(value[0]) is type(value[-1]) is float:
        return value
    items: Iterable[Any] = value.values() if kind is dict else value
    if _PLAIN.issuperset(map(type, items)):
        return value
    made = [_plain(item, depth - 1) for item in items]
    if all(new is old for new, old in zip(made, items, strict=True)):
        return value
    return dict(zip(value, made, strict=True)) if kind is dict else made
