"""Constants and parameters against types."""

from __future__ import annotations

from engine import Field, FieldType, FilterError, Schema, parse_filter
from promptql.errors import PlanError
from promptql.expressions import Operator, Scalar
from promptql.plan import ParameterType, Plan
from promptql.validation.columns import NUMBERS, STRINGS

_MOMENTS = Schema({"moment": Field(FieldType.DATETIME)})
_PARAMETER_VALUES: dict[ParameterType, tuple[type, ...]] = {
    ParameterType.TEXT: (str,),
    ParameterType.DATE: (str,),
    ParameterType.NUMBER: (int, float),
    ParameterType.BOOLEAN: (bool,),
}
_PARAMETER_FIELDS = {
    ParameterType.TEXT: FieldType.TEXT,
    ParameterType.DATE: FieldType.DATETIME,
    ParameterType.NUMBER: FieldType.NUMBER,
    ParameterType.BOOLEAN: FieldType.BOOLEAN,
}


def check_params(plan: Plan) -> None:
    """Every value fits its parameter's type.

    Raises:
        PlanError: one does not.
    """
    for name, parameter in plan.params.items():
        value = parameter.value
        if value is None:
            continue
        kind = parameter.type
        if not _is(value, _PARAMETER_VALUES[kind]) or (kind is ParameterType.DATE and not is_moment(str(value))):
            raise PlanError(
                f"the value does not fit the parameter's type: type={kind.value}",
                pointer=f"/params/{name}/value",
                hint=value_hint(_PARAMETER_FIELDS[kind]),
            )


def parameter_field(kind: ParameterType) -> Field:
    """The type of a parameter as one of a column."""
    return Field(_PARAMETER_FIELDS[kind])


def constant_field(value: Scalar) -> Field | None:
    """The type of a constant by itself; None for null, which fits every type."""
    match value:
        case None:
            return None
        case bool():
            return Field(FieldType.BOOLEAN)
        case int():
            return Field(FieldType.INTEGER)
        case float():
            return Field(FieldType.NUMBER)
        case str():
            return Field(FieldType.TEXT)


def constant_fits(value: Scalar, kind: FieldType) -> bool:
    """Whether a constant can be compared with values of the type."""
    match kind:
        case FieldType.INTEGER | FieldType.NUMBER:
            return _is(value, (int, float))
        case FieldType.BOOLEAN:
            return isinstance(value, bool)
        case FieldType.DATETIME:
            return isinstance(value, str) and is_moment(value)
        case _:
            return isinstance(value, str)


def _is(value: Scalar, types: tuple[type, ...]) -> bool:
    """Python's bool is an int; here it is not."""
    return isinstance(value, types) and (bool in types or not isinstance(value, bool))


def is_moment(text: str) -> bool:
    """Whether the engine reads it as a datetime: it is the one to compare."""
    try:
        parse_filter({"moment": {"$eq": text}}, _MOMENTS)
    except FilterError:
        return False
    return True


def check_pattern(op: Operator, pattern: str, pointer: str) -> None:
    """The engine takes the pattern.

    Raises:
        PlanError: it is too long, or no regular expression that ends in linear time (RE2).
    """
    try:
        parse_filter({"text": {"$regex" if op is Operator.MATCHES else "$like": pattern}})
    except FilterError as error:
        raise PlanError(str(error), pointer=pointer, hint="RE2 syntax, at most 1,000 characters") from error


def value_hint(kind: FieldType) -> str:
    """What a constant for the type looks like."""
    if kind in NUMBERS:
        return "a number"
    if kind in STRINGS:
        return "a string"
    return {FieldType.BOOLEAN: "true or false", FieldType.DATETIME: "an ISO 8601 date"}.get(kind, "a string")
