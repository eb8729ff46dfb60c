"""Static rules: a plan is checked against the catalog before anything runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from engine import Field, FieldType, FilterError, Schema, parse_filter
from promptql.catalog import ID, ORDERED_TYPES, STRING_TYPES, Catalog, CollectionInfo
from promptql.errors import PlanError, nearest_name
from promptql.plan import ParameterType, Plan
from promptql.predicate import Compare, Operator, Param, Predicate, Scalar, Value, comparisons
from promptql.steps import (
    Aggregation,
    AnswerStep,
    Filter,
    Function,
    Group,
    Limit,
    Project,
    Scan,
    Search,
    Sort,
    Step,
)

SCORE = "_score"
Columns: TypeAlias = dict[str, Field]
PREDICATES_MAX = 300

_COMPARABLE: dict[Operator, frozenset[FieldType]] = {
    **dict.fromkeys((Operator.EQ, Operator.NE, Operator.IN), STRING_TYPES | ORDERED_TYPES | {FieldType.BOOLEAN}),
    **dict.fromkeys((Operator.LT, Operator.LE, Operator.GT, Operator.GE), ORDERED_TYPES | {FieldType.KEYWORD}),
    **dict.fromkeys((Operator.CONTAINS, Operator.STARTS_WITH, Operator.ENDS_WITH), STRING_TYPES),
    Operator.IS_NULL: frozenset(FieldType),
}
_PARAMETER_VALUES: dict[ParameterType, tuple[type, ...]] = {
    ParameterType.TEXT: (str,),
    ParameterType.DATE: (str,),
    ParameterType.NUMBER: (int, float),
    ParameterType.BOOLEAN: (bool,),
}
_MOMENTS = Schema({"moment": Field(FieldType.DATETIME)})


def validate(plan: Plan, catalog: Catalog) -> None:
    """Check that every collection and field exists, that types fit, and that the steps form a DAG.

    Raises:
        PlanError: with the JSON Pointer of the first fault and a hint.
    """
    order = plan.order()
    plan.check_output()
    _check_params(plan)
    columns: dict[str, Columns] = {}
    for step in order:
        pointer = f"/steps/{plan.steps.index(step)}"
        columns[step.id] = _columns(step, pointer, columns, plan, catalog)


def _columns(step: Step, pointer: str, known: Mapping[str, Columns], plan: Plan, catalog: Catalog) -> Columns:
    if isinstance(step, (Scan, Search)):
        return _source_columns(step, pointer, plan, catalog)
    columns = known[step.input]
    match step:
        case Filter(where=where):
            _check_predicate(where, columns, f"{pointer}/where", plan)
        case Project(fields=fields):
            return {name: _type_of(name, columns, f"{pointer}/fields/{i}") for i, name in enumerate(fields)}
        case Group():
            return _group_columns(step, columns, pointer)
        case Sort(by=by):
            for index, key in enumerate(by):
                _check_sortable(key.field, columns, f"{pointer}/by/{index}/field")
        case Limit(ties=True, input=name) if not isinstance(plan.by_id[name], Sort):
            raise PlanError("a limit with ties reads a sort step", pointer=f"{pointer}/input")
        case AnswerStep(fields=fields):
            for index, name in enumerate(fields or ()):
                _type_of(name, columns, f"{pointer}/fields/{index}")
        case Limit():
            pass
    return columns


def _source_columns(step: Scan | Search, pointer: str, plan: Plan, catalog: Catalog) -> Columns:
    info = catalog.collections.get(step.collection)
    if info is None:
        raise PlanError(
            f'unknown collection "{step.collection}"',
            pointer=f"{pointer}/collection",
            hint=nearest_name(step.collection, catalog.collections),
        )
    if isinstance(step, Search) and not info.searchable:
        raise PlanError(
            f'collection "{info.name}" has no embedded text to search',
            pointer=f"{pointer}/collection",
            hint="use a scan with a filter",
        )
    columns = stored_columns(info)
    if step.where is not None:
        _check_predicate(step.where, columns, f"{pointer}/where", plan)
    if step.fields is not None:
        named = {name: _type_of(name, columns, f"{pointer}/fields/{i}") for i, name in enumerate(step.fields)}
        columns = {ID: columns[ID], **named}
    if isinstance(step, Search):
        columns = {**columns, SCORE: Field(FieldType.NUMBER)}
    return columns


def stored_columns(info: CollectionInfo) -> Columns:
    """The columns of a scan of all fields: the id first."""
    return {ID: Field(FieldType.KEYWORD)} | {
        name: Field(field.type, many=field.many) for name, field in info.fields.items()
    }


def _type_of(name: str, columns: Columns, pointer: str) -> Field:
    if name not in columns:
        raise PlanError(f'unknown field "{name}"', pointer=pointer, hint=nearest_name(name, columns))
    return columns[name]


def _check_sortable(name: str, columns: Columns, pointer: str) -> None:
    field = _type_of(name, columns, pointer)
    if field.many or field.type in {FieldType.GEO, FieldType.JSON}:
        raise PlanError(f'"{name}" has no order: type={_shown(field)}', pointer=pointer)


def _shown(field: Field) -> str:
    return f"list of {field.type.value}" if field.many else field.type.value


def _group_columns(step: Group, columns: Columns, pointer: str) -> Columns:
    result = {}
    for index, name in enumerate(step.by):
        field = _type_of(name, columns, f"{pointer}/by/{index}")
        if field.type in {FieldType.GEO, FieldType.JSON}:
            raise PlanError(f"rows cannot be grouped by a {field.type.value} field", pointer=f"{pointer}/by/{index}")
        result[name] = Field(field.type)
    for index, item in enumerate(step.aggs):
        result[item.alias] = Field(_aggregate_type(item, columns, f"{pointer}/aggs/{index}"))
    return result


def _aggregate_type(item: Aggregation, columns: Columns, pointer: str) -> FieldType:
    if item.field is None:
        return FieldType.INTEGER
    field = _type_of(item.field, columns, f"{pointer}/field")
    kind = field.type
    numeric = kind in {FieldType.INTEGER, FieldType.NUMBER} and not field.many
    match item.fn:
        case Function.COUNT | Function.COUNT_DISTINCT if kind not in {FieldType.GEO, FieldType.JSON}:
            return FieldType.INTEGER
        case Function.MIN | Function.MAX if kind in ORDERED_TYPES and not field.many:
            return kind
        case Function.SUM if numeric:
            return kind
        case Function.AVG | Function.MEDIAN if numeric:
            return FieldType.NUMBER
    raise PlanError(
        f'{item.fn.value} does not fit "{item.field}": type={_shown(field)}',
        pointer=f"{pointer}/field",
        hint=_numeric_hint(columns),
    )


def _numeric_hint(columns: Columns) -> str | None:
    names = [name for name, field in columns.items() if field.type in {FieldType.INTEGER, FieldType.NUMBER}]
    return f"number fields: {', '.join(names)}" if names else "there is no number field"


def _check_params(plan: Plan) -> None:
    for name, parameter in plan.params.items():
        if parameter.value is not None and not _fits(parameter.value, _PARAMETER_VALUES[parameter.type]):
            raise PlanError(
                f"the value does not fit the parameter's type: type={parameter.type.value}",
                pointer=f"/params/{name}/value",
            )


def _fits(value: Scalar, types: tuple[type, ...]) -> bool:
    """Python's bool is an int; here it is not."""
    return isinstance(value, types) and (bool in types or not isinstance(value, bool))


def _check_predicate(predicate: Predicate, columns: Columns, pointer: str, plan: Plan) -> None:
    found = list(comparisons(predicate, pointer))
    if len(found) > PREDICATES_MAX:
        raise PlanError(f"too many comparisons: got={len(found)} limit={PREDICATES_MAX}", pointer=pointer)
    for place, item in found:
        kind = _type_of(item.field, columns, f"{place}/l/field").type
        if kind not in _COMPARABLE[item.op]:
            fitting = [op.value for op, kinds in _COMPARABLE.items() if kind in kinds]
            raise PlanError(
                f'{item.op.value} does not fit "{item.field}": type={kind.value}',
                pointer=f"{place}/op",
                hint=f"one of: {', '.join(fitting)}",
            )
        _check_operand(item, kind, place, plan)


def _check_operand(item: Compare, kind: FieldType, pointer: str, plan: Plan) -> None:
    operand = item.operand
    if isinstance(operand, Param):
        if operand.name not in plan.params:
            raise PlanError(
                f'unknown parameter "{operand.name}"',
                pointer=f"{pointer}/r/param",
                hint=nearest_name(operand.name, plan.params),
            )
        value = plan.params[operand.name].value
        constants: tuple[Scalar, ...] = () if value is None else (value,)
    elif isinstance(operand, Value):
        constants = operand.value if isinstance(operand.value, tuple) else (operand.value,)
    else:
        return
    for constant in constants:
        if not _constant_fits(constant, kind):
            raise PlanError(
                f'the value does not fit "{item.field}": type={kind.value} got={constant!r:.60}',
                pointer=f"{pointer}/r",
                hint=_value_hint(kind),
            )


def _constant_fits(value: Scalar, kind: FieldType) -> bool:
    match kind:
        case FieldType.INTEGER | FieldType.NUMBER:
            return _fits(value, (int, float))
        case FieldType.BOOLEAN:
            return isinstance(value, bool)
        case FieldType.DATETIME:
            return isinstance(value, str) and _is_moment(value)
        case _:
            return isinstance(value, str)


def _is_moment(text: str) -> bool:
    """Whether the engine reads it as a datetime: it is the one to compare."""
    try:
        parse_filter({"moment": {"$eq": text}}, _MOMENTS)
    except FilterError:
        return False
    return True


def _value_hint(kind: FieldType) -> str:
    match kind:
        case FieldType.INTEGER | FieldType.NUMBER:
            return "a number"
        case FieldType.BOOLEAN:
            return "true or false"
        case FieldType.DATETIME:
            return "an ISO 8601 date"
        case _:
            return "a string"
