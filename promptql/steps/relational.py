"""Steps of relational algebra, but for grouping: rows in, rows out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

from promptql.errors import PlanError
from promptql.expression_json import expression_from_json, expression_to_json, predicate_to_json
from promptql.expressions import Expression, Predicate, steps_of
from promptql.steps.record import Record

LIMIT_MAX = 10_000
OFFSET_MAX = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Order:
    """JSON ``{"field": "n", "dir": "desc"}``."""

    field: str
    descending: bool = False

    @classmethod
    def read(cls, data: object, pointer: str) -> Order:
        """From JSON."""
        record = Record(data, pointer, ("field", "dir"))
        direction = record.data.get("dir", "asc")
        if direction not in ("asc", "desc"):
            raise PlanError(f'"dir" must be "asc" or "desc": got={direction!r:.60}', pointer=f"{pointer}/dir")
        return cls(record.text("field"), direction == "desc")

    def written(self) -> dict[str, Any]:
        """As JSON."""
        return {"field": self.field, "dir": "desc" if self.descending else "asc"}


@dataclass(frozen=True, slots=True)
class Filter:
    """The rows for which `where` holds."""

    op: ClassVar[str] = "filter"
    id: str
    input: str
    where: Predicate

    @property
    def inputs(self) -> tuple[str, ...]:
        """The steps whose rows it reads."""
        return (self.input,)

    @property
    def references(self) -> tuple[str, ...]:
        """Steps whose values the conditions use."""
        return steps_of(self.where)

    @classmethod
    def read(cls, data: object, pointer: str) -> Filter:
        """From JSON."""
        record = Record(data, pointer, ("id", "op", "input", "where"))
        where = record.where()
        if where is None:
            raise PlanError('a filter needs "where"', pointer=f"{pointer}/where")
        return cls(record.text("id"), record.text("input"), where)

    def written(self) -> dict[str, Any]:
        """As JSON, without id and op."""
        return {"input": self.input, "where": predicate_to_json(self.where)}


@dataclass(frozen=True, slots=True)
class Project:
    """The named columns, in that order."""

    op: ClassVar[str] = "project"
    id: str
    input: str
    fields: tuple[str, ...]
    references: ClassVar[tuple[str, ...]] = ()

    @property
    def inputs(self) -> tuple[str, ...]:
        """The steps whose rows it reads."""
        return (self.input,)

    @classmethod
    def read(cls, data: object, pointer: str) -> Project:
        """From JSON."""
        record = Record(data, pointer, ("id", "op", "input", "fields"))
        return cls(record.text("id"), record.text("input"), record.names("fields"))

    def written(self) -> dict[str, Any]:
        """As JSON, without id and op."""
        return {"input": self.input, "fields": list(self.fields)}


@dataclass(frozen=True, slots=True)
class Computed:
    """A new column: ``{"expr": E, "as": "total"}``."""

    expression: Expression
    alias: str


@dataclass(frozen=True, slots=True)
class Compute:
    """All columns of the input, and new ones; a later one may use an earlier one."""

    op: ClassVar[str] = "compute"
    id: str
    input: str
    columns: tuple[Computed, ...]

    @property
    def inputs(self) -> tuple[str, ...]:
        """The steps whose rows it reads."""
        return (self.input,)

    @property
    def references(self) -> tuple[str, ...]:
        """Steps whose values the expressions use."""
        return tuple(dict.fromkeys(step for column in self.columns for step in steps_of(column.expression)))

    @classmethod
    def read(cls, data: object, pointer: str) -> Compute:
        """From JSON."""
        record = Record(data, pointer, ("id", "op", "input", "columns"))
        columns = []
        for index, item in enumerate(record.items("columns")):
            place = f"{pointer}/columns/{index}"
            inner = Record(item, place, ("expr", "as"))
            columns.append(Computed(expression_from_json(inner.data.get("expr"), f"{place}/expr"), inner.text("as")))
        return cls(record.text("id"), record.text("input"), tuple(columns))

    def written(self) -> dict[str, Any]:
        """As JSON, without id and op."""
        columns = [{"expr": expression_to_json(column.expression), "as": column.alias} for column in self.columns]
        return {"input": self.input, "columns": columns}


class JoinType(StrEnum):
    """Which rows a join gives."""

    INNER = "inner"
    LEFT = "left"
    SEMI = "semi"
    ANTI = "anti"


@dataclass(frozen=True, slots=True)
class JoinKey:
    """A pair of columns that must be equal: ``{"l": "maker", "r": "id"}``."""

    left: str
    right: str


@dataclass(frozen=True, slots=True)
class Join:
    """Rows of two steps put together where their keys are equal; a missing key equals nothing.

    Columns of the right side whose name is taken are called ``<prefix>_<name>``; semi and anti joins have those of the
    left side only. Rows come in the order of the left side, those of one left row in the order of the right.
    """

    op: ClassVar[str] = "join"
    id: str
    left: str
    right: str
    keys: tuple[JoinKey, ...]
    type: JoinType = JoinType.INNER
    prefix: str | None = None
    references: ClassVar[tuple[str, ...]] = ()

    @property
    def inputs(self) -> tuple[str, ...]:
        """The steps whose rows it reads."""
        return self.left, self.right

    @classmethod
    def read(cls, data: object, pointer: str) -> Join:
        """From JSON."""
        record = Record(data, pointer, ("id", "op", "left", "right", "keys", "type", "prefix"))
        keys = []
        for index, item in enumerate(record.items("keys")):
            pair = Record(item, f"{pointer}/keys/{index}", ("l", "r"))
            keys.append(JoinKey(pair.text("l"), pair.text("r")))
        return cls(
            record.text("id"),
            record.text("left"),
            record.text("right"),
            tuple(keys),
            record.choice("type", JoinType, JoinType.INNER),
            record.optional_text("prefix"),
        )

    def written(self) -> dict[str, Any]:
        """As JSON, without id and op."""
        keys = [{"l": key.left, "r": key.right} for key in self.keys]
        data = {"left": self.left, "right": self.right, "type": self.type.value, "keys": keys}
        return data if self.prefix is None else data | {"prefix": self.prefix}


@dataclass(frozen=True, slots=True)
class Sort:
    """Stable; rows without the field come last, in both directions."""

    op: ClassVar[str] = "sort"
    id: str
    input: str
    by: tuple[Order, ...]
    references: ClassVar[tuple[str, ...]] = ()

    @property
    def inputs(self) -> tuple[str, ...]:
        """The steps whose rows it reads."""
        return (self.input,)

    @classmethod
    def read(cls, data: object, pointer: str) -> Sort:
        """From JSON."""
        record = Record(data, pointer, ("id", "op", "input", "by"))
        by = tuple(Order.read(item, f"{pointer}/by/{index}") for index, item in enumerate(record.items("by")))
        return cls(record.text("id"), record.text("input"), by)

    def written(self) -> dict[str, Any]:
        """As JSON, without id and op."""
        return {"input": self.input, "by": [key.written() for key in self.by]}


@dataclass(frozen=True, slots=True)
class Limit:
    """n rows after the first `offset`; with `ties`, also those that the sort before it puts level with the last."""

    op: ClassVar[str] = "limit"
    id: str
    input: str
    n: int
    ties: bool = False
    offset: int = 0
    references: ClassVar[tuple[str, ...]] = ()

    @property
    def inputs(self) -> tuple[str, ...]:
        """The steps whose rows it reads."""
        return (self.input,)

    @classmethod
    def read(cls, data: object, pointer: str) -> Limit:
        """From JSON."""
        record = Record(data, pointer, ("id", "op", "input", "n", "ties", "offset"))
        n = record.integer("n", None, LIMIT_MAX)
        offset = record.integer("offset", 0, OFFSET_MAX, 0)
        return cls(record.text("id"), record.text("input"), n, record.flag("ties"), offset)

    def written(self) -> dict[str, Any]:
        """As JSON, without id and op."""
        data: dict[str, Any] = {"input": self.input, "n": self.n}
        if self.ties:
            data["ties"] = True
        return data | ({"offset": self.offset} if self.offset else {})


@dataclass(frozen=True, slots=True)
class Distinct:
    """The first of the rows that are equal in `fields` (None: in all columns); it stands for all of them."""

    op: ClassVar[str] = "distinct"
    id: str
    input: str
    fields: tuple[str, ...] | None = None
    references: ClassVar[tuple[str, ...]] = ()

    @property
    def inputs(self) -> tuple[str, ...]:
        """The steps whose rows it reads."""
        return (self.input,)

    @classmethod
    def read(cls, data: object, pointer: str) -> Distinct:
        """From JSON."""
        record = Record(data, pointer, ("id", "op", "input", "fields"))
        return cls(record.text("id"), record.text("input"), record.optional_names("fields"))

    def written(self) -> dict[str, Any]:
        """As JSON, without id and op."""
        data: dict[str, Any] = {"input": self.input}
        return data if self.fields is None else data | {"fields": list(self.fields)}


class SetKind(StrEnum):
    """What is done with two sets of rows."""

    UNION = "union"
    INTERSECT = "intersect"
    EXCEPT = "except"


@dataclass(frozen=True, slots=True)
class SetOperation:
    """Rows of two steps, compared by all columns in their order, under the names of the left side.

    Without `all`, equal rows become one; with it, a row is kept as often as SQL's ALL says. Missing values equal each
    other here.
    """

    op: ClassVar[str] = "set"
    id: str
    left: str
    right: str
    kind: SetKind
    all: bool = False
    references: ClassVar[tuple[str, ...]] = ()

    @property
    def inputs(self) -> tuple[str, ...]:
        """The steps whose rows it reads."""
        return self.left, self.right

    @classmethod
    def read(cls, data: object, pointer: str) -> SetOperation:
        """From JSON; the kind is called "kind", as "op" names the step."""
        record = Record(data, pointer, ("id", "op", "left", "right", "kind", "all"))
        kind = record.choice("kind", SetKind)
        return cls(record.text("id"), record.text("left"), record.text("right"), kind, record.flag("all"))

    def written(self) -> dict[str, Any]:
        """As JSON, without id and op."""
        data: dict[str, Any] = {"left": self.left, "right": self.right, "kind": self.kind.value}
        return data | ({"all": True} if self.all else {})
