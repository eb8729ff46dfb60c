"""One collection at one moment: everything that reads goes through a snapshot, and sees nothing later."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa
from pyroaring import BitMap

from engine.arrays import Mask, Numbers, Ordinals, Rows, Vectors
from engine.document import Passage, decode, is_unicode
from engine.errors import CollectionNotFoundError, DatabaseClosedError, InvalidInputError, StorageError, check_wanted
from engine.fields import kernels as pc
from engine.fields.bitmaps import bitmap_of_mask, mask_of_bitmap
from engine.fields.columns import ID_FIELD, MISSING, build_column, path_values, without_negative_zero
from engine.fields.evaluate import evaluate
from engine.fields.filter import Filter
from engine.fields.index_cache import IndexCache, is_indexed
from engine.fields.paths import LeafCache, Leaves, listed, wholly_listed
from engine.fields.relation import Relation
from engine.fields.select import select
from engine.fields.values import json_value, relation_types
from engine.filtering import PartFields, column_of, field_of, leaves_of
from engine.hits import Hits
from engine.memory import MaskCache
from engine.schema import ID, JSON, Field, FieldType, Schema
from engine.search.nearest import Found, VectorQuery, prepare_queries, search_parts
from engine.search.scope import Among, Condition
from engine.segments.part import Part, live_mask
from engine.text.errors import TextIndexDamagedError
from engine.vector.parameters import DEFAULT, SearchParameters
from engine.waiting import check_may_wait

if TYPE_CHECKING:
    from engine.recall import RecallReport
    from engine.search.grouping import Group
    from engine.search.keyword import Highlight, TextFields
    from engine.search.request import SearchRequest
    from engine.segments.text import CollectionText
    from engine.statistics import FieldStatistics, StatisticsCache
    from engine.text.query import TextQuery
    from engine.text.view import TextView

# Of a batch that may be cancelled, how many queries are searched in one native call, which nothing can stop.
QUERIES_A_TURN = 128
PATHS_TAKEN_MAX = 256  # values of a path that are read one by one
_LIVING_MAX = 16  # masks of filters without what is deleted, a snapshot
_ASKED_MAX = 1_000  # queries in words that were read, a snapshot
_HELD_MAX = 16  # answers of the text index, a snapshot: each part of it asks for the same
_PLAIN = (FieldType.INTEGER, FieldType.NUMBER, FieldType.BOOLEAN)  # the same in Arrow and in JSON


class Reader(Protocol):
    """What a snapshot needs of the store, for one collection."""

    @property
    def written(self) -> int:
        """Sequence of the last change that may be in the store, published or not."""

    def touched(self, ids: Sequence[str], sequence: int) -> list[str]:
        """Of these ids those that a change after `sequence` may have replaced or deleted."""

    def bodies(self, ordinals: Ordinals) -> list[bytes]:
        """The JSON of documents."""

    def lookup(self, ids: Sequence[str]) -> list[tuple[int, int] | None]:
        """Latest ordinal and version of ids."""

    def vectors(self, schema: Schema, name: str, rows: Any) -> Vectors:
        """Vectors by row as they were given."""


class Pin:
    """Lives as long as a snapshot, or one made from it, is referred to."""

    __slots__ = ("__weakref__",)


class Snapshot:
    """Immutable; safe for many threads; may be kept as long as wanted.

    Args:
        name: of the collection.
        sequence: of the last change in it.
        schema: as of then.
        parts: segments and the head's view, in order of ordinals.
        deleted: ordinals in `parts` that are no more. Not written to by anyone.
        reader: the store.
        masks: of filters, shared with other snapshots.
        text: the text index; None where there is none to be had.

    Attributes:
        hidden: those of `deleted` that the store still knows: they have expired, and wait to be deleted.
        pin: tells whether somebody still reads this.
        shown: for `engine.writes.expiry`: this without what has expired (None: nothing has), and until when that is so.
    """

    def __init__(
        self,
        name: str,
        sequence: int,
        schema: Schema,
        parts: tuple[Part, ...],
        deleted: BitMap,
        reader: Reader,
        masks: MaskCache | None = None,
        text: CollectionText | None = None,
    ) -> None:
        self.name = name
        self.sequence = sequence
        self.schema = schema
        self.parts = parts
        self.deleted = deleted
        self.hidden = BitMap()
        self.pin = Pin()
        self.shown: tuple[Snapshot | None, int] | None = None
        self._reader = reader
        self._text = text
        self._text_view: TextView | None = None
        self._live: list[Mask | str | None] = ["unknown"] * len(parts)
        self._living: dict[tuple[str, int], Mask] = {}
        self._dead: dict[int, BitMap] = {}
        self._asked: dict[tuple[str, bool], TextQuery] = {}
        self._whole: tuple[TextView, bool] | None = None
        self._text_names: list[str] | None = None
        self._held: dict[tuple[str, str, str], BitMap] = {}
        self._masks = MaskCache() if masks is None else masks

    def without(self, hidden: BitMap) -> Snapshot:
        """This snapshot, but some of its documents are no more."""
        deleted = self.deleted | hidden
        rest = Snapshot(
            self.name, self.sequence, self.schema, self.parts, deleted, self._reader, self._masks, self._text
        )
        rest.hidden, rest.pin = hidden, self.pin
        return rest

    def count(self, where: Filter | None = None) -> int:
        """How many documents satisfy `where`."""
        total = 0
        for i, part in enumerate(self.parts):
            found = None if where is None else self.matching(i, where)
            if found is None:
                mask = self.allowed(i, where)
                total += len(part.ordinals) if mask is None else int(np.count_nonzero(mask))
            else:
                total += len(found)
        return total

    def matching(self, i: int, where: Filter) -> BitMap | None:
        """The places in part `i` of living documents that satisfy `where`; None where `allowed` is the quicker way.

        Do not write to it.
        """
        part = self.parts[i]
        if not is_indexed(part):
            return None
        condition = repr(where)
        found = self._masks.get_bitmap(part, condition, self.schema)
        if found is None:
            found = select(where, PartFields(part, self.schema, self._masks.indexes, self.may_hold))
            self._masks.put_bitmap(part, condition, self.schema, found)
        live = self._live_mask(i)
        if live is None:
            return found
        if i not in self._dead:
            self._dead[i] = bitmap_of_mask(~live)
        return found - self._dead[i]

    def ordinals(self, where: Filter | None = None) -> Ordinals:
        """Ordinals of the documents that satisfy `where`, (n,) uint32 ascending."""
        found = [np.empty(0, dtype=np.uint32)]
        for i, part in enumerate(self.parts):
            mask = self.allowed(i, where)
            found.append(part.ordinals if mask is None else part.ordinals[mask])
        return np.concatenate(found)

    @property
    def indexes(self) -> IndexCache:
        """Indexes of the fields of its parts."""
        return self._masks.indexes

    @property
    def leaf_cache(self) -> LeafCache:
        """The leaves of the objects in its parts."""
        return self._masks.leaves

    @cached_property
    def leaves(self) -> Leaves:
        """The paths within its JSON fields."""
        return leaves_of(self)

    @cached_property
    def fields(self) -> Mapping[str, Field]:
        """The fields of the schema, and the leaves of objects as fields of their own: `venue.city`.

        At most `engine.fields.paths.PATHS_MAX` leaves. Any other path within a JSON field can be named as well, where
        fields are: this is what there is to be named.
        """
        schema = self.schema
        if not any(field.type is FieldType.JSON for field in schema.fields.values()):
            return schema.fields
        return {**schema.fields, **listed(self.leaves, {ID, *schema.fields, *schema.vectors})}

    @cached_property
    def unfolded(self) -> frozenset[str]:
        """The JSON fields that hold nothing but objects, all of whose leaves are among `fields`, one value each."""
        roots = [name for name, field in self.schema.fields.items() if field.type is FieldType.JSON and not field.many]
        return frozenset(name for name in roots if wholly_listed(name, self.leaves, self.fields))

    @property
    def statistics_cache(self) -> StatisticsCache:
        """Figures of its parts."""
        return self._masks.statistics

    def statistics(self) -> dict[str, FieldStatistics]:
        """What the values of each field are like."""
        from engine.statistics import field_statistics

        return field_statistics(self)

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

    def versions(self, ids: Sequence[str]) -> list[int | None]:
        """Versions of documents by id: the sequence of the write that stored each; None where there is none.

        Where a document has been written since, what it had in this snapshot is not known any more. What is returned
        then lies between the two, so that a write on condition of it fails, as it must.
        """
        ordinals = self._resolve(ids)
        latest = self._reader.lookup([id_ for id_, ordinal in zip(ids, ordinals, strict=True) if ordinal is not None])
        current = iter(latest)
        versions: list[int | None] = []
        for ordinal in ordinals:
            hit = next(current) if ordinal is not None else None
            known = hit is not None and hit[0] == ordinal
            versions.append(None if ordinal is None else hit[1] if hit is not None and known else self.sequence)
        return versions

    def vectors_of(self, id_: str, name: str) -> Vectors:
        """The vectors of a document as they were given, (rows, dim); (0, dim) where it has none or is not there."""
        ordinals = [ordinal for ordinal in self._resolve([id_]) if ordinal is not None]
        rows, _ = self.rows_of(np.array(ordinals, dtype=np.uint32), name)
        return self._reader.vectors(self.schema, name, rows)

    def rows_of(self, ordinals: Ordinals, name: str) -> tuple[Any, Rows]:
        """The rows that documents of this snapshot have in a vector field.

        Returns:
            Numbers of the rows in the store, (n,), and for each the place of its document in `ordinals`, ascending.
        """
        numbers, owners = [np.empty(0, dtype=np.uint32)], [np.empty(0, dtype=np.int64)]
        for owner, (part, place) in enumerate(zip(*self._locate(ordinals), strict=True)):
            found = self.parts[int(part)].vector_part(name)
            if found is not None:
                begin, end = np.searchsorted(found.origins.documents, [place, place + 1])
                numbers.append(found.origins.numbers[begin:end])
                owners.append(np.full(end - begin, owner, dtype=np.int64))
        return np.concatenate(numbers), np.concatenate(owners)

    def search(
        self,
        query: Numbers,
        k: int,
        *,
        vector_field: str | None = None,
        where: Condition = None,
        ef_search: int | None = None,
        exact: bool = False,
        parameters: SearchParameters | None = None,
    ) -> Hits:
        """The documents nearest to one vector, (dim,); see `search_batch`."""
        queries = np.asarray(query)[np.newaxis]
        effort = _parameters(parameters, ef_search, exact)
        query_of = VectorQuery(self.vector_field(vector_field), k, effort, threads=1)
        return self._search(queries, query_of, where)[0]

    def search_batch(
        self,
        queries: Numbers,
        k: int,
        *,
        vector_field: str | None = None,
        where: Condition = None,
        ef_search: int | None = None,
        exact: bool = False,
        parameters: SearchParameters | None = None,
        cancelled: Callable[[], bool] | None = None,
    ) -> list[Hits]:
        """The documents nearest to each of several vectors, each by its best passage.

        Args:
            queries: (n, dim).
            k: documents a query, at most; fewer only where fewer satisfy `where`.
            vector_field: which; may be left out where there is one.
            where: a filter.
            ef_search: see `SearchParameters`; for when nothing else is said.
            exact: likewise.
            parameters: how hard to search; in place of `ef_search` and `exact`.
            cancelled: asked whether to stop, before every `QUERIES_A_TURN` queries.

        Raises:
            DimensionMismatchError: the vectors have another size than the field.
            InvalidInputError: one is not finite, too long, or zero under cosine; or there is no such field.
            QueryCancelledError: it was cancelled.
        """
        effort = _parameters(parameters, ef_search, exact)
        query_of = VectorQuery(self.vector_field(vector_field), k, effort, threads=0)
        array = np.asarray(queries)
        try:
            if cancelled is None:
                return self._search(array, query_of, where)
            prepare_queries(array, self.schema.vectors[query_of.field])  # a fault is told before any work is done
            found: list[Hits] = []
            for begin in range(0, len(array), QUERIES_A_TURN):
                check_wanted(cancelled)
                found += self._search(array[begin : begin + QUERIES_A_TURN], query_of, where)
            return found
        except InvalidInputError as error:
            row = error.details.get("row")
            error.pointer = error.pointer or ("/vectors" if row is None else f"/vectors/{row}")
            raise

    def recall(
        self,
        queries: int = 100,
        k: int = 10,
        *,
        vector_field: str | None = None,
        where: Filter | None = None,
        progress: Callable[[str, int, int], None] | None = None,
    ) -> RecallReport:
        """What searches of a vector field find, and how long they take, by parameter; see `measure_recall`."""
        from engine.recall import measure_recall

        return measure_recall(self, self.vector_field(vector_field), queries, k, where, progress)

    def vector_field(self, name: str | None) -> str:
        """The vector field of that name; None means the only one there is.

        Raises:
            InvalidInputError: there is none, or several.
        """
        names = list(self.schema.vectors)
        if name is None and len(names) == 1:
            return names[0]
        if name is None and not names:
            raise InvalidInputError(f"collection {self.name!r} has no vector field")
        if name not in names:
            asked = "which vector field?" if name is None else f"unknown vector field {name!r}:"
            raise InvalidInputError(f"{asked} expected one of {', '.join(names) or '(none)'}", pointer="/vector_field")
        return name

    def keyword(
        self,
        query: str | TextQuery,
        k: int,
        *,
        where: Condition = None,
        fields: TextFields | None = None,
        match_all: bool = False,
    ) -> Hits:
        """The documents that match words best, in the order of their BM25 scores; equal ones by ordinal.

        What waits for the text index is added to it first, so that every document of the snapshot can be found.

        Args:
            query: in the syntax of `engine.text.query`: no text is an error.
            k: documents, at most; fewer only where fewer match and satisfy `where`.
            where: a filter.
            fields: field → boost, or names, each perhaps as "title^3"; all text fields alike by default.
            match_all: words without a sign must all be there.

        Raises:
            InvalidInputError: the collection has no text field, `fields` names another, or `k` is less than 1.
        """
        from engine.search.keyword import search_text, text_query

        asked = self._asked.get((query, match_all)) if fields is None and isinstance(query, str) else None
        if asked is None:
            asked = text_query(self, query, fields, match_all=match_all)
            if fields is None and isinstance(query, str):
                if len(self._asked) >= _ASKED_MAX:
                    self._asked.clear()
                self._asked[query, match_all] = asked
        return search_text(self, asked, k, where)

    def highlights(
        self, query: str | TextQuery, ordinals: Ordinals, fields: TextFields | None = None
    ) -> list[list[Highlight]]:
        """Where documents of this snapshot match a query, a list for each; see `engine.search.keyword.Highlight`.

        Raises:
            InvalidInputError: as `keyword`; or a document is not in the snapshot.
        """
        from engine.search.keyword import highlights, text_query

        return highlights(self, text_query(self, query, fields), ordinals)

    def text_view(self, *, instead_of: TextIndexDamagedError | None = None) -> TextView:
        """The text index with every document of this snapshot in it, and perhaps others; the same one each time.

        Args:
            instead_of: what the last one raised: it is built again.

        Raises:
            InvalidInputError: the collection has no text field.
            WouldWaitError: in `engine.without_waiting`, if the index has to be opened, caught up or built.
        """
        view = self._text_view
        if view is None or instead_of is not None:
            if self._text is None:
                raise InvalidInputError(f"collection {self.name!r} has no text index")
            self._text_view = None  # also where it may not wait: then it is not at hand any more
            check_may_wait("the text index lacks documents, or is damaged")
            if instead_of is not None:
                self._text.suspect(instead_of)
            view = self._text_view = self._text.view(self)
        elif view.successor is not None:
            view = self._text_view = view.successor
        return view

    def may_hold(self, field: str, op: str, words: str) -> BitMap | None:
        """Ordinals among which are all documents for which `$match` or `$phrase` is true, by the text index.

        None where there is none, or it lacks so much that comparing the texts is quicker. Do not write to it.
        """
        if self._text is None or not self._text.is_near(self):
            return None
        from engine.search.keyword import may_hold

        held = self._held.get((field, op, words))
        if held is None:
            try:
                held = may_hold(self, field, words, in_order=op == "$phrase")
            except TextIndexDamagedError as error:
                self._text.suspect(error)
            except (StorageError, DatabaseClosedError, CollectionNotFoundError):
                return None  # the texts are still there
            if held is not None:
                held |= self.deleted  # what is found is kept for parts, and other snapshots may show those
                if len(self._held) >= _HELD_MAX:
                    self._held.clear()
                self._held[field, op, words] = held
        return held

    @property
    def has_text_view(self) -> bool:
        """Whether the text index was found to have all of it: who asks for that waits for nobody."""
        return self._text_view is not None

    @property
    def is_whole_text(self) -> bool:
        """Whether it has every document that there ever was up to the last one that its text index knows."""
        view = self.text_view()
        if self._whole is None or self._whole[0] is not view:
            last = int(self.parts[-1].ordinals[-1]) if self.parts else -1
            count = sum(len(part.ordinals) for part in self.parts)
            self._whole = view, not self.deleted and view.next_ordinal <= last + 1 == count and count > 0
        return self._whole[1]

    @property
    def text_names(self) -> list[str]:
        """Names of the fields that keyword searches look in."""
        if self._text_names is None:
            from engine.search.keyword import text_fields

            self._text_names = text_fields(self.schema)
        return self._text_names

    def present(self) -> BitMap:
        """Ordinals of all documents."""
        each = [part.bitmap for part in self.parts]
        return BitMap.union(*each) - self.deleted if each else BitMap()

    def query(self, request: SearchRequest) -> Hits:
        """What a request of any kind finds: words, vectors, examples, several of them fused; see `SearchRequest`.

        Raises:
            InvalidInputError: a field that does not exist, a vector of the wrong size; `pointer` says where.
        """
        from engine.search.execute import execute

        return execute(self, request)

    def hits(
        self,
        ordinals: Ordinals,
        scores: Any,
        parts: Any,
        places: Any,
        passages: list[Passage | None],
        explain: dict[str, JSON],
        groups: tuple[Group, ...] | None = None,
    ) -> Hits:
        """Documents of this snapshot, in the order given, as what a search has found."""
        readers = self._ids_at, self._reader.bodies, self._values_at
        return Hits(ordinals, scores, parts, places, passages, *readers, explain, groups)

    def locate(self, ordinals: Ordinals) -> tuple[Any, Any]:
        """Part and place of each ordinal.

        Raises:
            InvalidInputError: one is not in this snapshot.
        """
        return self._locate(ordinals)

    def ordinals_of(self, ids: Sequence[str]) -> list[int | None]:
        """Ordinals of documents by id, None where there is none."""
        return self._resolve(ids)

    def values_of(self, name: str, ordinals: Ordinals) -> list[JSON]:
        """One field of some documents, as JSON values; None where it has none.

        Raises:
            InvalidInputError: there is no such field.
        """
        return self._values_at(name, *self._locate(ordinals))

    def vectors_at(self, name: str, rows: Any) -> Vectors:
        """Vectors by the numbers that `rows_of` gives, as they were given, (n, dim)."""
        return self._reader.vectors(self.schema, name, rows)

    def relation(self, fields: Sequence[str] | None = None, where: Condition = None) -> Relation:
        """The documents that satisfy `where` as rows, with the id and `fields` (all if None).

        Raises:
            InvalidInputError: a field does not exist.
        """
        types = self._types(fields)
        tables, ordinals = [self._empty_table(types)], [np.empty(0, dtype=np.uint32)]
        for i in range(len(self.parts)):
            mask = self.allowed(i, where)
            places = None if mask is None else np.flatnonzero(mask)
            tables.append(self._table(i, types, places))
            ordinals.append(self.parts[i].ordinals if places is None else self.parts[i].ordinals[places])
        table = pa.concat_tables(tables)
        return Relation.of_documents(table, types, np.concatenate(ordinals), self.ids, self.name)

    def relation_of(self, hits: Hits, fields: Sequence[str] | None = None) -> Relation:
        """What a search found as rows, best first, with a column `_score`."""
        types = self._types(fields)
        tables, ordinals = [self._empty_table(types)], [np.empty(0, dtype=np.uint32)]
        order = []
        for i in np.unique(hits.parts):
            chosen = np.flatnonzero(hits.parts == i)
            order.append(chosen)
            tables.append(self._table(int(i), types, hits.places[chosen]))
            ordinals.append(self.parts[int(i)].ordinals[hits.places[chosen]])
        back = np.argsort(np.concatenate(order or [np.empty(0, int)]))
        table = pa.concat_tables(tables).take(pa.array(back))
        table = table.append_column("_score", pa.array(hits.scores.astype(np.float64)))
        types = {**types, "_score": Field(FieldType.NUMBER)}
        return Relation.of_documents(table, types, np.concatenate(ordinals)[back], self.ids, self.name)

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
        counts = pc.value_counts(without_negative_zero(column.drop_null()))
        pairs = sorted(
            zip(relation.to_json(field, counts.field("values")), counts.field("counts").to_pylist(), strict=True),
            key=lambda pair: (-pair[1], str(pair[0])),
        )
        return pairs[:limit]

    def allowed(self, i: int, where: Condition) -> Mask | None:
        """Which documents of part `i` live and satisfy `where`; None for all. Do not write."""
        live = self._live_mask(i)
        if where is None:
            return live
        if isinstance(where, Among):
            others = self.allowed(i, where.where)
            marks = where.marks(self.parts[i].ordinals)
            return marks if others is None else marks & others
        part, condition = self.parts[i], repr(where)  # not the filter itself: 1 == True == 1.0
        mask = self._masks.get(part, condition, self.schema)
        if mask is None:
            mask = self._evaluated(part, where, condition)
            self._masks.put(part, condition, self.schema, mask)
        if live is None:
            return mask
        both = self._living.get((condition, i))
        if both is None:
            both = mask & live
            if len(self._living) >= _LIVING_MAX:
                self._living.clear()
            self._living[condition, i] = both
        return both

    def _evaluated(self, part: Part, where: Filter, condition: str) -> Mask:
        """Which documents of a part, dead ones too, satisfy `where`."""
        fields = PartFields(part, self.schema, self._masks.indexes, self.may_hold)
        if not is_indexed(part):
            return evaluate(where, fields.column, fields.rows, fields.nulls, fields.scalars)
        found = self._masks.get_bitmap(part, condition, self.schema)
        return mask_of_bitmap(select(where, fields) if found is None else found, fields.rows)

    def _search(self, queries: Numbers, query: VectorQuery, where: Condition) -> list[Hits]:
        if query.k < 1:
            raise InvalidInputError(f"k must be at least 1: got={query.k}")
        found = search_parts(self, queries, query, where)
        together = _Together(self._ids_at, found)
        return [
            Hits(
                f.ordinals, f.scores, f.parts, f.places, f.passages,
                self._ids_at if len(found) == 1 else partial(together.ids, number),
                self._reader.bodies, self._values_at, f.explain,
            )
            for number, f in enumerate(found)
        ]  # fmt: skip

    def _live_mask(self, i: int) -> Mask | None:
        known = self._live[i]
        if isinstance(known, str):
            known = self._live[i] = live_mask(self.parts[i].ordinals, self.deleted)
        return known

    def _resolve(self, ids: Sequence[str]) -> list[int | None]:
        """Ordinals of ids as of this snapshot.

        The store knows the latest state. Of ids that were written since, the snapshot's own columns tell.
        """
        latest = self._reader.lookup(ids)
        known = {id_: hit[0] for id_, hit in zip(ids, latest, strict=True) if hit and hit[1] <= self.sequence}
        if self.hidden:
            known = {id_: ordinal for id_, ordinal in known.items() if ordinal not in self.hidden}
        if self._reader.written > self.sequence:  # asked after the lookup: what that missed was written before
            known.update(self.find(self._reader.touched([id_ for id_ in ids if id_ not in known], self.sequence)))
        return [known.get(id_) for id_ in ids]

    def find(self, ids: Sequence[str]) -> dict[str, int]:
        """Ordinals of those of `ids` that live in this snapshot, by its own columns."""
        if not ids:
            return {}
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
        if len(self.parts) == 1:
            return self.parts[0].ids(places)
        if len(parts) and (parts == parts[0]).all():
            return self.parts[int(parts[0])].ids(places)
        ids = [""] * len(parts)
        for i, chosen in _by_part(parts):
            for at, id_ in zip(chosen, self.parts[i].ids(places[chosen]), strict=True):
                ids[at] = id_
        return ids

    def _values_at(self, name: str, parts: Any, places: Any) -> list[JSON]:
        field = self._types([name])[name]
        if name in self.schema.fields and len(parts) and (parts[0] == parts).all():
            numbers = self.parts[int(parts[0])].numbers(name, field)
            if numbers is not None:
                return [*numbers[places].tolist()]
        values: list[JSON] = [None] * len(parts)
        for i, chosen in _by_part(parts):
            for at, value in zip(chosen, self._values_of(i, name, field, places[chosen]), strict=True):
                values[at] = value
        return values

    def _values_of(self, i: int, name: str, field: Field, places: Any) -> list[JSON]:
        if self._is_path(name):
            return [json_value(field, value) for value in self._path_taken(i, name, field, places)]
        numbers = self.parts[i].numbers(name, field)
        if numbers is not None:
            return [*numbers[places].tolist()]
        found = self.parts[i].taken(name, field, places).to_pylist()
        return found if field.type in _PLAIN else [json_value(field, value) for value in found]

    def _types(self, names: Sequence[str] | None) -> dict[str, Field]:
        """The columns of a relation over documents: `id`, then the fields and paths asked for (all fields if None)."""
        known = self.schema.fields
        paths = [name for name in names or () if name not in known and "." in name]
        return relation_types({**known, **{name: field_of(self, name) for name in paths}} if paths else known, names)

    def column(self, i: int, name: str, field: Field) -> Any:
        """The Arrow column of a field, of the id or of a path in part `i`, of the type that `relation` tells."""
        return column_of(self, i, name, field) if self._is_path(name) else self.parts[i].column(name, field)

    def columns(self, i: int, types: Mapping[str, Field]) -> dict[str, Any]:
        """As `column`, of several: objects are read once for all paths within them."""
        paths = [name for name in types if self._is_path(name)]
        fields = PartFields(self.parts[i], self.schema, self.indexes)
        if paths:
            fields.read_together(paths)
        return {
            name: column_of(self, i, name, field, fields) if name in paths else self.parts[i].column(name, field)
            for name, field in types.items()
        }

    def _is_path(self, name: str) -> bool:
        return name != ID and name not in self.schema.fields

    def _path_taken(self, i: int, name: str, field: Field, places: Any) -> list[Any]:
        """Values of a path at some places, as Arrow has them; of a few without the others, if no column is there."""
        root, *path = name.split(".")
        if len(places) > PATHS_TAKEN_MAX or self.indexes.has_path(self.parts[i], name, self.schema.fields[root]):
            return column_of(self, i, name, field).take(pa.array(places)).to_pylist()  # type: ignore[no-any-return]
        values = path_values(self.parts[i].taken(root, self.schema.fields[root], places), path)
        column = build_column(field, [None if value is MISSING else value for value in values])
        return column.to_pylist()  # type: ignore[no-any-return]

    def _table(self, i: int, types: dict[str, Field], places: Any | None) -> Any:
        table = pa.table(self.columns(i, types))
        return table if places is None else table.take(pa.array(places))

    def _empty_table(self, types: dict[str, Field]) -> Any:
        from engine.fields.columns import null_column

        columns = {name: null_column(field, 0) for name, field in types.items()}
        return pa.table(columns)


class _Together:
    """The ids that the queries of one batch found, looked up at once when the first are asked for: half the cost."""

    def __init__(self, ids_at: Callable[[Any, Any], list[str]], found: Sequence[Found]) -> None:
        self._ids_at = ids_at
        self._found = found
        self._ids: list[str] | None = None
        self._ends: list[int] = []

    def ids(self, number: int, _parts: Any, _places: Any) -> list[str]:
        """Those of one query."""
        if self._ids is None:
            self._ends = np.cumsum([len(each.places) for each in self._found]).tolist()
            parts, places = (np.concatenate([getattr(f, name) for f in self._found]) for name in ("parts", "places"))
            self._ids = self._ids_at(parts, places)
        return self._ids[self._ends[number - 1] if number else 0 : self._ends[number]]


def _by_part(parts: Any) -> Iterable[tuple[int, list[int]]]:
    """Each part that occurs, and where; by hand, since NumPy's way costs five times as much for ten."""
    groups: dict[int, list[int]] = {}
    for at, part in enumerate(parts.tolist()):
        groups.setdefault(part, []).append(at)
    return groups.items()


def _parameters(given: SearchParameters | None, ef_search: int | None, exact: bool) -> SearchParameters:  # noqa: FBT001
    if given is not None:
        if ef_search is not None or exact:
            raise InvalidInputError("ef_search and exact belong into parameters, when those are given")
        return given
    return SearchParameters(ef_search=ef_search, exact=exact) if ef_search is not None or exact else DEFAULT
