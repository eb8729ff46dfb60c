"""Fields that a document has with null in them, which columns do not tell from fields that it lacks.

Kept as the places of such documents by field: beside the columns of a segment, in the metadata of their table.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import msgspec
import numpy as np
import numpy.typing as npt
from pyroaring import BitMap

from engine.document import decode
from engine.schema import JSON

NullPlaces: TypeAlias = Mapping[str, npt.NDArray[np.int64]]  # by field, (n,) ascending
_KEY = b"nulls"


def nulls_of_bodies(bodies: Iterable[bytes]) -> NullPlaces:
    """From documents as they are stored; only those are read in which null may stand."""
    return _gathered((place, decode(body)) for place, body in enumerate(bodies) if b"null" in body)


def nulls_of_documents(documents: Iterable[Mapping[str, JSON]]) -> NullPlaces:
    """From documents."""
    return _gathered(enumerate(documents))


def joined(parts: Sequence[NullPlaces], kept: Sequence[npt.NDArray[np.int64]]) -> NullPlaces:
    """Of parts one behind the other, of which only the documents at places `kept`, (n,) ascending, remain."""
    found: dict[str, list[npt.NDArray[np.int64]]] = {}
    base = 0
    for nulls, places in zip(parts, kept, strict=True):
        for name, at in nulls.items():
            found.setdefault(name, []).append(base + np.flatnonzero(np.isin(places, at, assume_unique=True)))
        base += len(places)
    return {name: np.concatenate(pieces) for name, pieces in found.items()}


def with_nulls(table: Any, nulls: NullPlaces) -> Any:
    """The table, with what `read_nulls` reads."""
    data = {name: BitMap(places.tolist()).serialize() for name, places in nulls.items() if len(places)}
    return table.replace_schema_metadata({**(table.schema.metadata or {}), _KEY: msgspec.msgpack.encode(data)})


def read_nulls(table: Any) -> NullPlaces | None:
    """What `with_nulls` has written; None where it has not, as before version 0.4."""
    data = (table.schema.metadata or {}).get(_KEY)
    if data is None:
        return None
    decoded = msgspec.msgpack.decode(data, type=dict[str, bytes])
    return {name: np.array(BitMap.deserialize(bitmap), dtype=np.int64) for name, bitmap in decoded.items()}


def _gathered(documents: Iterable[tuple[int, Mapping[str, JSON]]]) -> NullPlaces:
    found: dict[str, list[int]] = {}
    for place, document in documents:
        for name, value in document.items():
            if value is None:
                found.setdefault(name, []).append(place)
    return {name: np.array(places, dtype=np.int64) for name, places in found.items()}
