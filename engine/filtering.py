"""The fields of a snapshot's parts: columns, paths within JSON, indexes, and which documents are looked at."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeAlias

import msgspec
import numpy as np
import pyarrow as pa
from pyroaring import BitMap

from engine.arrays import Mask, Ordinals
from engine.errors import InvalidInputError
from engine.fields.bitmaps import bitmap_of_places, places_of
from engine.fields.columns import ID_FIELD, MISSING, build_column, path_column, path_columns, path_values
from engine.fields.filter import Filter
from engine.fields.index_cache import IndexCache, is_indexed
from engine.fields.indexes import FieldIndex
from engine.fields.paths import Leaves, joint_type
from engine.fields.select import Steps, select
from engine.schema import ID, JSON, Field, FieldType, Schema
from engine.segments.part import Part

if TYPE_CHECKING:
    from engine.snapshot import Snapshot

WORDS = ("$match", "$phrase")
MayHold: TypeAlias = Callable[[str, str, str], BitMap | None]


class PartFields:
    """The fields of one part under one schema: an `engine.fields.select.Source`. For one evaluation, by one thread.

    Args:
        part: of a snapshot.
        schema: of the same snapshot.
        indexes: of its fields.
        may_hold: field, operator on words, words → ordinals of which all that satisfy it are some; None: not known.
    """

    def __init__(self, part: Part, schema: Schema, indexes: IndexCache, may_hold: MayHold | None = None) -> None:
        self._part = part
        self._schema = schema
        self._cache = indexes
        self._may_hold = may_hold
        self._indexes: dict[str, FieldIndex | None] = {}
        self._together: dict[str, tuple[Field, Any]] = {}
        self._candidates: dict[tuple[str, str, str], BitMap | None] = {}

    @property
    def rows(self) -> int:
        """Documents of the part, dead ones too."""
        return len(self._part.ordinals)

    def index(self, name: str) -> FieldIndex | None:
        """The index of a field, if it is there or worth making now."""
        if name in self._indexes:
            return self._indexes[name]
        found = self._indexes[name] = self._find(name)
        return found

    def _find(self, name: str) -> FieldIndex | None:
        field = self._schema.fields.get(name)
        if field is not None:
            return self._cache.index(self._part, name, field, self._part.column)
        if name == ID or not self._part.lasts:
            return None
        found = self.column(name)
        return None if found is None else self._cache.index(self._part, name, found[0], lambda *_: found[1])

    def kept(self, name: str, condition: str, make: Callable[[], BitMap]) -> BitMap:
        """See `engine.fields.select.Source.kept`."""
        return self._cache.bitmap(self._part, f"{name}\0{condition}", self._schema.fields.get(name), make)

    def column(self, name: str) -> tuple[Field, Any] | None:
        """A field, `id`, or a path within a JSON field."""
        if name == ID:
            return ID_FIELD, self._part.column(ID, ID_FIELD)
        field = self._schema.fields.get(name)
        if field is not None:
            return field, self._part.column(name, field)
        root, path = self._path(name)
        if root is None:
            return None
        if name in self._together:
            return self._together[name]
        key = name.split(".", 1)[0]
        return self._cache.path(self._part, name, root, lambda: path_column(self._part.column(key, root), path))

    def read_together(self, names: Sequence[str]) -> None:
        """Read the columns of several paths at once, where they are not known: most of the cost is in the objects."""
        wanted: dict[str, dict[str, list[str]]] = {}
        for name in names:
            root, path = self._path(name)
            if root is not None and not self._cache.has_path(self._part, name, root):
                wanted.setdefault(name.split(".", 1)[0], {})[name] = path
        for key, paths in wanted.items():
            if len(paths) < 2:
                continue
            root = self._schema.fields[key]
            made = dict(zip(paths, path_columns(self._part.column(key, root), [*paths.values()]), strict=True))
            self._together |= made
            for name, column in made.items():
                self._cache.path(self._part, name, root, partial(_itself, column))

    def nulls(self, name: str) -> Mask | None:
        """The documents that have the field, or an object with that key, and null in it."""
        mask = np.zeros(self.rows, dtype=bool)
        root, path = (None, []) if name in self._schema.fields else self._path(name)
        if root is None:
            places = self._part.nulls().get(name)
            if places is None:
                return None
            mask[places] = True
            return mask
        values = path_values(self._part.column(name.split(".", 1)[0], root), path)
        return np.fromiter((value is None and value is not MISSING for value in values), dtype=bool, count=self.rows)

    def scalars(self, name: str, places: Any) -> Mask:
        """See `engine.fields.select.Source.scalars`."""
        root, path = (None, []) if name in self._schema.fields else self._path(name)
        if root is None:
            values = self._part.values(name, places)
        else:
            values = path_values(self._part.column(name.split(".", 1)[0], root).take(pa.array(places)), path)
        return np.fromiter((not isinstance(value, list) for value in values), dtype=bool, count=len(places))

    def candidates(self, name: str, op: str, value: JSON) -> BitMap | None:
        """By the text index, where the part is large and the index is not far behind."""
        if op not in WORDS or self._may_hold is None or not is_indexed(self._part):
            return None
        key = name, op, str(value)
        if key not in self._candidates:
            held = self._may_hold(*key)
            self._candidates[key] = None if held is None else self._places(held)
        return self._candidates[key]

    def _places(self, ordinals: BitMap) -> BitMap:
        known = self._part.ordinals
        return bitmap_of_places(np.searchsorted(known, places_of(ordinals & self._part.bitmap)))

    def _path(self, name: str) -> tuple[Field | None, list[str]]:
        """The JSON field in which a path begins, and the rest of it."""
        root, *path = name.split(".")
        field = self._schema.fields.get(root)
        return (field, path) if path and field is not None and field.type is FieldType.JSON else (None, [])


def _itself(made: tuple[Field, Any]) -> tuple[Field, Any]:
    return made


def field_of(snapshot: Snapshot, name: str) -> Field:
    """The type of a field, of the id, or of a path within a JSON field.

    Raises:
        InvalidInputError: there is no such field.
    """
    if name == ID:
        return ID_FIELD
    field = snapshot.schema.fields.get(name)
    if field is not None:
        return field
    root = snapshot.schema.fields.get(name.split(".", 1)[0])
    if root is None or root.type is not FieldType.JSON or "." not in name:
        known = ", ".join([ID, *snapshot.schema.fields])
        raise InvalidInputError(f"unknown field {name!r:.100}: expected one of {known:.1000}")
    leaf = snapshot.fields.get(name)
    if leaf is not None:
        return leaf
    found: Field | None = None
    for part in snapshot.parts:
        own = PartFields(part, snapshot.schema, snapshot.indexes).column(name)
        if own is not None and own[1].null_count < len(own[1]):
            found = joint_type(found, own[0])
    return found or Field(FieldType.JSON)


def leaves_of(snapshot: Snapshot) -> Leaves:
    """The paths within the JSON fields of a snapshot, deleted documents included; each part is read once."""
    found = Leaves({})
    for name, field in snapshot.schema.fields.items():
        if field.type is FieldType.JSON:
            for part in snapshot.parts:
                column = partial(part.column, name, field)
                found = found.joined(snapshot.leaf_cache.leaves(part, name, field, column))
    return found


def column_of(snapshot: Snapshot, i: int, name: str, field: Field, fields: PartFields | None = None) -> Any:
    """The column of a field in one part as one Arrow array, of the type that `field_of` tells.

    Args:
        snapshot: whose.
        i: number of the part.
        name: the field, the id, or a path.
        field: its type.
        fields: of that part, where some of them were read together.
    """
    part = snapshot.parts[i]
    found = (fields or PartFields(part, snapshot.schema, snapshot.indexes)).column(name)
    if found is None:
        return build_column(field, [None] * len(part.ordinals))
    own, column = found
    if isinstance(column, pa.ChunkedArray):
        column = column.combine_chunks()
        if isinstance(column, pa.ChunkedArray):
            column = pa.concat_arrays(column.chunks) if column.num_chunks else pa.array([], type=column.type)
    if (own.type, own.many) == (field.type, field.many):
        return column
    root = snapshot.schema.fields.get(name.split(".", 1)[0], own)
    kept = f"{name}\0{field.type}{' many' if field.many else ''}"
    return snapshot.indexes.path(part, kept, root, lambda: (field, _as_type(column, own, field)))[1]


def _as_type(column: Any, own: Field, field: Field) -> Any:
    """A column of a path as another type, which holds all of its values."""
    values = column.to_pylist()
    if own.type is FieldType.JSON:
        values = [None if value is None else msgspec.json.decode(value) for value in values]
    return build_column(replace(field, declared=False), values)


def chosen_places(snapshot: Snapshot, i: int, where: Filter | None, ordinals: Ordinals | None) -> Mask | None:
    """Which living documents of part `i` satisfy `where` and are among `ordinals`; None for all."""
    mask = snapshot.allowed(i, where)
    if ordinals is None:
        return mask
    among: Mask = np.isin(snapshot.parts[i].ordinals, ordinals)
    return among if mask is None else mask & among


def explain_filter(snapshot: Snapshot, where: Filter) -> dict[str, JSON]:
    """How a filter is evaluated, part by part, without what is kept of whole filters.

    Returns:
        `count` of documents, `milliseconds`, and of each of `parts` its documents, those found (deleted ones too) and
        `steps`: the condition, how (postings, sorted range, column scan), rows considered and found, milliseconds.
    """
    began = time.perf_counter()
    parts: list[JSON] = []
    for i, part in enumerate(snapshot.parts):
        steps = Steps()
        fields = PartFields(part, snapshot.schema, snapshot.indexes, snapshot.may_hold)
        started = time.perf_counter()
        found = select(where, fields, steps=steps)
        elapsed = round(1000 * (time.perf_counter() - started), 3)
        parts.append(
            {
                "part": i,
                "kind": "segment" if part.lasts else "head",
                "documents": len(part.ordinals),
                "found": len(found),
                "steps": steps.steps,
                "milliseconds": elapsed,
            }
        )
    count = snapshot.count(where)
    return {"count": count, "parts": parts, "milliseconds": round(1000 * (time.perf_counter() - began), 3)}
