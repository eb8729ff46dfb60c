"""Collections as the rules planner reads them: columns in memory, made once a snapshot, and how collections join."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from weakref import WeakKeyDictionary

from engine import FieldType, Snapshot
from promptql.catalog import Catalog, CollectionInfo
from promptql.catalog.fields import ID, FieldInfo
from promptql.rules.columns import Cell, View, words_of
from promptql.rules.joins import Edge, Joined
from promptql.rules.links import Headers

CELLS_MAX = 600_000  # of all collections that are asked together
BESIDE_CELLS_MAX = (
    100_000  # of a collection that is searched, and read as a table where its words alone would be searched
)
COLLECTIONS_MAX = 40
RELATIONSHIP_CONFIDENCE_MIN = 0.6
PHRASE_WORDS = 3  # a field of texts that are longer on average holds more than names
PROSE_WORDS = 40  # a field whose values are longer on average is text to be searched, not a column
_KINDS = frozenset(
    {FieldType.DATETIME, FieldType.KEYWORD, FieldType.TEXT, FieldType.INTEGER, FieldType.NUMBER, FieldType.BOOLEAN}
)


@dataclass(frozen=True, slots=True)
class Tables:
    """Collections that are tables: their columns, the words of their names, and their joins (None for one alone)."""

    view: View
    headers: Headers
    joined: Joined | None


class TableReader:
    """Reads collections as tables, each snapshot's columns once.

    `_lock` guards `_columns`, `_tables`, `_related` and `_beside`, which forget a snapshot when nobody else holds it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._columns: WeakKeyDictionary[Snapshot, Mapping[str, Sequence[Cell]] | None] = WeakKeyDictionary()
        self._tables: WeakKeyDictionary[Snapshot, tuple[tuple[tuple[str, int], ...], Tables]] = WeakKeyDictionary()
        self._related: WeakKeyDictionary[Snapshot, tuple[tuple[tuple[str, int], ...], Tables]] = WeakKeyDictionary()
        self._beside: WeakKeyDictionary[Snapshot, Tables] = WeakKeyDictionary()

    def read(self, catalog: Catalog, snapshots: Mapping[str, Snapshot]) -> Tables | None:
        """The collections as tables; None where one of them is none, or they are too large to be read whole."""
        infos = [info for info in catalog.collections.values() if info.rows]
        cells = sum(info.rows * len(_table_fields(info)) for info in infos)
        if not infos or len(infos) > COLLECTIONS_MAX or cells > CELLS_MAX:
            return None
        if any(info.searchable or not _tabular(info) for info in infos):
            return None
        first = snapshots[infos[0].name]
        state = tuple((info.name, info.sequence) for info in infos)
        with self._lock:
            known = self._tables.get(first)
        if known is not None and known[0] == state:
            return known[1]
        columns = {info.name: self._read(snapshots[info.name], info) for info in infos}
        tables = {name: held for name, held in columns.items() if held is not None}
        if len(tables) < len(columns):
            return None
        made = _tables(catalog, snapshots, tables)
        with self._lock:
            self._tables[first] = (state, made)
        return made

    def related(self, catalog: Catalog, snapshots: Mapping[str, Snapshot]) -> Tables | None:
        """Of collections that refer to each other what is no text to be searched; None where none do, or all is large.

        For questions over several collections that are searched as well: their names, days and figures are columns.
        """
        related = [item for item in catalog.relationships if item.confidence >= RELATIONSHIP_CONFIDENCE_MIN]
        names = {name for item in related for name in (item.left_collection, item.right_collection)}
        infos = [info for info in catalog.collections.values() if info.name in names and info.rows]
        fields = {info.name: [name for name, field in info.fields.items() if _is_column(field)] for info in infos}
        cells = sum(info.rows * len(fields[info.name]) for info in infos)
        if len(infos) < 2 or len(infos) > COLLECTIONS_MAX or cells > CELLS_MAX or not all(fields.values()):
            return None
        first = snapshots[infos[0].name]
        state = tuple((info.name, info.sequence) for info in infos)
        with self._lock:
            known = self._related.get(first)
        if known is not None and known[0] == state:
            return known[1]
        columns = {}
        for name, chosen in fields.items():
            columns[name] = _columns(snapshots[name], chosen)
        if not all(columns.values()):
            return None
        made = _tables(catalog, snapshots, columns)
        with self._lock:
            self._related[first] = (state, made)
        return made

    def beside(self, catalog: Catalog, snapshots: Mapping[str, Snapshot], name: str) -> Tables | None:
        """Of one collection what is no text to be searched, as a table; None where that is nothing, or large."""
        info, snapshot = catalog.collections[name], snapshots[name]
        fields = [field.name for field in info.fields.values() if _is_column(field) and not _tells(field, info)]
        if not fields or info.rows * len(fields) > BESIDE_CELLS_MAX:
            return None
        with self._lock:
            known = self._beside.get(snapshot)
        if known is not None:
            return known
        columns = _columns(snapshot, fields)
        if not columns:
            return None
        made = _tables(catalog, snapshots, {name: columns})
        with self._lock:
            self._beside[snapshot] = made
        return made

    def _read(self, snapshot: Snapshot, info: CollectionInfo) -> Mapping[str, Sequence[Cell]] | None:
        with self._lock:
            if snapshot in self._columns:
                return self._columns[snapshot]
        names = _table_fields(info)
        relation = snapshot.relation(names)
        read: dict[str, Sequence[Cell]] = {name: relation.column(name) for name in names}
        columns: Mapping[str, Sequence[Cell]] | None = read
        if any(_is_prose(cells) for cells in read.values()):
            columns = None
        with self._lock:
            self._columns[snapshot] = columns
        return columns


def _columns(snapshot: Snapshot, fields: Sequence[str]) -> dict[str, Sequence[Cell]]:
    """The fields' cells, without fields of prose."""
    relation = snapshot.relation(fields)
    read: dict[str, Sequence[Cell]] = {field: relation.column(field) for field in fields}
    return {field: cells for field, cells in read.items() if not _is_prose(cells)}


def _tells(field: FieldInfo, info: CollectionInfo) -> bool:
    """Whether its values are phrases and sentences, in which words stand for no more than themselves."""
    texts = [value for value in field.samples if isinstance(value, str)]
    long = sum(len(words_of(text)) for text in texts) > PHRASE_WORDS * len(texts)
    return field.type is FieldType.TEXT and field.name != info.label and long


def _tabular(info: CollectionInfo) -> bool:
    names = _table_fields(info)
    return bool(names) and all(_is_column(info.fields[name]) for name in names)


def _table_fields(info: CollectionInfo) -> list[str]:
    """The fields, with the leaves of objects in place of the objects."""
    return [name for name, field in info.fields.items() if not field.unfolded]


def _is_column(field: FieldInfo) -> bool:
    return field.type in _KINDS and not field.many


def _is_prose(cells: Sequence[Cell]) -> bool:
    texts = [cell for cell in cells[:200] if isinstance(cell, str) and cell]
    return bool(texts) and sum(len(words_of(text)) for text in texts) > PROSE_WORDS * len(texts)


def _tables(
    catalog: Catalog, snapshots: Mapping[str, Snapshot], columns: Mapping[str, Mapping[str, Sequence[Cell]]]
) -> Tables:
    titles, labels = {}, {}
    columns = _with_ids(catalog, snapshots, columns)
    for name in columns:
        schema = snapshots[name].schema
        titles[name] = schema.meaning.synonyms[0] if schema.meaning.synonyms else name
        for field, meaning in schema.meanings.items():
            if meaning.synonyms:
                labels[name, field] = meaning.synonyms[0]
    view = View(columns, titles, labels)
    headers = Headers(view)
    if len(columns) == 1:
        return Tables(view, headers, None)
    places = {(view.names[column.table], column.name): number for number, column in enumerate(view.columns)}
    return Tables(view, headers, Joined(view, _edges(catalog, places)))


def _with_ids(
    catalog: Catalog, snapshots: Mapping[str, Snapshot], columns: Mapping[str, Mapping[str, Sequence[Cell]]]
) -> Mapping[str, Mapping[str, Sequence[Cell]]]:
    """The columns, with the documents' ids before those of each collection that others refer to by them."""
    if len(columns) == 1:
        return columns
    related = [item for item in catalog.relationships if item.confidence >= RELATIONSHIP_CONFIDENCE_MIN]
    referred = {item.right_collection for item in related if item.right_field == ID}
    found = dict(columns)
    for name in referred.intersection(columns):
        if ID not in columns[name]:
            found[name] = {ID: snapshots[name].relation([ID]).column(ID), **columns[name]}
    return found


def _edges(catalog: Catalog, places: Mapping[tuple[str, str], int]) -> list[Edge]:
    found = []
    for item in catalog.relationships:
        left = places.get((item.left_collection, item.left_field))
        right = places.get((item.right_collection, item.right_field))
        if left is not None and right is not None and item.confidence >= RELATIONSHIP_CONFIDENCE_MIN:
            found.append(Edge(left, right))
    return found
