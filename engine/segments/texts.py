"""The texts of a snapshot's documents, a chunk at a time, as a text index takes them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from pyroaring import BitMap

from engine.arrays import Ordinals
from engine.schema import FieldType, Schema

if TYPE_CHECKING:
    from engine.segments.part import Part
    from engine.snapshot import Snapshot
    from engine.text.analyzer import Analyzer

CHUNK = 2_000  # documents added at once: about 0.1 s, after which others have their turn
# A snapshot may be older than that a field is text.
_BECOMES_TEXT = (FieldType.TEXT, FieldType.KEYWORD, FieldType.DATETIME)


def text_languages(schema: Schema) -> dict[str, str | None]:
    """Text field → language of its stems."""
    return {name: field.language for name, field in schema.fields.items() if field.type is FieldType.TEXT}


def first_chunk(snapshot: Snapshot, wanted: BitMap) -> tuple[Part, Any] | None:
    """A part, and the places in it of the first of `wanted`; None where there are none."""
    return next(chunks(snapshot, BitMap(wanted[:CHUNK])), None) if wanted else None


def chunks(snapshot: Snapshot, wanted: BitMap) -> Iterator[tuple[Part, Any]]:
    """Parts, and places in them, of all of `wanted`, which are in the snapshot; ascending."""
    for part in snapshot.parts:
        if len(part.ordinals):
            within = BitMap(range(int(part.ordinals[0]), int(part.ordinals[-1]) + 1))
            places = np.searchsorted(part.ordinals, np.array(wanted & within, dtype=np.uint32))
            for start in range(0, len(places), CHUNK):
                yield part, places[start : start + CHUNK]


def texts_of(
    snapshot: Snapshot, fields: Iterable[str], part: Part, places: Any
) -> tuple[Ordinals, list[dict[str, Any]]]:
    """Ordinals of the documents at some places of a part, and what they have of `fields`."""
    known = snapshot.schema.fields
    asked = {
        name: replace(known[name], type=FieldType.TEXT)
        for name in fields
        if name in known and known[name].type in _BECOMES_TEXT
    }
    taken = pa.array(places)
    columns = [part.column(name, field).take(taken).to_pylist() for name, field in asked.items()]
    documents = [dict(zip(asked, values, strict=True)) for values in zip(*columns, strict=True)]
    return part.ordinals[places], documents or [{} for _ in places]


def with_values(snapshot: Snapshot, name: str) -> Iterator[BitMap]:
    """Ordinals of the documents that have a field, part by part."""
    for part in snapshot.parts:
        column = part.column(name, snapshot.schema.fields[name])
        if column.null_count < len(column):
            there = np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False))
            yield BitMap(part.ordinals[there])


def has_terms(analyzers: Mapping[str, Analyzer], texts: Mapping[str, Any]) -> bool:
    """Whether a document belongs into an index: punctuation alone makes no term."""
    items = [(name, item) for name, value in texts.items() for item in (value if isinstance(value, list) else [value])]
    return any(isinstance(item, str) and analyzers[name].terms(item) for name, item in items)
