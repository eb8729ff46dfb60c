"""The types of expressions, and whether predicates fit their columns."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from engine import Field, FieldType
from promptql.errors import PlanError, nearest_name
from promptql.expressions import (
    And,
    Arithmetic,
    ArithmeticOperator,
    Call,
    Case,
    Compare,
    DateUnit,
    Expression,
    FieldRef,
    InStep,
    Lookup,
    Not,
    Operator,
    Or,
    Param,
    Predicate,
    Scalar,
    ScalarFunction,
    Value,
    walk,
)
from promptql.plan import Plan
from promptql.steps import CompareStep, LookupStep
from promptql.validation.columns import NUMBERS, STRINGS, Columns, alike, field_named, joint, shown
from promptql.validation.constants import check_pattern, constant_field, constant_fits, parameter_field, value_hint

NODES_MAX = 2_000
DIGITS_MAX = 15
_ORDERED = NUMBERS | {FieldType.DATETIME}
_COMPARABLE: dict[Operator, frozenset[FieldType]] = {
    **dict.fromkeys((Operator.EQ, Operator.NE, Operator.IN), STRINGS | _ORDERED | {FieldType.BOOLEAN}),
    **dict.fromkeys((Operator.LT, Operator.LE, Operator.GT, Operator.GE), _ORDERED | {FieldType.KEYWORD}),
    **dict.fromkeys((Operator.CONTAINS, Operator.STARTS_WITH, Operator.ENDS_WITH), STRINGS),
    **dict.fromkeys((Operator.LIKE, Operator.MATCHES), STRINGS),
    Operator.IS_NULL: frozenset(FieldType),
}
_TEXT, _NUMBER, _INTEGER = Field(FieldType.TEXT), Field(FieldType.NUMBER), Field(FieldType.INTEGER)
_BOOLEAN, _DATETIME = Field(FieldType.BOOLEAN), Field(FieldType.DATETIME)


@dataclass(frozen=True, slots=True)
class Scene:
    """What an expression stands among: the columns of its rows, the plan, and the columns of the steps before."""

    columns: Columns
    plan: Plan
    steps: Mapping[str, Columns]


def type_of(expression: Expression, scene: Scene, pointer: str) -> Field | None:
    """The type of an expression; None for a null constant, which fits every type.

    Raises:
        PlanError: an unknown column, parameter or step, or types that do not fit.
    """
    match expression:
        case FieldRef(name):
            return field_named(name, scene.columns, f"{pointer}/field")
        case Value(tuple()):
            raise PlanError("a list stands only to the right of `in`", pointer=f"{pointer}/value")
        case Value(value):
            assert not isinstance(value, tuple)
            return constant_field(value)
        case Param(name):
            return _parameter(name, scene.plan, pointer)
        case Lookup(step):
            return _lookup(step, scene, pointer)
        case Arithmetic():
            return _arithmetic(expression, scene, pointer)
        case Call():
            return _call(expression, scene, pointer)
        case Case():
            return _case(expression, scene, pointer)


def _parameter(name: str, plan: Plan, pointer: str) -> Field:
    if name not in plan.params:
        raise PlanError(f'unknown parameter "{name}"', pointer=f"{pointer}/param", hint=nearest_name(name, plan.params))
    return parameter_field(plan.params[name].type)


def _lookup(step_id: str, scene: Scene, pointer: str) -> Field:
    step = scene.plan.by_id[step_id]
    if isinstance(step, LookupStep):
        return scene.steps[step_id][step.field]
    if isinstance(step, CompareStep) and not step.keys:
        return scene.steps[step_id][step.alias]
    raise PlanError(
        f'step "{step_id}" gives no single value: op={step.op}', pointer=f"{pointer}/lookup", hint="a lookup step"
    )


def _arithmetic(expression: Arithmetic, scene: Scene, pointer: str) -> Field:
    kinds = []
    for key, side in (("l", expression.left), ("r", expression.right)):
        field = type_of(side, scene, f"{pointer}/{key}")
        if field is None or field.many or field.type not in NUMBERS:
            got = "null" if field is None else shown(field)
            raise PlanError(
                f'"{expression.op.value}" takes numbers: got={got}', pointer=f"{pointer}/{key}", hint="to_number"
            )
        kinds.append(field.type)
    whole = kinds == [FieldType.INTEGER] * 2 and expression.op is not ArithmeticOperator.DIVIDE
    return _INTEGER if whole else _NUMBER


def _case(expression: Case, scene: Scene, pointer: str) -> Field:
    results = []
    for index, branch in enumerate(expression.branches):
        check_predicate(branch.when, scene, f"{pointer}/case/{index}/when")
        results.append((type_of(branch.then, scene, f"{pointer}/case/{index}/then"), f"{pointer}/case/{index}/then"))
    if expression.otherwise is not None:
        results.append((type_of(expression.otherwise, scene, f"{pointer}/else"), f"{pointer}/else"))
    return _common(results, pointer, "the branches of a case")


def _common(results: list[tuple[Field | None, str]], pointer: str, what: str) -> Field:
    """The one type that all have."""
    found: Field | None = None
    for field, place in results:
        if field is None:
            continue
        if found is not None and not alike(found, field):
            raise PlanError(f"{what} have different types: {shown(found)} and {shown(field)}", pointer=place)
        found = field if found is None else joint(found, field)
    if found is None:
        raise PlanError(f"{what} have no type: all are null", pointer=pointer)
    return found


# ── functions ────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Signature:
    """How many arguments, of which types by place (the last for all others), and what comes out."""

    least: int
    most: int
    kinds: tuple[frozenset[FieldType], ...]
    result: Callable[[list[Field]], Field]


_WHOLE = frozenset({FieldType.INTEGER})
_DATES = frozenset({FieldType.DATETIME})
_ANY_TEXT = STRINGS | NUMBERS | {FieldType.BOOLEAN, FieldType.DATETIME}


def _first(fields: list[Field]) -> Field:
    return Field(fields[0].type)


_F = ScalarFunction
_SIGNATURES: dict[ScalarFunction, _Signature] = {
    _F.ABS: _Signature(1, 1, (NUMBERS,), _first),
    _F.ROUND: _Signature(1, 2, (NUMBERS, _WHOLE), _first),
    _F.FLOOR: _Signature(1, 1, (NUMBERS,), _first),
    _F.CEIL: _Signature(1, 1, (NUMBERS,), _first),
    _F.LOWER: _Signature(1, 1, (STRINGS,), lambda _: _TEXT),
    _F.UPPER: _Signature(1, 1, (STRINGS,), lambda _: _TEXT),
    _F.LENGTH: _Signature(1, 1, (STRINGS,), lambda _: _INTEGER),
    _F.SUBSTRING: _Signature(2, 3, (STRINGS, _WHOLE), lambda _: _TEXT),
    _F.CONCAT: _Signature(1, 32, (STRINGS,), lambda _: _TEXT),
    **dict.fromkeys((_F.YEAR, _F.MONTH, _F.DAY, _F.WEEKDAY), _Signature(1, 1, (_DATES,), lambda _: _INTEGER)),
    _F.DATE_TRUNC: _Signature(2, 2, (STRINGS, _DATES), lambda _: _DATETIME),
    _F.DATE_DIFF: _Signature(3, 3, (STRINGS, _DATES), lambda _: _INTEGER),
    _F.TO_NUMBER: _Signature(1, 1, (STRINGS | NUMBERS | {FieldType.BOOLEAN},), lambda _: _NUMBER),
    _F.TO_TEXT: _Signature(1, 1, (_ANY_TEXT,), lambda _: _TEXT),
    **dict.fromkeys((_F.CONTAINS, _F.STARTS_WITH, _F.SAME_TEXT), _Signature(2, 2, (STRINGS,), lambda _: _BOOLEAN)),
}


def _call(call: Call, scene: Scene, pointer: str) -> Field:
    places = [f"{pointer}/args/{index}" for index in range(len(call.args))]
    if call.fn is ScalarFunction.COALESCE:
        found = [(type_of(arg, scene, place), place) for arg, place in zip(call.args, places, strict=True)]
        return _common(found, pointer, "the arguments of coalesce")
    signature = _SIGNATURES[call.fn]
    if not signature.least <= len(call.args) <= signature.most:
        expected = f"{signature.least}" + (f" to {signature.most}" if signature.most > signature.least else "")
        raise PlanError(f"{call.fn.value} takes {expected} arguments: got={len(call.args)}", pointer=f"{pointer}/args")
    fields = []
    for index, (arg, place) in enumerate(zip(call.args, places, strict=True)):
        kinds = signature.kinds[min(index, len(signature.kinds) - 1)]
        fields.append(_argument(call.fn, arg, kinds, scene, place))
    _check_constants(call, pointer)
    return signature.result(fields)


def _argument(fn: ScalarFunction, arg: Expression, kinds: frozenset[FieldType], scene: Scene, pointer: str) -> Field:
    if isinstance(arg, Value) and kinds == _DATES and not isinstance(arg.value, tuple):
        if not constant_fits(arg.value, FieldType.DATETIME):
            raise PlanError(f"not a date: got={arg.value!r:.60}", pointer=pointer, hint="an ISO 8601 date")
        return _DATETIME
    field = type_of(arg, scene, pointer)
    many_fits = fn is ScalarFunction.LENGTH
    if field is None or (field.many and not many_fits) or (field.type not in kinds and not field.many):
        got = "null" if field is None else shown(field)
        expected = " or ".join(sorted(kind.value for kind in kinds))
        raise PlanError(f"{fn.value} takes {expected}: got={got}", pointer=pointer)
    return field


def _check_constants(call: Call, pointer: str) -> None:
    """Arguments that must be constants, as they choose what is done."""
    match call.fn:
        case ScalarFunction.DATE_TRUNC | ScalarFunction.DATE_DIFF:
            unit = _constant(call, 0, pointer)
            if unit not in set(DateUnit):
                hint = nearest_name(str(unit), DateUnit)
                raise PlanError(f"unknown unit: {unit!r:.60}", pointer=f"{pointer}/args/0", hint=hint)
        case ScalarFunction.ROUND if len(call.args) == 2:
            _bounded(call, 1, 0, DIGITS_MAX, pointer)
        case ScalarFunction.SUBSTRING:
            _bounded(call, 1, 1, 1_000_000, pointer)
            if len(call.args) == 3:
                _bounded(call, 2, 0, 1_000_000, pointer)
        case _:
            pass


def _constant(call: Call, index: int, pointer: str) -> Scalar:
    arg = call.args[index]
    if not isinstance(arg, Value) or isinstance(arg.value, tuple):
        raise PlanError(f"argument {index + 1} of {call.fn.value} is a constant", pointer=f"{pointer}/args/{index}")
    return arg.value


def _bounded(call: Call, index: int, least: int, most: int, pointer: str) -> None:
    value = _constant(call, index, pointer)
    if not isinstance(value, int) or not least <= value <= most:
        raise PlanError(f"expected {least} to {most}: got={value!r:.60}", pointer=f"{pointer}/args/{index}")


# ── predicates ───────────────────────────────────────────────────────────────


def check_predicate(predicate: Predicate, scene: Scene, pointer: str) -> None:
    """The predicate fits the columns.

    Raises:
        PlanError: an unknown name, an operator or a value that does not fit a type, or too much of it.
    """
    nodes = sum(1 for _ in walk(predicate))
    if nodes > NODES_MAX:
        raise PlanError(f"the condition is too long: parts={nodes} limit={NODES_MAX}", pointer=pointer)
    _check(predicate, scene, pointer)


def _check(predicate: Predicate, scene: Scene, pointer: str) -> None:
    match predicate:
        case And(items) | Or(items):
            key = "and" if isinstance(predicate, And) else "or"
            for index, item in enumerate(items):
                _check(item, scene, f"{pointer}/{key}/{index}")
        case Not(item):
            _check(item, scene, f"{pointer}/not")
        case InStep():
            _check_membership(predicate, scene, pointer)
        case Compare():
            _check_comparison(predicate, scene, pointer)


def _check_membership(predicate: InStep, scene: Scene, pointer: str) -> None:
    field = type_of(predicate.left, scene, f"{pointer}/field")
    if not scene.steps[predicate.step]:
        raise PlanError(f'step "{predicate.step}" gives no rows', pointer=f"{pointer}/in_step")
    other = field_named(predicate.column, scene.steps[predicate.step], f"{pointer}/column")
    if field is None or not alike(Field(field.type), Field(other.type)):
        got = "null" if field is None else shown(field)
        raise PlanError(f"types differ: {got} in {shown(other)}", pointer=pointer)


def _check_comparison(item: Compare, scene: Scene, pointer: str) -> None:
    field = type_of(item.left, scene, f"{pointer}/l")
    if field is None:
        raise PlanError("a comparison with null", pointer=f"{pointer}/l", hint="use is_null")
    if field.type not in _COMPARABLE[item.op]:
        fitting = [op.value for op, kinds in _COMPARABLE.items() if field.type in kinds]
        name = f'"{item.field}"' if item.field is not None else "the left side"
        raise PlanError(
            f"{item.op.value} does not fit {name}: type={shown(field)}",
            pointer=f"{pointer}/op",
            hint=f"one of: {', '.join(fitting)}",
        )
    if item.right is not None:
        _check_right(item, field, scene, pointer)


def _check_right(item: Compare, field: Field, scene: Scene, pointer: str) -> None:
    right = item.right
    constants: tuple[Scalar, ...] | None = None
    if isinstance(right, Value):
        constants = right.value if isinstance(right.value, tuple) else (right.value,)
    elif isinstance(right, Param):
        _parameter(right.name, scene.plan, f"{pointer}/r")
        value = scene.plan.params[right.name].value
        constants = () if value is None else (value,)
    if constants is None:
        _check_expression(item, field, scene, pointer)
        return
    for constant in constants:
        if item.op in (Operator.LIKE, Operator.MATCHES) and isinstance(constant, str):
            check_pattern(item.op, constant, f"{pointer}/r")
        if not constant_fits(constant, field.type):
            name = f'"{item.field}"' if item.field is not None else "the left side"
            raise PlanError(
                f"the value does not fit {name}: type={field.type.value} got={constant!r:.60}",
                pointer=f"{pointer}/r",
                hint=value_hint(field.type),
            )


def _check_expression(item: Compare, field: Field, scene: Scene, pointer: str) -> None:
    """The right side is computed."""
    assert item.right is not None
    if item.op in (Operator.IN, Operator.LIKE, Operator.MATCHES):
        raise PlanError(f"{item.op.value} takes a constant or a parameter", pointer=f"{pointer}/r")
    other = type_of(item.right, scene, f"{pointer}/r")
    assert other is not None, "null constants are values"
    if other.many or not alike(Field(field.type), other):
        raise PlanError(
            f"types differ: {shown(field)} {item.op.value} {shown(other)}",
            pointer=f"{pointer}/r",
            hint="only the left side may be a list" if other.many else None,
        )
