"""Values of the store as bytes. Every document value begins with a format number."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from engine.arrays import Vectors
from engine.document import Passage
from engine.errors import CorruptionError

DOCUMENT_FORMAT = b"\x01"
EXPIRING_FORMAT = b"\x02"
NEVER = 2**63 - 1  # the expiry of what does not expire
_EXPIRY = struct.Struct(">q")
_ID = struct.Struct(">IQ")
_ORIGIN = struct.Struct(">IIIB")  # ordinal, start, end, whether it is a passage; then the passage's field, UTF-8


def encode_document(body: bytes, expires: int = NEVER) -> bytes:
    """A value of `documents`; `expires` in microseconds since 1970."""
    if expires == NEVER:
        return DOCUMENT_FORMAT + body
    return EXPIRING_FORMAT + _EXPIRY.pack(expires) + body


def decode_document(value: bytes) -> bytes:
    """The JSON of a value of `documents`.

    Raises:
        CorruptionError: of a format that this version does not know.
    """
    if value[:1] == DOCUMENT_FORMAT:
        return value[1:]
    decode_expiry(value)
    return value[1 + _EXPIRY.size :]


def decode_documents(values: Sequence[bytes | None], ordinals: Sequence[int]) -> list[bytes]:
    """`decode_document` of many, in half the time.

    Raises:
        CorruptionError: one is not there, or of a format that this version does not know.
    """
    known = DOCUMENT_FORMAT[0]
    return [
        value[1:] if value and value[0] == known else decode_document(present(value, "document", ordinal))
        for value, ordinal in zip(values, ordinals, strict=True)
    ]


def decode_expiry(value: bytes) -> int:
    """When the document of a value of `documents` expires, in microseconds since 1970; `NEVER` if it does not.

    Raises:
        CorruptionError: of a format that this version does not know, or cut short.
    """
    if value[:1] == DOCUMENT_FORMAT:
        return NEVER
    if value[:1] != EXPIRING_FORMAT:
        raise CorruptionError(f"document has an unknown format: {value[:1]!r}")
    if len(value) < 1 + _EXPIRY.size:
        raise CorruptionError(f"document is cut short: expected at least {1 + _EXPIRY.size} got={len(value)} bytes")
    expires: int = _EXPIRY.unpack_from(value, 1)[0]
    return expires


def encode_id(ordinal: int, version: int) -> bytes:
    """A value of `ids`."""
    return _ID.pack(ordinal, version)


def decode_id(value: bytes) -> tuple[int, int]:
    """Ordinal and version of a value of `ids`."""
    ordinal, version = _ID.unpack(value)
    return ordinal, version


def decode_ids(values: Iterable[bytes | None]) -> list[tuple[int, int] | None]:
    """`decode_id` of many, in half the time; None stays None."""
    unpack: Callable[[bytes], Any] = _ID.unpack
    return [None if value is None else unpack(value) for value in values]


def encode_vector(vector: bytes, ordinal: int, passage: Passage | None) -> bytes:
    """A value of `vectors`; `vector` is dim × float32, little-endian."""
    if passage is None:
        return vector + _ORIGIN.pack(ordinal, 0, 0, 0)
    return vector + _ORIGIN.pack(ordinal, passage.start, passage.end, 1) + passage.field.encode()


def decode_vector(value: bytes, dim: int) -> tuple[Vectors, int, Passage | None]:
    """Vector, ordinal and passage of a value of `vectors`.

    Raises:
        CorruptionError: the value is shorter than its vector.
    """
    size = 4 * dim
    if len(value) < size + _ORIGIN.size:
        raise CorruptionError(f"vector is cut short: expected={size + _ORIGIN.size} got={len(value)} bytes")
    ordinal, start, end, is_passage = _ORIGIN.unpack_from(value, size)
    passage = Passage(value[size + _ORIGIN.size :].decode(), start, end) if is_passage else None
    return np.frombuffer(value, dtype="<f4", count=dim), ordinal, passage


def present(value: bytes | None, kind: str, number: int) -> bytes:
    """`value`, which must be there.

    Raises:
        CorruptionError: it is not.
    """
    if value is None:
        raise CorruptionError(f"store has lost a {kind}: number={number}")
    return value
