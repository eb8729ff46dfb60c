"""What there is to ask about: collections, their fields, and what the fields hold."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeAlias
from weakref import WeakKeyDictionary

from engine import Aggregate, Field, FieldType, Snapshot, parse_filter
from promptql.expressions import Scalar
from promptql.rules.words import normalize

ID = "id"  # the field that every document has
VALUES_MAX = 5_000  # distinct values read of one field, most frequent first
CATEGORY_VALUES_MAX = 30  # a field with at most so many values is a small category
CATEGORY_ROWS_EACH = 3.0  # … and one whose values stand in so many documents each is a category too

NUMBER_TYPES = frozenset({FieldType.INTEGER, FieldType.NUMBER})
STRING_TYPES = frozenset({FieldType.TEXT, FieldType.KEYWORD})
ORDERED_TYPES = NUMBER_TYPES | {FieldType.DATETIME}
Range: TypeAlias = tuple[int | None, Scalar, Scalar]
LABEL_NAMES = ("qualified_name", "title", "name", "headline", "subject", "label")


@dataclass(frozen=True, slots=True)
class FieldInfo:
    """A field and what it holds.

    Attributes:
        values: distinct values with the number of documents, most frequent first; empty for numbers and text.
        index: the strings among them by their normalized words; made once, as questions look values up.
        complete: `values` are all that there are.
        filled: documents that have a value; known for ordered fields and for those whose values are read.
        least, greatest: for numbers and datetimes; None where the field is empty.
        identifier: its values (nearly) tell documents apart, as names and titles do.
    """

    name: str
    type: FieldType
    many: bool = False
    values: tuple[tuple[Scalar, int], ...] = ()
    complete: bool = True
    filled: int | None = None
    least: Scalar = None
    greatest: Scalar = None
    identifier: bool = False
    index: Mapping[str, tuple[Scalar, int]] = field(default_factory=dict, compare=False, repr=False)

    @property
    def numeric(self) -> bool:
        """Whether it can be summed and averaged."""
        return self.type in NUMBER_TYPES and not self.many

    @property
    def ordered(self) -> bool:
        """Whether it can be compared with < and sorted usefully."""
        return self.type in ORDERED_TYPES and not self.many

    @property
    def small(self) -> bool:
        """Whether it is a category of few values, so that each of them is a telling word."""
        return not self.identifier and self.complete and 0 < len(self.values) <= CATEGORY_VALUES_MAX

    @property
    def groupable(self) -> bool:
        """Whether rows can be grouped by it in a useful way."""
        return self.type not in {FieldType.GEO, FieldType.JSON, FieldType.TEXT} or bool(self.values)


@dataclass(frozen=True, slots=True)
class CollectionInfo:
    """A collection.

    Attributes:
        rows: documents.
        searchable: some vector field is made from text by a model.
        label: the field that names a document to a reader; "id" where there is none.
    """

    name: str
    rows: int
    sequence: int
    fields: Mapping[str, FieldInfo] = field(default_factory=dict)
    searchable: bool = False
    label: str = ID

    def naming(self, label: Scalar, id_: str, *, repeated: bool = False) -> str:
        """What a document is called: its label, with its id where several documents have that label."""
        if label is None or label == "" or self.label == ID:
            return id_
        name = str(label)
        known = self.fields[self.label].index.get(normalize(name)) if self.label in self.fields else None
        if not repeated and (known is None or known[1] <= 1):
            return name
        return id_ if id_.endswith(name) else f"{name} ({id_})"


@dataclass(frozen=True, slots=True)
class Catalog:
    """The collections that the question may be about."""

    collections: Mapping[str, CollectionInfo]


class CatalogReader:
    """Reads catalogs, each snapshot's once: a snapshot never changes, and is shared until the next write.

    `_lock` guards `_known`, which forgets a snapshot when nobody else holds it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: WeakKeyDictionary[Snapshot, CollectionInfo] = WeakKeyDictionary()

    def read(self, snapshots: Mapping[str, Snapshot]) -> Catalog:
        """The catalog of snapshots of one point in time."""
        return Catalog({name: self._collection(snapshot) for name, snapshot in snapshots.items()})

    def _collection(self, snapshot: Snapshot) -> CollectionInfo:
        with self._lock:
            known = self._known.get(snapshot)
        if known is None:
            known = _collection(snapshot)
            with self._lock:
                self._known[snapshot] = known
        return known


def read_catalog(snapshots: Mapping[str, Snapshot]) -> Catalog:
    """Read the catalog from snapshots of one point in time."""
    return CatalogReader().read(snapshots)


def with_phrases(catalog: Catalog, snapshots: Mapping[str, Snapshot], phrases: Sequence[str]) -> Catalog:
    """The catalog with those phrases that are values of fields too large to be read whole."""
    collections = {
        name: replace(
            info,
            fields={key: _with_phrases(field, snapshots[name], phrases) for key, field in info.fields.items()}
            | _ids(info, snapshots[name], phrases),
        )
        for name, info in catalog.collections.items()
    }
    return Catalog(collections)


def _ids(info: CollectionInfo, snapshot: Snapshot, phrases: Sequence[str]) -> dict[str, FieldInfo]:
    """The field `id` with those phrases that are ids, where there are any."""
    marked = [phrase for phrase in phrases if any(mark in phrase for mark in "._:/")]
    found = tuple((phrase, 1) for phrase, raw in zip(marked, snapshot.get_raw(marked), strict=True) if raw is not None)
    if not found or ID in info.fields:
        return {}
    return {ID: FieldInfo(ID, FieldType.KEYWORD, values=found, complete=False, identifier=True, index=_index(found))}


def _with_phrases(field: FieldInfo, snapshot: Snapshot, phrases: Sequence[str]) -> FieldInfo:
    if field.complete or not field.values or not phrases:
        return field
    known = {value for value, _ in field.values}
    rare = [phrase for phrase in phrases if phrase not in known]
    where = parse_filter({field.name: {"$in": rare}}, snapshot.schema)
    counts = Counter(
        value
        for row in snapshot.relation([field.name], where).column(field.name)
        for value in (row if isinstance(row, list) else [row])
        if value in rare
    )
    found = tuple(counts.items())
    return replace(field, values=(*field.values, *found), index={**_index(found), **field.index})


def _collection(snapshot: Snapshot) -> CollectionInfo:
    schema = snapshot.schema
    rows = snapshot.count()
    ranges = _ranges(snapshot)
    unknown: Range = (None, None, None)
    fields = {
        name: _field(snapshot, name, spec, rows, ranges.get(name, unknown)) for name, spec in schema.fields.items()
    }
    return CollectionInfo(
        name=snapshot.name,
        rows=rows,
        sequence=snapshot.sequence,
        fields=fields,
        searchable=bool(schema.embed) and rows > 0,
        label=_label(fields),
    )


def _ranges(snapshot: Snapshot) -> dict[str, Range]:
    """Number of values, least and greatest of each ordered field, in one pass."""
    names = [name for name, spec in snapshot.schema.fields.items() if spec.type in ORDERED_TYPES and not spec.many]
    if not names:
        return {}
    aggregates = [Aggregate(fn, name, f"{fn} {name}") for name in names for fn in ("count", "min", "max")]
    row = snapshot.relation(names).group([], aggregates).rows()[0]
    return {name: (row[f"count {name}"], row[f"min {name}"], row[f"max {name}"]) for name in names}


def _field(snapshot: Snapshot, name: str, spec: Field, rows: int, span: Range) -> FieldInfo:
    listed = spec.type in {FieldType.KEYWORD, FieldType.BOOLEAN} or (
        spec.type is FieldType.TEXT and name.casefold() in LABEL_NAMES
    )
    pairs = snapshot.field_values(name, VALUES_MAX) if listed else []
    values = tuple((value, count) for value, count in pairs if isinstance(value, (str, bool)))
    return FieldInfo(
        name=name,
        type=spec.type,
        many=spec.many,
        values=values,
        complete=listed and len(pairs) < VALUES_MAX,
        filled=span[0] if span[0] is not None else _filled(snapshot, name, spec, values),
        least=span[1],
        greatest=span[2],
        identifier=not spec.many and _is_identifier(spec.type, name, values, rows),
        index=_index(values),
    )


def _filled(snapshot: Snapshot, name: str, spec: Field, values: Sequence[tuple[Scalar, int]]) -> int | None:
    """Documents with a value; an empty list is none."""
    if not values or spec.type not in STRING_TYPES:
        return None
    if spec.many:
        return snapshot.count(parse_filter({name: {"$starts_with": ""}}, snapshot.schema))
    return snapshot.count(parse_filter({name: {"$is_null": False}}, snapshot.schema))


def _index(values: Sequence[tuple[Scalar, int]]) -> dict[str, tuple[Scalar, int]]:
    index: dict[str, tuple[Scalar, int]] = {}
    for value, count in values:
        key = normalize(value) if isinstance(value, str) else ""
        if key:
            index.setdefault(key, (value, count))
    return index


def _is_identifier(kind: FieldType, name: str, values: tuple[tuple[Scalar, int], ...], rows: int) -> bool:
    if kind is FieldType.BOOLEAN or not values:
        return False
    if name.casefold() in LABEL_NAMES:
        return True
    held = sum(count for _, count in values)
    many_values = len(values) > CATEGORY_VALUES_MAX
    return many_values and held / len(values) < min(CATEGORY_ROWS_EACH, max(1.0, rows / 2))


def _label(fields: Mapping[str, FieldInfo]) -> str:
    folded = {name.casefold(): name for name in fields}
    for name in LABEL_NAMES:
        if name in folded and fields[folded[name]].type in STRING_TYPES:
            return folded[name]
    identifiers = [info.name for info in fields.values() if info.identifier and not info.many]
    return identifiers[0] if identifiers else "id"
