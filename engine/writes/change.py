"""The change record: what one write did to one collection.

It names ordinals and rows rather than copying documents; together with the store's documents, ids and vectors it
says all that an index needs. Nothing in it depends on when or where it is applied.
"""

from __future__ import annotations

import msgspec
from pyroaring import BitMap

from engine.schema import JSON


class Change(msgspec.Struct, frozen=True):
    """One committed write.

    Attributes:
        sequence: its place in the database's log.
        collection: number of the collection.
        first_ordinal: ordinal of the first document written.
        documents: how many documents were written, under consecutive ordinals.
        deleted: ordinals that ceased to be, as a serialised roaring bitmap.
        rows: vector field → (first row, number of rows) written.
        schema: the schema from here on, where this write made it grow.
        gone: ids of the documents that it deleted.
    """

    sequence: int
    collection: int
    first_ordinal: int
    documents: int
    deleted: bytes
    rows: dict[str, tuple[int, int]]
    schema: dict[str, JSON] | None = None
    gone: list[str] = []

    def deleted_ordinals(self) -> BitMap:
        """`deleted` as a bitmap."""
        return BitMap.deserialize(self.deleted)


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Change)


def encode_change(change: Change) -> bytes:
    """A value of the store's log."""
    return _encoder.encode(change)


def decode_change(value: bytes) -> Change:
    """The inverse of `encode_change`."""
    return _decoder.decode(value)
