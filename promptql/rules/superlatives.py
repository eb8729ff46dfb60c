"""Triggers: superlatives and top-N ("longest", "the ten largest modules", "top 5", "the most classes")."""

from __future__ import annotations

from engine import FieldType
from promptql.catalog import FieldInfo
from promptql.plan import Support
from promptql.rules.concepts import AFTER_MOST, SUPERLATIVES, is_unmeasured, measured_as, measured_by, time_fields
from promptql.rules.linking import EXACT, FieldLink
from promptql.rules.measures import is_intensive
from promptql.rules.reading import Ranking, Reading
from promptql.rules.words import singular
from promptql.steps import Function

MEASURE_AFTER_MAX = 3  # words between a superlative and the field that it ranks by
TOP_MAX = 1_000
_BEHIND = frozenset({"", "in", "of", "at", "from", "among", "per", "by", "since", "for", "within"})
_SMALL_WORDS = frozenset({"the", "number", "of", "in", "total", "average", "mean", "median", "their", "a"})


def read_superlatives(reading: Reading) -> None:
    """The first superlative gives the ranking; a number beside it gives how many are wanted."""
    for index in range(len(reading.tokens)):
        if index in reading.used:
            continue
        word = reading.word(index)
        if word in {"most", "fewest", "least"} and reading.word(index - 1) != "at":
            _read_most(reading, index, descending=word == "most")
        elif word in SUPERLATIVES:
            _read_adjective(reading, index)
        elif word in {"first", "last"}:
            _read_ordinal(reading, index)
        if reading.ranking is not None:
            _read_limit(reading, index)
            return


def _read_most(reading: Reading, index: int, *, descending: bool) -> None:
    adjective = reading.word(index + 1)
    if adjective in AFTER_MOST:
        field = measured_by(reading.collection, AFTER_MOST[adjective])
        if field is not None:
            reading.use((index, index + 1))
            _rank(reading, field, f"{reading.word(index)} {adjective}", descending=descending)
        return
    measure = _measure_after(reading, index)
    if measure is not None:
        reading.use((index, *range(measure.start, measure.end)))
        reading.ranking = Ranking(measure.field, descending, reading.word(index))
        return
    place = _next_content(reading, index)
    link = reading.field_at(place)
    before = _measure_before(reading, index)
    if before is not None:
        reading.use((index, *range(before.start, before.end)))
        _rank(reading, before.field, reading.raw(before.start, index + 1), descending=descending)
    elif reading.names_documents(place):
        reading.use((index,))
        reading.ranking = Ranking(None, descending, reading.word(index))
    elif link is not None and link.field.many and link.field.groupable:  # "the most borders"
        _rank_by_length(reading, index, link, descending=descending)


def _rank_by_length(reading: Reading, index: int, link: FieldLink, *, descending: bool) -> None:
    """The longest list: by the number of its different values."""
    reading.use((index, *range(link.start, link.end)))
    reading.ranking = Ranking(None, descending, reading.word(index))
    reading.aggregate = (Function.COUNT_DISTINCT, link.field)


def _read_adjective(reading: Reading, index: int) -> None:
    adjective = SUPERLATIVES[reading.word(index)]
    word = reading.word(index)
    measure = _measure_after(reading, index) or _measure_by(reading, index)
    if measure is not None and measure.strength < EXACT and is_unmeasured(word, measure.field.name):
        measure = None  # "the youngest actor" is none of the stars
    if measure is not None:
        reading.use((index, *range(measure.start, measure.end)))
        reading.ranking = Ranking(measure.field, adjective.descending, word)
        _read_ranked_values(reading, index, measure)
        return
    noun = reading.field_at(_next_content(reading, index))
    sized = word in {"largest", "biggest", "smallest"}
    if noun is not None and noun.field.many and sized and any(reading.names_documents(i) for i in range(index)):
        _rank_by_length(reading, index, noun, descending=adjective.descending)  # "which movie has the largest cast"
        return
    size = None if noun is None else _size_of_object(reading, noun, adjective.measures)
    if size is not None:  # "the biggest venue" of documents with venue.name and venue.seats
        reading.use((index,))
        _rank(reading, size, word, descending=adjective.descending)
        return
    if noun is not None and _is_subject(noun.field) and (sized or word in {"top", "bottom"}):
        reading.use((index, *range(noun.start, noun.end)))
        reading.ranking = Ranking(None, adjective.descending, word)
        if noun.field not in reading.groups:
            reading.groups.append(noun.field)
        return
    measured_here = measured_as(reading.collection, word)
    if measured_here is not None:
        field, descending = measured_here
        reading.use((index,))
        measured = noun is not None and noun.field.type is FieldType.TEXT
        if noun is not None and measured and noun.field.name != reading.collection.label:  # "longest docstring"
            reading.use(range(noun.start, noun.end))
        _rank(reading, field, word, descending=descending)


def _size_of_object(reading: Reading, noun: FieldLink, measures: tuple[str, ...]) -> FieldInfo | None:
    """What measures the objects that a word names, such as venues, among their own leaves."""
    return None if noun.field.names is None else measured_by(reading.collection, measures, noun.field.names)


def _read_ranked_values(reading: Reading, index: int, measure: FieldLink) -> None:
    """As in "top 3 genres by sales": values that several documents share, by what those have together."""
    noun = reading.field_at(_next_content(reading, index))
    if noun is None or noun.end > measure.start or not _is_subject(noun.field) or noun.field in reading.groups:
        return
    word = reading.word(noun.end - 1)
    shared = any(count > 1 for _, count in noun.field.values)
    if shared and singular(word) != word and noun.field.name != reading.collection.label:
        reading.groups.append(noun.field)
        reading.use(range(noun.start, noun.end))
        if is_intensive(measure.field.name):
            reading.aggregate = (Function.AVG, measure.field)


def _read_ordinal(reading: Reading, index: int) -> None:
    """As in "the last order", "the first five orders": by the datetime, where there is one."""
    times = [field for field in time_fields(reading.collection) if field.type is FieldType.DATETIME]
    number = reading.number_at(index + 1)
    if times and reading.names_documents(index + 1 if number is None else number.end):
        reading.use((index,))
        _rank(reading, times[0], reading.word(index), descending=reading.word(index) == "last")


def _rank(reading: Reading, field: FieldInfo, word: str, *, descending: bool) -> None:
    reading.ranking = Ranking(field, descending, word)
    direction = "greatest" if descending else "least"
    reading.assume(f"'{word}' = {direction} {field.name}", Support.FUZZY)


def _is_subject(field: FieldInfo) -> bool:
    return field.groupable and not field.identifier and not field.numeric


def _measure_after(reading: Reading, index: int) -> FieldLink | None:
    """The ordered field named right after: "highest rating", "most parameters", "largest number of votes"."""
    for place in range(index + 1, min(len(reading.tokens), index + 1 + MEASURE_AFTER_MAX + 1)):
        link = reading.field_at(place)
        if link is not None and link.strength < EXACT and reading.value_at(place) is not None:
            return None  # "the most open tickets": a status, and no time of opening
        if link is not None and link.field.ordered:
            return link
        described = link is not None and link.field.type is FieldType.TEXT  # "highest docstring length"
        if not described and reading.word(place) not in _SMALL_WORDS:
            return None
    return None


def _measure_before(reading: Reading, index: int) -> FieldLink | None:
    """As in "who earns the most": the number that the verb is of, where nothing follows that could be counted."""
    if reading.word(index - 1) != "the" or reading.word(index + 1) not in _BEHIND:
        return None
    return next((link for link in reading.fields if link.end == index - 1 and link.field.numeric), None)


def _measure_by(reading: Reading, index: int) -> FieldLink | None:
    """The ordered field after a later "by": "top 5 movies by rating"."""
    for place in range(index + 1, len(reading.tokens) - 1):
        if reading.word(place) == "by":
            skip = 1 if reading.word(place + 1) in {"the", "their", "its"} else 0
            link = reading.field_at(place + 1 + skip)
            if link is not None and link.field.ordered:
                return link
    return None


def _next_content(reading: Reading, index: int) -> int:
    """The next word that is neither small nor a number."""
    place = index + 1
    while place < len(reading.tokens):
        number = reading.number_at(place)
        if number is not None:
            place = number.end
        elif reading.word(place) in _SMALL_WORDS or reading.word(place) in {"different", "distinct"}:
            place += 1
        else:
            break
    return place


def _read_limit(reading: Reading, index: int) -> None:
    """The unused whole number that counts what is ranked: nearest to the superlative, before a noun or by it."""
    candidates = [
        mention
        for mention in reading.numbers
        if mention.start not in reading.used
        and isinstance(mention.value, int)
        and 1 <= mention.value <= TOP_MAX
        and _stands_with_noun(reading, mention.start, mention.end, index)
    ]
    if candidates:
        nearest = min(candidates, key=lambda mention: abs(mention.start - index))
        reading.limit = int(nearest.value)
        reading.use(range(nearest.start, nearest.end))


def _stands_with_noun(reading: Reading, start: int, end: int, superlative: int) -> bool:
    if end == superlative or start - 1 == superlative:
        return True
    noun = _next_content(reading, end - 1)
    link = reading.field_at(noun)
    return noun - end <= 1 and (reading.names_documents(noun) or (link is not None and not link.field.numeric))
