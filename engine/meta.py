"""What the store records of a collection besides its documents: its number, its schema, and its counters."""

from __future__ import annotations

import msgspec

from engine.schema import Schema


class Counters(msgspec.Struct):
    """What the next write of a collection takes: guarded by its write lock, committed with every write."""

    next_ordinal: int = 0
    next_rows: dict[str, int] = {}


def encode_meta(number: int, schema: Schema) -> bytes:
    """The value under `keys.meta_key`."""
    return msgspec.json.encode({"number": number, "schema": schema.to_json()})


def decode_meta(value: bytes) -> tuple[int, Schema]:
    """The inverse of `encode_meta`."""
    meta = msgspec.json.decode(value)
    return meta["number"], Schema.from_json(meta["schema"])
