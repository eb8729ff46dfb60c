"""What statements of all three languages are read into."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from engine.fields.aggregates import Aggregate
from engine.fields.order import SortKey
from engine.schema import JSON

COUNT_MAX = 2**32 - 1  # of rows that a statement takes or passes over: no collection has more
COUNT_DIGITS_MAX = 20  # so that nobody turns a million digits into a number

Condition: TypeAlias = Mapping[str, JSON] | str | None  # a filter, in either of its forms


@dataclass(frozen=True, slots=True)
class Match:
    """Only rows that satisfy a condition; `pointer` says where in the statement it stands, if that is JSON."""

    where: Condition
    pointer: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Group:
    """One row a combination of values, with figures."""

    by: tuple[str, ...]
    aggregates: tuple[Aggregate, ...]


@dataclass(frozen=True, slots=True)
class Sort:
    """Rows in order."""

    keys: tuple[SortKey, ...]


@dataclass(frozen=True, slots=True)
class Slice:
    """Rows from a place on; `limit` None takes all."""

    skip: int = 0
    limit: int | None = None


@dataclass(frozen=True, slots=True)
class Project:
    """Some columns, under new names: name → column."""

    columns: Mapping[str, str]


Stage: TypeAlias = Match | Group | Sort | Slice | Project


@dataclass(frozen=True, slots=True)
class Query:
    """Rows of a collection, taken through stages in their order."""

    collection: str
    stages: tuple[Stage, ...] = ()
    explain: bool = False


@dataclass(frozen=True, slots=True)
class Insert:
    """New documents."""

    collection: str
    documents: tuple[Mapping[str, JSON], ...]


@dataclass(frozen=True, slots=True)
class Update:
    """Changed keys of the documents that satisfy a condition; null removes a key."""

    collection: str
    where: Condition
    changes: Mapping[str, JSON]


@dataclass(frozen=True, slots=True)
class Delete:
    """No more documents that satisfy a condition."""

    collection: str
    where: Condition


@dataclass(frozen=True, slots=True)
class CreateCollection:
    """A new collection; `fields` as in the HTTP API."""

    collection: str
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CreateIndex:
    """A field that can be filtered, sorted and grouped by quickly: all of them can."""

    collection: str
    field: str


@dataclass(frozen=True, slots=True)
class Drop:
    """No more collection."""

    collection: str


Statement: TypeAlias = Query | Insert | Update | Delete | CreateCollection | CreateIndex | Drop
