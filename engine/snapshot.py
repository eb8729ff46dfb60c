"""One collection at one moment: everything that reads goes through a snapshot, and sees nothing later."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyroaring import BitMap

from engine.arrays import Mask, Numbers, Ordinals, Vectors
from engine.document import decode, is_unicode
from engine.errors import InvalidInputError
from engine.fields.columns import ID_FIELD, path_column
from engine.fields.evaluate import evaluate
from engine.fields.filter import Filter
from engine.fields.relation import ORIGIN, Relation, relation_types
from engine.hits import Hits
from engine.schema import ID, JSON, Field, FieldType, Schema
from engine.search import VectorQuery, search_parts
from engine.segments.part import Part
from engine.vector.index import EF_SEARCH_DEFAULT

_MASKS_MAX = 32


class Reader(Protocol):
    """What a snapshot needs of the store, for one collection."""

    @property
    def written(self) -> int:
        """Sequence of the last change that may be in the store, published or not."""

    def bodies(self, ordinals: Ordinals) -> list[bytes]:
        """The JSON of documents."""

    def lookup(self, ids: Sequence[str]) -> list[tuple[int, int] | None]:
        """Latest ordinal and version of ids."""

    def vectors(self, schema: Schema, name: str, rows: Any) -> Vectors:
        """Vectors by row as they were given."""


class Snapshot:
    """Immutable; safe for many threads; may be kept as long as wanted.

    Args:
        name: of the collection.
        sequence: of the last change in it.
        schema: as of then.
        parts: segments and the head's view, in order of ordinals.
        deleted: ordinals in `parts` that are no more. Not written to by anyone.
        reader: the store.
    """

    def __init__(
        self, name: str, sequence: int, schema: Schema, parts: tuple[Part, ...], deleted: BitMap, reader: Reader
    ) -> None:
        self.name = name
        self.sequence = sequence
        self.schema = schema
        self.parts = parts
        self.deleted = deleted
        self._reader = reader
        self._live: list[Mask | str | None] = ["unknown"] * len(parts)
        self._masks: dict[tuple[str, int], Mask] = {}

    def count(self, where: Filter | None = None) -> int:
        """How many documents satisfy `where`."""
        masks = [self.allowed(i, where) for i in range(len(self.parts))]
        return sum(
            len(part.ordinals) if mask is None else int(np.count_nonzero(mask))
            for part, mask in zip(self.parts, masks, strict=True)
        )

    def ordinals(self, where: Filter | None = None) -> Ordinals:
        """Ordinals of the documents that satisfy `where`, (n,) uint32 ascending."""
        found = [np.empty(0, dtype=np.uint32)]
        for i, part in enumerate(self.parts):
            mask = self.allowed(i, where)
            found.append(part.ordinals if mask is None else part.ordinals[mask])
        return np.concatenate(found)

    def documents_raw(self, ordinals: Ordinals) -> list[bytes]:
        """The JSON bytes of documents as they are stored."""
        return self._reader.bodies(ordinals)

    def documents(self, ordinals: Ordinals) -> list[dict[str, JSON]]:
        """Documents, as they were given (without vectors)."""
        return [decode(body) for body in self._reader.bodies(ordinals)]

    def ids(self, ordinals: Any) -> list[str]:
        """Ids of documents of this snapshot."""
        wanted = np.asarray(ordinals, dtype=np.uint32)
        parts, places = self._locate(wanted)
        return self._ids_at(parts, places)

    def get_raw(self, ids: Sequence[str]) -> list[bytes | None]:
        """JSON bytes of documents by id, None where there is none."""
        ordinals = self._resolve(ids)
        found = [ordinal for ordinal in ordinals if ordinal is not None]
        bodies = iter(self._reader.bodies(np.array(found, dtype=np.uint32)))
        return [None if ordinal is None else next(bodies) for ordinal in ordinals]

    def get(self, ids: Sequence[str], *, vectors: bool = False) -> list[dict[str, JSON] | None]:
        """Documents by id, None where there is none.

        Args:
            ids: of the documents.
            vectors: put each vector field's vector in: one list, or a list of them where the document has several
                passages.
        """
        documents = [None if body is None else decode(body) for body in self.get_raw(ids)]
        if vectors:
            for document in filter(None, documents):
                for name in self.schema.vectors:
                    rows = self.vectors_of(document[ID], name).tolist()
                    if rows:
                        document[name] = rows[0] if len(rows) == 1 else rows
        return documents

    def vectors_of(self, id_: str, name: str) -> Vectors:
        """The vectors of a document as they were given, (rows, dim); (0, dim) where it has none or is not there."""
        ordinal = self._resolve([id_])[0]
        empty: Vectors = np.empty((0, self.schema.vectors[name].dim), dtype=np.float32)
        if ordinal is None:
            return empty
        parts, places = self._locate(np.array([ordinal], dtype=np.uint32))
        found = self.parts[int(parts[0])].vector_part(name)
        if found is None:
            return empty
        begin, end = np.searchsorted(found.origins.documents, [places[0], places[0] + 1])
        return self._reader.vectors(self.schema, name, found.origins.numbers[begin:end])

    def search(
        self,
        query: Numbers,
        k: int,
        *,
        vector_field: str | None = None,
        where: Filter | None = None,
        ef_search: int | None = None,
        exact: bool = False,
    ) -> Hits:
        """The documents nearest to one vector, (dim,); see `search_batch`."""
        queries = np.asarray(query)[np.newaxis]
        query_of = VectorQuery(self._vector_field(vector_field), k, ef_search or EF_SEARCH_DEFAULT, exact, threads=1)
        return self._search(queries, query_of, where)[0]

    def search_batch(
        self,
        queries: Numbers,
        k: int,
        *,
        vector_field: str | None = None,
        where: Filter | None = None,
        ef_search: int | None = None,
        exact: bool = False,
    ) -> list[Hits]:
        """The documents nearest to each of several vectors, each by its best passage.

        Args:
            queries: (n, dim).
            k: documents a query, at most; fewer only where fewer satisfy `where`.
            vector_field: which; may be left out where there is one.
            where: a filter.
            ef_search: HNSW, candidates kept while searching (64 by default).
            exact: compare with every vector.

        Raises:
            DimensionMismatchError: the vectors have another size than the field.
            InvalidInputError: not finite, zero under cosine, or no such field.
        """
        query_of = VectorQuery(self._vector_field(vector_field), k, ef_search or EF_SEARCH_DEFAULT, exact, threads=0)
        return self._search(np.asarray(queries), query_of, where)

    def relation(self, fields: Sequence[str] | None = None, where: Filter | None = None) -> Relation:
        """The documents that satisfy `where` as rows, with the id and `fields` (all if None).

        Raises:
            InvalidInputError: a field does not exist.
        """
        types = relation_types(self.schema.fields, fields)
        tables = [self._empty_table(types)]
        for i in range(len(self.parts)):
            mask = self.allowed(i, where)
            tables.append(self._table(i, types, None if mask is None else np.flatnonzero(mask)))
        return Relation(pa.concat_tables(tables), types, self.ids)

    def relation_of(self, hits: Hits, fields: Sequence[str] | None = None) -> Relation:
        """What a search found as rows, best first, with a column `_score`."""
        types = relation_types(self.schema.fields, fields)
        tables = [self._empty_table(types)]
        order = []
        for i in np.unique(hits.parts):
            chosen = np.flatnonzero(hits.parts == i)
            order.append(chosen)
            tables.append(self._table(int(i), types, hits.places[chosen]))
        table = pa.concat_tables(tables).take(pa.array(np.argsort(np.concatenate(order or [np.empty(0, int)]))))
        table = table.append_column("_score", pa.array(hits.scores.astype(np.float64)))
        return Relation(table, {**types, "_score": Field(FieldType.NUMBER)}, self.ids)

    def field_values(self, field: str, limit: int = 1000) -> list[tuple[JSON, int]]:
        """Distinct values of a field and how many documents have each, the most frequent first; lists are unnested.

        Raises:
            InvalidInputError: the field does not exist.
        """
        relation = self.relation([field])
        spec = relation.types[field]
        column = relation.arrow(field).combine_chunks()
        if spec.many:
            column = column.flatten()
        counts = pc.value_counts(column.drop_null())
        pairs = sorted(
            zip(relation.to_json(field, counts.field("values")), counts.field("counts").to_pylist(), strict=True),
            key=lambda pair: (-pair[1], str(pair[0])),
        )
        return pairs[:limit]

    def allowed(self, i: int, where: Filter | None) -> Mask | None:
        """Which documents of part `i` live and satisfy `where`; None for all. Do not write."""
        live = self._live_mask(i)
        if where is None:
            return live
        key = (repr(where), i)  # not the filter itself: 1 == True == 1.0
        mask = self._masks.get(key)
        if mask is None:
            part = self.parts[i]
            mask = evaluate(where, partial(self._column, part), len(part.ordinals))
            if live is not None:
                mask &= live
            if len(self._masks) >= _MASKS_MAX:
                self._masks.clear()
            self._masks[key] = mask
        return mask

    def _search(self, queries: Numbers, query: VectorQuery, where: Filter | None) -> list[Hits]:
        if query.k < 1:
            raise InvalidInputError(f"k must be at least 1: got={query.k}")
        found = search_parts(self, queries, query, where)
        return [
            Hits(f.ordinals, f.scores, f.parts, f.places, f.passages, self._ids_at, self._reader.bodies, f.explain)
            for f in found
        ]

    def _vector_field(self, name: str | None) -> str:
        names = list(self.schema.vectors)
        if name is None and len(names) == 1:
            return names[0]
        if name is None and not names:
            raise InvalidInputError(f"collection {self.name!r} has no vector field")
        if name not in names:
            asked = "which vector field?" if name is None else f"unknown vector field {name!r}:"
            raise InvalidInputError(f"{asked} expected one of {', '.join(names) or '(none)'}", pointer="/vector_field")
        return name

    def _column(self, part: Part, name: str) -> tuple[Field, Any] | None:
        if name == ID:
            return ID_FIELD, part.column(ID, ID_FIELD)
        field = self.schema.fields.get(name)
        if field is not None:
            return field, part.column(name, field)
        root, *path = name.split(".")
        field = self.schema.fields.get(root)
        if not path or field is None or field.type is not FieldType.JSON:
            return None
        return path_column(part.column(root, field), path)

    def _live_mask(self, i: int) -> Mask | None:
        known = self._live[i]
        if isinstance(known, str):
            ordinals = self.parts[i].ordinals
            known = None
            if len(ordinals) and self.deleted.range_cardinality(int(ordinals[0]), int(ordinals[-1]) + 1):
                first, last = int(ordinals[0]), int(ordinals[-1])
                dead = np.array(self.deleted & BitMap(range(first, last + 1)), dtype=np.uint32)
                known = ~np.isin(ordinals, dead, assume_unique=True)
            self._live[i] = known
        return known

    def _resolve(self, ids: Sequence[str]) -> list[int | None]:
        """Ordinals of ids as of this snapshot.

        The store knows the latest state. Where that is later than this snapshot, the snapshot's own columns tell.
        """
        latest = self._reader.lookup(ids)
        known = {id_: hit[0] for id_, hit in zip(ids, latest, strict=True) if hit and hit[1] <= self.sequence}
        if self._reader.written > self.sequence:  # asked after the lookup: what that missed was written before
            known.update(self._find([id_ for id_ in ids if id_ not in known]))
        return [known.get(id_) for id_ in ids]

    def _find(self, ids: Sequence[str]) -> dict[str, int]:
        """Ordinals of those of `ids` that live in this snapshot, by its own columns."""
        wanted = pa.array([id_ for id_ in set(ids) if is_unicode(id_)], type=pa.large_string())
        found: dict[str, int] = {}
        for i, part in enumerate(self.parts):
            column = part.column(ID, ID_FIELD)
            places = np.flatnonzero(pc.is_in(column, value_set=wanted).to_numpy())
            live = self._live_mask(i)
            if live is not None:
                places = places[live[places]]
            found.update(zip(column.take(pa.array(places)).to_pylist(), part.ordinals[places].tolist(), strict=True))
        return found

    def _locate(self, ordinals: Ordinals) -> tuple[Any, Any]:
        """Part and place of each ordinal, which must be in this snapshot."""
        parts = np.full(len(ordinals), -1, dtype=np.int64)
        places = np.zeros(len(ordinals), dtype=np.int64)
        for i, part in enumerate(self.parts):
            if not len(part.ordinals):
                continue
            spots = np.minimum(np.searchsorted(part.ordinals, ordinals), len(part.ordinals) - 1)
            inside = part.ordinals[spots] == ordinals
            parts[inside], places[inside] = i, spots[inside]
        if (parts < 0).any():
            raise InvalidInputError("ordinal is not in the snapshot")
        return parts, places

    def _ids_at(self, parts: Any, places: Any) -> list[str]:
        if len(parts) and (parts == parts[0]).all():
            return self.parts[int(parts[0])].ids(places)
        ids = np.empty(len(parts), dtype=object)
        for i in np.unique(parts):
            chosen = np.flatnonzero(parts == i)
            ids[chosen] = self.parts[i].ids(places[chosen])
        return list(ids)

    def _table(self, i: int, types: dict[str, Field], places: Any | None) -> Any:
        part = self.parts[i]
        columns = {name: part.column(name, field) for name, field in types.items()}
        columns[ORIGIN] = pa.array(part.ordinals)
        table = pa.table(columns)
        return table if places is None else table.take(pa.array(places))

    def _empty_table(self, types: dict[str, Field]) -> Any:
        from engine.fields.columns import null_column

        columns = {name: null_column(field, 0) for name, field in types.items()}
        return pa.table({**columns, ORIGIN: pa.array([], type=pa.uint32())})
