"""The columns of every step of a plan, and whether the steps fit each other."""

from __future__ import annotations

from engine import Field, FieldType
from promptql.catalog import ID, Catalog
from promptql.errors import PlanError, nearest_name
from promptql.expressions import Predicate, walk
from promptql.plan import Plan
from promptql.steps import (
    AnswerStep,
    AssertStep,
    Clarify,
    ClassifyLocal,
    Cluster,
    CompareStep,
    Compute,
    Dedupe,
    Distinct,
    ExtractKind,
    ExtractLocal,
    Filter,
    Group,
    Join,
    JoinType,
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
    Scan,
    Search,
    SearchMode,
    SemJoin,
    SetOperation,
    Sort,
    Step,
    SummarizeLocal,
    Visualize,
    Window,
    dependencies_of,
)
from promptql.validation.aggregates import compare_columns, group_columns, window_columns
from promptql.validation.columns import (
    OPAQUE,
    SCORE,
    STRINGS,
    Columns,
    added,
    alike,
    comparable,
    field_named,
    joint,
    shown,
    sortable,
    stored_columns,
    textual,
)
from promptql.validation.constants import check_params
from promptql.validation.expressions import NODES_MAX, Scene, check_predicate, type_of
from promptql.validation.naming import confidence_of, joined_names, label_of, sureness_of, template_names
from promptql.validation.semantic import check_fields, semantic_columns

ROWS = "rows"  # in a template: how many rows there are
_EXTRACTED = {
    ExtractKind.NUMBER: FieldType.NUMBER,
    ExtractKind.MONEY: FieldType.NUMBER,
    ExtractKind.PERCENT: FieldType.NUMBER,
    ExtractKind.DATE: FieldType.DATETIME,
}
_SUMMARY = {
    ID: Field(FieldType.KEYWORD),
    "field": Field(FieldType.KEYWORD),
    "sentence": Field(FieldType.TEXT),
    "start": Field(FieldType.INTEGER),
    "end": Field(FieldType.INTEGER),
    "score": Field(FieldType.NUMBER),
}


def validate(plan: Plan, catalog: Catalog) -> None:
    """Check that every collection and field exists, that types fit, and that the steps form a DAG with one end.

    Raises:
        PlanError: with the JSON Pointer of the first fault and a hint.
    """
    columns_of(plan, catalog)


def columns_of(plan: Plan, catalog: Catalog) -> dict[str, Columns]:
    """The typed columns of every step; none for a question back.

    Raises:
        PlanError: the plan is not valid.
    """
    order = plan.order()
    plan.check_output()
    check_params(plan)
    places = {step.id: f"/steps/{index}" for index, step in enumerate(plan.steps)}
    checker = _Checker(plan, catalog)
    for step in order:
        checker.known[step.id] = checker.columns(step, places[step.id])
    return checker.known


def faults_of(plan: Plan, catalog: Catalog) -> list[PlanError]:
    """All that is wrong with a plan: of steps that read a wrong one nothing more is told.

    Returns:
        What `validate` would raise first, and the faults of the steps beside it; empty for a valid plan.
    """
    try:
        order = plan.order()
        plan.check_output()
        check_params(plan)
    except PlanError as error:
        return [error]
    places = {step.id: f"/steps/{index}" for index, step in enumerate(plan.steps)}
    checker = _Checker(plan, catalog)
    found: list[PlanError] = []
    for step in order:
        if all(name in checker.known for name in dependencies_of(step)):
            try:
                checker.known[step.id] = checker.columns(step, places[step.id])
            except PlanError as error:
                found.append(error)
    return found


class _Checker:
    """One validation: what is known of the steps so far."""

    def __init__(self, plan: Plan, catalog: Catalog) -> None:
        self.plan = plan
        self.catalog = catalog
        self.known: dict[str, Columns] = {}

    def columns(self, step: Step, pointer: str) -> Columns:
        match step:
            case Scan() | Search():
                return self._source(step, pointer)
            case Clarify():
                return {}
            case Join() | SemJoin() | SetOperation() | CompareStep():
                return self._of_two(step, pointer)
            case LlmFilter() | LlmClassify() | LlmExtract() | LlmMap() | LlmFused() | LlmTopk() | LlmSummarize():
                return semantic_columns(step, self._input(step.input, f"{pointer}/input"), pointer)
            case ClassifyLocal() | ExtractLocal() | SummarizeLocal() | Cluster() | Dedupe():
                return self._local(step, self._input(step.input, f"{pointer}/input"), pointer)
            case AnswerStep() | AssertStep() | Visualize():
                return self._ending(step, self._input(step.input, f"{pointer}/input"), pointer)
            case _:
                return self._of_one(step, self._input(step.input, f"{pointer}/input"), pointer)

    def _input(self, step_id: str, pointer: str) -> Columns:
        if not self.known[step_id]:
            raise PlanError(f'step "{step_id}" gives no rows', pointer=pointer)
        return self.known[step_id]

    def _scene(self, columns: Columns) -> Scene:
        return Scene(columns, self.plan, self.known)

    def _source(self, step: Scan | Search, pointer: str) -> Columns:
        info = self.catalog.collections.get(step.collection)
        if info is None:
            raise PlanError(
                f'unknown collection "{step.collection}"',
                pointer=f"{pointer}/collection",
                hint=nearest_name(step.collection, self.catalog.collections),
            )
        stored = stored_columns(info)
        if isinstance(step, Search):
            by_words = step.mode is SearchMode.KEYWORD and any(field.type in STRINGS for field in stored.values())
            if not info.searchable and not by_words:
                raise PlanError(
                    f'collection "{info.name}" has no embedded text to search',
                    pointer=f"{pointer}/collection",
                    hint="use a scan with a filter",
                )
        self._where(step.where, stored, pointer)
        columns = stored
        if step.fields is not None:
            named = {name: field_named(name, stored, f"{pointer}/fields/{i}") for i, name in enumerate(step.fields)}
            columns = {ID: stored[ID], **named}
        if isinstance(step, Search):
            columns = {**columns, SCORE: Field(FieldType.NUMBER)}
        return columns

    def _where(self, where: Predicate | None, columns: Columns, pointer: str) -> None:
        if where is not None:
            check_predicate(where, self._scene(columns), f"{pointer}/where")

    def _of_one(
        self, step: Filter | Project | Compute | Group | Sort | Limit | Distinct | Window | LookupStep,
        columns: Columns, pointer: str,
    ) -> Columns:  # fmt: skip
        match step:
            case Filter(where=where):
                self._where(where, columns, pointer)
            case Project(fields=fields):
                return {name: field_named(name, columns, f"{pointer}/fields/{i}") for i, name in enumerate(fields)}
            case Compute():
                return self._compute(step, columns, pointer)
            case Group():
                return group_columns(step, columns, pointer)
            case Sort():
                _check_order(step, columns, pointer)
            case Limit(ties=True) if not isinstance(self.plan.by_id[step.input], Sort):
                raise PlanError("a limit with ties reads a sort step", pointer=f"{pointer}/input")
            case Distinct():
                _check_distinct(step, columns, pointer)
            case Window():
                return window_columns(step, columns, pointer)
            case LookupStep():
                return _looked_up(step, columns, pointer)
        return columns

    def _compute(self, step: Compute, columns: Columns, pointer: str) -> Columns:
        for index, column in enumerate(step.columns):
            place = f"{pointer}/columns/{index}"
            if sum(1 for _ in walk(column.expression)) > NODES_MAX:
                raise PlanError(f"the expression is too long: limit={NODES_MAX} parts", pointer=f"{place}/expr")
            field = type_of(column.expression, self._scene(columns), f"{place}/expr")
            if field is None:
                raise PlanError("the expression has no type: it is null", pointer=f"{place}/expr")
            columns = added(columns, column.alias, Field(field.type, many=field.many), f"{place}/as")
        return columns

    def _of_two(self, step: Join | SemJoin | SetOperation | CompareStep, pointer: str) -> Columns:
        left = self._input(step.left, f"{pointer}/left")
        right = self._input(step.right, f"{pointer}/right")
        match step:
            case Join():
                return self._join(step, left, right, pointer)
            case SemJoin():
                check_fields(step.left_fields, left, f"{pointer}/left_fields")
                check_fields(step.right_fields, right, f"{pointer}/right_fields")
                columns = self._beside(step, left, right, pointer)
                return added(columns, sureness_of(step), Field(FieldType.NUMBER), f"{pointer}/as")
            case SetOperation():
                return _set_columns(left, right, pointer)
            case CompareStep():
                return compare_columns(step, left, right, pointer)

    def _join(self, step: Join, left: Columns, right: Columns, pointer: str) -> Columns:
        for index, key in enumerate(step.keys):
            place = f"{pointer}/keys/{index}"
            ours = comparable(key.left, left, f"{place}/l")
            theirs = comparable(key.right, right, f"{place}/r")
            if ours.many or theirs.many or not alike(ours, theirs):
                raise PlanError(
                    f'"{key.left}" and "{key.right}" cannot be compared: {shown(ours)} and {shown(theirs)}',
                    pointer=place,
                )
        if step.type in (JoinType.SEMI, JoinType.ANTI):
            return left
        return self._beside(step, left, right, pointer)

    def _beside(self, step: Join | SemJoin, left: Columns, right: Columns, pointer: str) -> Columns:
        columns = left
        for name, given in joined_names(step, self.plan, left, right, pointer).items():
            columns = added(columns, given, right[name], f"{pointer}/prefix")
        return columns

    def _local(
        self, step: ClassifyLocal | ExtractLocal | SummarizeLocal | Cluster | Dedupe, columns: Columns, pointer: str
    ) -> Columns:
        fields = (step.field,) if isinstance(step, ExtractLocal) else step.fields
        for index, name in enumerate(fields or ()):
            place = f"{pointer}/field" if isinstance(step, ExtractLocal) else f"{pointer}/fields/{index}"
            textual(name, columns, place, step.op)
        place = f"{pointer}/as"
        match step:
            case ClassifyLocal(alias=alias):
                columns = added(columns, alias, Field(FieldType.KEYWORD), place)
                return added(columns, confidence_of(alias), Field(FieldType.NUMBER), place)
            case ExtractLocal(kind=kind, alias=alias):
                return added(columns, alias, Field(_EXTRACTED.get(kind, FieldType.KEYWORD), many=True), place)
            case SummarizeLocal():
                return dict(_SUMMARY)
            case Cluster(alias=alias):
                columns = added(columns, alias, Field(FieldType.INTEGER), place)
                return added(columns, label_of(alias), Field(FieldType.KEYWORD), place)
            case Dedupe():
                return columns

    def _ending(self, step: AnswerStep | AssertStep | Visualize, columns: Columns, pointer: str) -> Columns:
        match step:
            case AnswerStep(fields=fields, template=template):
                for index, name in enumerate(fields or ()):
                    field_named(name, columns, f"{pointer}/fields/{index}")
                for name in template_names(template or ""):
                    if name != ROWS:
                        field_named(name, columns, f"{pointer}/template")
            case Visualize():
                for key, value in (("x", step.x), ("y", step.y), ("color", step.color)):
                    if value is not None:
                        field_named(value, columns, f"{pointer}/{key}")
            case AssertStep():
                pass
        return columns


def _looked_up(step: LookupStep, columns: Columns, pointer: str) -> Columns:
    field = field_named(step.field, columns, f"{pointer}/field")
    if field.many or field.type in OPAQUE:
        raise PlanError(f'"{step.field}" is no single value: type={shown(field)}', pointer=f"{pointer}/field")
    return {step.field: field}


def _check_order(step: Sort, columns: Columns, pointer: str) -> None:
    for index, key in enumerate(step.by):
        sortable(key.field, columns, f"{pointer}/by/{index}/field")


def _check_distinct(step: Distinct, columns: Columns, pointer: str) -> None:
    for index, name in enumerate(columns if step.fields is None else step.fields):
        comparable(name, columns, f"{pointer}/fields/{index}" if step.fields is not None else pointer)


def _set_columns(left: Columns, right: Columns, pointer: str) -> Columns:
    if len(left) != len(right):
        raise PlanError(
            f"the two sides have different numbers of columns: left={len(left)} right={len(right)}",
            pointer=pointer,
            hint="project both to the same columns",
        )
    result: Columns = {}
    for (name, ours), (other, theirs) in zip(left.items(), right.items(), strict=True):
        if not alike(ours, theirs):
            raise PlanError(
                f'columns "{name}" and "{other}" cannot be compared: {shown(ours)} and {shown(theirs)}',
                pointer=pointer,
            )
        result[name] = joint(ours, theirs)
    return result
