"""Triggers: what has or has not happened, as a time that is there or missing ("not yet returned", "open", "unpaid")."""

from __future__ import annotations

from datetime import datetime

from engine import FieldType
from promptql.catalog import CollectionInfo, FieldInfo
from promptql.expressions import Not, Predicate, fields_of
from promptql.plan import Support
from promptql.predicate import compare, describe, missing
from promptql.rules.linking import FieldLink
from promptql.rules.reading import Condition, Reading, begin_reading
from promptql.rules.words import NEGATIONS, WHETHER, name_words, root

_AUXILIARIES = frozenset({"been", "being", "be", "was", "were", "is", "are", "have", "has", "had", "got", "to"})
_PASSED_OVER = _AUXILIARIES | {"yet", "already", "so", "far", "ever", "even", "still", "actually"}
_PASSED_OVER_MAX = 4
_PARTICIPLES = frozenset({"paid", "sent", "sold", "done", "left", "met", "seen", "read", "built", "begun"})
_OBJECTS = frozenset({"the", "most", "fewest", "least"})  # after a verb: "who closed the most tickets"
_NEVER = NEGATIONS | {"yet"}  # "are yet to be returned"
_ASKS_WHEN = frozenset({"when", "date", "dates", "time", "times", "long", "day", "month", "year"})
# What is still so has not come to its end: no time is given for it.
_ENDS = {
    "open": frozenset({"closed", "resolved", "completed", "finished", "solved", "done", "ended", "settled", "fixed"}),
    "outstanding": frozenset({"paid", "settled", "returned", "resolved", "completed", "delivered", "closed"}),
    "unfinished": frozenset({"finished", "completed", "done", "ended", "closed"}),
    "ongoing": frozenset({"finished", "completed", "ended", "closed", "stopped"}),
}
_DENYING = "un"


def read_absences(reading: Reading) -> None:
    """What has not happened, before anything else takes its words: a time that some documents have and others lack."""
    for link in reading.fields:
        if _is_event(reading, link):
            place = _denied_at(reading, link.start)
            if place is not None:
                _add(reading, missing(link.field.name), place, link.end, Support.FUZZY)
        elif _is_amount(reading, link):
            place = _denied_at(reading, link.start)
            if place is not None:
                _add(reading, compare(link.field.name, "=", 0), place, link.end, Support.FUZZY)
    for index, token in enumerate(reading.tokens):
        if index in reading.used or reading.value_at(index) is not None:
            continue
        field = _ended_by(reading, token.folded)
        if field is not None:
            denied = reading.word(index - 1) in NEGATIONS
            absent = missing(field.name)
            start = index - 1 if denied else index
            _add(reading, Not(absent) if denied else absent, start, index + 1, Support.INFERRED)
            continue
        undone = _undone(reading, token.folded)
        if undone is not None:
            _add(reading, undone, index, index + 1, Support.FUZZY)


def read_presences(reading: Reading) -> None:
    """What has happened: "have been returned", "closed tickets", "closed the most", of a time that some lack."""
    if _ASKS_WHEN & {token.folded for token in reading.tokens} or reading.word(0) in WHETHER:
        return
    for link in reading.fields:
        if _is_amount(reading, link):
            _read_some(reading, link)
        if not _is_event(reading, link) or link.field in reading.groups:
            continue
        before = reading.word(link.start - 1)
        passive = before in _AUXILIARIES - {"to"} or before == "already"
        if passive or reading.names_collection(link.end) or reading.word(link.end) in _OBJECTS:
            _add(reading, Not(missing(link.field.name)), link.start, link.end, Support.FUZZY)


def _read_some(reading: Reading, link: FieldLink) -> None:
    """As in "were delayed": more than nothing, where no number says how much."""
    bounded = any(link.field.name in fields_of(condition.predicate) for condition in reading.conditions)
    if bounded:
        reading.use(range(link.start, link.end))
    elif reading.word(link.start - 1) in _AUXILIARIES - {"to"}:
        _add(reading, compare(link.field.name, ">", 0), link.start, link.end, Support.FUZZY)


def speaks_of_amounts(question: str, collection: CollectionInfo, asked_at: datetime) -> bool:
    """Whether a question says that there is some, or none, of an amount by a verb: "were delayed", "not delayed"."""
    reading = begin_reading(question, collection, asked_at)
    return any(_is_amount(reading, link) for link in reading.fields)


def speaks_of_absence(question: str, collection: CollectionInfo, asked_at: datetime) -> bool:
    """Whether a question asks what has, or has not, happened to the documents of a collection."""
    reading = begin_reading(question, collection, asked_at)
    read_absences(reading)
    read_presences(reading)
    return bool(reading.conditions)


# ── the parts ────────────────────────────────────────────────────────────────


def _is_event(reading: Reading, link: FieldLink) -> bool:
    """Whether the words are a verb, as in "returned", for a time that is there once it has happened."""
    last = reading.word(link.end - 1)
    said = last.endswith("ed") or last in _PARTICIPLES
    return said and _may_lack(reading, link.field) and not reading.used & set(range(link.start, link.end))


def _is_amount(reading: Reading, link: FieldLink) -> bool:
    """Whether the words are a verb, as in "delayed", for an amount that is nothing for some documents."""
    word, (first, *_) = reading.word(link.start), (*name_words(link.field.name), "")
    if not word.endswith("ed") or word == first or link.end - link.start > 1 or not link.field.numeric:
        return False
    named = root(word) in {first, root(first)}
    return named and link.field.least == 0 and link.start not in reading.used


def _may_lack(reading: Reading, field: FieldInfo) -> bool:
    """Whether it is a time that some documents lack, so that having one says something."""
    lacking = field.filled is not None and field.filled < reading.collection.rows
    return field.type is FieldType.DATETIME and not field.many and lacking


def _denied_at(reading: Reading, start: int) -> int | None:
    """The place of the word that denies the verb at `start`: "not yet been returned", "never returned"."""
    place = start - 1
    while place > start - 1 - _PASSED_OVER_MAX and reading.word(place) in _PASSED_OVER - {"yet"}:
        place -= 1
    if reading.word(place) == "yet" and reading.word(place - 1) in NEGATIONS:
        return place - 1
    return place if reading.word(place) in _NEVER else None


def _ended_by(reading: Reading, word: str) -> FieldInfo | None:
    """The only time at which what is so, such as "open", ends."""
    ends = _ENDS.get(word, frozenset())
    found = [field for field in reading.collection.fields.values() if ends & set(name_words(field.name))]
    return found[0] if len(found) == 1 and _may_lack(reading, found[0]) else None


def _undone(reading: Reading, word: str) -> Predicate | None:
    """As in "unpaid": no time of it, or a flag that is down."""
    if not word.startswith(_DENYING):
        return None
    done = root(word.removeprefix(_DENYING))
    for field in reading.collection.fields.values():
        if done not in map(root, name_words(field.name)):
            continue
        if field.type is FieldType.BOOLEAN and not field.many:
            return compare(field.name, "=", value=False)
        if _may_lack(reading, field):
            return missing(field.name)
    return None


def _add(reading: Reading, predicate: Predicate, start: int, end: int, support: Support) -> None:
    span = range(start, end)
    reading.conditions.append(Condition(predicate))
    reading.use(span)
    reading.fields = tuple(link for link in reading.fields if not set(span) & set(range(link.start, link.end)))
    reading.assume(f"'{reading.raw(start, end)}' = {describe(predicate)}", support)
