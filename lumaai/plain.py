"""Documents with Python's values that JSON lacks and whose meaning is plain, such as dates (`engine.fields.plain`).

What has no one meaning (sets, tuples, bytes) stays as it is, and is refused where it stands in its document.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from engine import PLAIN, plain_scalar

DEPTH_MAX = 64  # deeper documents are refused
# So many numbers in a list are a vector, which is not looked through: of 384 that takes 8 µs of 12 a document.
VECTOR_NUMBERS_MIN = 16


def plain_documents(documents: Iterable[Any]) -> list[Any]:
    """The documents with JSON's values in place of such others; those without any are the same objects."""
    return [_plain_document(document) for document in documents]


class _TooDeepError(Exception):
    pass


def _plain_document(document: Any) -> Any:
    try:
        return _plain(document, DEPTH_MAX)
    except _TooDeepError:
        return document


def _plain(value: Any, depth: int) -> Any:
    kind = type(value)
    if kind in PLAIN:
        return value
    if kind is not dict and kind is not list:
        return plain_scalar(value)
    if depth == 0:
        raise _TooDeepError
    if kind is list and len(value) >= VECTOR_NUMBERS_MIN and type(value[0]) is type(value[-1]) is float:
        return value
    items: Iterable[Any] = value.values() if kind is dict else value
    if PLAIN.issuperset(map(type, items)):
        return value
    made = [_plain(item, depth - 1) for item in items]
    if all(new is old for new, old in zip(made, items, strict=True)):
        return value
    return dict(zip(value, made, strict=True)) if kind is dict else made
