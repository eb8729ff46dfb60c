"""Triggers: comparisons with numbers ("longer than 200", "after 1990", "between 3 and 5", "no parameters")."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime

from engine import FieldType
from promptql.catalog import CollectionInfo, FieldInfo, SemanticType
from promptql.catalog.semantics import CURRENCIES
from promptql.expressions import Not, Operator, Or, Predicate, fields_of
from promptql.plan import Support
from promptql.predicate import compare, conjunction, describe, missing
from promptql.rules.comparators import (
    EXCEPTIONS,
    ONWARDS,
    YEARS,
    comparator_at,
    denial_of_between,
    exception_at,
    is_all_but,
)
from promptql.rules.compared import GOING_ON, SKIPPED, age_said, can_hold, field_for, holds, number_after
from promptql.rules.concepts import APPEARING, TIME, time_fields
from promptql.rules.linking import FieldLink
from promptql.rules.mentions import NumberMention
from promptql.rules.reading import Condition, Having, Reading, begin_reading
from promptql.rules.words import NEGATIONS, WHETHER, name_words

_OF_YEARS = frozenset({"in", "of", "from", "during", "year"})
_DENY_VERBS = frozenset({"not", "never", "nor", "neither"})  # "no honey in 2025" denies the honey
_PASSED_OVER = frozenset({"the", "a", "an", "in", "by", "from", "of", "to", "those", "ones"})
PASSED_OVER_MAX = 3
_DECADE = re.compile(r"(?P<century>[12]\d)?(?P<decade>\d0)s")
_DECADES = {
    "twenties": 20, "thirties": 30, "forties": 40, "fifties": 50, "sixties": 60, "seventies": 70, "eighties": 80,
    "nineties": 90,
}  # fmt: skip
_CENTURIES = (1900, 2000)  # that a decade may be of which is said without one
_STOCK = frozenset({"stock", "inventory"})
_LACKS = frozenset({"no", "without", "lack", "lacks", "lacking", "missing"})

_SUFFIXES = {
    ("or", "more"): Operator.GE,
    ("or", "greater"): Operator.GE,
    ("or", "later"): Operator.GE,
    ("or", "newer"): Operator.GE,
    ("and", "above"): Operator.GE,
    ("or", "older"): Operator.GE,
    ("or", "over"): Operator.GE,
    ("or", "younger"): Operator.LE,
    ("or", "under"): Operator.LE,
    ("or", "less"): Operator.LE,
    ("or", "fewer"): Operator.LE,
    ("or", "earlier"): Operator.LE,
    ("and", "below"): Operator.LE,
}


def read_comparisons(reading: Reading) -> None:
    """Comparisons with numbers become conditions (or a condition on groups)."""
    for start in range(len(reading.tokens)):
        if start in reading.used:
            continue
        decade = _decade_at(reading, start)
        if decade is not None:
            _read_decade(reading, start, decade)
        elif reading.word(start) in {"between", "from"}:
            _read_between(reading, start)
        else:
            _read_comparison(reading, start)
    _read_suffixes(reading)


def read_plain_numbers(reading: Reading) -> None:
    """Numbers that stand with a field or a preposition alone: "in 1994", "with 3 parameters", "no parameters"."""
    for mention in reading.numbers:
        if not reading.used & set(range(mention.start, mention.end)):
            _read_plain_number(reading, mention)
    for link in reading.fields:
        start = _lack_before(reading, link.start)
        if start is not None and link.start not in reading.used and link.field.type is not FieldType.BOOLEAN:
            _add(reading, link.field, _nothing(link.field), start, link.end)
            continue
        start = _stocked_before(reading, link)
        if start is not None:
            some = reading.word(start) == "in"
            _add(reading, link.field, compare(link.field.name, ">" if some else "=", 0), start, link.end)
            continue
        start = _having_before(reading, link.start)
        if start is not None and link.start not in reading.used and _lacking(link.field, reading):
            _add(reading, link.field, Not(missing(link.field.name)), start, link.end)


def _lack_before(reading: Reading, start: int) -> int | None:
    """The place of the word that says that the field has nothing: "no director", "without a director"."""
    place = start - 1
    while place >= start - 2 and reading.word(place) in {"a", "an", "any", "the"}:
        place -= 1
    if reading.word(place) in _LACKS:
        return place
    denied = reading.word(place) in {"have", "has", "had"} and reading.word(place - 1) == "not"
    return place - 1 if denied else None


def _stocked_before(reading: Reading, link: FieldLink) -> int | None:
    """Where "out of stock" begins, or "in stock" of documents that are listed; "how many … in stock" adds them up."""
    start, name = link.start, name_words(link.field.name)
    if not link.field.numeric or link.start in reading.used or not _STOCK.intersection(name):
        return None
    if (reading.word(start - 2), reading.word(start - 1)) == ("out", "of"):
        return start - 2
    listed = reading.word(0) not in WHETHER | {"how"} and not reading.conditions_name_one()
    return start - 1 if listed and reading.word(start - 1) == "in" else None


def _having_before(reading: Reading, start: int) -> int | None:
    """The place of the word that says that the field has something: "have a discount", "with any discount"."""
    said = reading.word(start - 1) in {"a", "an", "any"} and reading.word(start - 2) in {"have", "has", "had", "with"}
    return start - 2 if said else None


def _lacking(field: FieldInfo, reading: Reading) -> bool:
    """Whether some documents have no value in it, so that having one says something."""
    return field.filled is not None and field.filled < reading.collection.rows and not field.many


def _nothing(field: FieldInfo) -> Predicate:
    """Zero where the field holds zeros, else no value."""
    zero = field.numeric and isinstance(field.least, (int, float)) and field.least <= 0
    return compare(field.name, "=", 0) if zero else missing(field.name)


def speaks_of_stock(question: str, collection: CollectionInfo, asked_at: datetime) -> bool:
    """Whether a question asks for what is in stock, or out of it, where a field says how many there are."""
    reading = begin_reading(question, collection, asked_at)
    return any(_stocked_before(reading, link) is not None for link in reading.fields)


def read_flags(reading: Reading) -> None:
    """Mentions of boolean fields become conditions: "deprecated", "not deprecated", "deprecated is false"."""
    for link in reading.fields:
        if link.field.type is not FieldType.BOOLEAN or link.field.many or link.start in reading.used:
            continue
        if reading.word(link.start - 1) in {"by", "per", "each"}:
            continue
        after = {reading.word(link.end), reading.word(link.end + 1)}
        before = [reading.word(link.start - 1 - offset) for offset in range(3)]
        if _asks_whether(reading):
            reading.wanted.append(link.field)
            reading.use(index for index in range(link.end) if index >= link.start or reading.word(index) in NEGATIONS)
            continue
        negated = bool(set(before) & NEGATIONS) != bool(after & {"false", "no"})
        _add(reading, link.field, compare(link.field.name, "=", value=not negated), link.start, link.end)
        reading.use(i for i in range(max(0, link.start - 3), link.start) if reading.word(i) in NEGATIONS)
        reading.use(i for i in range(link.end, link.end + 2) if reading.word(i) in {"true", "false", "yes", "no"})


def _asks_whether(reading: Reading) -> bool:
    """As in "Is Monaco landlocked?": a yes or no about documents that are named."""
    return reading.word(0) in WHETHER and any(link.field.identifier for link in reading.values)


def negation_before(reading: Reading, start: int) -> int | None:
    """The place of the word that denies the one at `start`: "not in the os module", "except dramas"."""
    place = start - 1
    while place >= start - PASSED_OVER_MAX and reading.word(place) in _PASSED_OVER:
        place -= 1
    if reading.word(place) in NEGATIONS | {"outside"} or is_all_but(reading, place):
        return place
    if (reading.word(place - 1), reading.word(place)) in EXCEPTIONS:
        return place - 1
    verb = place < start - 1 and reading.word(place - 1) in _DENY_VERBS  # "not opened by Mo", "does not go to Rome"
    return place - 1 if verb and not _says_more(reading, place) else None


def _says_more(reading: Reading, place: int) -> bool:
    """Whether a word denied is a condition of its own: "not cancelled from Oslo"."""
    link = reading.field_at(place)
    flag = link is not None and link.field.type is FieldType.BOOLEAN
    return flag or place in reading.used or reading.value_at(place) is not None or reading.names_collection(place)


def negate(predicate: Predicate, *, when: bool) -> Predicate:
    """The predicate, or its opposite."""
    return Not(predicate) if when else predicate


# ── the parts ────────────────────────────────────────────────────────────────


def _read_comparison(reading: Reading, start: int) -> None:
    found = comparator_at(reading, start)
    number = None if found is None else number_after(reading, found.after)
    if found is None or number is None:
        _read_exception(reading, start)
        return
    if _counts_rows(reading, number):
        reading.having = Having(found.op, number.value)
        reading.use(range(start, number.end))
        return
    field, support = field_for(reading, found.start, number, found.measures)
    if field is not None and can_hold(field, number.value):
        _add(reading, field, _bounded(field, found.op, number.value), start, number.end, support)


def _read_exception(reading: Reading, start: int) -> None:
    """As in "between 3 and 5 but not 4", "a crew other than 2": one number of a field is left out."""
    after = exception_at(reading, start)
    number = None if after is None else reading.number_at(after)
    if number is None:
        return
    year = YEARS[0] <= number.value <= YEARS[1]
    field, support = field_for(reading, start, number, TIME if year else ())
    if field is None and reading.conditions and reading.word(start - 1) in GOING_ON:
        names = fields_of(reading.conditions[-1].predicate)
        field = reading.collection.fields[next(iter(names))] if len(names) == 1 else None
        support = Support.EXACT
    if field is not None and can_hold(field, number.value):
        _add(reading, field, _bounded(field, Operator.NE, number.value), start, number.end, support)


def _counts_rows(reading: Reading, number: NumberMention) -> bool:
    """Whether the number counts documents: "more than 10 functions", with a field to group by elsewhere."""
    if not reading.names_documents(number.end):
        return False
    return any(
        link.field.groupable and not link.field.identifier and link.end <= number.start for link in reading.fields
    )


def _read_between(reading: Reading, start: int) -> None:
    index = start + 1
    while reading.word(index) in SKIPPED and index < start + 3:
        index += 1
    low = reading.number_at(index)
    if low is not None and reading.word(start) == "from" and reading.word(low.end) in ONWARDS:
        _read_onwards(reading, start, low)
        return
    if low is None or reading.word(low.end) not in {"and", "to", "until"}:
        return
    high = reading.number_at(low.end + 1)
    if high is None:
        return
    if low.scale == 1 and high.scale > 1 and low.value < high.value / high.scale:  # "between 1 and 2 million"
        low = replace(low, value=low.value * high.scale)
    years = all(YEARS[0] <= value <= YEARS[1] for value in (low.value, high.value))
    span = NumberMention(low.value, low.start, high.end)
    field, support = field_for(reading, start, span, TIME if years else ())
    if field is None and years:
        field, support = field_for(reading, start, span, ())
    if field is None or not can_hold(field, low.value) or not can_hold(field, high.value):
        return
    bounds = sorted((low.value, high.value))
    denial = denial_of_between(reading, start) if reading.word(start) == "between" else None
    if denial is not None:
        outside = Or((_bounded(field, Operator.LT, bounds[0]), _bounded(field, Operator.GT, bounds[1])))
        _add(reading, field, outside, denial, high.end, support)
        return
    both = conjunction(_bounded(field, Operator.GE, bounds[0]), _bounded(field, Operator.LE, bounds[1]))
    assert both is not None
    _add(reading, field, both, start, high.end, support)


def _read_onwards(reading: Reading, start: int, low: NumberMention) -> None:
    """As in "from 2005 on", "from 20 upwards"."""
    year = YEARS[0] <= low.value <= YEARS[1]
    span = NumberMention(low.value, start, low.end + 1)
    field, support = field_for(reading, start, span, TIME if year else ())
    if field is not None and can_hold(field, low.value):
        _add(reading, field, _bounded(field, Operator.GE, low.value), start, span.end, support)


def _decade_at(reading: Reading, start: int) -> int | None:
    """The first year of a decade: "the 1980s", "the 80s", "the eighties", of the century that the documents have."""
    match = _DECADE.fullmatch(reading.word(start))
    if match is not None and match["century"]:
        return int(match["century"] + match["decade"])
    decade = int(match["decade"]) if match is not None else _DECADES.get(reading.word(start))
    if decade is None:
        return None
    times = time_fields(reading.collection)
    found = [
        century + decade
        for century in _CENTURIES
        if any(holds(field, century + decade + year) for field in times for year in range(10))
    ]
    return None if not found else found[-1] if decade < 30 else found[0]


def _read_decade(reading: Reading, start: int, year: int) -> None:
    """The ten years, of a time named before or of the only one that there is."""
    span = NumberMention(year, start, start + 1)
    field, support = field_for(reading, start, span, TIME)
    if field is None or field not in time_fields(reading.collection):
        return
    both = conjunction(_bounded(field, Operator.GE, year), _bounded(field, Operator.LE, year + 9))
    assert both is not None
    _add(reading, field, both, start, start + 1, support)


def _read_suffixes(reading: Reading) -> None:
    """As in "3 or more parameters", "8 and above"."""
    for mention in reading.numbers:
        op = _SUFFIXES.get((reading.word(mention.end), reading.word(mention.end + 1)))
        if op is None or mention.start in reading.used:
            continue
        span = NumberMention(mention.value, mention.start, mention.end + 2)
        field, support = field_for(reading, mention.start, span, ())
        if field is not None and can_hold(field, mention.value):
            _add(reading, field, _bounded(field, op, mention.value), mention.start, span.end, support)


def _read_plain_number(reading: Reading, mention: NumberMention) -> None:
    following = reading.field_at(mention.end)
    if following is not None and following.field.numeric:
        equal = compare(following.field.name, "=", mention.value)
        _add(reading, following.field, equal, mention.start, following.end)
        return
    age = age_said(reading, mention)
    if age is not None:
        _add(reading, age, compare(age.name, "=", mention.value), mention.start, mention.end, Support.FUZZY)
        return
    before = next((link for link in reading.fields if link.end in {mention.start, mention.start - 1}), None)
    joined = before is not None and (
        before.end == mention.start or reading.word(before.end) in _joiners(before.field, reading)
    )
    if before is not None and joined and before.field.ordered and can_hold(before.field, mention.value):
        denied = reading.word(before.start - 1) in _DENY_VERBS  # "not sold in 2024"
        op = Operator.NE if denied else Operator.EQ
        _add(reading, before.field, _bounded(before.field, op, mention.value), before.start - denied, mention.end)
        return
    year = isinstance(mention.value, int) and YEARS[0] <= mention.value <= YEARS[1]
    if year and (reading.word(mention.start - 1) in _OF_YEARS or _is_another_year(reading, mention.start)):
        times = time_fields(reading.collection)
        fields = [field for field in times if holds(field, mention.value)]
        if not fields and any(map(reading.names_collection, range(len(reading.tokens)))):
            fields = times  # none of its documents is of that year, which is the answer
        if fields:
            denial = negation_before(reading, mention.start)
            predicate = negate(_bounded(fields[0], Operator.EQ, mention.value), when=denial is not None)
            support = Support.FUZZY if len(fields) == 1 else Support.INFERRED
            start = mention.start if denial is None else denial
            _add(reading, fields[0], predicate, start, mention.end, support)


def _is_another_year(reading: Reading, start: int) -> bool:
    """As in "in 2024 or 2025": a year beside one that was read."""
    other = next((number for number in reading.numbers if number.end == start - 1), None)
    read = other is not None and other.start in reading.used and reading.word(other.start - 1) in _OF_YEARS
    return read and reading.word(start - 1) in {"and", "or"}


def _joiners(field: FieldInfo, reading: Reading) -> frozenset[str]:
    """Words between a field and its value: "rating of 8", and for times also "released in 2000"."""
    joiners = frozenset({"of", "is", "=", "was", "to"})
    return joiners | {"in", "on", "during"} if field in time_fields(reading.collection) else joiners


def _bounded(field: FieldInfo, op: Operator, value: float) -> Predicate:
    """`field op value`; on a datetime the value is a year, and a year lasts from January to December."""
    if field.type is not FieldType.DATETIME:
        return compare(field.name, op, value)
    first, following = f"{int(value):04d}-01-01", f"{int(value) + 1:04d}-01-01"
    match op:
        case Operator.GT:
            return compare(field.name, ">=", following)
        case Operator.LE:
            return compare(field.name, "<", following)
        case Operator.EQ:
            both = conjunction(compare(field.name, ">=", first), compare(field.name, "<", following))
            assert both is not None
            return both
        case Operator.NE:
            return Or((compare(field.name, "<", first), compare(field.name, ">=", following)))
        case _:
            return compare(field.name, op, first)


def _add(
    reading: Reading,
    field: FieldInfo,
    predicate: Predicate,
    start: int,
    end: int,
    support: Support = Support.EXACT,
) -> None:
    reading.conditions.append(Condition(predicate))
    reading.use(range(start, end))
    _use_appearing(reading, field, start)
    currency = CURRENCIES.get(reading.word(end))
    if currency is not None and field.semantic is SemanticType.MONEY and field.unit in (None, currency):
        reading.use((end,))  # "under 100 euros"
    if field.name.casefold() not in reading.raw(start, end).casefold() or support is not Support.EXACT:
        reading.assume(f"'{reading.raw(start, end)}' = {describe(predicate)}", support)


def _use_appearing(reading: Reading, field: FieldInfo, start: int) -> None:
    """The verb before a time says nothing more: "released in 1999" of a year."""
    if field not in time_fields(reading.collection):
        return
    place = start - 1
    while place >= start - 4 and (reading.word(place) in _PASSED_OVER or reading.word(place) in APPEARING):
        if reading.word(place) in APPEARING:
            reading.use((place,))
        place -= 1
