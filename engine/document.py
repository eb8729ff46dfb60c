"""A document as JSON bytes: what may be stored, and that it comes back exactly as it was given."""

from __future__ import annotations

import math
import os
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from engine.schema import ID, JSON

ID_BYTES_MAX = 512
DOCUMENT_BYTES_MAX = 16 * 1024 * 1024
DEPTH_MAX = 64
INTEGER_DIGITS_MAX = 1_000  # Python reads and writes at most 4,300, others of JSON's readers far fewer
INTEGER_BOUND = 10**INTEGER_DIGITS_MAX

_encoder = msgspec.json.Encoder()
_decoder = msgspec.json.Decoder()


@dataclass(frozen=True, slots=True)
class Passage:
    """A span of one text field: `document[field][start:end]`, in characters."""

    field: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Stored:
    """A document as it is in the store.

    Attributes:
        ordinal: of this version.
        version: sequence of the write that made it.
        body: JSON.
    """

    ordinal: int
    version: int
    body: bytes


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a value: where (JSON Pointer within the document), and what."""

    pointer: str
    code: str
    message: str
    expected: str | int | None = None
    got: str | int | None = None


def encode(document: Mapping[str, JSON]) -> bytes:
    """JSON bytes of a document that `find_fault` found nothing wrong with."""
    return _encoder.encode(document)


def decode(body: bytes) -> dict[str, JSON]:
    """The document that `encode` was given: same numbers, nesting and key order."""
    document: dict[str, JSON] = _decoder.decode(body)
    return document


def make_id() -> str:
    """A fresh UUIDv7 (RFC 9562): sorts by time of making."""
    milliseconds = time.time_ns() // 1_000_000
    random = int.from_bytes(os.urandom(10), "big")
    value = (milliseconds & (1 << 48) - 1) << 80 | 0x7 << 76 | (random >> 68 & 0xFFF) << 64
    value |= 0b10 << 62 | random & (1 << 62) - 1
    return str(uuid.UUID(int=value))


def find_id_fault(value: Any) -> Fault | None:
    """Why `value` cannot be an id, or None."""
    if not isinstance(value, str):
        return Fault("/id", "id_invalid", f"id must be a string: got={type(value).__name__}", "string", _name(value))
    if not value:
        return Fault("/id", "id_invalid", "id must not be empty")
    try:
        size = len(value.encode())
    except UnicodeEncodeError:
        return Fault("/id", "id_invalid", "id is not valid Unicode")
    if size > ID_BYTES_MAX:
        message = f"id is too long: maximum={ID_BYTES_MAX} got={size} bytes"
        return Fault("/id", "id_too_long", message, ID_BYTES_MAX, size)
    return None


def find_fault(value: Any, pointer: str = "", depth: int = 0) -> Fault | None:
    """Why `value` is not JSON that can be kept exactly, or None.

    Not kept: NaN and infinities, strings that are not Unicode, keys that are not strings, other types than those
    of JSON, and nesting beyond `DEPTH_MAX`.
    """
    kind = type(value)
    if kind is str:
        return _string_fault(value, pointer)
    if kind is bool or value is None:
        return None
    if kind is int:
        return None if -INTEGER_BOUND < value < INTEGER_BOUND else _integer_fault(pointer)
    if kind is float:
        if math.isfinite(value):
            return None
        return Fault(pointer, "number_not_finite", f"number is not finite: got={value}", "number", str(value))
    if depth >= DEPTH_MAX:
        return Fault(pointer, "too_deep", f"document is nested too deep: maximum={DEPTH_MAX}", DEPTH_MAX)
    if kind is list:
        for index, item in enumerate(value):
            if fault := find_fault(item, f"{pointer}/{index}", depth + 1):
                return fault
        return None
    if kind is dict:
        return _object_fault(value, pointer, depth)
    return Fault(pointer, "type_unsupported", f"value has no JSON type: got={kind.__name__}", "JSON", kind.__name__)


def _object_fault(value: dict[Any, Any], pointer: str, depth: int) -> Fault | None:
    for key, item in value.items():
        if type(key) is not str:
            got = _name(key)
            return Fault(pointer, "key_invalid", f"keys must be strings: got={got}", "string", got)
        if not key.isascii() and (fault := _string_fault(key, pointer)):
            return fault
        kind = type(item)  # what most values are goes without a call
        if (kind is str and item.isascii()) or item is None or kind is bool:
            continue
        if (kind is int and -INTEGER_BOUND < item < INTEGER_BOUND) or (kind is float and math.isfinite(item)):
            continue
        token = key.replace("~", "~0").replace("/", "~1")
        if fault := find_fault(item, f"{pointer}/{token}", depth + 1):
            return fault
    return None


def _integer_fault(pointer: str) -> Fault:
    message = f"integer is too long: maximum={INTEGER_DIGITS_MAX} digits"
    return Fault(pointer, "integer_too_long", message, INTEGER_DIGITS_MAX)


def is_unicode(text: str) -> bool:
    """Whether a string can be written as UTF-8: it has no lone surrogate."""
    if text.isascii():
        return True
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _string_fault(value: str, pointer: str) -> Fault | None:
    if is_unicode(value):
        return None
    return Fault(pointer, "text_invalid", "text is not valid Unicode (a lone surrogate)")


def _name(value: Any) -> str:
    return type(value).__name__


def own_id(document: Mapping[str, JSON]) -> str | None:
    """The id that a document carries, if it is usable."""
    value = document.get(ID)
    return value if isinstance(value, str) and find_id_fault(value) is None else None
