"""What the store still holds of documents that no segment and no head has any more."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
from pyroaring import BitMap

from engine.schema import Schema
from engine.segments.manifest import Manifest, SegmentEntry
from engine.store import keys
from engine.store.pieces import Pieces
from engine.store.rocks import DOCUMENTS, VECTORS, Store

PIECE_DELETES = 10_000  # in one write, which holds the GIL for about 10 ms
RANGE_LENGTH = 512  # as many consecutive keys go as one range: each range slows reads a little, each key takes room


@dataclass(frozen=True, slots=True)
class Garbage:
    """Document versions and rows that may be deleted from the store.

    Attributes:
        ordinals: of the documents.
        rows: vector field → rows in the store.
    """

    ordinals: BitMap = field(default_factory=BitMap)
    rows: Mapping[str, BitMap] = field(default_factory=dict)

    def __len__(self) -> int:
        """Documents and rows together."""
        return len(self.ordinals) + sum(map(len, self.rows.values()))

    def __or__(self, other: Garbage) -> Garbage:
        names = {**self.rows, **other.rows}
        rows = {name: self.rows.get(name, BitMap()) | other.rows.get(name, BitMap()) for name in names}
        return Garbage(self.ordinals | other.ordinals, rows)

    def __sub__(self, other: Garbage) -> Garbage:
        rows = {name: mine - other.rows.get(name, BitMap()) for name, mine in self.rows.items()}
        return Garbage(self.ordinals - other.ordinals, {name: left for name, left in rows.items() if left})

    @classmethod
    def of(cls, manifest: Manifest) -> Garbage:
        """What a manifest names."""
        rows = {name: BitMap.deserialize(numbers) for name, numbers in manifest.garbage_rows.items()}
        return cls(BitMap.deserialize(manifest.garbage), rows)

    @classmethod
    def all_of(cls, *entries: SegmentEntry) -> Garbage:
        """Everything in some segments."""
        found = cls()
        for entry in entries:
            rows = {name: BitMap.deserialize(numbers) for name, numbers in entry.rows.items()}
            found = found | cls(BitMap.deserialize(entry.ordinals), rows)
        return found

    def serialize_rows(self) -> dict[str, bytes]:
        """`rows` as a manifest keeps them."""
        return {name: numbers.serialize() for name, numbers in self.rows.items() if numbers}


def delete_garbage(store: Store, collection: int, schema: Schema, garbage: Garbage, step: Callable[[], None]) -> None:
    """Delete it from the store in small pieces; `step` is called after each. Doing it twice does no harm.

    Raises:
        StorageError: some of it may be deleted already.
    """
    places = {name: place for place, name in enumerate(schema.vectors)}
    pieces = _CountedPieces(store.batch(), step)
    for name, numbers in garbage.rows.items():  # first the rows: of a document without them nothing is left to find
        place = places[name]
        for first, end in runs(numbers):
            pieces.delete(VECTORS, [keys.vector_key(collection, place, row) for row in _ends(first, end)], end - first)
    for first, end in runs(garbage.ordinals):
        pieces.delete(DOCUMENTS, [keys.document_key(collection, o) for o in _ends(first, end)], end - first)
    pieces.flush()


def delete_orphans(
    store: Store, collection: int, schema: Schema, next_ordinal: int, next_rows: Mapping[str, int]
) -> int:
    """Delete documents and rows of writes that never came to their commit; how many ranges there were.

    No reader has ever seen them; the caller sees to it that nobody is writing.
    """
    _, end = keys.collection_range(collection)
    spans = [(DOCUMENTS, keys.document_key(collection, next_ordinal), end)]
    for place, name in enumerate(schema.vectors):
        first = keys.vector_key(collection, place, next_rows.get(name, 0))
        spans.append((VECTORS, first, keys.vector_key(collection, place + 1, 0)))
    spans.append((VECTORS, keys.vector_key(collection, len(schema.vectors), 0), end))
    found = [span for span in spans if next(store.items(*span), None) is not None]
    batch = store.batch()
    for span in found:
        batch.delete_range(*span)
    batch.flush()
    return len(found)


def runs(numbers: BitMap) -> Iterator[tuple[int, int]]:
    """Consecutive numbers as (first, end); those in runs shorter than `RANGE_LENGTH` one by one."""
    array = np.array(numbers, dtype=np.int64)
    breaks = np.flatnonzero(np.diff(array) > 1)
    firsts = array[np.concatenate([[0], breaks + 1])].tolist() if len(array) else []
    lasts = array[np.concatenate([breaks, [-1]])].tolist() if len(array) else []
    for first, last in zip(firsts, lasts, strict=True):
        if last - first + 1 >= RANGE_LENGTH:
            yield first, last + 1
        else:
            yield from ((number, number + 1) for number in range(first, last + 1))


def _ends(first: int, end: int) -> tuple[int, ...]:
    return (first,) if end == first + 1 else (first, end)


class _CountedPieces:
    """Deletes in pieces of bounded number."""

    def __init__(self, pieces: Pieces, step: Callable[[], None]) -> None:
        self._pieces = pieces
        self._step = step
        self._count = 0

    def delete(self, family: str, bounds: list[bytes], length: int) -> None:
        if length == 1:
            self._pieces.delete(family, bounds[0])
        else:
            self._pieces.delete_range(family, bounds[0], bounds[1])
        self._count += 1
        if self._count >= PIECE_DELETES:
            self.flush()

    def flush(self) -> None:
        if self._count:
            self._pieces.flush()
            self._count = 0
            self._step()
