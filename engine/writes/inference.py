"""Types of fields from values: what a first batch implies, what a later one may widen, what contradicts."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from engine.schema import JSON, Field, FieldType

INTEGER_MIN, INTEGER_MAX = -(2**63), 2**63 - 1
# Where nearly all of a first batch agree on a type, the others are mistakes and not a mixture that is meant.
MAJORITY_SHARE = 0.95
MAJORITY_VALUES_MIN = 20
LABEL_CHARACTERS_MAX = 200  # a keyword field that gets a longer string becomes a text field
_TEXT_NAMES = frozenset(
    "title name text body content description summary abstract plot headline caption question answer comment "
    "message review note notes overview synopsis subject passage paragraph".split()
)
_DATETIME = re.compile(r"\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2}(\.\d{1,9})?)?(Z|[+-]\d{2}:?\d{2})?)?", re.ASCII)


UNTYPED = Field(FieldType.JSON, many=True)  # lists of which no element has been seen yet


# What widens into another type is of one family with it.
_FAMILIES = {
    FieldType.INTEGER: FieldType.NUMBER,
    FieldType.DATETIME: FieldType.TEXT,
    FieldType.KEYWORD: FieldType.TEXT,
}


def is_untyped(field: Field) -> bool:
    """Whether the first element to come decides the field's type."""
    return field == UNTYPED


def parse_datetime(text: str) -> datetime | None:
    """An ISO 8601 date, or date and time, as a moment in UTC (its zone where it names none); None if it is not one.

    Of nanoseconds, which RFC 3339 allows and others write, the microseconds count.
    """
    if not _DATETIME.fullmatch(text):
        return None
    try:
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):  # OverflowError: in UTC it falls outside the years 1 to 9999
        return None


def natural_type(value: JSON) -> FieldType | None:
    """The narrowest type of one value that is no list; None for null."""
    match value:
        case None:
            return None
        case bool():
            return FieldType.BOOLEAN
        case int():
            return FieldType.INTEGER if INTEGER_MIN <= value <= INTEGER_MAX else FieldType.JSON
        case float():
            return FieldType.NUMBER
        case str():
            if parse_datetime(value):
                return FieldType.DATETIME
            return FieldType.TEXT if len(value) > LABEL_CHARACTERS_MAX else FieldType.KEYWORD
        case _:
            return FieldType.GEO if is_point(value) else FieldType.JSON


def is_point(value: JSON) -> bool:
    """Whether `value` is {"lat": -90..90, "lon": -180..180}."""
    if not isinstance(value, dict) or value.keys() != {"lat", "lon"}:
        return False
    lat, lon = value["lat"], value["lon"]
    if isinstance(lat, bool) or isinstance(lon, bool):
        return False
    if not isinstance(lat, int | float) or not isinstance(lon, int | float):
        return False
    return -90 <= lat <= 90 and -180 <= lon <= 180


def fits(type_: FieldType, value: JSON) -> bool:
    """Whether one value that is no list may stand in a field of `type_`."""
    if value is None or type_ is FieldType.JSON:
        return True
    match type_:
        case FieldType.TEXT | FieldType.KEYWORD:
            return type(value) is str
        case FieldType.INTEGER:
            return type(value) is int and INTEGER_MIN <= value <= INTEGER_MAX
        case FieldType.NUMBER:
            return type(value) is float or (type(value) is int and INTEGER_MIN <= value <= INTEGER_MAX)
        case FieldType.BOOLEAN:
            return type(value) is bool
        case FieldType.DATETIME:
            return type(value) is str and parse_datetime(value) is not None
        case _:
            return is_point(value)


def widen(old: FieldType, new: FieldType) -> FieldType | None:
    """The narrowest type that holds both without loss; None where they contradict."""
    if old is new:
        return old
    strings = (FieldType.DATETIME, FieldType.KEYWORD, FieldType.TEXT)
    if old in strings and new in strings:
        return max(old, new, key=strings.index)
    if {old, new} == {FieldType.INTEGER, FieldType.NUMBER}:
        return FieldType.NUMBER
    if {old, new} == {FieldType.GEO, FieldType.JSON} or old is FieldType.JSON:
        return FieldType.JSON
    return None


def infer_field(name: str, values: Sequence[JSON]) -> Field | None:
    """The field that a first batch of values implies; None if they are all null.

    Strings are `datetime` where all are ISO 8601, `text` where the name says so or they read like prose, else
    `keyword`. Values that agree on nothing narrower make a `json` field, unless at least `MAJORITY_SHARE` of
    `MAJORITY_VALUES_MIN` values or more do agree: then the field is theirs, and `contradicts` tells the others.
    Empty lists alone make an untyped field.
    """
    field = _agreed(name, values)
    if field is None or field.type is not FieldType.JSON or is_untyped(field):
        return field
    majority = _majority(values)
    return field if majority is None else _agreed(name, majority)


def _agreed(name: str, values: Sequence[JSON]) -> Field | None:
    """The field that holds all values; `json` where they contradict one another."""
    scalars, many = _flatten(values)
    if scalars is None:
        return Field(FieldType.JSON)
    kinds = {kind for value in _distinct(scalars) if (kind := natural_type(value)) is not None}
    if not kinds:
        return UNTYPED if many else None
    type_ = _widest(kinds)
    if type_ in (FieldType.KEYWORD, FieldType.TEXT):
        type_ = FieldType.TEXT if reads_like_text(name, scalars) else FieldType.KEYWORD
    return Field(type_, many=many and type_ is not FieldType.JSON)


def _widest(kinds: Iterable[FieldType]) -> FieldType:
    """The type that holds all of at least one kind; `json` where they contradict one another."""
    type_, *others = sorted(kinds)
    for kind in others:
        wider = widen(type_, kind)
        if wider is None:
            return FieldType.JSON
        type_ = wider
    return type_


def _majority(values: Sequence[JSON]) -> list[JSON] | None:
    """The values of the one family of types that nearly all belong to; None where there is none, or it is `json`."""
    families = [_family(value) for value in values]
    counts = Counter(family for family in families if family is not None)
    total = counts.total()
    if total < MAJORITY_VALUES_MIN:
        return None
    family, count = counts.most_common(1)[0]
    # A point that is none is an object, and widens the field: no contradiction.
    is_meant = family is FieldType.JSON or (family is FieldType.GEO and FieldType.JSON in counts)
    if is_meant or count < MAJORITY_SHARE * total:
        return None
    return [value for value, own in zip(values, families, strict=True) if own is family]


def _family(value: JSON) -> FieldType | None:
    """The widest type that a value's own may grow into without contradiction; None for null and empty lists."""
    field = _agreed("", [value])
    if field is None or is_untyped(field):
        return None
    return _FAMILIES.get(field.type, field.type)


def reads_like_text(name: str, strings: Iterable[JSON]) -> bool:
    """Whether the strings of a field are prose rather than labels: by its name, their length, and their words."""
    if name.lower() in _TEXT_NAMES or name.lower().rpartition("_")[2] in _TEXT_NAMES:
        return True
    lengths = words = count = 0
    for string in strings:
        if isinstance(string, str):
            lengths = max(lengths, len(string))
            words += string.count(" ") + 1
            count += 1
    return lengths > LABEL_CHARACTERS_MAX or (count > 0 and words / count >= 5)


def contradicts(field: Field, value: JSON) -> bool:
    """Whether a value of the batch that `field` was inferred from is not one of those that it was inferred for."""
    items = value if isinstance(value, list) else (value,)
    return not is_untyped(field) and not all(fits(field.type, item) for item in items)


def some_contradict(field: Field, values: Sequence[JSON]) -> bool:
    """Whether any of the values that `field` was inferred from contradicts it."""
    present = [value for value in values if value is not None]
    return not all_fit(field, present) and any(contradicts(field, value) for value in _distinct(present))


def _distinct(values: Sequence[JSON]) -> Iterable[JSON]:
    """The values, of strings each once: other kinds equal one another, as 1 does true."""
    return set(values) if set(map(type, values)) <= {str, type(None)} else values


def grow_field(field: Field, value: JSON) -> Field | None:
    """`field`, widened if need be so that `value` fits; None where it cannot be.

    A declared field keeps its type, but any field may turn from single values to lists.
    """
    if isinstance(value, list) and field.type is not FieldType.JSON:
        if not field.many:
            field = replace(field, many=True)
        items: Sequence[Any] = value
    else:
        items = (value,)
    for item in items:
        if fits(field.type, item) and not _is_long_label(field, item):
            continue
        kind = natural_type(item)
        wider = None if field.declared or kind is None else widen(field.type, kind)
        if wider is None:
            if _is_long_label(field, item):
                continue
            return None
        field = replace(field, type=wider, many=field.many and wider is not FieldType.JSON)
    return field


def all_fit(field: Field, values: Sequence[JSON]) -> bool:
    """Whether all values fit without a look at each one: none is a list, and all are of the type's own kind.

    A quick answer for the usual batch; where it is False, `grow_field` has the last word.
    """
    kinds = set(map(type, values))
    if field.many or len(kinds) != 1:
        return False
    match field.type:
        case FieldType.TEXT:
            return kinds == {str}
        case FieldType.KEYWORD:
            return kinds == {str} and max(map(len, values)) <= LABEL_CHARACTERS_MAX
        case FieldType.INTEGER:
            return kinds == {int} and min(values) >= INTEGER_MIN and max(values) <= INTEGER_MAX
        case FieldType.NUMBER:
            return kinds == {float}
        case FieldType.BOOLEAN:
            return kinds == {bool}
        case _:
            return field.type is FieldType.JSON


def _is_long_label(field: Field, value: JSON) -> bool:
    return field.type is FieldType.KEYWORD and isinstance(value, str) and len(value) > LABEL_CHARACTERS_MAX


def _flatten(values: Sequence[JSON]) -> tuple[list[JSON] | None, bool]:
    """All scalars, and whether any stood in a list; None where lists hold what no list field can."""
    scalars: list[JSON] = []
    many = False
    for value in values:
        if isinstance(value, list):
            many = True
            if any(isinstance(item, list | dict) for item in value):
                return None, False
            scalars.extend(value)
        else:
            scalars.append(value)
    return scalars, many
