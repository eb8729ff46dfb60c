"""Collections as DuckDB sees them: the Arrow columns of a snapshot's parts, joined without a copy.

Columns of sealed parts are mapped from their files as they are, the head's are made as far as they are asked for. Parts
without deleted documents stand in one table; those with some in another, which has a column that says what lives: only
they pay for it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from engine.fields.columns import ID_FIELD, arrow_type
from engine.schema import ID, Field, FieldType, Schema
from engine.snapshot import Snapshot

LIVE = "_engine_live"  # 1 or 0: DuckDB compares numbers three times as fast as it takes bits
_JSON_TEXT = {b"ARROW:extension:name": b"arrow.json"}  # DuckDB takes the text for its JSON type


@dataclass(frozen=True, slots=True)
class Columns:
    """The documents of a snapshot as Arrow tables; of equal columns, but for `LIVE` in `masked`.

    Attributes:
        whole: parts of which all documents live; None where there is none.
        masked: the others.
        rows: documents in both, deleted ones included.
        names: of the columns, as SQL has them.
    """

    whole: Any | None
    masked: Any | None
    rows: int
    names: tuple[str, ...]


def columns_of(snapshot: Snapshot, wanted: Collection[str] | None) -> Columns:
    """The columns of a snapshot.

    Args:
        snapshot: the collection.
        wanted: names in lower case; None for all. Without any, there is the id.
    """
    fields = {
        name: (key, field)
        for name, key, field in [*named_fields(snapshot.schema), *_named_leaves(snapshot, wanted)]
        if wanted is None or name.lower() in wanted
    } or {ID: (ID, ID_FIELD)}
    schema = pa.schema([pa.field(name, *_typed(field)) for name, (_, field) in fields.items()])
    whole, masked = [], []
    for place in range(len(snapshot.parts)):
        live = snapshot.allowed(place, None)
        arrays = [*snapshot.columns(place, dict(fields.values())).values()]
        table = pa.Table.from_arrays(arrays, schema=schema)
        if live is None:
            whole.append(table)
        else:
            masked.append(table.append_column(LIVE, pa.array(live.view(np.uint8))))
    if not whole and not masked:
        whole.append(schema.empty_table())
    tables = [pa.concat_tables(tables) if tables else None for tables in (whole, masked)]
    rows = sum(len(part.ordinals) for part in snapshot.parts)
    return Columns(tables[0], tables[1], rows, tuple(fields))


def named_fields(schema: Schema) -> list[tuple[str, str, Field]]:
    """Name in SQL, name in the documents, and type of each column.

    Names that differ only by case are one in SQL: the first field keeps it, others get a number; the id gives way to
    fields.
    """
    named = _distinctly_named([*schema.fields.items(), (ID, ID_FIELD)], set())
    return [named[-1], *named[:-1]]


def _distinctly_named(fields: Iterable[tuple[str, Field]], taken: set[str]) -> list[tuple[str, str, Field]]:
    """Name in SQL, name in the documents, and type of each; names that are `taken`, in lower case, get a number."""
    named = []
    for key, field in fields:
        name, number = key, 0
        while name.lower() in taken:
            number += 1
            name = f"{key}_{number}"
        taken.add(name.lower())
        named.append((name, key, field))
    return named


def _named_leaves(snapshot: Snapshot, wanted: Collection[str] | None) -> list[tuple[str, str, Field]]:
    """Of the leaves of objects those that a query names, as "venue.city"; `*` has the objects alone.

    Of names that differ only by case others than the first get a number, as fields do.
    """
    taken = {name.lower() for name, _, _ in named_fields(snapshot.schema)}
    asked = {name for name in wanted or () if "." in name} - taken
    if not asked:
        return []
    leaves = [(path, field) for path, field in snapshot.fields.items() if path not in snapshot.schema.fields]
    named = _distinctly_named(leaves, taken)
    return [(name, path, field) for name, path, field in named if name.lower() in asked]


def _typed(field: Field) -> tuple[Any, bool, dict[bytes, bytes] | None]:
    """Arrow type, nullability and metadata of a column."""
    if field.type is not FieldType.JSON:
        return arrow_type(field), True, None
    if field.many:
        return pa.large_list(pa.field("item", pa.large_string(), metadata=_JSON_TEXT)), True, None
    return arrow_type(field), True, _JSON_TEXT
