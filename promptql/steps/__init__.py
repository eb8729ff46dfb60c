"""The steps of a plan: frozen, typed, each with its JSON shape.

Each has `inputs`, the steps whose rows it reads, and `references`, those whose values its expressions use.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from promptql.errors import PlanError, nearest_name
from promptql.expressions import Bucket, GroupKey
from promptql.steps.ending import AnswerStep, AssertStep, ChartKind, Clarify, Option, Visualize
from promptql.steps.grouping import (
    Aggregation,
    CompareStep,
    Comparison,
    Function,
    Group,
    LookupStep,
    Window,
    WindowFunction,
)
from promptql.steps.local import ClassifyLocal, Cluster, Dedupe, ExtractKind, ExtractLocal, SummarizeLocal
from promptql.steps.record import Record
from promptql.steps.relational import (
    LIMIT_MAX,
    Compute,
    Computed,
    Distinct,
    Filter,
    Join,
    JoinKey,
    JoinType,
    Limit,
    Order,
    Project,
    SetKind,
    SetOperation,
    Sort,
)
from promptql.steps.semantic import (
    ColumnType,
    ExtractedColumn,
    LlmClassify,
    LlmExtract,
    LlmFilter,
    LlmMap,
    ModelSize,
    Quality,
    QualityTarget,
)
from promptql.steps.semantic_relations import (
    Blocking,
    JoinMethod,
    LlmFused,
    LlmSummarize,
    LlmTopk,
    RowStep,
    SemJoin,
)
from promptql.steps.sources import SEARCH_K_MAX, Scan, Search, SearchMode

__all__ = [
    "LIMIT_MAX",
    "OPERATIONS",
    "SEARCH_K_MAX",
    "SEMANTIC",
    "Aggregation",
    "AnswerStep",
    "AssertStep",
    "Blocking",
    "Bucket",
    "ChartKind",
    "Clarify",
    "ClassifyLocal",
    "Cluster",
    "ColumnType",
    "CompareStep",
    "Comparison",
    "Compute",
    "Computed",
    "Dedupe",
    "Distinct",
    "ExtractKind",
    "ExtractLocal",
    "ExtractedColumn",
    "Filter",
    "Function",
    "Group",
    "GroupKey",
    "Join",
    "JoinKey",
    "JoinMethod",
    "JoinType",
    "Limit",
    "LlmClassify",
    "LlmExtract",
    "LlmFilter",
    "LlmFused",
    "LlmMap",
    "LlmSummarize",
    "LlmTopk",
    "Local",
    "LookupStep",
    "ModelSize",
    "Option",
    "Order",
    "Project",
    "Quality",
    "QualityTarget",
    "Record",
    "Relational",
    "RowStep",
    "Scan",
    "Search",
    "SearchMode",
    "SemJoin",
    "Semantic",
    "SetKind",
    "SetOperation",
    "Sort",
    "Source",
    "Step",
    "SummarizeLocal",
    "Visualize",
    "Window",
    "WindowFunction",
    "asks_language_model",
    "dependencies_of",
    "input_of",
    "step_from_json",
    "step_to_json",
]  # fmt: skip

Source: TypeAlias = Scan | Search
Relational: TypeAlias = Filter | Project | Compute | Join | Group | Sort | Limit | Distinct | SetOperation | Window
Local: TypeAlias = ClassifyLocal | ExtractLocal | SummarizeLocal | Cluster | Dedupe
Semantic: TypeAlias = RowStep | LlmFused | LlmTopk | LlmSummarize | SemJoin
Step: TypeAlias = (
    Source | Relational | Local | Semantic | LookupStep | CompareStep | Visualize | AnswerStep | AssertStep | Clarify
)

SEMANTIC = (LlmFilter, LlmClassify, LlmExtract, LlmMap, LlmFused, LlmTopk, LlmSummarize, SemJoin)

_READERS: dict[str, Callable[[object, str], Step]] = {
    kind.op: kind.read
    for kind in (
        Scan, Search, Filter, Project, Compute, Join, Group, Sort, Limit, Distinct, SetOperation, Window, LookupStep,
        CompareStep, ClassifyLocal, ExtractLocal, SummarizeLocal, Cluster, Dedupe, LlmFilter, LlmClassify, LlmExtract,
        LlmMap, LlmFused, LlmTopk, LlmSummarize, SemJoin, Visualize, AnswerStep, AssertStep, Clarify,
    )
}  # fmt: skip
OPERATIONS = tuple(_READERS)


def asks_language_model(plan: object) -> bool:
    """Whether a plan, or what may be the JSON of one, has steps that ask a language model."""
    steps = plan.get("steps") if isinstance(plan, Mapping) else getattr(plan, "steps", ())
    if not isinstance(steps, (list, tuple)):
        return False
    ops = (step.get("op") if isinstance(step, Mapping) else getattr(step, "op", None) for step in steps)
    return any(op == kind.op for op in ops for kind in SEMANTIC)


def input_of(step: Step) -> str | None:
    """The id of the first step whose rows this one reads; None for a source."""
    return step.inputs[0] if step.inputs else None


def dependencies_of(step: Step) -> tuple[str, ...]:
    """The ids of all steps that must have run before this one."""
    return tuple(dict.fromkeys((*step.inputs, *step.references)))


def step_from_json(data: object, pointer: str) -> Step:
    """Read one step.

    Raises:
        PlanError: an unknown operation or key, or a value of the wrong shape.
    """
    if not isinstance(data, Mapping):
        raise PlanError(f"a step is an object: got={type(data).__name__}", pointer=pointer)
    op = data.get("op")
    if not isinstance(op, str) or op not in _READERS:
        raise PlanError(f"unknown step: op={op!r:.60}", pointer=f"{pointer}/op", hint=nearest_name(str(op), _READERS))
    return _READERS[op](data, pointer)


def step_to_json(step: Step) -> dict[str, Any]:
    """The inverse of `step_from_json`; absent options are left out."""
    return {"id": step.id, "op": step.op, **step.written()}
