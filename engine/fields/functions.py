"""Functions of expressions, by Arrow's kernels; nothing comes of nothing, but for `coalesce`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import numpy as np
import pyarrow as pa

from engine.errors import InvalidInputError
from engine.expressions import DateUnit, Scalar, ScalarFunction
from engine.fields import kernels as pc
from engine.fields.columns import arrow_type, cast_to
from engine.fields.dates import MOMENT, date_diff, date_part, date_trunc
from engine.schema import Field, FieldType
from engine.writes.inference import parse_datetime

PLAIN_NUMBER = r"^[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)([eE][+-]?[0-9]+)?$"
GROUPED_NUMBER = r"^[+-]?[0-9]{1,3}(,[0-9]{3})+([.][0-9]+)?$"  # with commas between thousands
Argument: TypeAlias = "tuple[Field, Any] | Scalar"
_TEXT, _NUMBER, _INTEGER = Field(FieldType.TEXT), Field(FieldType.NUMBER), Field(FieldType.INTEGER)
_BOOLEAN, _DATETIME = Field(FieldType.BOOLEAN), Field(FieldType.DATETIME)
_NUMBERS = (FieldType.INTEGER, FieldType.NUMBER)
_STRINGS = (FieldType.TEXT, FieldType.KEYWORD)
_F = ScalarFunction


def call(fn: ScalarFunction, args: Sequence[Argument], rows: int) -> tuple[Field, Any]:
    """The values of a function.

    Args:
        fn: the function.
        args: constants, or the field and the Arrow array of each.
        rows: how many rows there are.

    Raises:
        InvalidInputError: an argument does not fit.
    """
    if fn is _F.COALESCE:
        return _coalesce(args, rows)
    if any(arg is None for arg in args):
        field = _RESULTS.get(fn, _NUMBER)
        return field, pa.nulls(rows, arrow_type(field))
    try:
        return _FUNCTIONS[fn](args, rows)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, IndexError, ValueError, TypeError) as error:
        raise InvalidInputError(f"{fn.value} cannot be computed: {str(error).splitlines()[0]:.120}") from error


def _coalesce(args: Sequence[Argument], rows: int) -> tuple[Field, Any]:
    from engine.fields.compute import joint_field

    given = [_column(arg, rows) for arg in args if arg is not None]
    field = joint_field([item for item, _ in given])
    return field, pc.coalesce(*(cast_to(values, arrow_type(field)) for _, values in given))


def _column(arg: Argument, rows: int) -> tuple[Field, Any]:
    """An argument as a column."""
    match arg:
        case (field, values):
            return field, values
        case bool():
            field = _BOOLEAN
        case int():
            field = _INTEGER
        case float():
            field = _NUMBER
        case _:
            field = _TEXT
    return field, pa.repeat(pa.scalar(arg, arrow_type(field)), rows)


def _strings(arg: Argument, rows: int) -> Any:
    field, values = _column(arg, rows)
    if field.type not in _STRINGS or field.many:
        raise InvalidInputError(f"expected text: got={field.type.value}")
    return values


def _moments(arg: Argument, rows: int) -> Any:
    if isinstance(arg, str):
        moment = parse_datetime(arg)
        if moment is None:
            raise InvalidInputError(f"not a date: got={arg!r:.60}")
        return pa.repeat(pa.scalar(moment, MOMENT), rows)
    field, values = _column(arg, rows)
    if field.type is not FieldType.DATETIME or field.many:
        raise InvalidInputError(f"expected a date: got={field.type.value}")
    return values


def _constant(arg: Argument) -> Scalar:
    if isinstance(arg, tuple):
        raise InvalidInputError("expected a constant")
    return arg


def _whole(arg: Argument) -> int:
    value = _constant(arg)
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidInputError(f"expected a whole number: got={value!r:.60}")
    return value


def _rounding(kernel: Callable[..., Any]) -> Callable[[Sequence[Argument], int], tuple[Field, Any]]:
    """Of numbers; integers are round already."""

    def compute(args: Sequence[Argument], rows: int) -> tuple[Field, Any]:
        field, values = _column(args[0], rows)
        if field.type is FieldType.INTEGER and not field.many:
            return field, values
        if field.type is not FieldType.NUMBER or field.many:
            raise InvalidInputError(f"expected a number: got={field.type.value}")
        return field, kernel(values, *(_whole(arg) for arg in args[1:]))

    return compute


def _round(values: Any, digits: int = 0) -> Any:
    """Halves away from zero: what is left when the number times 10^digits is cut off at its half."""
    scale = 10.0**digits
    numbers = values.fill_null(0.0).to_numpy(zero_copy_only=False)
    with np.errstate(over="ignore", invalid="ignore"):
        scaled = numbers * scale
        cut = np.trunc(scaled)
        rounded = np.where(np.abs(scaled - cut) >= 0.5, cut + np.copysign(1.0, scaled), cut) / scale
    rounded = np.where(np.isfinite(rounded), rounded, numbers)
    return pa.array(rounded, mask=values.is_null().to_numpy(zero_copy_only=False))


def _abs(args: Sequence[Argument], rows: int) -> tuple[Field, Any]:
    field, values = _column(args[0], rows)
    if field.type not in _NUMBERS or field.many:
        raise InvalidInputError(f"expected a number: got={field.type.value}")
    if field.type is FieldType.INTEGER:  # the least has no positive counterpart
        values = pc.if_else(pc.equal(values, -(2**63)), pa.scalar(None, pa.int64()), values)
    return field, pc.abs(values)


def _text(kernel: Callable[[Any], Any]) -> Callable[[Sequence[Argument], int], tuple[Field, Any]]:
    return lambda args, rows: (_TEXT, kernel(_strings(args[0], rows)))


def _length(args: Sequence[Argument], rows: int) -> tuple[Field, Any]:
    field, values = _column(args[0], rows)
    lengths = pc.list_value_length(values) if field.many else pc.utf8_length(_strings(args[0], rows))
    return _INTEGER, lengths.cast(pa.int64())


def _substring(args: Sequence[Argument], rows: int) -> tuple[Field, Any]:
    start = _whole(args[1]) - 1
    stop = None if len(args) < 3 else start + _whole(args[2])
    return _TEXT, pc.utf8_slice_codeunits(_strings(args[0], rows), start, stop)


def _concat(args: Sequence[Argument], rows: int) -> tuple[Field, Any]:
    parts = [_strings(arg, rows).cast(pa.large_string()) for arg in args]
    return _TEXT, pc.binary_join_element_wise(*parts, pa.scalar("", pa.large_string()))


def _part(name: str) -> Callable[[Sequence[Argument], int], tuple[Field, Any]]:
    return lambda args, rows: (_INTEGER, date_part(name, _moments(args[0], rows)).cast(pa.int64()))


def _trunc(args: Sequence[Argument], rows: int) -> tuple[Field, Any]:
    return _DATETIME, date_trunc(DateUnit(str(_constant(args[0]))), _moments(args[1], rows))


def _diff(args: Sequence[Argument], rows: int) -> tuple[Field, Any]:
    unit = DateUnit(str(_constant(args[0])))
    return _INTEGER, date_diff(unit, _moments(args[1], rows), _moments(args[2], rows)).cast(pa.int64())


def _to_number(args: Sequence[Argument], rows: int) -> tuple[Field, Any]:
    field, values = _column(args[0], rows)
    if field.type not in _STRINGS:
        plain = values.cast(pa.int8()) if field.type is FieldType.BOOLEAN else values
        return _NUMBER, cast_to(plain, pa.float64())
    trimmed = pc.utf8_trim(values, " ")
    grouped = pc.match_substring_regex(trimmed, GROUPED_NUMBER)
    bare = pc.if_else(grouped, pc.replace_substring(trimmed, ",", ""), trimmed)
    fits = pc.match_substring_regex(bare, PLAIN_NUMBER)
    numbers = pc.if_else(fits, bare, pa.scalar(None, bare.type))
    numbers = pc.replace_substring_regex(numbers, r"^[+]", "")
    return _NUMBER, numbers.cast(pa.float64())


def _to_text(args: Sequence[Argument], rows: int) -> tuple[Field, Any]:
    field, values = _column(args[0], rows)
    match field.type:
        case FieldType.DATETIME:
            return _TEXT, pa.array([_iso(value) for value in values.to_pylist()], type=pa.large_string())
        case FieldType.NUMBER:
            texts = [None if value is None else _shortest(value) for value in values.to_pylist()]
            return _TEXT, pa.array(texts, type=pa.large_string())
        case _:
            return _TEXT, values.cast(pa.large_string())


def _iso(value: Any) -> str | None:
    return None if value is None else value.isoformat().replace("+00:00", "Z")


def _shortest(value: float) -> str:
    """A number as JSON has it, but whole ones without a point."""
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else repr(value)


def _tested(
    kernel: Callable[[Any, str], Any], test: Callable[[str, str], bool]
) -> Callable[[Sequence[Argument], int], tuple[Field, Any]]:
    """A test of two strings: by a kernel where the second is a constant."""

    def compute(args: Sequence[Argument], rows: int) -> tuple[Field, Any]:
        texts = _strings(args[0], rows)
        if isinstance(args[1], str):
            return _BOOLEAN, kernel(texts, args[1])
        pairs = zip(texts.to_pylist(), _strings(args[1], rows).to_pylist(), strict=True)
        flags = [None if text is None or part is None else test(text, part) for text, part in pairs]
        return _BOOLEAN, pa.array(flags, type=pa.bool_())

    return compute


def _same_text(args: Sequence[Argument], rows: int) -> tuple[Field, Any]:
    left, right = (pc.utf8_lower(_strings(arg, rows).cast(pa.large_string())) for arg in args)
    return _BOOLEAN, pc.equal(left, right)


_RESULTS = {
    **dict.fromkeys((_F.LOWER, _F.UPPER, _F.SUBSTRING, _F.CONCAT, _F.TO_TEXT), _TEXT),
    **dict.fromkeys((_F.LENGTH, _F.YEAR, _F.MONTH, _F.DAY, _F.WEEKDAY, _F.DATE_DIFF), _INTEGER),
    **dict.fromkeys((_F.CONTAINS, _F.STARTS_WITH, _F.SAME_TEXT), _BOOLEAN),
    _F.DATE_TRUNC: _DATETIME,
}
_FUNCTIONS: dict[ScalarFunction, Callable[[Sequence[Argument], int], tuple[Field, Any]]] = {
    _F.ABS: _abs,
    _F.ROUND: _rounding(_round),
    _F.FLOOR: _rounding(pc.floor),
    _F.CEIL: _rounding(pc.ceil),
    _F.LOWER: _text(pc.utf8_lower),
    _F.UPPER: _text(pc.utf8_upper),
    _F.LENGTH: _length,
    _F.SUBSTRING: _substring,
    _F.CONCAT: _concat,
    _F.YEAR: _part("year"),
    _F.MONTH: _part("month"),
    _F.DAY: _part("day"),
    _F.WEEKDAY: _part("weekday"),
    _F.DATE_TRUNC: _trunc,
    _F.DATE_DIFF: _diff,
    _F.TO_NUMBER: _to_number,
    _F.TO_TEXT: _to_text,
    _F.CONTAINS: _tested(pc.match_substring, lambda text, part: part in text),
    _F.STARTS_WITH: _tested(pc.starts_with, str.startswith),
    _F.SAME_TEXT: _same_text,
}
