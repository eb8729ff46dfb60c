"""The manifest of a collection: which segments it has, and up to where they cover the log.

One value in the store, replaced in one write, so a crash leaves the old list or the new one. Files that no manifest
names are left-overs and are removed when the collection is opened.
"""

from __future__ import annotations

import msgspec
from pyroaring import BitMap

NOTHING = BitMap().serialize()


class SegmentEntry(msgspec.Struct, frozen=True):
    """One segment.

    Attributes:
        number: names its directory.
        ordinals: its documents, as a serialised roaring bitmap; enough to build it again from the store.
        rows: vector field → its rows in the store, likewise.
        files: file name → (size in bytes, CRC-32).
    """

    number: int
    ordinals: bytes
    rows: dict[str, bytes]
    files: dict[str, tuple[int, int]]


class Manifest(msgspec.Struct, frozen=True):
    """The sealed state of a collection.

    Attributes:
        sequence: every change up to here is in the segments; later ones are replayed from the log.
        next_segment: number of the next segment.
        segments: in order of their first ordinal.
        deleted: ordinals in segments that had ceased to be at `sequence`, as a serialised roaring bitmap.
        garbage: ordinals that were dropped from the segments but may still be in the store, likewise.
        garbage_rows: vector field → rows of which the same holds.
        collected: documents deleted from the store since its files were last compacted.
        tracked: whether `garbage` names all there is; not so in manifests of format 1, which did not keep it.
    """

    sequence: int
    next_segment: int
    segments: list[SegmentEntry]
    deleted: bytes
    garbage: bytes = NOTHING
    garbage_rows: dict[str, bytes] = {}
    collected: int = 0
    tracked: bool = False


EMPTY = Manifest(sequence=0, next_segment=1, segments=[], deleted=NOTHING, tracked=True)
_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(Manifest)


def encode_manifest(manifest: Manifest) -> bytes:
    """A value of the store."""
    return _encoder.encode(manifest)


def decode_manifest(value: bytes) -> Manifest:
    """The inverse of `encode_manifest`."""
    return _decoder.decode(value)
