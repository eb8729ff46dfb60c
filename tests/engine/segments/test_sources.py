"""engine.segments.sources: live documents of parts, or the store."""

from __future__ import annotations

import numpy as np
import pytest
from pyroaring import BitMap

from engine import Collection, CorruptionError, Passage, VectorRows
from engine.segments.sources import from_parts, from_store, read_bodies, read_vectors


def fill(collection: Collection) -> None:
    for first in (0, 4):
        vectors = np.array([[i, 1] for i in range(first, first + 6)], np.float32)
        places = np.array([0, 0, 1, 2, 3, 3])
        spans = [Passage(f"t{first}", i, i + 1) for i in range(6)]
        documents = [{"id": str(i), "n": i, "t0": "a", "t4": "b"} for i in range(first, first + 4)]
        collection.add(documents, {"v": VectorRows(vectors, places, spans)})
        collection.state.seal()


def test_parts_are_joined_without_their_dead(collection: Collection) -> None:
    """Places, row numbers and passages of what lives, in order of ordinals."""
    fill(collection)
    collection.delete(ids=["0", "5"])
    snapshot = collection.snapshot()
    live = [snapshot.allowed(i, None) for i in range(2)]
    data = from_parts(snapshot.parts, live, snapshot.schema)
    assert data.ordinals.tolist() == [1, 2, 3, 4, 6, 7]
    assert data.columns["n"].to_pylist() == [1, 2, 3, 4, 6, 7]
    vectors, origins = data.vectors["v"]
    assert origins.numbers.tolist() == [2, 3, 4, 5, 6, 7, 9, 10, 11]
    assert origins.documents.tolist() == [0, 1, 2, 2, 3, 3, 4, 5, 5]
    assert origins.passage(0) == Passage("t0", 2, 3)
    assert origins.passage(8) == Passage("t4", 5, 6)
    assert len(vectors) == 9


def test_the_store_gives_the_same_as_the_parts(collection: Collection) -> None:
    """A rebuilt segment is the segment."""
    fill(collection)
    snapshot = collection.snapshot()
    one = from_parts(snapshot.parts, [None, None], snapshot.schema)
    rows = {"v": BitMap(range(12))}
    two = from_store(collection._store, collection.number, snapshot.schema, BitMap(range(8)), rows)
    assert one.ordinals.tolist() == two.ordinals.tolist()
    assert one.columns.to_pydict() == two.columns.to_pydict()
    assert one.vectors["v"][0].tobytes() == two.vectors["v"][0].tobytes()
    for i in range(12):
        assert one.vectors["v"][1].passage(i) == two.vectors["v"][1].passage(i)
        assert one.vectors["v"][1].documents[i] == two.vectors["v"][1].documents[i]


def test_what_the_store_has_lost_is_corruption(collection: Collection) -> None:
    """A document or a vector that should be there."""
    fill(collection)
    with pytest.raises(CorruptionError, match="lost a document: number=99"):
        read_bodies(collection._store, collection.number, [99])
    with pytest.raises(CorruptionError, match="lost a vector: number=99"):
        read_vectors(collection._store, collection.number, collection.schema, "v", [99])
    vectors, ordinals, passages = read_vectors(collection._store, collection.number, collection.schema, "v", [])
    assert (vectors.shape, len(ordinals), passages) == ((0, 2), 0, [])
