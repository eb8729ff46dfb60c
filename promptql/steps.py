"""The steps of a plan: frozen, typed, each with its JSON shape."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, ClassVar, TypeAlias

from promptql.errors import PlanError, nearest_name
from promptql.predicate import Predicate, predicate_from_json, predicate_to_json

LIMIT_MAX = 10_000
SEARCH_K_MAX = 1_000
NAME_CHARACTERS_MAX = 256
QUERY_CHARACTERS_MAX = 8_000
LIST_MAX = 200


class Function(StrEnum):
    """Aggregate functions; all but `count` take a field."""

    COUNT = "count"
    COUNT_DISTINCT = "count_distinct"
    SUM = "sum"
    AVG = "avg"
    MIN = "min"
    MAX = "max"
    MEDIAN = "median"


@dataclass(frozen=True, slots=True)
class Aggregation:
    """`fn(field) as alias`; JSON ``{"fn": "avg", "field": "rating", "as": "average"}``."""

    fn: Function
    field: str | None
    alias: str


@dataclass(frozen=True, slots=True)
class Order:
    """JSON ``{"field": "n", "dir": "desc"}``."""

    field: str
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Scan:
    """All documents of a collection that `where` admits, with `fields` (None: all of them)."""

    op: ClassVar[str] = "scan"
    id: str
    collection: str
    where: Predicate | None = None
    fields: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Search:
    """The k documents nearest to `query` among those that `where` admits, with a column `_score`."""

    op: ClassVar[str] = "search"
    id: str
    collection: str
    query: str
    k: int = 10
    where: Predicate | None = None
    fields: tuple[str, ...] | None = None


@dataclass(frozen=True, slots=True)
class Filter:
    """The rows for which `where` holds."""

    op: ClassVar[str] = "filter"
    id: str
    input: str
    where: Predicate


@dataclass(frozen=True, slots=True)
class Project:
    """The named columns, in that order."""

    op: ClassVar[str] = "project"
    id: str
    input: str
    fields: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Group:
    """One row for each value of `by` (one row in all when `by` is empty)."""

    op: ClassVar[str] = "group"
    id: str
    input: str
    by: tuple[str, ...]
    aggs: tuple[Aggregation, ...]


@dataclass(frozen=True, slots=True)
class Sort:
    """Stable; rows without the field come last."""

    op: ClassVar[str] = "sort"
    id: str
    input: str
    by: tuple[Order, ...]


@dataclass(frozen=True, slots=True)
class Limit:
    """The first n rows; with `ties`, also the rows that the sort before it puts level with the n-th."""

    op: ClassVar[str] = "limit"
    id: str
    input: str
    n: int
    ties: bool = False


@dataclass(frozen=True, slots=True)
class AnswerStep:
    """The end of a plan; `fields` names the columns that are the answer's values (None: all)."""

    op: ClassVar[str] = "answer"
    id: str
    input: str
    fields: tuple[str, ...] | None = None


Source: TypeAlias = Scan | Search
Step: TypeAlias = Scan | Search | Filter | Project | Group | Sort | Limit | AnswerStep


def input_of(step: Step) -> str | None:
    """The id of the step that this one reads; None for a source."""
    return None if isinstance(step, (Scan, Search)) else step.input


class Record:
    """A JSON object read key by key; every complaint carries its pointer."""

    def __init__(self, data: object, pointer: str, known: tuple[str, ...]) -> None:
        if not isinstance(data, Mapping):
            raise PlanError(f"expected an object: got={type(data).__name__}", pointer=pointer)
        self.data = data
        self.pointer = pointer
        for key in data:
            if key not in known:
                raise PlanError(
                    f'unknown key "{key}"',
                    pointer=f"{pointer}/{key}",
                    hint=nearest_name(str(key), known),
                )

    def text(self, key: str, characters_max: int = NAME_CHARACTERS_MAX) -> str:
        """A string of 1 to `characters_max` characters."""
        value = self.data.get(key)
        if not isinstance(value, str) or not 1 <= len(value) <= characters_max:
            raise PlanError(
                f'"{key}" must be a string of 1 to {characters_max} characters',
                pointer=f"{self.pointer}/{key}",
            )
        return value

    def integer(self, key: str, default: int | None, largest: int) -> int:
        """A whole number from 1 to `largest`."""
        value = self.data.get(key, default)
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= largest:
            raise PlanError(
                f'"{key}" must be a whole number from 1 to {largest}: got={value!r}',
                pointer=f"{self.pointer}/{key}",
            )
        return value

    def flag(self, key: str) -> bool:
        """A boolean; absent is false."""
        value = self.data.get(key, False)
        if not isinstance(value, bool):
            raise PlanError(f'"{key}" must be true or false', pointer=f"{self.pointer}/{key}")
        return value

    def where(self) -> Predicate | None:
        """The predicate under "where"; None where it is absent or null."""
        data = self.data.get("where")
        return None if data is None else predicate_from_json(data, f"{self.pointer}/where")

    def items(self, key: str, *, least: int = 1) -> list[Any]:
        """A list of `least` to 200 things."""
        value = self.data.get(key)
        if not isinstance(value, list) or not least <= len(value) <= LIST_MAX:
            raise PlanError(f'"{key}" must be a list of {least} to {LIST_MAX} items', pointer=f"{self.pointer}/{key}")
        return value

    def names(self, key: str) -> tuple[str, ...]:
        """A list of distinct field names; ``{"field": "name"}`` is read as well."""
        names = []
        for index, item in enumerate(self.items(key)):
            name = item.get("field") if isinstance(item, Mapping) and set(item) == {"field"} else item
            if not isinstance(name, str) or not name or name in names:
                raise PlanError(
                    f"not a field name, or one named twice: {name!r}",
                    pointer=f"{self.pointer}/{key}/{index}",
                )
            names.append(name)
        return tuple(names)

    def optional_names(self, key: str) -> tuple[str, ...] | None:
        """`names`, or None where the key is absent or null."""
        return None if self.data.get(key) is None else self.names(key)


def _scan(data: object, pointer: str) -> Scan:
    record = Record(data, pointer, ("id", "op", "collection", "where", "fields"))
    return Scan(record.text("id"), record.text("collection"), record.where(), record.optional_names("fields"))


def _search(data: object, pointer: str) -> Search:
    record = Record(data, pointer, ("id", "op", "collection", "query", "k", "where", "fields"))
    return Search(
        record.text("id"),
        record.text("collection"),
        record.text("query", QUERY_CHARACTERS_MAX),
        record.integer("k", 10, SEARCH_K_MAX),
        record.where(),
        record.optional_names("fields"),
    )


def _filter(data: object, pointer: str) -> Filter:
    record = Record(data, pointer, ("id", "op", "input", "where"))
    where = record.where()
    if where is None:
        raise PlanError('a filter needs "where"', pointer=f"{pointer}/where")
    return Filter(record.text("id"), record.text("input"), where)


def _project(data: object, pointer: str) -> Project:
    record = Record(data, pointer, ("id", "op", "input", "fields"))
    return Project(record.text("id"), record.text("input"), record.names("fields"))


def _group(data: object, pointer: str) -> Group:
    record = Record(data, pointer, ("id", "op", "input", "by", "aggs"))
    by = record.names("by") if record.data.get("by") else ()
    aggs = tuple(_aggregation(item, f"{pointer}/aggs/{index}") for index, item in enumerate(record.items("aggs")))
    aliases = [*by, *(aggregation.alias for aggregation in aggs)]
    if len(set(aliases)) < len(aliases):
        raise PlanError("two columns of a group have the same name", pointer=f"{pointer}/aggs")
    return Group(record.text("id"), record.text("input"), by, aggs)


def _aggregation(data: object, pointer: str) -> Aggregation:
    record = Record(data, pointer, ("fn", "field", "as"))
    name = record.text("fn")
    if name not in set(Function):
        raise PlanError(f'unknown function "{name}"', pointer=f"{pointer}/fn", hint=nearest_name(name, Function))
    fn = Function(name)
    field = None if record.data.get("field") is None else record.text("field")
    if field is None and fn is not Function.COUNT:
        raise PlanError(f"{fn.value} needs a field", pointer=f"{pointer}/field")
    return Aggregation(fn, field, record.text("as"))


def _sort(data: object, pointer: str) -> Sort:
    record = Record(data, pointer, ("id", "op", "input", "by"))
    by = tuple(_order(item, f"{pointer}/by/{index}") for index, item in enumerate(record.items("by")))
    return Sort(record.text("id"), record.text("input"), by)


def _order(data: object, pointer: str) -> Order:
    record = Record(data, pointer, ("field", "dir"))
    direction = record.data.get("dir", "asc")
    if direction not in ("asc", "desc"):
        raise PlanError(f'"dir" must be "asc" or "desc": got={direction!r}', pointer=f"{pointer}/dir")
    return Order(record.text("field"), direction == "desc")


def _limit(data: object, pointer: str) -> Limit:
    record = Record(data, pointer, ("id", "op", "input", "n", "ties"))
    return Limit(record.text("id"), record.text("input"), record.integer("n", None, LIMIT_MAX), record.flag("ties"))


def _answer(data: object, pointer: str) -> AnswerStep:
    record = Record(data, pointer, ("id", "op", "input", "fields"))
    return AnswerStep(record.text("id"), record.text("input"), record.optional_names("fields"))


_READERS: dict[str, Callable[[object, str], Step]] = {
    "scan": _scan,
    "search": _search,
    "filter": _filter,
    "project": _project,
    "group": _group,
    "sort": _sort,
    "limit": _limit,
    "answer": _answer,
}
OPERATIONS = tuple(_READERS)


def step_from_json(data: object, pointer: str) -> Step:
    """Read one step.

    Raises:
        PlanError: an unknown operation or key, or a value of the wrong shape.
    """
    if not isinstance(data, Mapping):
        raise PlanError(f"a step is an object: got={type(data).__name__}", pointer=pointer)
    op = data.get("op")
    if not isinstance(op, str) or op not in _READERS:
        raise PlanError(f"unknown step: op={op!r}", pointer=f"{pointer}/op", hint=nearest_name(str(op), _READERS))
    return _READERS[op](data, pointer)


def step_to_json(step: Step) -> dict[str, Any]:
    """The inverse of `step_from_json`; absent options are left out."""
    data: dict[str, Any] = {"id": step.id, "op": step.op}
    if isinstance(step, (Scan, Search)):
        data["collection"] = step.collection
        if isinstance(step, Search):
            data |= {"query": step.query, "k": step.k}
        if step.where is not None:
            data["where"] = predicate_to_json(step.where)
        if step.fields is not None:
            data["fields"] = list(step.fields)
        return data
    data["input"] = step.input
    match step:
        case Filter():
            data["where"] = predicate_to_json(step.where)
        case Project():
            data["fields"] = list(step.fields)
        case Group():
            data["by"] = [{"field": name} for name in step.by]
            data["aggs"] = [_aggregation_to_json(item) for item in step.aggs]
        case Sort():
            data["by"] = [{"field": key.field, "dir": "desc" if key.descending else "asc"} for key in step.by]
        case Limit():
            data |= {"n": step.n, "ties": True} if step.ties else {"n": step.n}
        case AnswerStep():
            if step.fields is not None:
                data["fields"] = list(step.fields)
    return data


def _aggregation_to_json(item: Aggregation) -> dict[str, Any]:
    field = {} if item.field is None else {"field": item.field}
    return {"fn": item.fn.value, **field, "as": item.alias}
