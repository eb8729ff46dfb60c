"""Which field a number is compared with: the one named beside it, else what the words measure, else the only one."""

from __future__ import annotations

from engine import FieldType
from promptql.catalog import FieldInfo
from promptql.plan import Support
from promptql.rules.comparators import YEARS, comparator_at, exception_at, is_age
from promptql.rules.concepts import AGE, TIME, measured_by, time_fields
from promptql.rules.mentions import NumberMention
from promptql.rules.reading import Reading

FIELD_BEFORE_MAX = 5  # words between a field's name and the comparison that follows it
_YEARS_OLD = frozenset({("years", "old"), ("year", "old"), ("years", "of")})
_OF_AGES = frozenset({"at", "exactly", "over", "under", "above", "below", "between"})
SKIPPED = frozenset({"the", "year", "a", "an", "of", "than", "to", "about"})
GOING_ON = frozenset({"and", "or", "but", "nor"})


def number_after(reading: Reading, after: int) -> NumberMention | None:
    """The number there, small words before it passed over."""
    index = after
    while reading.word(index) in SKIPPED and index < after + 2:
        index += 1
    return reading.number_at(index)


def field_for(
    reading: Reading, start: int, number: NumberMention, measures: tuple[str, ...]
) -> tuple[FieldInfo | None, Support]:
    """The field for a comparison that begins at `start`, and how sure that is; None where several may be meant.

    The words that name it are marked as explained.

    Args:
        reading: what is read.
        start: the comparison's first word; the field may be named before it, or behind the number.
        number: what is compared with.
        measures: what the comparison hints at.
    """
    times = time_fields(reading.collection)
    year = measures is TIME and YEARS[0] <= number.value <= YEARS[1]
    following = reading.field_at(number.end)
    if following is not None and following.field.ordered:
        other = year and following.field not in times and not holds(following.field, number.value)
        if not other:  # "after 2010 rated above 8"
            reading.use(range(following.start, following.end))
            return following.field, Support.EXACT
    age = age_said(reading, number)
    if age is not None:
        return age, Support.FUZZY
    before = [
        link
        for link in reading.fields
        if link.field.ordered and link.end <= start and start - link.end <= FIELD_BEFORE_MAX
    ]
    if year and before and before[-1].field not in times and not holds(before[-1].field, number.value):
        before = [link for link in before if link.field in times]  # "with more than 300 pages published after 2010"
    if before:
        reading.use(range(before[-1].start, before[-1].end))
        return before[-1].field, Support.EXACT
    if measures is TIME:
        age = measured_by(reading.collection, AGE) if is_age(reading.word(start), number.value) else None
        if age is not None:
            return age, Support.FUZZY
        fields = [field for field in time_fields(reading.collection) if holds(field, number.value)]
        others = time_fields(reading.collection) if YEARS[0] <= number.value <= YEARS[1] else []
        return next(iter(fields or others), None), Support.FUZZY
    measured = measured_by(reading.collection, measures)
    if measured is not None:
        return measured, Support.FUZZY
    further = _field_further_on(reading, number.end)
    if further is not None:
        return further, Support.EXACT
    plausible = [field for field in reading.collection.fields.values() if field.numeric and holds(field, number.value)]
    age = measured_by(reading.collection, AGE) if reading.word(start) in _OF_AGES else None  # "members under 30"
    return (plausible[0] if len(plausible) == 1 else age), Support.INFERRED


def age_said(reading: Reading, number: NumberMention) -> FieldInfo | None:
    """The age, as in "31 years old", "31 or older", where there is one."""
    aged = (reading.word(number.end), reading.word(number.end + 1)) in _YEARS_OLD
    aged = aged or reading.word(number.end - 1) in {"older", "younger"}
    age = measured_by(reading.collection, AGE) if aged and not YEARS[0] <= number.value <= YEARS[1] else None
    if age is not None and reading.word(number.end) in {"years", "year"}:
        reading.use((number.end, number.end + 1))
    return age


def _field_further_on(reading: Reading, place: int) -> FieldInfo | None:
    """The field behind the comparison that goes on there: "more than 2 but less than 9 ingredients", "2 nor 4 crew"."""
    if reading.word(place) not in GOING_ON:
        return None
    found = comparator_at(reading, place if reading.word(place) == "nor" else place + 1)
    after = exception_at(reading, place) if found is None else found.after
    number = None if after is None else number_after(reading, after)
    link = None if number is None else reading.field_at(number.end)
    return link.field if link is not None and link.field.ordered else None


def can_hold(field: FieldInfo, value: float) -> bool:
    """A datetime is compared with a year, which must be one."""
    return field.type is not FieldType.DATETIME or YEARS[0] <= value <= YEARS[1]


def holds(field: FieldInfo, value: float) -> bool:
    """Whether the value lies within what the field holds."""
    if field.type is FieldType.DATETIME:
        years = [int(str(bound)[:4]) for bound in (field.least, field.greatest) if bound is not None]
        return len(years) == 2 and years[0] <= value <= years[1]
    least, greatest = field.least, field.greatest
    return isinstance(least, (int, float)) and isinstance(greatest, (int, float)) and least <= value <= greatest
