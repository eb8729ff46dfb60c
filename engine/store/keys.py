"""Keys of the store, big-endian so that byte order is number order.

| family      | key                                     | value                                        |
|-------------|-----------------------------------------|----------------------------------------------|
| `documents` | collection u32, ordinal u32             | format u8, (format 2: expiry i64 µs,) JSON   |
| `ids`       | collection u32, id UTF-8                | ordinal u32, version u64 (sequence)          |
| `vectors`   | collection u32, field u16, row u32      | dim × float32 as given, then the row's origin |
| `log`       | sequence u64                            | a `Change`                                   |
| `system`    | name                                    | JSON (counters, schemas, manifests)          |
"""

from __future__ import annotations

import struct
from collections.abc import Iterable

_DOCUMENT = struct.Struct(">II")
_COLLECTION = struct.Struct(">I")
_VECTOR = struct.Struct(">IHI")
_LOG = struct.Struct(">Q")

SEQUENCE = b"sequence"
LOG_FLOOR = b"log_floor"  # the log holds every change after this one
VERSION_FLOOR = b"version_floor"  # what was written before has this version: see `engine.directory.continuing`
NEXT_COLLECTION = b"next_collection"
PURGED = b"purged"  # when the last purge ended, ns since 1970
COLLECTION_PREFIX = b"collection/"
MANIFEST_PREFIX = b"manifest/"
RECORD_PREFIX = b"record/"
LASTING_PREFIX = b"lasting/"  # of records that a restore leaves as they are: see `engine.records`


def document_key(collection: int, ordinal: int) -> bytes:
    """Key of a document version in `documents`."""
    return _DOCUMENT.pack(collection, ordinal)


def document_keys(collection: int, ordinals: Iterable[int]) -> list[bytes]:
    """`document_key` of many, in a third of the time."""
    prefix, pack = _COLLECTION.pack(collection), _COLLECTION.pack
    return [prefix + pack(ordinal) for ordinal in ordinals]


def document_ordinal(key: bytes) -> int:
    """The ordinal of a key of `documents`."""
    ordinal: int = _DOCUMENT.unpack(key)[1]
    return ordinal


def id_key(collection: int, id_: str) -> bytes:
    """Key of a document's id in `ids`."""
    return _COLLECTION.pack(collection) + id_.encode()


def id_keys(collection: int, ids: Iterable[str]) -> list[bytes]:
    """`id_key` of many, in half the time."""
    prefix = _COLLECTION.pack(collection)
    return [prefix + id_.encode() for id_ in ids]


def vector_key(collection: int, field: int, row: int) -> bytes:
    """Key of one vector in `vectors`; `field` is the place of the vector field in the schema."""
    return _VECTOR.pack(collection, field, row)


def vector_row(key: bytes) -> int:
    """The row of a key of `vectors`."""
    row: int = _VECTOR.unpack(key)[2]
    return row


def collection_range(collection: int) -> tuple[bytes, bytes]:
    """First key of a collection in `documents`, `ids` or `vectors`, and the first beyond it."""
    return _COLLECTION.pack(collection), _COLLECTION.pack(collection + 1)


def log_key(sequence: int) -> bytes:
    """Key of a change in `log`."""
    return _LOG.pack(sequence)


def log_sequence(key: bytes) -> int:
    """The sequence of a key of `log`."""
    sequence: int = _LOG.unpack(key)[0]
    return sequence


def meta_key(name: str) -> bytes:
    """Key of a collection's identity and settings in `system`."""
    return COLLECTION_PREFIX + name.encode()


def state_key(collection: int) -> bytes:
    """Key of a collection's schema and counters in `system`."""
    return b"state/%d" % collection


def manifest_key(collection: int) -> bytes:
    """Key of a collection's manifest in `system`."""
    return MANIFEST_PREFIX + b"%d" % collection


def record_key(kind: str, name: str, *, lasting: bool) -> bytes:
    """Key of a record in `system`; with an empty name the prefix of its kind's."""
    return (LASTING_PREFIX if lasting else RECORD_PREFIX) + f"{kind}/{name}".encode()


def idempotency_key(collection: int, key: str) -> bytes:
    """Key of what became of a write under an idempotency key, in `system`."""
    return b"idempotency/%d/" % collection + key.encode()


def idempotency_records(collection: int) -> tuple[bytes, bytes]:
    """First key of a record of a write of a collection in `system`, and the first beyond them."""
    prefix = b"idempotency/%d/" % collection
    return prefix, prefix + b"\xff"  # which is in no UTF-8


def idempotency_times(collection: int) -> tuple[bytes, bytes]:
    """First key of the index by time of those records, and the first beyond it; a key goes on with time and key."""
    prefix = b"idempotency/%d/" % collection
    return prefix + b"\xff", prefix[:-1] + b"0"


def idempotency_range(collection: int) -> tuple[bytes, bytes]:
    """First of all idempotency keys of a collection in `system`, and the first beyond them."""
    prefix = b"idempotency/%d" % collection
    return prefix + b"/", prefix + b"0"  # "0" follows "/"
