"""Steps that look at several rows together: groups, windows, single values, comparisons of two results."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar

from promptql.errors import PlanError
from promptql.expressions import Bucket, DateUnit, GroupKey
from promptql.steps.record import Record
from promptql.steps.relational import Order

WIDTH_MAX = 1e15
WINDOW_N_MAX = 1_000_000


class Function(StrEnum):
    """Aggregate functions; all but `count` take a field.

    `percentile` takes a share `p` and interpolates between neighbours; `argmax` and `argmin` take a second field `by`,
    and give the value of `field` in the first row where `by` is greatest or least. `stddev` is that of a sample.
    """

    COUNT = "count"
    COUNT_DISTINCT = "count_distinct"
    SUM = "sum"
    AVG = "avg"
    MIN = "min"
    MAX = "max"
    MEDIAN = "median"
    STDDEV = "stddev"
    PERCENTILE = "percentile"
    ARGMAX = "argmax"
    ARGMIN = "argmin"


@dataclass(frozen=True, slots=True)
class Aggregation:
    """`fn(field) as alias`; JSON ``{"fn": "avg", "field": "rating", "as": "average"}``."""

    fn: Function
    field: str | None
    alias: str
    p: float | None = None
    by: str | None = None

    @classmethod
    def read(cls, data: object, pointer: str) -> Aggregation:
        """From JSON."""
        record = Record(data, pointer, ("fn", "field", "as", "p", "by"))
        fn = record.choice("fn", Function)
        field = record.optional_text("field")
        if field is None and fn is not Function.COUNT:
            raise PlanError(f"{fn.value} needs a field", pointer=f"{pointer}/field")
        for key, functions in (("p", (Function.PERCENTILE,)), ("by", (Function.ARGMAX, Function.ARGMIN))):
            if record.has(key) != (fn in functions):
                needs = "needs" if fn in functions else "takes no"
                raise PlanError(f'{fn.value} {needs} "{key}"', pointer=f"{pointer}/{key}")
        p = record.number("p", 0, 1) if record.has("p") else None
        return cls(fn, field, record.text("as"), p, record.optional_text("by"))

    def written(self) -> dict[str, Any]:
        """As JSON."""
        options = (("field", self.field), ("p", self.p), ("by", self.by))
        given = {key: value for key, value in options if value is not None}
        return {"fn": self.fn.value, **given, "as": self.alias}


def _key(data: object, pointer: str) -> GroupKey:
    if isinstance(data, str) and data:
        return data
    record = Record(data, pointer, ("field", "bucket", "width"))
    field = record.text("field")
    if record.has("bucket") and record.has("width"):
        raise PlanError("a key has a bucket of dates or a width of numbers, not both", pointer=f"{pointer}/width")
    if record.has("bucket"):
        return Bucket(field, record.choice("bucket", DateUnit))
    if record.has("width"):
        return Bucket(field, width=record.number("width", 1e-9, WIDTH_MAX))
    return field


def _key_to_json(key: GroupKey) -> dict[str, Any]:
    if isinstance(key, str):
        return {"field": key}
    return {"field": key.field} | ({"bucket": key.unit.value} if key.unit is not None else {"width": key.width})


@dataclass(frozen=True, slots=True)
class Group:
    """One row for each value of `by`, in order of first appearance (one row in all when `by` is empty).

    A list field in `by` counts a row once for each of its elements. Missing values form a group of their own, and are
    left out of every figure but the count of rows.
    """

    op: ClassVar[str] = "group"
    id: str
    input: str
    by: tuple[GroupKey, ...]
    aggs: tuple[Aggregation, ...]
    references: ClassVar[tuple[str, ...]] = ()

    @property
    def inputs(self) -> tuple[str, ...]:
        """The steps whose rows it reads."""
        return (self.input,)

    @property
    def names(self) -> tuple[str, ...]:
        """The columns that tell the groups apart."""
        return tuple(key if isinstance(key, str) else key.name for key in self.by)

    @property
    def fields(self) -> tuple[str, ...]:
        """The columns of the input that are grouped by."""
        return tuple(key if isinstance(key, str) else key.field for key in self.by)

    @classmethod
    def read(cls, data: object, pointer: str) -> Group:
        """From JSON; names are read for keys."""
        record = Record(data, pointer, ("id", "op", "input", "by", "aggs"))
        by: tuple[GroupKey, ...] = ()
        if record.data.get("by"):
            by = tuple(_key(item, f"{pointer}/by/{index}") for index, item in enumerate(record.items("by")))
        least = 0 if by else 1
        aggs = tuple(
            Aggregation.read(item, f"{pointer}/aggs/{index}")
            for index, item in enumerate(record.items("aggs", least=least))
        )
        group = cls(record.text("id"), record.text("input"), by, aggs)
        names = [*group.names, *(aggregation.alias for aggregation in aggs)]
        if len(set(names)) < len(names):
            raise PlanError("two columns of a group have the same name", pointer=f"{pointer}/aggs")
        return group

    def written(self) -> dict[str, Any]:
        """As JSON, without id and op."""
        return {
            "input": self.input,
            "by": [_key_to_json(key) for key in self.by],
            "aggs": [item.written() for item in self.aggs],
        }


class WindowFunction(StrEnum):
    """Functions over a partition of the rows.

    `share` is the row's part of its partition's sum; `lag` and `lead` take the value `n` rows before or after.
    """

    ROW_NUMBER = "row_number"
    RANK = "rank"
    DENSE_RANK = "dense_rank"
    LAG = "lag"
    LEAD = "lead"
    RUNNING_SUM = "running_sum"
    SHARE = "share"

    @property
    def takes_field(self) -> bool:
        """Whether it is taken of a field."""
        return self in (WindowFunction.LAG, WindowFunction.LEAD, WindowFunction.RUNNING_SUM, WindowFunction.SHARE)


@dataclass(frozen=True, slots=True)
class Window:
    """A new column that each row gets by its place in its partition; rows stay in their order.

    Without `order`, the order within a partition is that of the rows.
    """

    op: ClassVar[str] = "window"
    id: str
    input: str
    fn: WindowFunction
    alias: str
    field: str | None = None
    partition: tuple[str, ...] = ()
    order: tuple[Order, ...] = ()
    n: int = 1
    references: ClassVar[tuple[str, ...]] = ()

    @property
    def inputs(self) -> tuple[str, ...]:
        """The steps whose rows it reads."""
        return (self.input,)

    @classmethod
    def read(cls, data: object, pointer: str) -> Window:
        """From JSON."""
        keys = ("id", "op", "input", "fn", "field", "partition", "order", "n", "as")
        record = Record(data, pointer, keys)
        fn = record.choice("fn", WindowFunction)
        if record.has("field") != fn.takes_field:
            raise PlanError(
                f"{fn.value} {'needs a' if fn.takes_field else 'takes no'} field", pointer=f"{pointer}/field"
            )
        order = record.items("order", least=0) if record.has("order") else []
        if not order and fn in (WindowFunction.RANK, WindowFunction.DENSE_RANK):
            raise PlanError(f"{fn.value} needs an order", pointer=f"{pointer}/order")
        return cls(
            record.text("id"),
            record.text("input"),
            fn,
            record.text("as"),
            record.optional_text("field"),
            record.names("partition") if record.data.get("partition") else (),
            tuple(Order.read(item, f"{pointer}/order/{index}") for index, item in enumerate(order)),
            record.integer("n", 1, WINDOW_N_MAX),
        )

    def written(self) -> dict[str, Any]:
        """As JSON, without id and op."""
        data: dict[str, Any] = {"input": self.input, "fn": self.fn.value}
        if self.field is not None:
            data["field"] = self.field
        if self.partition:
            data["partition"] = list(self.partition)
        if self.order:
            data["order"] = [key.written() for key in self.order]
        if self.n != 1:
            data["n"] = self.n
        return data | {"as": self.alias}


@dataclass(frozen=True, slots=True)
class LookupStep:
    """The one value of `field` in an input of at most one row; nothing where there is no row."""

    op: ClassVar[str] = "lookup"
    id: str
    input: str
    field: str
    references: ClassVar[tuple[str, ...]] = ()

    @property
    def inputs(self) -> tuple[str, ...]:
        """The steps whose rows it reads."""
        return (self.input,)

    @classmethod
    def read(cls, data: object, pointer: str) -> LookupStep:
        """From JSON."""
        record = Record(data, pointer, ("id", "op", "input", "field"))
        return cls(record.text("id"), record.text("input"), record.text("field"))

    def written(self) -> dict[str, Any]:
        """As JSON, without id and op."""
        return {"input": self.input, "field": self.field}


class Comparison(StrEnum):
    """How two numbers are compared: left − right, left / right, 100 · (left − right) / right."""

    DIFFERENCE = "difference"
    RATIO = "ratio"
    PERCENT_CHANGE = "percent_change"


@dataclass(frozen=True, slots=True)
class CompareStep:
    """`field` of two results compared: of one row each, or of rows with equal `keys` (those on both sides).

    Columns: the keys, ``<field>`` of the left side, ``right_<field>``, and `alias`.
    """

    op: ClassVar[str] = "compare"
    id: str
    left: str
    right: str
    comparison: Comparison
    alias: str
    keys: tuple[str, ...] = ()
    field: str | None = None
    references: ClassVar[tuple[str, ...]] = ()

    @property
    def inputs(self) -> tuple[str, ...]:
        """The steps whose rows it reads."""
        return self.left, self.right

    @classmethod
    def read(cls, data: object, pointer: str) -> CompareStep:
        """From JSON; the comparison is called "comparison", as "op" names the step."""
        record = Record(data, pointer, ("id", "op", "left", "right", "comparison", "keys", "field", "as"))
        return cls(
            record.text("id"),
            record.text("left"),
            record.text("right"),
            record.choice("comparison", Comparison),
            record.text("as"),
            record.names("keys") if record.data.get("keys") else (),
            record.optional_text("field"),
        )

    def written(self) -> dict[str, Any]:
        """As JSON, without id and op."""
        data: dict[str, Any] = {"left": self.left, "right": self.right, "comparison": self.comparison.value}
        if self.keys:
            data["keys"] = list(self.keys)
        if self.field is not None:
            data["field"] = self.field
        return data | {"as": self.alias}
