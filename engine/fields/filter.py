r"""Filters: a Mongo-style JSON object parsed into a small tree.

`{"year": {"$gte": 1990}, "genre": "drama"}` means both; `{"$or": [...]}`, `{"$and": [...]}` and `{"$not": {...}}`
combine. The rules for what is not there: a missing field and an explicit null both satisfy `$is_null: true` and
`$eq: null`; only a field that is there, be it with null in it, satisfies `$exists: true`; `$ne` and `$nin` hold where
the field is missing or null; every other operator does not. On a list an operator holds if it holds for any element
(`$ne` and `$nin`: for none equal). An empty list is not null. `a.b` is the field `b` of the objects in `a`, also of
those in a list.

Operators on strings: `$like` compares the whole with a pattern (`%` any characters, `_` one, a backslash takes the
next as it is); `$regex` finds a match anywhere, in RE2's syntax (no backreferences, no look-around), in linear time;
`$match` finds all of some words in any order, `$phrase` in this order, as the text index sees words. On points:
`$geo_radius` {"lat", "lon", "meters"} and `$geo_box` {"south", "west", "north", "east"} (which crosses the date line
where west > east), edges included.

A string instead of an object is a filter written like SQL: `engine.fields.parser`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from engine.errors import FilterError
from engine.fields.plain import plain_scalar
from engine.schema import ID, JSON, Field, FieldType, Schema
from engine.writes.inference import INTEGER_MAX, INTEGER_MIN, fits, parse_datetime

DEPTH_MAX = 32
CLAUSES_MAX = 1_000
VALUES_MAX = 100_000
SEARCHES_MAX = 1_000  # values of $contains_any and $contains_all in one filter: each is a pass over the column
TEXT_CHARACTERS_MAX = 65_536
PATTERN_CHARACTERS_MAX = 1_000  # of $like, $regex, $match and $phrase
EARTH_METERS = 40_075_017.0  # around the equator
PATTERNS_MAX = 64  # of those in one filter: each is a slow pass over the column

_ORDER = {"$gt", "$gte", "$lt", "$lte"}
_ONE_VALUE = {"$eq", "$ne", "$contains"} | _ORDER
_VALUE_LIST = {"$in", "$nin", "$contains_any", "$contains_all"}
_SEARCHES = {"$contains_any", "$contains_all"}
_PREFIX = {"$starts_with", "$ends_with"}
_TEXT = {"$like", "$regex", "$match", "$phrase"}
_FLAG = {"$exists", "$is_null"}
_POINT = {"$geo_radius": ("lat", "lon", "meters"), "$geo_box": ("south", "west", "north", "east")}
_BOUNDS = {"lat": 90.0, "south": 90.0, "north": 90.0, "lon": 180.0, "west": 180.0, "east": 180.0}
_STRINGS = (FieldType.TEXT, FieldType.KEYWORD, FieldType.JSON)
OPERATORS = tuple(sorted(_ONE_VALUE | _VALUE_LIST | _PREFIX | _TEXT | _FLAG | _POINT.keys()))


@dataclass(frozen=True, slots=True)
class And:
    """All of `clauses` hold; true where there are none."""

    clauses: tuple[Filter, ...]

    def to_json(self) -> JSON:
        """The JSON form."""
        return {"$and": [clause.to_json() for clause in self.clauses]} if self.clauses else {}


@dataclass(frozen=True, slots=True)
class Or:
    """Any of `clauses` holds; false where there are none."""

    clauses: tuple[Filter, ...]

    def to_json(self) -> JSON:
        """The JSON form."""
        return {"$or": [clause.to_json() for clause in self.clauses]}


@dataclass(frozen=True, slots=True)
class Not:
    """`clause` does not hold."""

    clause: Filter

    def to_json(self) -> JSON:
        """The JSON form."""
        return {"$not": self.clause.to_json()}


@dataclass(frozen=True, slots=True)
class Comparison:
    """`field` compared with `value` by `op`, one of `OPERATORS`. Lists of values are tuples."""

    field: str
    op: str
    value: JSON

    def to_json(self) -> JSON:
        """The JSON form."""
        return {self.field: {self.op: list(self.value) if isinstance(self.value, tuple) else self.value}}


Filter: TypeAlias = And | Or | Not | Comparison


def parse_filter(data: JSON, schema: Schema | None = None) -> Filter:
    """Read a filter; `{}` holds for every document.

    Args:
        data: the JSON form, or a string like SQL.
        schema: where given, operands must be of their field's type, and a strict schema must know every field.

    Raises:
        FilterError: with a JSON Pointer to the fault; in a string, `details["offset"]` counts its characters.
    """
    if isinstance(data, str):
        from engine.fields.parser import parse_string  # sqlglot is loaded where it is used

        return parse_string(data, schema)
    return _Parser(schema).parse(data, "", 0)


class _Parser:
    """One parse: the schema, and how much has been read that costs time to run."""

    def __init__(self, schema: Schema | None) -> None:
        self._schema = schema
        self._clauses = 0
        self._searches = 0
        self._patterns = 0

    def parse(self, data: JSON, pointer: str, depth: int) -> Filter:
        if not isinstance(data, Mapping):
            raise FilterError(f"filter must be an object: got={type(data).__name__}", pointer=pointer)
        if depth > DEPTH_MAX:
            raise FilterError(f"filter is nested too deep: maximum={DEPTH_MAX}", pointer=pointer)
        if not data:
            self._count(pointer)
        clauses: list[Filter] = []
        for key, value in data.items():
            here = f"{pointer}/{_escape(str(key))}"
            self._count(here)
            clauses.append(self._clause(key, value, here, depth))
        return clauses[0] if len(clauses) == 1 else And(tuple(clauses))

    def _count(self, pointer: str) -> None:
        """One more clause: a key, an operator of a field, or an empty object."""
        self._clauses += 1
        if self._clauses > CLAUSES_MAX:
            raise FilterError(f"filter has too many clauses: maximum={CLAUSES_MAX}", pointer=pointer)

    def _clause(self, key: JSON, value: JSON, pointer: str, depth: int) -> Filter:
        if key in ("$and", "$or"):
            if not isinstance(value, list):
                raise FilterError(f"{key} takes a list of filters: got={type(value).__name__}", pointer=pointer)
            parts = tuple(self.parse(item, f"{pointer}/{i}", depth + 1) for i, item in enumerate(value))
            return And(parts) if key == "$and" else Or(parts)
        if key == "$not":
            return Not(self.parse(value, pointer, depth + 1))
        if not isinstance(key, str) or not key or key.startswith("$"):
            raise FilterError(f"unknown operator {key!r:.60}: expected $and, $or, $not or a field", pointer=pointer)
        return self._field(key, value, pointer, depth)

    def _field(self, name: str, value: JSON, pointer: str, depth: int) -> Filter:
        spec = self._spec(name, pointer)
        if not isinstance(value, Mapping):
            op = "$in" if isinstance(value, list) else "$eq"
            return self._comparison(name, op, value, spec, pointer)
        if not value:
            raise FilterError(f"field {name!r} has no operator", pointer=pointer)
        clauses: list[Filter] = []
        for place, (op, operand) in enumerate(value.items()):
            here = f"{pointer}/{_escape(str(op))}"
            if place:  # the first was counted with its field
                self._count(here)
            if op == "$not":
                if depth > DEPTH_MAX:
                    raise FilterError(f"filter is nested too deep: maximum={DEPTH_MAX}", pointer=here)
                clauses.append(Not(self._field(name, operand, here, depth + 1)))
            elif op in OPERATORS:
                clauses.append(self._comparison(name, op, operand, spec, here))
            else:
                known = ", ".join(OPERATORS)
                raise FilterError(f"unknown operator {op!r:.60}: expected one of {known}", pointer=here)
        return clauses[0] if len(clauses) == 1 else And(tuple(clauses))

    def _spec(self, name: str, pointer: str) -> Field | None:
        if self._schema is None:
            return None
        if name == ID:
            return Field(FieldType.KEYWORD)
        if name in self._schema.vectors:
            raise FilterError(f"field {name!r} is a vector: it cannot be filtered", pointer=pointer)
        spec = self._schema.fields.get(name)
        if spec is None:
            root = self._schema.fields.get(name.split(".", 1)[0])
            if self._schema.strict and (root is None or root.type is not FieldType.JSON):
                raise FilterError(f"unknown field {name!r}: the collection is strict", pointer=pointer)
        return spec

    def _comparison(self, name: str, op: str, value: Any, spec: Field | None, pointer: str) -> Comparison:
        value = plain_scalar(value)
        if op in _FLAG:
            if not isinstance(value, bool):
                raise FilterError(f"{op} takes true or false: got={value!r:.60}", pointer=pointer)
            return Comparison(name, op, value)
        if op in _VALUE_LIST:
            if not isinstance(value, list | tuple):
                raise FilterError(f"{op} takes a list: got={type(value).__name__}", pointer=pointer)
            if len(value) > VALUES_MAX:
                raise FilterError(f"{op} has too many values: maximum={VALUES_MAX}", pointer=pointer)
            self._searches += len(value) if op in _SEARCHES else 0
            if self._searches > SEARCHES_MAX:
                raise FilterError(f"{op} has too many values: maximum={SEARCHES_MAX} in a filter", pointer=pointer)
            values = tuple(_operand(item, name, op, spec, f"{pointer}/{i}") for i, item in enumerate(value))
            return Comparison(name, op, values)
        if op in _POINT:
            return Comparison(name, op, _point(value, name, op, spec, pointer))
        if op in _TEXT:
            self._patterns += 1
            if self._patterns > PATTERNS_MAX:
                raise FilterError(f"filter has too many patterns: maximum={PATTERNS_MAX}", pointer=pointer)
            return Comparison(name, op, _pattern(value, name, op, spec, pointer))
        if op in _PREFIX and not isinstance(value, str):
            raise FilterError(f"{op} takes a string: got={type(value).__name__}", pointer=pointer)
        if op in _ORDER and (value is None or isinstance(value, bool)):
            raise FilterError(f"{op} takes a number, a string or a date: got={value!r}", pointer=pointer)
        return Comparison(name, op, _operand(value, name, op, spec, pointer))


def _operand(value: Any, name: str, op: str, spec: Field | None, pointer: str) -> JSON:
    value = plain_scalar(value)
    if isinstance(value, list | tuple | Mapping):
        raise FilterError(f"{op} takes single values: got={type(value).__name__}", pointer=pointer)
    if value is not None and not isinstance(value, str | int | float):
        raise FilterError(f"{op} takes a JSON value: got={type(value).__name__}", pointer=pointer)
    if isinstance(value, float) and value != value:  # noqa: PLR0124  (NaN)
        raise FilterError("number is not finite: got=nan", pointer=pointer)
    if isinstance(value, str):
        _check_text(value, pointer)
    if spec is not None and value is not None and not _comparable(spec.type, value):
        raise FilterError(
            f"field {name!r}: operand has the wrong type: expected={spec.type} got={value!r:.60}",
            pointer=pointer,
            expected=spec.type.value,
        )
    return value


def _pattern(value: Any, name: str, op: str, spec: Field | None, pointer: str) -> str:
    """The operand of an operator on strings."""
    if not isinstance(value, str):
        raise FilterError(f"{op} takes a string: got={type(value).__name__}", pointer=pointer)
    if len(value) > PATTERN_CHARACTERS_MAX:
        message = f"{op} is too long: maximum={PATTERN_CHARACTERS_MAX} got={len(value)} characters"
        raise FilterError(message, pointer=pointer)
    _check_text(value, pointer)
    _check_type(name, op, spec, _STRINGS, pointer)
    if op == "$regex":
        from engine.fields.patterns import check_regex  # Arrow is loaded where it is used

        check_regex(value, pointer)
    return value


def _point(value: Any, name: str, op: str, spec: Field | None, pointer: str) -> dict[str, float]:
    """The operand of an operator on points: its numbers by name, in the order of `_POINT`."""
    _check_type(name, op, spec, (FieldType.GEO, FieldType.JSON), pointer)
    keys = _POINT[op]
    if not isinstance(value, Mapping) or set(value) != set(keys):
        raise FilterError(f"{op} takes an object of {', '.join(keys)}: got={value!r:.60}", pointer=pointer)
    numbers: dict[str, float] = {}
    for key in keys:
        number = value[key]
        here = f"{pointer}/{key}"
        if isinstance(number, bool) or not isinstance(number, int | float):
            raise FilterError(f"{key} must be a number: got={number!r:.60}", pointer=here)
        bound = _BOUNDS.get(key)
        low, high = (0.0, EARTH_METERS) if bound is None else (-bound, bound)
        if not low <= number <= high:
            raise FilterError(f"{key} must be from {low:g} to {high:g}: got={number!r:.60}", pointer=here)
        numbers[key] = float(number)
    if op == "$geo_box" and numbers["south"] > numbers["north"]:
        raise FilterError("south must not be north of north", pointer=f"{pointer}/south")
    return numbers


def _check_type(name: str, op: str, spec: Field | None, types: tuple[FieldType, ...], pointer: str) -> None:
    if spec is not None and spec.type not in types:
        raise FilterError(
            f"field {name!r}: {op} does not apply to its type: expected={types[0]} got={spec.type}",
            pointer=pointer,
            expected=types[0].value,
        )


def _check_text(text: str, pointer: str) -> None:
    if len(text) > TEXT_CHARACTERS_MAX:
        message = f"text is too long: maximum={TEXT_CHARACTERS_MAX} got={len(text)} characters"
        raise FilterError(message, pointer=pointer)
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise FilterError("text is not valid Unicode (a lone surrogate)", pointer=pointer) from error


def _comparable(type_: FieldType, value: JSON) -> bool:
    match type_:
        case FieldType.INTEGER | FieldType.NUMBER:
            return isinstance(value, int | float) and not isinstance(value, bool)
        case FieldType.DATETIME:
            return isinstance(value, str) and parse_datetime(value) is not None
        case FieldType.JSON:
            return True
        case FieldType.GEO:
            return False
        case _:
            return fits(type_, value)


def in_integer_range(value: float) -> bool:
    """Whether a number can be compared with a 64-bit integer column without overflow."""
    return INTEGER_MIN <= value <= INTEGER_MAX


def _escape(token: str) -> str:
    return token.replace("~", "~0").replace("/", "~1")
