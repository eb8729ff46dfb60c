"""Triggers: dates as conditions ("since March 2026", "in the last 30 days"), and times to group by ("per month")."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta

from engine import FieldType
from promptql.catalog import CollectionInfo, FieldInfo
from promptql.expressions import DateUnit, Predicate
from promptql.plan import Support
from promptql.predicate import compare, conjunction, describe
from promptql.rules.comparators import DENIALS, YEARS
from promptql.rules.comparisons import negate, negation_before
from promptql.rules.concepts import APPEARING, time_fields
from promptql.rules.dates import DateMention, before
from promptql.rules.linking import FieldLink
from promptql.rules.reading import Condition, Reading, begin_reading
from promptql.rules.words import singular

NAME_DISTANCE_MAX = 6  # words between a date and the name of the field that it is compared with
VERB_DISTANCE_MAX = 3
_UNTIL = frozenset({"and", "to", "until", "till", "through"})
_SMALL = frozenset(
    {"the", "in", "on", "at", "of", "during", "for", "from", "within", "was", "were", "is", "are", "been"}
)
_AFTER = frozenset({"after"})
_SINCE = frozenset({"since", "starting"})
_ONWARD = frozenset({"on", "onward", "onwards", "forward"})
_BEFORE = frozenset({"before"})
_UP_TO = frozenset({"until", "till", "through", "by"})
_THAN = {"later": "after", "newer": "after", "younger": "after", "earlier": "before", "older": "before"}
_OPPOSITES = {"after": "until", "since": "before", "starting": "before", "before": "since"}
_OPPOSITES |= dict.fromkeys(_UP_TO, "after")
_AGES = {"older": True, "earlier": True, "newer": False, "younger": False, "recent": False, "later": False}
_AGE_UNITS = frozenset({"day", "week", "month", "quarter", "year"})
AGE_MAX = 9_999
_UNITS = {unit.value: unit for unit in DateUnit}
_ADVERBS = {
    "hourly": DateUnit.HOUR,
    "daily": DateUnit.DAY,
    "weekly": DateUnit.WEEK,
    "monthly": DateUnit.MONTH,
    "quarterly": DateUnit.QUARTER,
    "yearly": DateUnit.YEAR,
    "annual": DateUnit.YEAR,
    "annually": DateUnit.YEAR,
}
_EACH = frozenset({"per", "each", "every", "by"})
_ASKS = frozenset({"which", "what"})
# "Over time" is told in units that make some ten to sixty of them.
_OVER_TIME = ((2, DateUnit.HOUR), (60, DateUnit.DAY), (365, DateUnit.WEEK), (365 * 4, DateUnit.MONTH))


def read_periods(reading: Reading) -> None:
    """Dates become conditions on the field that holds times."""
    _read_ages(reading)
    dates = list(reading.dates)
    for index in range(len(dates) - 2, -1, -1):
        if not _is_range(reading, dates[index], dates[index + 1]):
            dates[index] = _of_same_year(reading, dates[index], dates[index + 1])
    place = 0
    while place < len(dates):
        first = last = dates[place]
        following = dates[place + 1] if place + 1 < len(dates) else None
        if following is not None and _is_range(reading, first, following):
            last = following
        place += 2 if last is not first else 1
        if not reading.used & set(range(first.start, last.end)):
            _read_period(reading, first, last)


def read_buckets(reading: Reading) -> None:
    """Units of time to group by: "per month", "monthly", "over time", "which month had the most …"."""
    for index in range(len(reading.tokens)):
        if index in reading.used or reading.groups:
            continue
        unit, begin, end = _bucket_at(reading, index)
        if unit is None:
            if reading.word(index) != "over" or reading.word(index + 1) != "time":
                continue
            begin, end = index, index + 2
        field, support = _field_for(reading, begin, end)
        if field is None:
            continue
        reading.groups.append(field)
        reading.buckets[field.name] = unit or _unit_over_time(field)
        reading.use(range(begin, end))
        reading.assume(f"'{reading.raw(begin, end)}' = {reading.buckets[field.name].value} of {field.name}", support)


def read_time_verbs(reading: Reading) -> None:
    """What documents do at a date says no more than the date: "orders placed in March", "made today"."""
    for mention in reading.dates:
        if mention.start not in reading.used:
            continue
        place = mention.start - 1
        while place >= 0 and reading.word(place) in _SMALL | _AFTER | _SINCE | _BEFORE | _UP_TO:
            place -= 1
        word = reading.word(place)
        near = mention.start - place <= VERB_DISTANCE_MAX
        if near and place not in reading.used and (word in APPEARING or word.endswith("ed")):
            reading.use((place,))


def speaks_of_time(question: str, collection: CollectionInfo, asked_at: datetime) -> bool:
    """Whether a question asks for dates, periods, or the first and last of a collection that has times."""
    if not any(field.type is FieldType.DATETIME for field in collection.fields.values()):
        return False
    reading = begin_reading(question, collection, asked_at)
    words = [reading.word(index) for index in range(len(reading.tokens))]
    periods = any(_bucket_at(reading, index)[0] is not None or word in _AGES for index, word in enumerate(words))
    years = any(isinstance(number.value, int) and YEARS[0] <= number.value <= YEARS[1] for number in reading.numbers)
    return bool(reading.dates) or periods or years or bool({"when", "first", "last", "latest"} & set(words))


def _read_ages(reading: Reading) -> None:
    """As in "older than 30 days": how long ago, counted in days back from today."""
    for index in range(len(reading.tokens)):
        older = _AGES.get(reading.word(index))
        start = index - 1 if older is not None and reading.word(index - 1) in {"more", "less"} else index
        if older is None or reading.word(index + 1) != "than":
            continue
        number = reading.number_at(index + 2)
        unit = None if number is None else singular(reading.word(number.end))
        if number is None or unit not in _AGE_UNITS or not 0 <= number.value <= AGE_MAX:
            continue
        field, support = _field_for(reading, start, number.end + 1)
        if field is None:
            continue
        since = before(int(number.value), unit, reading.asked_at.date())
        denied = reading.word(start - 1) in DENIALS
        start -= denied
        condition = compare(field.name, "<" if older != denied else ">=", _moment(reading, field, since))
        reading.conditions.append(Condition(condition))
        reading.use(range(start, number.end + 1))
        reading.assume(f"'{reading.raw(start, number.end + 1)}' = {describe(condition)}", support)


# ── the parts ────────────────────────────────────────────────────────────────


def _is_range(reading: Reading, first: DateMention, last: DateMention) -> bool:
    between = {reading.word(index) for index in range(first.end, last.start)}
    if not between:  # a dash is no word
        gap = reading.text[reading.tokens[first.end - 1].end : reading.tokens[last.start].start].strip()
        return gap in {"-", "–", "—"}
    if not between <= _UNTIL | {"the"}:
        return False
    return "and" not in between or reading.word(first.start - 1) in {"between", "from"}


def _of_same_year(reading: Reading, first: DateMention, following: DateMention) -> DateMention:
    """As in "in April or May 2025": the year that is said once is that of both."""
    between = {reading.word(index) for index in range(first.end, following.start)}
    comma = reading.text[reading.tokens[first.end - 1].end : reading.tokens[following.start].start].strip() == ","
    listed = comma or (bool(between) and between <= {"or", "and", "in"})
    if not first.inferred or following.inferred or not listed:
        return first
    years = following.first.year - first.first.year
    try:
        begin, until = (day.replace(year=day.year + years) for day in (first.first, first.until))
    except ValueError:  # the 29th of February
        return first
    return replace(first, first=begin, until=until, inferred=False)


def _read_period(reading: Reading, first: DateMention, last: DateMention) -> None:
    begin, until = first.first, last.until
    if last is not first and first.inferred and not last.inferred:  # "between March and May 2026"
        begin = begin.replace(year=last.first.year - (begin.replace(year=last.first.year) > last.first))
    if begin >= until:
        return
    start = _word_before(reading, first.start)
    denial = _denial_before(reading, start)
    field, support = _field_for(reading, start, last.end)
    if field is None:
        return
    word = _THAN.get(reading.word(start), reading.word(start))
    onward = word == "from" and reading.word(last.end) in _ONWARD
    if onward:  # "from March on", but not "orders from March"
        word = "since"
    bound = denial is not None and last is first and word in _OPPOSITES
    said = _OPPOSITES[word] if bound else word  # "not before" is since
    predicate = _bounded(reading, field, said, begin, until, is_range=last is not first)
    condition = negate(predicate, when=denial is not None and not bound)
    reading.conditions.append(Condition(condition))
    reading.use(range(start if denial is None else denial, last.end + onward))
    if first.inferred or last.inferred:
        support = Support.INFERRED
    begun = denial if bound and denial is not None else start
    reading.assume(f"'{reading.raw(begun, last.end)}' = {describe(condition)}", support)


def _denial_before(reading: Reading, start: int) -> int | None:
    """The place of the word that denies a date: "not in 2024", "not sold after March"."""
    found = negation_before(reading, start)
    if found is not None:
        return found
    link = next((link for link in reading.fields if link.end == start), None)
    verb = start - 1 if link is None else link.start
    dated = link is not None and link.field in time_fields(reading.collection)
    happened = dated or reading.word(verb) in APPEARING or reading.word(verb).endswith("ed")
    other = reading.value_at(verb) is not None or (link is not None and not dated)
    return verb - 1 if happened and not other and reading.word(verb - 1) in {"not", "never"} else None


def _word_before(reading: Reading, start: int) -> int:
    """The place of the word that says how the date is meant, or of the date itself."""
    place = start - 1
    while place >= 0 and reading.word(place) == "the":
        place -= 1
    if reading.word(place) == "than" and reading.word(place - 1) in _THAN:
        return place - 1
    known = _AFTER | _SINCE | _BEFORE | _UP_TO | {"between", "from", "in", "on", "during", "of", "within", "for"}
    return place if reading.word(place) in known else start


def _bounded(reading: Reading, field: FieldInfo, word: str, begin: date, until: date, *, is_range: bool) -> Predicate:
    name = field.name
    low, high = _moment(reading, field, begin), _moment(reading, field, until)
    if not is_range:
        if word in _AFTER:
            return compare(name, ">=", high)
        if word in _SINCE:
            return compare(name, ">=", low)
        if word in _BEFORE:
            return compare(name, "<", low)
        if word in _UP_TO:
            return compare(name, "<", high)
    both = conjunction(compare(name, ">=", low), compare(name, "<", high))
    assert both is not None
    return both


def _moment(reading: Reading, field: FieldInfo, day: date) -> str:
    """The first moment of a day where the question is asked; of fields that hold days alone, the day."""
    if reading.asked_at.utcoffset() == timedelta(0) or _holds_days(field):
        return day.isoformat()
    local = datetime.combine(day, time(), reading.asked_at.tzinfo)
    return local.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _holds_days(field: FieldInfo) -> bool:
    known = [str(value) for value in (field.least, field.greatest, *field.samples) if value is not None]
    return all(len(value) == len("2026-01-01") or "T00:00:00" in value for value in known)


def _field_for(reading: Reading, start: int, end: int) -> tuple[FieldInfo | None, Support]:
    """The datetime that a date between these words is compared with: the one named nearby, or the first."""
    fields = [field for field in time_fields(reading.collection) if field.type is FieldType.DATETIME]
    named = sorted(
        (link for link in reading.fields if link.field in fields), key=lambda link: _distance(link, start, end)
    )
    if named and _distance(named[0], start, end) <= NAME_DISTANCE_MAX:
        reading.use(range(named[0].start, named[0].end))
        return named[0].field, Support.EXACT
    if not fields:
        return None, Support.INFERRED
    return fields[0], Support.FUZZY if len(fields) == 1 else Support.INFERRED


def _distance(link: FieldLink, start: int, end: int) -> int:
    return max(start - link.end, link.start - end, 0)


def _bucket_at(reading: Reading, index: int) -> tuple[DateUnit | None, int, int]:
    """The unit named there, with the words that name it."""
    word = reading.word(index)
    if word in _ADVERBS and reading.field_at(index) is None:
        return _ADVERBS[word], index, index + 1
    unit = _UNITS.get(word)
    if unit is None or _is_named(reading.fields, index):
        return None, index, index
    before = reading.word(index - 1)
    if before in _EACH:
        return unit, index - 1, index + 1
    if before == "calendar" and reading.word(index - 2) in _EACH:
        return unit, index - 2, index + 1
    ranked = reading.ranking is not None or reading.having is not None
    if before in _ASKS and ranked:
        return unit, index, index + 1
    return None, index, index


def _is_named(links: Sequence[FieldLink], index: int) -> bool:
    """Whether the word is a field's own name: a column "month" is no unit."""
    return any(link.start <= index < link.end and link.field.type is not FieldType.DATETIME for link in links)


def _unit_over_time(field: FieldInfo) -> DateUnit:
    ends = [date.fromisoformat(str(value)[:10]) for value in (field.least, field.greatest) if value is not None]
    days = (ends[1] - ends[0]).days if len(ends) == 2 else 0
    return next((unit for most, unit in _OVER_TIME if days <= most), DateUnit.YEAR)
