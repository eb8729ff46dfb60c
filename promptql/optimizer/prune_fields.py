"""A source reads only the fields that later steps use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from promptql.catalog import ID, Catalog
from promptql.expressions import InStep, fields_of, walk
from promptql.optimizer.rewiring import replaced
from promptql.plan import Plan
from promptql.steps import (
    AssertStep,
    CompareStep,
    Compute,
    Distinct,
    Filter,
    Group,
    Join,
    Limit,
    LlmClassify,
    LlmExtract,
    LlmFilter,
    LlmFused,
    LlmMap,
    LlmSummarize,
    LlmTopk,
    LookupStep,
    Project,
    RowStep,
    Scan,
    Search,
    SemJoin,
    Sort,
    Step,
    Window,
)
from promptql.validation import SCORE, Columns, columns_of
from promptql.validation.aggregates import compared_field
from promptql.validation.naming import joined_names
from promptql.validation.semantic import made_columns

Names = frozenset[str]


def prune_fields(plan: Plan, catalog: Catalog) -> Plan:
    """Name the fields of each scan and search whose later steps do not hand all of them on."""
    pruning = Pruning(plan, columns_of(plan, catalog))
    for source in plan.steps:
        if not isinstance(source, (Scan, Search)):
            continue
        needed = pruning.needed(source)
        if needed is None:
            continue
        known = source.fields
        if known is None:
            known = tuple(catalog.collections[source.collection].fields)
        fields = tuple(name for name in known if name in needed and name != ID) or (ID,)
        if fields != source.fields:
            return replaced(plan, {source.id: replace(source, fields=fields)})
    return plan


class Pruning:
    """Which columns of each step those after it use; None for all."""

    def __init__(self, plan: Plan, columns: Mapping[str, Columns]) -> None:
        self._plan = plan
        self._columns = columns
        self._known: dict[str, Names | None] = {}

    def needed(self, step: Step) -> Names | None:
        """The columns of a step that those after it use."""
        if step.id not in self._known:
            parts = [self._used(reader, step.id) for reader in self._plan.consumers(step.id)]
            all_known = all(part is not None for part in parts)
            found = frozenset().union(*(part for part in parts if part is not None)) if all_known else None
            self._known[step.id] = None if found is None else found - {SCORE}
        return self._known[step.id]

    def _used(self, reader: Step, name: str) -> Names | None:
        """The columns of step `name` that `reader` uses itself or hands on."""
        named = _members(reader, name)
        if name not in reader.inputs:
            return named
        own = self._of_two(reader, name) if isinstance(reader, (Join, SemJoin, CompareStep)) else self._of_one(reader)
        return None if own is None else own | named

    def _of_one(self, reader: Step) -> Names | None:
        match reader:
            case Project(fields=fields):
                return frozenset(fields)
            case Group(aggs=aggs):
                figures = {name for item in aggs for name in (item.field, item.by) if name is not None}
                return frozenset(reader.fields) | figures
            case LookupStep(field=field):
                return frozenset({field})
            case Filter(where=where):
                return _with(self.needed(reader), fields_of(where))
            case Sort(by=keys):
                return _with(self.needed(reader), frozenset(key.field for key in keys))
            case Distinct(fields=fields) if fields is not None:
                return _with(self.needed(reader), frozenset(fields))
            case Compute(columns=columns):
                used = frozenset().union(*(fields_of(column.expression) for column in columns))
                return _with(self.needed(reader), used)
            case Window(partition=partition, order=order, field=field):
                read = {*partition, *(key.field for key in order), *([field] if field else [])}
                return _with(self.needed(reader), frozenset(read))
            case Limit() | AssertStep():
                return self.needed(reader) if self._plan.consumers(reader.id) else frozenset()
            case _:
                return self._of_semantic(reader)

    def _of_semantic(self, reader: Step) -> Names | None:
        match reader:
            case LlmFilter() | LlmClassify() | LlmExtract() | LlmMap() | LlmFused():
                return _handed(self.needed(reader), reader)
            case LlmTopk(fields=fields):
                return _with(self.needed(reader), frozenset(fields))
            case LlmSummarize(fields=fields):
                return frozenset(fields)
            case _:
                return None

    def _of_two(self, reader: Join | SemJoin | CompareStep, name: str) -> Names | None:
        left, right = self._columns[reader.left], self._columns[reader.right]
        if isinstance(reader, CompareStep):
            return frozenset({*reader.keys, compared_field(reader, left, right)})
        needed = self.needed(reader)
        if needed is None:
            return None
        taken = joined_names(reader, self._plan, left, right)
        wanted = {own for own, given in taken.items() if given in needed}
        keys = _keys(reader)
        ours = keys[0] | (needed & set(left)) | (wanted & set(left))  # those give prefixes
        theirs = keys[1] | wanted
        sides = (ours if reader.left == name else set()) | (theirs if reader.right == name else set())
        return frozenset(sides)


def _members(reader: Step, name: str) -> Names:
    """Columns of step `name` that conditions of `reader` look values up in."""
    wheres = [getattr(reader, "where", None), *(column.expression for column in getattr(reader, "columns", ()))]
    nodes = (node for where in wheres for node in walk(where))
    return frozenset(node.column for node in nodes if isinstance(node, InStep) and node.step == name)


def _keys(reader: Join | SemJoin) -> tuple[set[str], set[str]]:
    """The columns that decide which rows of a join belong together, left and right."""
    if isinstance(reader, SemJoin):
        return set(reader.left_fields), set(reader.right_fields)
    return {key.left for key in reader.keys}, {key.right for key in reader.keys}


def _handed(handed_on: Names | None, reader: RowStep | LlmFused) -> Names | None:
    """What a step that asks about rows reads, and what it hands on without having made it."""
    steps = reader.steps if isinstance(reader, LlmFused) else (reader,)
    made = frozenset(name for step in steps for name in made_columns(step))
    read = frozenset(name for step in steps for name in step.fields)
    return None if handed_on is None else (handed_on | read) - made


def _with(handed_on: Names | None, own: Names) -> Names | None:
    return None if handed_on is None else handed_on | own
