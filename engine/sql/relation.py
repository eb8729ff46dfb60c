"""The operations of `Relation` as one query of DuckDB's: built step by step, run once, with the same result.

Columns have names of our own (c0, c1, …), so no name of a field ever stands in the text, and values are bound. Besides
what is seen, rows carry their place in each relation that they came from, as a list once they are grouped: with that
the documents behind them are found again. The order of rows is a list of columns, sorted by where a step needs it.
"""

# ruff: noqa: S608, SLF001  (all text is of our own making; other relations are of this class)

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa

from engine.errors import InvalidInputError
from engine.expressions import Bucket, Call, Expression, FieldRef, GroupKey, Predicate, ScalarFunction, Value, fields_of
from engine.fields import kernels as pc
from engine.fields.aggregates import ORDERED, Aggregate, result_field, type_name
from engine.fields.columns import arrow_type
from engine.fields.compute import joint_field
from engine.fields.order import SortKey
from engine.fields.origin import NOWHERE, Listed, Origin, Source
from engine.fields.relation import JOINS, SETS, Relation
from engine.fields.windows import WindowCall, window_field
from engine.schema import Field, FieldType
from engine.sql.aggregates import aggregate_sql, window_sql
from engine.sql.expressions import TYPES, Bindings, Compiler

_numbers = itertools.count()  # names are unique in a process, so that two queries can become one


@dataclass(frozen=True, slots=True)
class Leaf:
    """A relation that the query reads, under the name of its table.

    Attributes:
        names: column → its name in SQL.
        place: the column that numbers its rows.
    """

    table: str
    relation: Relation
    names: Mapping[str, str]
    place: str

    @property
    def arrow(self) -> Any:
        """Its columns and places under the names of the query."""
        columns = {column: self.relation.table[name] for name, column in self.names.items()}
        return pa.table({**columns, self.place: np.arange(len(self.relation))})


@dataclass(frozen=True, slots=True)
class Carried:
    """A column of places in a leaf; `listed`: several a row."""

    leaf: int
    column: str
    listed: bool = False


@dataclass(frozen=True, slots=True)
class JoinSides:
    """What a join was made of, for its coverage: tables and the condition between them as l and r."""

    left: str
    right: str
    condition: str


@dataclass(frozen=True)
class SqlRelation:
    """A query that stands for a relation.

    Attributes:
        leaves: what it reads.
        tables: (name, SQL) of its parts, in order; the last one is the result.
        names: column → its name in SQL.
        types: column → its field.
        lineage: column → the leaves' sources that it came from, (leaf, source).
        carried: places in the leaves.
        order: columns by which the rows stand, (name in SQL, descending).
        bindings: its constants.
        joins: of its joins, in order.
    """

    leaves: tuple[Leaf, ...]
    tables: tuple[tuple[str, str], ...]
    names: Mapping[str, str]
    types: Mapping[str, Field]
    lineage: Mapping[str, frozenset[tuple[int, int]]]
    carried: tuple[Carried, ...]
    order: tuple[tuple[str, bool], ...]
    bindings: Bindings
    joins: tuple[JoinSides, ...] = ()

    @classmethod
    def of(cls, relation: Relation) -> SqlRelation:
        """All rows of a relation."""
        table, place = f"t{next(_numbers)}", f"o{next(_numbers)}"
        names = {name: f"c{next(_numbers)}" for name in relation.types}
        lineage = {name: frozenset((0, source) for source in relation.lineage[name]) for name in relation.types}
        return cls(
            (Leaf(table, relation, names, place),), (), names, relation.types, lineage, (Carried(0, place),),
            ((place, False),), Bindings(),
        )._renamed(f"SELECT * FROM {table}")  # fmt: skip

    @property
    def _table(self) -> str:
        return self.tables[-1][0]

    # ── rows and columns ──

    def where(self, predicate: Predicate) -> SqlRelation:
        """The rows for which a predicate holds."""
        return self._renamed(f"SELECT * FROM {self._table} WHERE {self._compiler.condition(predicate)}")

    def compute(self, columns: Sequence[tuple[str, Expression]]) -> SqlRelation:
        """All columns and new ones."""
        made = self
        for name, expression in columns:
            made._check_free(name)
            text, kind = made._compiler.value(expression)
            made = made._with(name, kind, text, fields_of(expression))
        return made

    def project(self, fields: Sequence[str]) -> SqlRelation:
        """Only these columns, in this order."""
        for name in fields:
            self._type(name)
        return replace(
            self,
            names={name: self.names[name] for name in fields},
            types={name: self.types[name] for name in fields},
            lineage={name: self.lineage[name] for name in fields},
        )

    def sort(self, keys: Sequence[SortKey], first: int | None = None) -> SqlRelation:  # noqa: ARG002
        """Rows in order of `keys`; DuckDB sees for itself how many are wanted."""
        for key in keys:
            kind = self._type(key.field)
            if kind.many or kind.type not in ORDERED:
                raise InvalidInputError(f"field {key.field!r} has no order: type={type_name(kind)}")
        return replace(self, order=(*((self.names[key.field], key.descending) for key in keys), *self.order))

    def limit(self, n: int, offset: int = 0) -> SqlRelation:
        """`n` rows after the first `offset`."""
        return self._renamed(f"SELECT * FROM {self._table} ORDER BY {self._order} LIMIT {n:d} OFFSET {offset:d}")

    # ── several rows together ──

    def group(self, by: Sequence[GroupKey], aggregates: Sequence[Aggregate]) -> SqlRelation:
        """One row for each combination of values of `by`."""
        names = [key if isinstance(key, str) else key.name for key in by]
        if len({*names, *(item.alias for item in aggregates)}) < len(names) + len(aggregates):
            raise InvalidInputError("columns of a group must have different names")
        rows = self
        for key in by:
            rows = rows._bucketed(key) if isinstance(key, Bucket) else rows._unnested(key)
        types = {item.alias: result_field(item, rows.types) for item in aggregates}
        rows = rows._sequenced()
        kept = {name: f"c{next(_numbers)}" for name in [*names, *types]}
        selected = [f"{rows.names[name]} AS {kept[name]}" for name in names]
        for item in aggregates:
            figure = aggregate_sql(item, rows.names, rows.types, rows._sequence)
            selected.append(f"{figure} AS {kept[item.alias]}")
        lineage = {name: rows.lineage[name] for name in names}
        lineage |= {item.alias: rows._lineage_of([item.field, item.by]) for item in aggregates}
        kinds = {name: Field(rows.types[name].type) for name in names} | types
        return rows._grouped(selected, [rows.names[name] for name in names], kept, kinds, lineage)

    def distinct(self, fields: Sequence[str] | None = None) -> SqlRelation:
        """The first of the rows that are equal in `fields`."""
        chosen = list(self.types if fields is None else fields)
        for name in chosen:
            self._check_distinct(name)
        rows = self._sequenced()
        kept = {name: f"c{next(_numbers)}" for name in rows.types}
        sequence = rows._sequence
        selected = [f"first({rows.names[name]} ORDER BY {sequence}) AS {kept[name]}" for name in rows.types]
        return rows._grouped(selected, [rows.names[name] for name in chosen], kept, rows.types, rows.lineage)

    def window(self, call: WindowCall) -> SqlRelation:
        """All columns, and one that each row gets by its place in its partition."""
        kind = window_field(call, self.types)
        self._check_free(call.alias)
        rows = self._sequenced()
        for name in (*call.partition, *(key.field for key in call.order)):
            rows._type(name)
        used = [*call.partition, *(key.field for key in call.order), *([call.field] if call.field else [])]
        return rows._with(call.alias, kind, window_sql(call, rows.names, rows.types, rows._sequence), used)

    # ── two relations ──

    def join(
        self, right: SqlRelation, keys: Sequence[tuple[str, str]], *, how: str = "inner",
        names: Mapping[str, str] | None = None,
    ) -> SqlRelation:  # fmt: skip
        """The rows of both sides with equal keys."""
        if how not in JOINS or not keys:
            raise InvalidInputError(f"a join is one of {', '.join(JOINS)}, and has keys: got={how!r}")
        right = right._fresh()
        both = self._with_leaves(right)
        condition = " AND ".join(self._key(right, *pair) for pair in keys)
        joins = (*self.joins, *right.joins, JoinSides(self._table, right._table, condition))
        if how in ("semi", "anti"):
            exists = f"{'NOT ' if how == 'anti' else ''}EXISTS (SELECT 1 FROM {right._table} r WHERE {condition})"
            made = replace(both, names=self.names, types=self.types, lineage=self.lineage, carried=self.carried)
            return replace(made, order=self.order, joins=joins)._renamed(
                f"SELECT l.* FROM {self._table} l WHERE {exists}"
            )
        taken = {name: name for name in right.types} if names is None else dict(names)
        for alias in taken.values():
            self._check_free(alias)
        shift = len(self.leaves)
        kind = "LEFT JOIN" if how == "left" else "JOIN"
        lineage = {
            alias: frozenset((leaf + shift, source) for leaf, source in right.lineage[name])
            for name, alias in taken.items()
        }
        return replace(
            both,
            names={**self.names, **{alias: right.names[name] for name, alias in taken.items()}},
            types={**self.types, **{alias: right._type(name) for name, alias in taken.items()}},
            lineage={**self.lineage, **lineage},
            order=(*self.order, *right.order),
            joins=joins,
        )._renamed(f"SELECT l.*, r.* FROM {self._table} l {kind} {right._table} r ON {condition}")

    def combine(self, right: SqlRelation, kind: str, *, keep_all: bool = False) -> SqlRelation:
        """Two sets of rows, compared by their columns in order."""
        if kind not in SETS or len(self.types) != len(right.types):
            raise InvalidInputError(f"a set operation is one of {', '.join(SETS)}, over like columns")
        both, side = self._stacked(right._fresh())
        if kind == "union":
            return both if keep_all else both.distinct()
        for name in both.types:
            both._check_distinct(name)
        ours = len(self.carried)
        return both._counted(side, kind, ours) if keep_all else both._compared(side, kind, ours)

    # ── the query ──

    def bound(self, text: str) -> dict[str, Any] | None:
        """The constants that a query of this relation names."""
        return {name: value for name, value in self.bindings.values.items() if f"${name} AS" in text} or None

    def query(self, rows_max: int) -> str:
        """The text of the whole."""
        columns = [*self.names.values(), *(item.column for item in self.carried)]
        tables = ", ".join(f"{name} AS ({text})" for name, text in self.tables)
        shown = ", ".join(dict.fromkeys(columns)) or "1"
        return f"WITH {tables} SELECT {shown} FROM {self._table} ORDER BY {self._order} LIMIT {rows_max + 1:d}"

    def coverage_query(self, sides: JoinSides) -> str:
        """The text that counts what a join put together: left rows, matched, right rows, matched, and pairs."""
        tables = ", ".join(f"{name} AS ({text})" for name, text in self.tables)
        left, right, on = sides.left, sides.right, sides.condition
        counts = [
            f"SELECT count(*) FROM {left}",
            f"SELECT count(*) FROM {left} l WHERE EXISTS (SELECT 1 FROM {right} r WHERE {on})",
            f"SELECT count(*) FROM {right}",
            f"SELECT count(*) FROM {right} r WHERE EXISTS (SELECT 1 FROM {left} l WHERE {on})",
            f"SELECT count(*) FROM {left} l JOIN {right} r ON {on}",
        ]
        return f"WITH {tables} SELECT {', '.join(f'({count})' for count in counts)}"

    def collected(self, table: Any) -> Relation:
        """What the query gave, as a relation whose rows know their documents."""
        columns = {
            name: table[column].cast(arrow_type(self.types[name])) if self.types[name].type in TYPES else table[column]
            for name, column in self.names.items()
        }
        sources: list[Source] = []
        places: dict[tuple[int, int], list[int]] = {}
        for item in self.carried:
            for number, source in enumerate(self.leaves[item.leaf].relation.sources_behind):
                places.setdefault((item.leaf, number), []).append(len(sources))
                sources.append(source.over(_origin(item, table[item.column], source.origin)))
        lineage = {
            name: frozenset(place for key in keys for place in places.get(key, ()))
            for name, keys in self.lineage.items()
        }
        types = {name: Field(kind.type, many=kind.many) for name, kind in self.types.items()}
        return Relation(pa.table(columns) if columns else pa.table({}), types, sources, lineage)

    # ── inner parts ──

    @property
    def _compiler(self) -> Compiler:
        return Compiler({name: (self.names[name], kind) for name, kind in self.types.items()}, self.bindings)

    @property
    def _order(self) -> str:
        terms = [f"{column} {'DESC' if descending else 'ASC'} NULLS LAST" for column, descending in self.order]
        return ", ".join(terms)

    @property
    def _sequence(self) -> str:
        """The column that numbers the rows; after `_sequenced`."""
        return self.order[0][0]

    def _renamed(self, text: str) -> SqlRelation:
        return replace(self, tables=(*self.tables, (f"s{next(_numbers)}", text)))

    def _with(self, name: str, kind: Field, text: str, used: Sequence[str] | frozenset[str]) -> SqlRelation:
        column = f"c{next(_numbers)}"
        made = self._renamed(f"SELECT *, {text} AS {column} FROM {self._table}")
        return replace(
            made,
            names={**self.names, name: column},
            types={**self.types, name: Field(kind.type, many=kind.many)},
            lineage={**self.lineage, name: self._lineage_of(used)},
        )

    def _sequenced(self) -> SqlRelation:
        """The same rows, in the order of a single column of numbers."""
        if len(self.order) == 1 and not self.order[0][1] and self.order[0][0].startswith(("o", "n")):
            return self
        column = f"n{next(_numbers)}"
        numbered = f"SELECT *, row_number() OVER (ORDER BY {self._order}) AS {column} FROM {self._table}"
        return replace(self._renamed(numbered), order=((column, False),))

    def _grouped(
        self, selected: Sequence[str], keys: Sequence[str], names: Mapping[str, str], types: Mapping[str, Field],
        lineage: Mapping[str, frozenset[tuple[int, int]]],
    ) -> SqlRelation:  # fmt: skip
        carried = [Carried(item.leaf, f"o{next(_numbers)}", listed=True) for item in self.carried]
        lists = [f"{_gathered(old)} AS {new.column}" for old, new in zip(self.carried, carried, strict=True)]
        sequence = f"n{next(_numbers)}"
        by = f" GROUP BY {', '.join(keys)}" if keys else ""
        columns = ", ".join([*selected, *lists, f"min({self._sequence}) AS {sequence}"])
        made = self._renamed(f"SELECT {columns} FROM {self._table}{by}")
        return replace(
            made, names=names, types=types, lineage=lineage, carried=tuple(carried), order=((sequence, False),)
        )

    def _bucketed(self, key: Bucket) -> SqlRelation:
        kind = self._type(key.field)
        if key.unit is not None:
            if kind.many or kind.type is not FieldType.DATETIME:
                raise InvalidInputError(f"field {key.field!r} is no date: type={type_name(kind)}")
            call = Call(ScalarFunction.DATE_TRUNC, (Value(key.unit.value), FieldRef(key.field)))
            text, result = self._compiler.value(call)
        else:
            if kind.many or kind.type not in (FieldType.INTEGER, FieldType.NUMBER) or not key.width:
                raise InvalidInputError(f"field {key.field!r} is no number, or no width: type={type_name(kind)}")
            width = self.bindings.bind(float(key.width), "DOUBLE")
            text = f"(floor(CAST({self.names[key.field]} AS DOUBLE) / {width}) * {width})"
            result = Field(FieldType.NUMBER)
        return self._with(key.name, result, text, [key.field])

    def _unnested(self, name: str) -> SqlRelation:
        """One row for each element of a list column; without one, a row with null."""
        kind = self._type(name)
        if kind.type is FieldType.GEO:
            raise InvalidInputError(f"field {name!r} cannot be grouped by: type={type_name(kind)}")
        if not kind.many:
            return self
        rows = self._sequenced()
        column, place = f"c{next(_numbers)}", f"n{next(_numbers)}"
        held = rows.names[name]
        items = f"CASE WHEN len({held}) > 0 THEN {held} ELSE [NULL] END"
        made = rows._renamed(
            f"SELECT *, unnest({items}) AS {column}, unnest(range(greatest(ifnull(len({held}), 0), 1))) AS {place} "
            f"FROM {rows._table}"
        )
        return replace(
            made,
            names={**rows.names, name: column},
            types={**rows.types, name: Field(kind.type)},
            order=(*rows.order, (place, False)),
        )

    def _fresh(self) -> SqlRelation:
        """The same rows with other names in SQL, for the case that they meet themselves."""
        columns = [*self.names.values(), *(item.column for item in self.carried), *(column for column, _ in self.order)]
        given = {column: f"{column[0]}{next(_numbers)}" for column in dict.fromkeys(columns)}
        made = self._renamed(f"SELECT {', '.join(f'{old} AS {new}' for old, new in given.items())} FROM {self._table}")
        return replace(
            made,
            names={name: given[column] for name, column in self.names.items()},
            carried=tuple(replace(item, column=given[item.column]) for item in self.carried),
            order=tuple((given[column], descending) for column, descending in self.order),
        )

    def _with_leaves(self, right: SqlRelation) -> SqlRelation:
        """This one, with all that the other reads and carries."""
        shift = len(self.leaves)
        known = {name for name, _ in self.tables}
        bindings = Bindings({**self.bindings.values, **right.bindings.values})
        return replace(
            self,
            leaves=(*self.leaves, *right.leaves),
            tables=(*self.tables, *(table for table in right.tables if table[0] not in known)),
            carried=(*self.carried, *(replace(item, leaf=item.leaf + shift) for item in right.carried)),
            bindings=bindings,
        )

    def _key(self, right: SqlRelation, name: str, other: str) -> str:
        fields = [self._type(name), right._type(other)]
        for kind in fields:
            if kind.many or kind.type not in TYPES:
                raise InvalidInputError(f"a key must be a single value: type={type_name(kind)}")
        joint = TYPES[joint_field(fields).type]
        return f"CAST(l.{self.names[name]} AS {joint}) = CAST(r.{right.names[other]} AS {joint})"

    def _stacked(self, right: SqlRelation) -> tuple[SqlRelation, str]:
        """The rows of both, one after the other, and the column that tells them apart."""
        ours, theirs = self._sequenced(), right._sequenced()
        both = ours._with_leaves(theirs)
        kept = {name: f"c{next(_numbers)}" for name in self.types}
        side, sequence = f"n{next(_numbers)}", f"n{next(_numbers)}"
        types, lineage = {}, {}
        parts = tuple([f"{n} AS {side}", f"{part._sequence} AS {sequence}"] for n, part in enumerate((ours, theirs)))
        shift = len(self.leaves)
        for (name, kind), (other, second) in zip(ours.types.items(), theirs.types.items(), strict=True):
            types[name] = joint_field([kind, second])
            if types[name].type not in TYPES:
                raise InvalidInputError(f"values of {name!r} cannot be compared: type={type_name(kind)}")
            cast = TYPES[types[name].type] + ("[]" if kind.many else "")
            parts[0].append(f"CAST({ours.names[name]} AS {cast}) AS {kept[name]}")
            parts[1].append(f"CAST({theirs.names[other]} AS {cast}) AS {kept[name]}")
            lineage[name] = ours.lineage[name] | {(leaf + shift, source) for leaf, source in theirs.lineage[other]}
        carried = []
        for place, item in enumerate(both.carried):
            column = f"o{next(_numbers)}"
            carried.append(replace(item, column=column))
            mine = place < len(ours.carried)
            nothing = f"CAST(NULL AS BIGINT{'[]' if item.listed else ''}) AS {column}"
            parts[0].append(f"{item.column} AS {column}" if mine else nothing)
            parts[1].append(nothing if mine else f"{item.column} AS {column}")
        selects = [f"SELECT {', '.join(parts[n])} FROM {rows._table}" for n, rows in enumerate((ours, theirs))]
        text = " UNION ALL ".join(selects)
        made = replace(both, joins=(*self.joins, *right.joins))._renamed(text)
        made = replace(made, names=kept, types=types, lineage=lineage, carried=tuple(carried))
        return replace(made, order=((side, False), (sequence, False))), side

    def _compared(self, side: str, kind: str, ours: int) -> SqlRelation:
        """Of equal rows one, where both sides have it, or the left only."""
        rows = self._sequenced()
        kept = {name: f"c{next(_numbers)}" for name in rows.types}
        selected = [f"{rows.names[name]} AS {kept[name]}" for name in rows.types]
        made = rows._grouped(selected, list(rows.names.values()), kept, rows.types, rows.lineage)
        there = f"bool_or({side} = 0) AND {'' if kind == 'intersect' else 'NOT '}bool_or({side} = 1)"
        name, text = made.tables[-1]
        made = replace(made, tables=(*made.tables[:-1], (name, f"{text} HAVING {there}")))
        return made if kind == "intersect" else made._without(made.carried[ours:])

    def _counted(self, side: str, kind: str, ours: int) -> SqlRelation:
        """Rows of the left side as often as SQL's ALL says."""
        rows = self._sequenced()
        values = ", ".join(rows.names.values())
        carried = [Carried(item.leaf, f"o{next(_numbers)}", listed=True) for item in rows.carried]
        over = f"OVER (PARTITION BY {values})"
        lists = [f"{_gathered(old, over)} AS {new.column}" for old, new in zip(rows.carried, carried, strict=True)]
        time, there = f"n{next(_numbers)}", f"n{next(_numbers)}"
        numbered = [
            "*",
            f"row_number() OVER (PARTITION BY {values}, {side} ORDER BY {rows._sequence}) AS {time}",
            f"count(*) FILTER (WHERE {side} = 1) {over} AS {there}",
            *lists,
        ]
        made = rows._renamed(f"SELECT {', '.join(numbered)} FROM {rows._table}")
        test = f"{time} {'<=' if kind == 'intersect' else '>'} {there}"
        made = made._renamed(f"SELECT * FROM {made._table} WHERE {side} = 0 AND {test}")
        made = replace(made, carried=tuple(carried))
        return made if kind == "intersect" else made._without(made.carried[ours:])

    def _without(self, carried: Sequence[Carried]) -> SqlRelation:
        return replace(self, carried=tuple(item for item in self.carried if item not in carried))

    def _lineage_of(self, names: Sequence[str | None] | frozenset[str]) -> frozenset[tuple[int, int]]:
        known = [self.lineage[name] for name in names if name is not None]
        if known:
            return frozenset().union(*known)
        return frozenset(
            (item.leaf, source)
            for item in self.carried
            for source in range(len(self.leaves[item.leaf].relation.sources_behind))
        )

    def _type(self, name: str) -> Field:
        if name not in self.types:
            raise InvalidInputError(f"unknown field {name!r}: expected one of {', '.join(self.types)}")
        return self.types[name]

    def _check_free(self, name: str) -> None:
        if name in self.types:
            raise InvalidInputError(f"there is a column {name!r} already")

    def _check_distinct(self, name: str) -> None:
        if self._type(name).type is FieldType.GEO:
            raise InvalidInputError(f"values of {name!r} cannot be told apart: type={type_name(self.types[name])}")


def _gathered(item: Carried, over: str = "") -> str:
    """All places of several rows as one list."""
    listed = f"list({item.column}) FILTER (WHERE {item.column} IS NOT NULL) {over}".rstrip()
    return f"flatten({listed})" if item.listed else listed


def _origin(item: Carried, column: Any, inner: Origin) -> Origin:
    values = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if not item.listed:
        return inner.take(values.fill_null(NOWHERE).to_numpy(zero_copy_only=False).astype(np.int64))
    lengths = pc.fill_null(pc.list_value_length(values), 0).to_numpy(zero_copy_only=False)
    bounds = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return Listed(inner, bounds, values.flatten().to_numpy(zero_copy_only=False).astype(np.int64))
