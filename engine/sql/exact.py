"""Values that Arrow or Python cannot hold as DuckDB has them: cast to text in time, or spelled out from raw numbers.

Arrow has no offset for times, no number above 128 bits and no bit strings; Python's dates end with the year 9999, its
times before 24:00:00, and both know no infinity and no nanoseconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa

_AS_TEXT = frozenset(["bit", "bignum", "geometry", "time with time zone", "uhugeint", "varint"])
_AS_JSON = frozenset(["variant"])
_DIVISIONS = {"s": 1, "ms": 1_000, "us": 1_000_000, "ns": 1_000_000_000}  # a second has so many
_DAY_SECONDS = 86_400
_DAY_INFINITE, _TIME_INFINITE = 2**31 - 1, 2**63 - 1
_ERA_DAYS = 146_097  # of 400 years
_EPOCH_DAYS = 719_468  # from 0000-03-01 to 1970-01-01


def projection(types: Sequence[Any]) -> str | None:
    """A list of columns that casts those which Arrow cannot hold exactly; None where it can hold all.

    Args:
        types: of a relation's columns, as DuckDB's Python package has them.
    """
    targets = [_held(kind) for kind in types]
    if all(target is None for target in targets):
        return None
    return ", ".join(
        f"#{place}" if target is None else f"CAST(#{place} AS {target})" for place, target in enumerate(targets, 1)
    )


def _held(kind: Any) -> str | None:
    """The type to cast to, as DuckDB reads it; None where a type can stay."""
    name = kind.id
    if name in _AS_TEXT:
        return "VARCHAR"
    if name in _AS_JSON:
        return "JSON"
    if name not in ("list", "array", "struct", "map", "union"):
        return None
    children = [(key, child) for key, child in kind.children if key != "size"]
    if name == "union":
        return "VARCHAR" if any(_held(child) is not None for _, child in children) else None
    held = [_held(child) for _, child in children]
    if all(target is None for target in held):
        return None
    inner = [target or str(child) for target, (_, child) in zip(held, children, strict=True)]
    if name == "list":
        return f"{inner[0]}[]"
    if name == "array":
        return f"{inner[0]}[{dict(kind.children)['size']}]"
    if name == "map":
        return f"MAP({', '.join(inner)})"
    fields = [f"{_quoted(key)} {target}" for (key, _), target in zip(children, inner, strict=True)]
    return f"STRUCT({', '.join(fields)})"


def python_values(column: Any) -> list[Any]:
    """The values of an Arrow column in Python; temporal ones as text in ISO 8601 where Python cannot hold them."""
    if _is_inexact(column.type):
        return [_spelled(scalar) for scalar in column]
    try:
        return list(column.to_pylist())
    except (OverflowError, ValueError):
        return [_spelled(scalar) for scalar in column]


def _is_inexact(kind: Any) -> bool:
    """Whether a type has times of day or nanoseconds, which change without an error on the way to Python."""
    if pa.types.is_timestamp(kind):
        return bool(kind.unit == "ns")
    return bool(pa.types.is_time(kind)) or any(_is_inexact(kind.field(place).type) for place in range(kind.num_fields))


def _spelled(scalar: Any) -> Any:
    kind = scalar.type
    if pa.types.is_union(kind):
        return None if scalar.value is None else _spelled(scalar.value)
    if not scalar.is_valid:
        return None
    if pa.types.is_date32(kind):
        return date_text(scalar.value)
    if pa.types.is_timestamp(kind):
        return timestamp_text(scalar.value, kind.unit) + ("Z" if kind.tz and abs(scalar.value) < _TIME_INFINITE else "")
    if pa.types.is_time(kind):
        return time_text(scalar.value, kind.unit)
    if pa.types.is_map(kind):
        return [(_spelled(entry[0]), _spelled(entry[1])) for entry in scalar.values]
    if pa.types.is_struct(kind):
        return {kind.field(place).name: _spelled(scalar[place]) for place in range(kind.num_fields)}
    if pa.types.is_nested(kind):
        return [_spelled(item) for item in scalar.values]
    return scalar.as_py()


def date_text(days: int) -> str:
    """A day since 1970 in ISO 8601, of any year of the Gregorian calendar; that before 0001 is 0000, then -0001."""
    if abs(days) == _DAY_INFINITE:
        return "infinity" if days > 0 else "-infinity"
    era, day = divmod(days + _EPOCH_DAYS, _ERA_DAYS)
    year = (day - day // 1_460 + day // 36_524 - day // 146_096) // 365
    day -= 365 * year + year // 4 - year // 100
    month = (5 * day + 2) // 153  # March is 0
    day -= (153 * month + 2) // 5 - 1
    year += 400 * era + (month >= 10)
    month = month + 3 if month < 10 else month - 9
    return f"{year:0{4 if year >= 0 else 5}d}-{month:02d}-{day:02d}"


def timestamp_text(value: int, unit: str) -> str:
    """A moment since 1970 in ISO 8601, without a time zone."""
    if abs(value) >= _TIME_INFINITE:
        return "infinity" if value > 0 else "-infinity"
    days, rest = divmod(value, _DAY_SECONDS * _DIVISIONS[unit])
    return f"{date_text(days)}T{time_text(rest, unit)}"


def time_text(value: int, unit: str) -> str:
    """A time of day in ISO 8601; 24:00:00 is one."""
    seconds, fraction = divmod(value, _DIVISIONS[unit])
    minutes, second = divmod(seconds, 60)
    text = f"{minutes // 60:02d}:{minutes % 60:02d}:{second:02d}"
    nanoseconds = fraction * (1_000_000_000 // _DIVISIONS[unit])
    if not nanoseconds:
        return text
    return f"{text}.{nanoseconds:09d}" if nanoseconds % 1_000 else f"{text}.{nanoseconds // 1_000:06d}"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
