"""Documents of a snapshot in order of their fields: nulls last, ties by ordinal."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from engine.arrays import Ordinals
from engine.errors import InvalidInputError
from engine.fields import kernels as pc
from engine.fields.columns import arrow_type
from engine.fields.filter import Filter
from engine.fields.order import OrderError, SortKey
from engine.filtering import chosen_places, column_of, field_of
from engine.schema import Field, FieldType

if TYPE_CHECKING:
    from engine.snapshot import Snapshot

_ORDERED = frozenset(FieldType) - {FieldType.GEO, FieldType.JSON}


def ordered(
    snapshot: Snapshot, keys: Sequence[SortKey], where: Filter | None = None, ordinals: Ordinals | None = None
) -> Ordinals:
    """The documents that satisfy `where`, (n,), in order of `keys`.

    Args:
        snapshot: whose documents.
        keys: fields, the first decides.
        where: a filter.
        ordinals: only these.

    Raises:
        OrderError: there is no such field, or it has no order.
    """
    fields = [_field(snapshot, key, f"/{place}" if len(keys) > 1 else "") for place, key in enumerate(keys)]
    found = [np.empty(0, dtype=np.uint32)]
    pieces: list[list[pa.Array]] = [[] for _ in keys]
    for i, part in enumerate(snapshot.parts):
        chosen = chosen_places(snapshot, i, where, ordinals)
        found.append(part.ordinals if chosen is None else part.ordinals[chosen])
        for key, field, piece in zip(keys, fields, pieces, strict=True):
            column = column_of(snapshot, i, key.field, field)
            piece.append(column if chosen is None else column.filter(pa.array(chosen)))
    all_found = np.concatenate(found)
    columns = {
        f"key {n}": pa.chunked_array(piece, type=arrow_type(field))
        for n, (field, piece) in enumerate(zip(fields, pieces, strict=True))
    }
    table = pa.table({**columns, "ordinal": pa.array(all_found)})
    order = [(f"key {n}", "descending" if key.descending else "ascending") for n, key in enumerate(keys)]
    indices = pc.sort_indices(table, sort_keys=[*order, ("ordinal", "ascending")])  # nulls come last
    result: Ordinals = all_found[indices.to_numpy()]
    return result


def _field(snapshot: Snapshot, key: SortKey, pointer: str) -> Field:
    try:
        field = field_of(snapshot, key.field)
    except InvalidInputError as error:
        raise OrderError(str(error), pointer=pointer) from error
    if field.many or field.type not in _ORDERED:
        kind = f"list of {field.type}" if field.many else field.type.value
        raise OrderError(f"field {key.field!r:.100} has no order: type={kind}", pointer=pointer)
    return field
