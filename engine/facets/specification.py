"""What facets are asked for: a JSON object by name, read into small classes.

| JSON                                                          | gives                                             |
|---------------------------------------------------------------|---------------------------------------------------|
| `{"limit": 10, "sort": "count", "prefix": "dr"}`              | the values of a field, and how often each stands  |
| `{"ranges": [{"to": 10}, {"from": 10, "to": 20}]}`            | how many lie within; `from` is in it, `to` is not  |
| `{"interval": 10}`, `{"interval": "month"}`                   | how many in each step of numbers, or of time      |
| `{"stats": true}`                                             | count, min, max, avg and sum                      |
| `{"by": ["genre", "year"], "limit": 10}`                      | the combinations of values, the most frequent first |

The name is the field's, unless `field` names another. A list of names asks for the values of each.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from engine.errors import InvalidInputError
from engine.fields.plain import plain_scalar
from engine.schema import JSON, Field, FieldType
from engine.writes.inference import parse_datetime

FACETS_MAX = 64
VALUES_MAX = 10_000
RANGES_MAX = 1_000
VALUES_DEFAULT = 10
INTERVALS = ("year", "quarter", "month", "week", "day", "hour", "minute")
SORTS = ("count", "value")
GROUP_FIELDS_MAX = 8
_KEYS = {"by", "field", "limit", "sort", "prefix", "ranges", "interval", "stats"}
_NUMBERS = (FieldType.INTEGER, FieldType.NUMBER)


class FacetError(InvalidInputError):
    """A facet is malformed, or does not fit its field; `pointer` is the place within the facets."""

    code = "facet_invalid"


@dataclass(frozen=True, slots=True)
class ValueCounts:
    """The values of a field: the `limit` most frequent, or first; those that begin with `prefix`."""

    field: str
    limit: int = VALUES_DEFAULT
    sort: str = "count"
    prefix: str | None = None


@dataclass(frozen=True, slots=True)
class RangeCounts:
    """Ranges of a field, each from (inclusive) and to (exclusive), None where it is open."""

    field: str
    ranges: tuple[tuple[JSON, JSON], ...]


@dataclass(frozen=True, slots=True)
class Histogram:
    """Equal steps of numbers, or one of `INTERVALS` of time, in UTC; weeks begin on Mondays."""

    field: str
    interval: float | str


@dataclass(frozen=True, slots=True)
class Figures:
    """Count, min, max, avg and sum of a field of numbers; without the last two of datetimes."""

    field: str


@dataclass(frozen=True, slots=True)
class GroupCounts:
    """Combinations of the values of several fields: the `limit` most frequent, ties in order of appearance."""

    fields: tuple[str, ...]
    limit: int = VALUES_DEFAULT

    @property
    def field(self) -> str:
        """The first of them."""
        return self.fields[0]


Facet: TypeAlias = ValueCounts | RangeCounts | Histogram | Figures | GroupCounts


def parse_facets(data: JSON) -> dict[str, Facet]:
    """Read the JSON form.

    Raises:
        FacetError: with a JSON Pointer to the fault.
    """
    if isinstance(data, list | tuple):
        for i, name in enumerate(data):
            if not isinstance(name, str):
                raise FacetError(f"facets are names of fields: got={name!r:.60}", pointer=f"/{i}")
        data = {name: {} for name in data}
    if not isinstance(data, Mapping):
        raise FacetError(f"facets must be an object or a list of fields: got={type(data).__name__}", pointer="")
    if len(data) > FACETS_MAX:
        raise FacetError(f"too many facets: maximum={FACETS_MAX} got={len(data)}", pointer="")
    return {name: _facet(name, spec, f"/{_escape(str(name))}") for name, spec in data.items()}


def check_facet(facet: Facet, field: Field, pointer: str) -> None:
    """Refuse a facet that its field cannot have.

    Raises:
        FacetError: the field has another type.
    """
    kinds: tuple[FieldType, ...] = (*_NUMBERS, FieldType.DATETIME)
    if isinstance(facet, ValueCounts):
        if field.type is FieldType.GEO:
            raise FacetError(f"values of {facet.field!r} cannot be counted: type={field.type}", pointer=pointer)
        if facet.prefix is not None and field.type not in (FieldType.TEXT, FieldType.KEYWORD):
            message = f"prefix needs strings: field={facet.field!r} type={field.type}"
            raise FacetError(message, pointer=f"{pointer}/prefix")
        return
    if isinstance(facet, Histogram):
        kinds = (FieldType.DATETIME,) if isinstance(facet.interval, str) else _NUMBERS
    if field.type not in kinds:
        wanted = " or ".join(kinds)
        message = f"field {facet.field!r} has the wrong type: expected={wanted} got={field.type}"
        raise FacetError(message, pointer=pointer)
    if isinstance(facet, RangeCounts):
        for i, bounds in enumerate(facet.ranges):
            for key, bound in zip(("from", "to"), bounds, strict=True):
                _check_bound(bound, field, f"{pointer}/ranges/{i}/{key}")


def _check_bound(bound: JSON, field: Field, pointer: str) -> None:
    if bound is None:
        return
    if field.type is FieldType.DATETIME:
        fits = isinstance(bound, str) and parse_datetime(bound) is not None
    else:
        fits = isinstance(bound, int | float) and not isinstance(bound, bool) and bound == bound  # noqa: PLR0124  (NaN)
    if not fits:
        raise FacetError(f"bound has the wrong type: expected={field.type} got={bound!r:.60}", pointer=pointer)


def _facet(name: Any, spec: JSON, pointer: str) -> Facet:
    if not isinstance(name, str) or not name:
        raise FacetError(f"a facet has a name: got={name!r:.60}", pointer=pointer)
    if not isinstance(spec, Mapping):
        raise FacetError(f"a facet is an object: got={type(spec).__name__}", pointer=pointer)
    for key in spec:
        if key not in _KEYS:
            message = f"unknown key {key!r:.60}: expected one of {', '.join(sorted(_KEYS))}"
            raise FacetError(message, pointer=f"{pointer}/{_escape(str(key))}")
    kinds = [key for key in ("ranges", "interval", "stats") if key in spec]
    if len(kinds) > 1 or (kinds and {"limit", "sort", "prefix"} & spec.keys()):
        raise FacetError(
            f"a facet is one of values, ranges, interval and stats: got={', '.join(spec)}", pointer=pointer
        )
    if "by" in spec:
        return _groups(spec, pointer)
    field = spec.get("field", name)
    if not isinstance(field, str) or not field:
        raise FacetError(f"field must be a name: got={field!r:.60}", pointer=f"{pointer}/field")
    match kinds:
        case ["ranges"]:
            return RangeCounts(field, _ranges(spec["ranges"], f"{pointer}/ranges"))
        case ["interval"]:
            return Histogram(field, _interval(spec["interval"], f"{pointer}/interval"))
        case ["stats"]:
            if spec["stats"] is not True:
                raise FacetError(f"stats must be true: got={spec['stats']!r:.60}", pointer=f"{pointer}/stats")
            return Figures(field)
        case _:
            return _values(field, spec, pointer)


def _groups(spec: Mapping[str, JSON], pointer: str) -> GroupCounts:
    fields = spec["by"]
    if spec.keys() - {"by", "limit"}:
        raise FacetError(f"a facet by fields takes a limit: got={', '.join(spec)}", pointer=pointer)
    right = isinstance(fields, list | tuple) and 1 <= len(fields) <= GROUP_FIELDS_MAX
    if not right or not all(isinstance(field, str) and field for field in fields):
        raise FacetError(f"by must be 1 to {GROUP_FIELDS_MAX} fields: got={fields!r:.60}", pointer=f"{pointer}/by")
    if len({*fields}) < len(fields):
        raise FacetError(f"by names a field twice: got={', '.join(fields)}", pointer=f"{pointer}/by")
    return GroupCounts(tuple(fields), _values(fields[0], spec, pointer).limit)


def _values(field: str, spec: Mapping[str, JSON], pointer: str) -> ValueCounts:
    limit, sort, prefix = spec.get("limit", VALUES_DEFAULT), spec.get("sort", "count"), spec.get("prefix")
    if not isinstance(limit, int) or isinstance(limit, bool) or not 1 <= limit <= VALUES_MAX:
        raise FacetError(f"limit must be from 1 to {VALUES_MAX}: got={limit!r:.60}", pointer=f"{pointer}/limit")
    if sort not in SORTS:
        raise FacetError(f"sort must be one of {', '.join(SORTS)}: got={sort!r:.60}", pointer=f"{pointer}/sort")
    if prefix is not None and not isinstance(prefix, str):
        raise FacetError(f"prefix must be a string: got={type(prefix).__name__}", pointer=f"{pointer}/prefix")
    return ValueCounts(field, limit, sort, prefix)


def _ranges(given: JSON, pointer: str) -> tuple[tuple[JSON, JSON], ...]:
    if not isinstance(given, list | tuple) or not 1 <= len(given) <= RANGES_MAX:
        raise FacetError(f"ranges must be a list of 1 to {RANGES_MAX}: got={given!r:.60}", pointer=pointer)
    ranges = []
    for i, each in enumerate(given):
        if not isinstance(each, Mapping) or not each or not each.keys() <= {"from", "to"}:
            raise FacetError(f"a range has from, to or both: got={each!r:.60}", pointer=f"{pointer}/{i}")
        ranges.append((plain_scalar(each.get("from")), plain_scalar(each.get("to"))))
    return tuple(ranges)


def _interval(given: JSON, pointer: str) -> float | str:
    if isinstance(given, str) and given in INTERVALS:
        return given
    if (
        isinstance(given, int | float)
        and not isinstance(given, bool)
        and sys.float_info.min <= given <= sys.float_info.max
    ):
        return given
    wanted = f"a number above 0 or one of {', '.join(INTERVALS)}"
    raise FacetError(f"interval must be {wanted}: got={given!r:.60}", pointer=pointer)


def _escape(token: str) -> str:
    return token.replace("~", "~0").replace("/", "~1")
