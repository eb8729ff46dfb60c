"""Runs statements of all three languages: reads over one snapshot, writes by whoever keeps the documents."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from engine.errors import FilterError, InvalidInputError, QueryError
from engine.fields.filter import And, Comparison, Filter, Not, Or, parse_filter
from engine.fields.relation import Relation
from engine.languages.jql import read_jql
from engine.languages.lql import read_lql
from engine.languages.nql import read_nql
from engine.languages.tree import (
    CreateCollection,
    CreateIndex,
    Delete,
    Drop,
    Group,
    Insert,
    Match,
    Project,
    Query,
    Slice,
    Sort,
    Stage,
    Statement,
    Update,
)
from engine.schema import ID, JSON, Field, FieldType, Schema
from engine.snapshot import Snapshot

LANGUAGES = ("lql", "jql", "nql")


class Target(Protocol):
    """Where documents are: reads by snapshot, writes with all that belongs to them (checks, embedding, durability)."""

    def snapshot(self, collection: str) -> Snapshot:
        """The collection as it is."""

    def insert(self, collection: str, documents: Sequence[Mapping[str, JSON]]) -> int:
        """Store new documents; how many."""

    def patch(self, collection: str, patches: Sequence[Mapping[str, JSON]]) -> int:
        """Change documents, each by its id; how many were changed."""

    def delete(self, collection: str, where: Mapping[str, JSON] | str) -> int:
        """Delete documents; how many."""

    def create(self, collection: str, fields: Mapping[str, Any]) -> None:
        """Make a collection."""

    def drop(self, collection: str) -> None:
        """Remove a collection."""


@dataclass(frozen=True, slots=True)
class QueryResult:
    """What a statement found, or how many documents it wrote.

    Attributes:
        columns: names and types.
        rows: JSON values.
        truncated: there were more rows than were asked for.
        sequence: of the last write that was seen; None after a write.
        explain: of each stage what it did, rows in and out, and milliseconds.
    """

    columns: tuple[tuple[str, str], ...]
    rows: list[list[JSON]]
    truncated: bool
    sequence: int | None
    milliseconds: float
    explain: Mapping[str, JSON] | None = None


def read_query(language: str, query: str | Mapping[str, JSON], parameters: Sequence[JSON] = ()) -> Statement:
    """Parse a statement.

    Raises:
        QueryError: there is no such language, or the statement is malformed.
    """
    if language not in LANGUAGES:
        raise QueryError(f"language must be lql, jql or nql: got={language!r:.40}", pointer="/language")
    if language == "jql":
        if not isinstance(query, str | Mapping):
            raise QueryError(f"query must be JSON: got={type(query).__name__}")
        return read_jql(query)
    if not isinstance(query, str):
        raise QueryError(f"query must be a string: got={type(query).__name__}")
    if language == "lql":
        return read_lql(query, parameters)
    return read_nql(query)


def run_query(
    statement: Statement, target: Target, limit: int, *, check: Callable[[], None] = lambda: None
) -> QueryResult:
    """Run a statement.

    Args:
        statement: see `read_query`.
        target: where the documents are.
        limit: rows of the answer at most.
        check: called before each stage, and before documents are written; what it raises ends the statement.

    Raises:
        QueryError, InvalidInputError, CollectionNotFoundError: and what writes raise.
    """
    began = time.perf_counter()
    match statement:
        case Query():
            snapshot = target.snapshot(statement.collection)
            try:
                return _read(statement, snapshot, limit, began, check)
            except InvalidInputError as error:
                if isinstance(error, QueryError) and error.pointer is not None:
                    raise
                raise QueryError(str(error), pointer="", **error.details) from error  # of no stage in particular
        case Insert(collection, documents):
            check()
            return _written("inserted", target.insert(collection, documents), began)
        case Update(collection, where, changes):
            return _written("updated", _update(target, collection, where, changes, check), began)
        case Delete(collection, where):
            check()
            return _written("deleted", target.delete(collection, {} if where is None else where), began)
        case CreateCollection(collection, fields):
            target.create(collection, fields)
            return _written("created", 1, began)
        case CreateIndex(collection, field):
            _check_field(target.snapshot(collection).schema, field)
            return _written("indexed", 1, began)
        case Drop(collection):
            target.drop(collection)
            return _written("dropped", 1, began)


def _read(query: Query, snapshot: Snapshot, limit: int, began: float, check: Callable[[], None]) -> QueryResult:
    stages, facts = list(query.stages), []
    where: Filter | None = None
    first = stages[0] if stages else None
    if isinstance(first, Match):
        where = _filter(first, snapshot.schema)
        stages = stages[1:]
    check()
    started = time.perf_counter()
    needed, leaves = _needed(stages), _leaves_named(stages, snapshot.schema)
    relation = snapshot.relation([*snapshot.schema.fields, *leaves] if needed is None else needed, where)
    facts.append(_fact("scan" if where is None else "filter", snapshot.count(), len(relation), started))
    for stage in stages:
        check()
        started, before = time.perf_counter(), len(relation)
        relation = _through(stage, relation)
        facts.append(_fact(type(stage).__name__.lower(), before, len(relation), started))
    if leaves and not any(isinstance(stage, Group | Project) for stage in stages):
        relation = relation.project([name for name in relation.fields if name not in leaves])
    check()
    shown = relation.limit(limit)
    columns = [shown.column(name) for name in relation.fields]
    kinds = tuple((name, _type_name(field)) for name, field in relation.types.items())
    explain: dict[str, JSON] | None = None
    if query.explain:
        explain = {"collection": snapshot.name, "parts": len(snapshot.parts), "stages": [*facts]}
    rows = [list(row) for row in zip(*columns, strict=True)]
    milliseconds = (time.perf_counter() - began) * 1000
    return QueryResult(kinds, rows, len(relation) > limit, snapshot.sequence, milliseconds, explain)


def _through(stage: Stage, relation: Relation) -> Relation:
    match stage:
        case Match():
            return relation.filter(_filter(stage, Schema(relation.types)))
        case Group(by, aggregates):
            return relation.group(by, aggregates)
        case Sort(keys):
            return relation.sort(keys)
        case Slice(skip, limit):
            end = len(relation) if limit is None else skip + limit
            return relation.limit(end).skip(skip)
        case Project(columns):
            return relation.rename(columns)


def _needed(stages: Sequence[Stage]) -> list[str] | None:
    """The fields that are needed up to where columns are new ones; None for all."""
    names: dict[str, None] = {}
    for stage in stages:
        match stage:
            case Match():
                return None  # on what stages before have made: those name all that they need
            case Sort(keys):
                names |= dict.fromkeys(key.field for key in keys)
            case Group(by, aggregates):
                names |= dict.fromkeys(by)
                names |= dict.fromkeys(item.field for item in aggregates if item.field is not None)
                return list(names)
            case Project(columns):
                return list(dict.fromkeys([*names, *columns.values()]))
            case Slice():
                continue
    return None


def _leaves_named(stages: Sequence[Stage], schema: Schema) -> list[str]:
    """What is read, up to where columns are new ones, beside the fields that all have: leaves such as "venue.city"."""
    names: dict[str, None] = {}
    for stage in stages:
        match stage:
            case Match():
                names |= dict.fromkeys(_paths(_filter(stage, schema), schema))
            case Sort(keys):
                names |= dict.fromkeys(key.field for key in keys)
            case Group(by, aggregates):
                names |= dict.fromkeys([*by, *(item.field for item in aggregates if item.field is not None)])
                break
            case Project(columns):
                names |= dict.fromkeys(columns.values())
                break
            case Slice():
                continue
    return [name for name in names if name != ID and name not in schema.fields]


def _paths(where: Filter, schema: Schema) -> list[str]:
    """The paths within JSON fields that a filter compares."""
    match where:
        case Comparison(name, _, _):
            root = schema.fields.get(name.partition(".")[0])
            return [name] if name not in schema.fields and root is not None and root.type is FieldType.JSON else []
        case Not(clause):
            return _paths(clause, schema)
        case And(clauses) | Or(clauses):
            return [name for clause in clauses for name in _paths(clause, schema)]


def _filter(stage: Match, schema: Schema) -> Filter:
    return _condition(stage.where, schema, stage.pointer)


def _condition(where: Any, schema: Schema, pointer: str = "") -> Filter:
    try:
        return parse_filter({} if where is None else where, schema)
    except FilterError as error:
        place = f" at {error.pointer}" if error.pointer else ""
        within = f"{pointer}{error.pointer or ''}" if pointer else ""
        raise QueryError(f"condition{place}: {error}", pointer=within) from error


def _update(target: Target, collection: str, where: Any, changes: Mapping[str, JSON], check: Callable[[], None]) -> int:
    if ID in changes:
        raise QueryError("id cannot be changed: insert a document under the new one and delete the old")
    snapshot = target.snapshot(collection)
    chosen = _condition(where, snapshot.schema, "/filter" if isinstance(where, Mapping) else "")
    check()
    ids = snapshot.ids(snapshot.ordinals(chosen))
    check()
    return target.patch(collection, [{ID: id_, **changes} for id_ in ids]) if ids else 0


def _check_field(schema: Schema, name: str) -> None:
    if name not in schema.fields and name not in schema.vectors and name != ID:
        raise QueryError(f"unknown field {name!r}: expected one of {', '.join([ID, *schema.fields, *schema.vectors])}")


def _written(what: str, count: int, began: float) -> QueryResult:
    return QueryResult(((what, "integer"),), [[count]], False, None, (time.perf_counter() - began) * 1000)


def _fact(stage: str, rows_in: int, rows_out: int, started: float) -> dict[str, JSON]:
    milliseconds = (time.perf_counter() - started) * 1000
    return {"stage": stage, "rows_considered": rows_in, "rows": rows_out, "milliseconds": milliseconds}


def _type_name(field: Field) -> str:
    if field.many:
        return "list"
    kinds = {FieldType.KEYWORD: "text", FieldType.GEO: "object"}
    return kinds.get(field.type, field.type.value)
