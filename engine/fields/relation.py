"""Rows with named, typed columns that remember which documents each cell came from.

Every operation gives a new relation. Missing values: a comparison with one does not hold, a key that is missing joins
nothing, but missing values equal each other in groups, distinct rows and sets, and stand last in every order.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from engine.errors import InvalidInputError, MemoryLimitError
from engine.expressions import Bucket, Expression, GroupKey, Predicate, fields_of
from engine.fields import kernels as pc
from engine.fields.aggregates import ORDERED, Aggregate, figures, result_field, type_name
from engine.fields.columns import arrow_type, build_column, cast_to
from engine.fields.compute import Evaluation, joint_field
from engine.fields.dates import date_trunc
from engine.fields.encoding import encode_rows, first_places, occurrences
from engine.fields.evaluate import evaluate
from engine.fields.filter import Filter
from engine.fields.joining import Coverage, match
from engine.fields.leading import leading
from engine.fields.order import SortKey
from engine.fields.origin import Documents, Nothing, Places, Provenance, Source, Stacked, provenance
from engine.fields.values import json_value
from engine.fields.windows import WindowCall, window_field, window_values
from engine.schema import JSON, Field, FieldType

Lineage = Mapping[str, frozenset[int]]  # column → places of its sources
SELECTED_ROWS_MIN = 20_000  # below, sorting all costs no more than choosing first
JOINS = ("inner", "left", "semi", "anti")
SETS = ("union", "intersect", "except")


class Relation:
    """An immutable table of typed columns.

    Args:
        table: the Arrow columns of `types`.
        types: the field of each column, in order.
        sources: the scans and searches that the rows came from.
        lineage: of each column the places of its sources; None: every column came from all.
    """

    def __init__(
        self,
        table: Any,
        types: Mapping[str, Field],
        sources: Sequence[Source],
        lineage: Lineage | None = None,
    ) -> None:
        self.table = table
        self.types = dict(types)
        self.sources_behind = tuple(sources)
        everything = frozenset(range(len(self.sources_behind)))
        self.lineage = dict.fromkeys(self.types, everything) if lineage is None else dict(lineage)

    @classmethod
    def of_documents(
        cls,
        table: Any,
        types: Mapping[str, Field],
        ordinals: Any,
        ids_of: Callable[[Any], list[str]],
        collection: str = "",
    ) -> Relation:
        """One document a row.

        Args:
            table: their columns.
            types: the field of each column.
            ordinals: (rows,) of the documents.
            ids_of: ordinals → ids, as of the snapshot that was read.
            collection: whose they are.
        """
        documents = Documents(np.asarray(ordinals).astype(np.int64))
        return cls(table, types, [Source(collection, ids_of, documents)])

    @property
    def fields(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(self.types)

    def __len__(self) -> int:
        rows: int = self.table.num_rows
        return rows

    @property
    def documents(self) -> Places | None:
        """The ordinals of the documents that the rows are, one each; None where rows are something else."""
        if len(self.sources_behind) != 1 or not isinstance(self.sources_behind[0].origin, Documents):
            return None
        return self.sources_behind[0].origin.at(np.arange(len(self)))

    @property
    def nbytes(self) -> int:
        """Bytes of the columns; those that are mapped from files count as well."""
        size: int = self.table.nbytes
        return size

    def buffers(self) -> dict[int, int]:
        """Where the columns lie in memory: address → bytes. Relations that share columns share these."""
        chunks = (chunk for column in self.table.columns for chunk in column.chunks)
        found = (buffer for chunk in chunks for buffer in chunk.buffers() if buffer is not None)
        return {buffer.address: buffer.size for buffer in found}

    # ── rows and columns ──

    def filter(self, where: Filter) -> Relation:
        """The rows that satisfy a filter on documents."""

        def column_of(name: str) -> tuple[Field, Any] | None:
            return (self.types[name], self.table[name]) if name in self.types else None

        return self._masked(evaluate(where, column_of, len(self)))

    def where(self, predicate: Predicate) -> Relation:
        """The rows for which a predicate holds.

        Raises:
            InvalidInputError: a column does not exist, or a type does not fit.
        """
        return self._masked(self._evaluation().mask(predicate))

    def compute(self, columns: Sequence[tuple[str, Expression]]) -> Relation:
        """All columns and new ones, (name, expression); a later one may use an earlier one.

        Raises:
            InvalidInputError: a name is taken, a column does not exist, or a type does not fit.
        """
        made = self
        for name, expression in columns:
            if name in made.types:
                raise InvalidInputError(f"there is a column {name!r} already")
            found = made._evaluation().column(expression)
            made = made._with_column(name, found.field, found.values, fields_of(expression))
        return made

    def project(self, fields: Sequence[str]) -> Relation:
        """Only these columns, in this order.

        Raises:
            InvalidInputError: one does not exist.
        """
        types = {name: self._type(name) for name in fields}
        lineage = {name: self.lineage[name] for name in types}
        return Relation(self.table.select(list(types)), types, self.sources_behind, lineage)

    def rename(self, columns: Mapping[str, str]) -> Relation:
        """Some columns under new names: name → column.

        Raises:
            InvalidInputError: one does not exist.
        """
        types = {name: self._type(column) for name, column in columns.items()}
        lineage = {name: self.lineage[column] for name, column in columns.items()}
        table = self.table.select([*columns.values()]).rename_columns([*columns])
        return Relation(table, types, self.sources_behind, lineage)

    # ── order ──

    def sort(self, keys: Sequence[SortKey], first: int | None = None) -> Relation:
        """Rows in order of `keys`; nulls last, ties as they stood.

        Args:
            keys: columns to sort by.
            first: how many rows are wanted: others may be left out, but none that ties with the last of them under
                the first key. None: all.

        Raises:
            InvalidInputError: a column does not exist or has no order (lists, JSON, points).
        """
        for key in keys:
            self._check_order(key.field)
        if first is not None and keys and len(self) >= SELECTED_ROWS_MIN:
            places = leading(self.table[keys[0].field], first, descending=keys[0].descending)
            if places is not None:
                return self.take(places).sort(keys)
        columns = {f"k{place}": self.table[key.field] for place, key in enumerate(keys)}
        table = pa.table({**columns, "place": np.arange(len(self))})
        order = [(f"k{i}", "descending" if key.descending else "ascending") for i, key in enumerate(keys)]
        return self.take(pc.sort_indices(table, sort_keys=[*order, ("place", "ascending")]).to_numpy().astype(np.int64))

    def limit(self, n: int, offset: int = 0) -> Relation:
        """`n` rows after the first `offset`.

        Raises:
            InvalidInputError: one is negative.
        """
        if n < 0 or offset < 0:
            raise InvalidInputError(f"limit must be at least 0: got={min(n, offset)}")
        places = np.arange(min(offset, len(self)), min(offset + n, len(self)))
        sources = [source.over(source.origin.take(places)) for source in self.sources_behind]
        return Relation(self.table.slice(offset, n), self.types, sources, self.lineage)

    def skip(self, n: int) -> Relation:
        """All rows but the first `n`."""
        return self.limit(max(0, len(self) - n), n)

    def take(self, places: Places) -> Relation:
        """Rows by place, in that order."""
        sources = [source.over(source.origin.take(places)) for source in self.sources_behind]
        return Relation(self.table.take(pa.array(places)), self.types, sources, self.lineage)

    # ── several rows together ──

    def group(self, by: Sequence[GroupKey], aggregates: Sequence[Aggregate]) -> Relation:
        """One row for each combination of values of `by`, in order of first appearance, with its aggregates.

        A list column in `by` counts a row once for each of its elements, which figures over it see alone. Without
        `by`, one row in all, also when there are no rows (counts are 0, other figures null). Nulls form a group of
        their own and are left out of every aggregate but the row count.

        Raises:
            InvalidInputError: a column does not exist, holds points, or is named twice; an aggregate does not fit.
        """
        keys = [key if isinstance(key, str) else key.name for key in by]
        names = [*keys, *(aggregate.alias for aggregate in aggregates)]
        if len(set(names)) < len(names):
            raise InvalidInputError(f"columns of a group must have different names: got={', '.join(names)}")
        rows = self
        for key in by:
            rows = rows._bucketed(key) if isinstance(key, Bucket) else rows._unnested(key)
        types = {item.alias: result_field(item, rows.types) for item in aggregates}
        groups, count = encode_rows([rows.table[name] for name in keys], len(rows))
        first = pa.array(first_places(groups, count))
        columns = {name: rows.table[name].take(first) for name in keys}
        columns |= figures(rows.table, rows.types, aggregates, groups, count)
        sources = [source.over(source.origin.gather(groups, count)) for source in rows.sources_behind]
        lineage = {name: rows.lineage[name] for name in keys}
        lineage |= {item.alias: rows._lineage_of([item.field, item.by]) for item in aggregates}  # noqa: SLF001
        return Relation(pa.table(columns), {name: rows.types[name] for name in keys} | types, sources, lineage)

    def distinct(self, fields: Sequence[str] | None = None) -> Relation:
        """The first of the rows that are equal in `fields` (None: in all); documents of all of them stand behind it.

        Raises:
            InvalidInputError: a column does not exist, or holds points.
        """
        for name in self.types if fields is None else fields:
            self._check_distinct(name)
        columns = [self.table[name] for name in (self.types if fields is None else fields)]
        return self.gather(encode_rows(columns, len(self))[0])

    def gather(self, groups: Places) -> Relation:
        """The first row of each group; documents of all its rows stand behind it.

        Args:
            groups: of each row the number of its group, from 0 in order of first appearance.
        """
        count = int(groups.max()) + 1 if len(groups) else 0
        places = first_places(groups, count)
        sources = [source.over(source.origin.gather(groups, len(places))) for source in self.sources_behind]
        return Relation(self.table.take(pa.array(places)), self.types, sources, self.lineage)

    def window(self, call: WindowCall) -> Relation:
        """All columns, and one that each row gets by its place in its partition; rows stay where they are.

        Raises:
            InvalidInputError: a column does not exist, or does not fit the function.
        """
        field = window_field(call, self.types)
        if call.alias in self.types:
            raise InvalidInputError(f"there is a column {call.alias!r} already")
        for name in call.partition:
            self._check_distinct(name)
        for key in call.order:
            self._check_order(key.field)
        used = [*call.partition, *(key.field for key in call.order), *([call.field] if call.field else [])]
        return self._with_column(call.alias, field, window_values(self.table, call), used)

    # ── two relations ──

    def join(
        self,
        right: Relation,
        keys: Sequence[tuple[str, str]],
        *,
        how: str = "inner",
        names: Mapping[str, str] | None = None,
        rows_max: int | None = None,
    ) -> tuple[Relation, Coverage]:
        """The rows of both sides with equal keys, in the order of the left side, then of the right.

        Args:
            right: the other side.
            keys: columns (left, right) that must be equal; a missing value equals nothing.
            how: one of `JOINS`: "left" keeps rows without a match, "semi" and "anti" the left rows with and without.
            names: the columns that are taken from the right side, and their names; None: all, as they are called.
            rows_max: refuse to make more rows than that.

        Raises:
            InvalidInputError: a column does not exist, is a list, has another type, or a name is taken.
            MemoryLimitError: there would be more than `rows_max` rows.
        """
        if how not in JOINS or not keys:
            raise InvalidInputError(f"a join is one of {', '.join(JOINS)}, and has keys: got={how!r}")
        found = match(*self._key_columns(right, keys), len(self), len(right))
        met = int(np.count_nonzero(found.counts))
        counts = {"inner": found.counts.sum(), "left": np.maximum(found.counts, 1).sum(), "semi": met}
        size = int(counts.get(how, len(self) - met))
        if rows_max is not None and size > rows_max:
            raise MemoryLimitError(f"join would give too many rows: got={size} limit={rows_max}")
        coverage = Coverage(len(self), met, len(right), found.right_matched, size)
        if how in ("semi", "anti"):
            return self._masked((found.counts > 0) == (how == "semi")), coverage
        ours, theirs = found.pairs(outer=how == "left")
        return self.take(ours)._beside(right._taken(theirs), names), coverage  # noqa: SLF001

    def combine(self, right: Relation, kind: str, *, keep_all: bool = False) -> Relation:
        """Two sets of rows, compared by their columns in order, under the names of the left side.

        Args:
            right: the other side, of as many columns of like types.
            kind: one of `SETS`.
            keep_all: equal rows stay apart, counted as SQL's ALL does.

        Raises:
            InvalidInputError: the columns do not fit each other.
        """
        if kind not in SETS or len(self.types) != len(right.types):
            counts = f"{len(self.types)} and {len(right.types)} columns"
            raise InvalidInputError(
                f"a set operation is one of {', '.join(SETS)} over like columns: got={kind} {counts}"
            )
        both = self._stacked(right)
        if kind == "union":
            return both if keep_all else both.distinct()
        for name in both.types:
            both._check_distinct(name)  # noqa: SLF001
        groups, count = encode_rows([both.table[name] for name in both.types], len(both))
        ours, theirs = groups[: len(self)], groups[len(self) :]
        there = np.bincount(theirs, minlength=count)
        times = occurrences(ours, count)
        if keep_all:
            kept = times < there[ours] if kind == "intersect" else times >= there[ours]
        else:
            kept = (times == 0) & ((there[ours] > 0) == (kind == "intersect"))
        places = np.flatnonzero(kept)
        gathered = both._gathered(groups, count, kind, self)  # noqa: SLF001  (it is of this class)
        sources = [source.over(source.origin.take(ours[places])) for source in gathered]
        return Relation(both.table.take(pa.array(places)), both.types, sources, both.lineage)

    # ── values ──

    def column(self, name: str) -> list[JSON]:
        """The values of a column, as JSON values.

        Raises:
            InvalidInputError: it does not exist.
        """
        return self.to_json(name, self.arrow(name))

    def arrow(self, name: str) -> Any:
        """A column as Arrow array.

        Raises:
            InvalidInputError: it does not exist.
        """
        self._type(name)
        return self.table[name]

    def with_column(self, name: str, field: Field, values: Sequence[JSON], used: Iterable[str] = ()) -> Relation:
        """All columns and one of given JSON values.

        Args:
            name: of the column.
            field: its type.
            values: one a row.
            used: the columns it was made from; none: it came from all sources.

        Raises:
            InvalidInputError: the name is taken.
        """
        if name in self.types:
            raise InvalidInputError(f"there is a column {name!r} already")
        return self._with_column(name, field, build_column(field, values), list(used))

    def to_json(self, name: str, values: Any) -> list[JSON]:
        """Arrow values of column `name` as JSON values."""
        return [json_value(self.types[name], value) for value in values.to_pylist()]

    def rows(self) -> list[dict[str, JSON]]:
        """All rows, as JSON values by column."""
        columns = [self.column(name) for name in self.types]
        return [dict(zip(self.types, values, strict=True)) for values in zip(*columns, strict=True)]

    def sources(self, row: int, limit: int = 20) -> tuple[list[str], int]:
        """Ids of at most `limit` documents behind a row, and how many there are in all, of its first collection."""
        found = provenance(self.sources_behind, row, limit)
        return (list(found[0].ids), found[0].count) if found else ([], 0)

    def provenance(self, row: int, column: str | None = None, limit: int = 20) -> list[Provenance]:
        """The documents behind a cell, or a whole row: of each collection at most `limit` ids, and how many in all."""
        wanted = range(len(self.sources_behind)) if column is None else sorted(self.lineage[column])
        return provenance([self.sources_behind[place] for place in wanted], row, limit)

    # ── inner parts ──

    def _evaluation(self) -> Evaluation:
        return Evaluation(lambda name: (self._type(name), self.table[name]), len(self))

    def _masked(self, mask: Any) -> Relation:
        places = np.flatnonzero(mask)
        sources = [source.over(source.origin.take(places)) for source in self.sources_behind]
        return Relation(self.table.filter(pa.array(mask)), self.types, sources, self.lineage)

    def _taken(self, places: Places) -> Relation:
        """Rows by place; nulls for those that are nowhere."""
        sources = [source.over(source.origin.take(places)) for source in self.sources_behind]
        table = self.table.take(pa.array(places, mask=places < 0))
        return Relation(table, self.types, sources, self.lineage)

    def _with_column(self, name: str, field: Field, values: Any, used: Iterable[str]) -> Relation:
        lineage = {**self.lineage, name: self._lineage_of(used)}
        table = self.table.append_column(name, cast_to(values, arrow_type(field)))
        return Relation(table, {**self.types, name: Field(field.type, many=field.many)}, self.sources_behind, lineage)

    def _lineage_of(self, names: Iterable[str | None]) -> frozenset[int]:
        """The sources of what is made from these columns; of all, where it is made from none."""
        known = [self.lineage[name] for name in names if name is not None]
        return frozenset().union(*known) if known else frozenset(range(len(self.sources_behind)))

    def _bucketed(self, key: Bucket) -> Relation:
        """With a column of what the key puts together."""
        field = self._type(key.field)
        if key.unit is not None:
            if field.many or field.type is not FieldType.DATETIME:
                raise InvalidInputError(f"field {key.field!r} is no date: type={type_name(field)}")
            values = date_trunc(key.unit, self.table[key.field])
            return self._replaced(key.name, field, values, [key.field])
        if field.many or field.type not in (FieldType.INTEGER, FieldType.NUMBER) or not key.width:
            raise InvalidInputError(f"field {key.field!r} is no number, or no width: type={type_name(field)}")
        numbers = cast_to(self.table[key.field], pa.float64())
        values = pc.multiply(pc.floor(pc.divide(numbers, key.width)), key.width)
        return self._replaced(key.name, Field(FieldType.NUMBER), values, [key.field])

    def _replaced(self, name: str, field: Field, values: Any, used: Iterable[str]) -> Relation:
        lineage = self._lineage_of(used)
        rest = self if name not in self.types else self.project([other for other in self.types if other != name])
        made = rest._with_column(name, field, values, [])  # noqa: SLF001
        return Relation(made.table, made.types, made.sources_behind, {**made.lineage, name: lineage})

    def _unnested(self, name: str) -> Relation:
        """One row for each element of a list column; rows with null or an empty list keep one row with null."""
        field = self._type(name)
        if field.type is FieldType.GEO:
            raise InvalidInputError(f"field {name!r} cannot be grouped by: type={type_name(field)}")
        if not field.many:
            return self
        column = pc.if_else(pc.equal(pc.list_value_length(self.table[name]), 0), None, self.table[name])
        column = column.combine_chunks()
        parents = pc.list_parent_indices(column).to_numpy(zero_copy_only=False)
        missing = np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))
        rows = np.concatenate([parents, missing]).astype(np.int64)
        order = np.argsort(rows, kind="stable")
        elements = pa.concat_arrays([column.flatten(), pa.nulls(len(missing), column.type.value_type)])
        values = elements.take(pa.array(order))
        made = self.take(rows[order])
        table = made.table.set_column(made.table.column_names.index(name), name, values)
        return Relation(table, {**made.types, name: Field(field.type)}, made.sources_behind, made.lineage)

    def _key_columns(self, right: Relation, keys: Sequence[tuple[str, str]]) -> tuple[list[Any], list[Any]]:
        ours, theirs = [], []
        for name, other in keys:
            fields = [self._type(name), right._type(other)]
            for field in fields:
                if field.many or field.type in (FieldType.GEO, FieldType.JSON):
                    raise InvalidInputError(f"a key must be a single value: type={type_name(field)}")
            kind = arrow_type(joint_field(fields))
            ours.append(cast_to(self.table[name], kind))
            theirs.append(cast_to(right.table[other], kind))
        return ours, theirs

    def _beside(self, right: Relation, names: Mapping[str, str] | None) -> Relation:
        """The columns of both, rows in pairs."""
        named = dict.fromkeys(right.types) if names is None else names
        shift = len(self.sources_behind)
        table, types, lineage = self.table, dict(self.types), dict(self.lineage)
        for name, given in named.items():
            alias = name if given is None else given
            if alias in types:
                raise InvalidInputError(f"there is a column {alias!r} already")
            field = right._type(name)
            table = table.append_column(alias, right.table[name])
            types[alias] = field
            lineage[alias] = frozenset(place + shift for place in right.lineage[name])
        return Relation(table, types, [*self.sources_behind, *right.sources_behind], lineage)

    def _stacked(self, right: Relation) -> Relation:
        """The rows of both, one after the other, under the names of the left side."""
        types, ours, theirs = {}, [], []
        lineage: dict[str, frozenset[int]] = {}
        shift = len(self.sources_behind)
        for (name, field), (other, second) in zip(self.types.items(), right.types.items(), strict=True):
            types[name] = joint_field([field, second])
            ours.append(cast_to(self.table[name], arrow_type(types[name])))
            theirs.append(cast_to(right.table[other], arrow_type(types[name])))
            lineage[name] = self.lineage[name] | {place + shift for place in right.lineage[other]}
        tables = [pa.table(columns, names=list(types)) for columns in (ours, theirs)]
        sources = [source.over(Stacked([source.origin, Nothing(len(right))])) for source in self.sources_behind]
        sources += [source.over(Stacked([Nothing(len(self)), source.origin])) for source in right.sources_behind]
        return Relation(pa.concat_tables(tables), types, sources, lineage)

    def _gathered(self, groups: Places, count: int, kind: str, left: Relation) -> list[Source]:
        """The sources of equal rows together; of what is left over from the left side, that side's only."""
        last = len(left.sources_behind) if kind == "except" else len(self.sources_behind)
        gathered = [source.over(source.origin.gather(groups, count)) for source in self.sources_behind[:last]]
        return gathered + [source.over(Nothing(count)) for source in self.sources_behind[last:]]

    def _check_order(self, name: str) -> None:
        field = self._type(name)
        if field.many or field.type not in ORDERED:
            raise InvalidInputError(f"field {name!r} has no order: type={type_name(field)}")

    def _check_distinct(self, name: str) -> None:
        if self._type(name).type is FieldType.GEO:
            raise InvalidInputError(f"values of {name!r} cannot be told apart: type={type_name(self.types[name])}")

    def _type(self, name: str) -> Field:
        if name not in self.types:
            raise InvalidInputError(f"unknown field {name!r}: expected one of {', '.join(self.types)}")
        return self.types[name]
