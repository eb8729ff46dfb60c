"""Comparing the columns of a part with the documents that they were built from."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from pyroaring import BitMap

from engine.fields.columns import ID_FIELD, build_columns
from engine.schema import ID, JSON, Schema
from engine.segments.part import Part, live_mask


def live_places(part: Part, deleted: BitMap) -> Any:
    """Places of the documents of a part that have not been deleted or replaced; what has expired may still be there."""
    live = live_mask(part.ordinals, deleted)
    return np.arange(len(part.ordinals)) if live is None else np.flatnonzero(live)


def differing_columns(part: Part, places: Any, documents: Sequence[dict[str, JSON]], schema: Schema) -> Iterator[str]:
    """Names of the columns that are not what the documents at `places` say."""
    for name, column in build_columns(schema, documents).items():
        found = part.column(name, ID_FIELD if name == ID else schema.fields[name]).take(pa.array(places))
        if not _chunked(found).equals(_chunked(column)):
            yield name


def _chunked(column: Any) -> Any:
    return pa.chunked_array([column]) if isinstance(column, pa.Array) else column
