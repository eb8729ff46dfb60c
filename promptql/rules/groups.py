"""Triggers: grouping ("per genre", "by year", "each of the ten largest modules", "which module has the most …")."""

from __future__ import annotations

from promptql.catalog import FieldInfo, SemanticType
from promptql.plan import Support
from promptql.rules.concepts import SUPERLATIVES
from promptql.rules.linking import EXACT, FieldLink
from promptql.rules.reading import Ranking, Reading
from promptql.rules.words import WHO, name_words

_AVERAGES = frozenset({"average", "mean", "avg", "median"})
_TRIGGERS = frozenset({"per", "each", "every", "by", "across"})
_PASSED_OVER = frozenset({"of", "the", "these", "most", "fewest", "different", "distinct", "in", "for"})
_LISTED = frozenset({"and"})
_ASKS = frozenset({"which", "what"})
_HOLDS = frozenset(
    {"with", "has", "have", "had", "contains", "contain", "that", "made", "makes", "make", "did", "directed", "wrote"}
)


# What people are called by what they do; names of fields that hold them.
_PEOPLE = frozenset(
    """customer user client buyer seller author employee person player owner member student patient driver agent manager
    salesperson teacher director artist singer winner contributor reviewer vendor""".split()
)


def read_groups(reading: Reading) -> None:
    """Fields to group by, from the words before them; then the subject of a superlative."""
    if reading.word(0) in WHO and not reading.groups:
        _read_people(reading)
    for index in range(len(reading.tokens)):
        if reading.word(index) in _TRIGGERS:
            _read_after(reading, index)
    if not reading.groups and (reading.ranking is not None or reading.having is not None):
        _read_subject(reading)
    if not reading.groups and reading.aggregate is not None and reading.ranking is not None:
        _read_documents(reading)


def _read_people(reading: Reading) -> None:
    """As in "Who ordered the most this year?": people are ranked by their documents, where one field has people."""
    most = next((i for i in range(len(reading.tokens)) if reading.word(i) in {"most", "fewest", "least"}), None)
    if most is None or reading.ranking is not None or reading.word(most - 1) == "at":
        return
    fields = [item for item in reading.collection.fields.values() if item.groupable and not item.ordered]
    people = [item for item in fields if item.semantic is SemanticType.PERSON] or [
        item for item in fields if _PEOPLE & set(name_words(item.name))
    ]
    if len(people) == 1 and not people[0].identifier:
        word = reading.word(most)
        reading.ranking = Ranking(None, descending=word == "most", word=word)
        reading.groups.append(people[0])
        reading.use((most, *(i for i in range(1, most) if reading.word(i).endswith("ed"))))
        reading.assume(f"'who' = {people[0].name}", Support.FUZZY)


def _read_documents(reading: Reading) -> None:
    """As in "Which country has the most borders": each document by its name, where names tell documents apart."""
    label = reading.collection.fields.get(reading.collection.label)
    if label is not None and label.complete and len(label.values) == reading.collection.rows:
        reading.groups.append(label)


def _read_after(reading: Reading, trigger: int) -> None:
    link = _field_after(reading, trigger)
    if _is_of_each(reading, trigger):
        reading.use((trigger, trigger + 1))
        return
    if link is None or not link.field.groupable:
        return
    if reading.word(trigger) == "by" and _sorts(reading, link):
        return
    if _ends_name(reading, trigger, link):
        reading.use((trigger, *range(link.start, link.end)))
        return
    while link is not None and link.field.groupable:
        _add(reading, link)
        reading.use((trigger,))
        follows = reading.word(link.end) in _LISTED
        link = reading.field_at(link.end + 1) if follows else None


def _is_of_each(reading: Reading, trigger: int) -> bool:
    """As in "the average weight per parcel", which is that of all parcels."""
    named = [link for link in reading.fields if link.start == trigger + 1 and link.strength == EXACT]
    averaged = {token.folded for token in reading.tokens} & _AVERAGES
    each = reading.word(trigger) in {"per", "each", "every"}
    return bool(averaged) and each and not named and reading.names_collection(trigger + 1)


def _ends_name(reading: Reading, trigger: int, link: FieldLink) -> bool:
    """As in "total hours per month" of a field "hours_per_month": the words are the end of its name."""
    words = name_words(link.field.name)
    named = any(other.field is link.field and other.start < trigger for other in reading.fields)
    return named and words[-2:] == (reading.word(trigger), reading.word(link.start))


def _field_after(reading: Reading, trigger: int) -> FieldLink | None:
    place = trigger + 1
    while place < len(reading.tokens):
        number = reading.number_at(place)
        link = reading.field_at(place)
        if link is not None:
            return link
        if number is not None:
            place = number.end
        elif reading.word(place) in _PASSED_OVER or reading.word(place) in SUPERLATIVES:
            place += 1
        else:
            return None
    return None


def _sorts(reading: Reading, link: FieldLink) -> bool:
    """A ranking "by rating" orders rather than groups where a ranking or a plain list is asked for."""
    if reading.ranking is not None and reading.ranking.field is link.field:
        return True
    if reading.ranking is not None and reading.ranking.field is not None and reading.limit is None:
        return False  # "largest honey by year": another field's extreme of each
    if not link.field.ordered or _asks_for_figure(reading):
        return False
    if reading.ranking is None:
        reading.ranking = Ranking(link.field, descending=True, word=f"by {link.field.name}")
        reading.use(range(link.start - 1, link.end))
    return True


def _asks_for_figure(reading: Reading) -> bool:
    words = {token.folded for token in reading.tokens}
    return bool(words & {"many", "count", "number", "average", "mean", "avg", "median", "sum", "total"})


def _read_subject(reading: Reading) -> None:
    """As in "Which director made the most movies", "the genre with the highest average rating"."""
    for link in reading.fields:
        if link.start in reading.used or not _can_be_subject(reading, link.field):
            continue
        asked = any(reading.word(i) in _ASKS for i in range(max(0, link.start - 4), link.start))
        if asked or reading.word(link.end) in _HOLDS:
            _add(reading, link)
            return


def _can_be_subject(reading: Reading, field: FieldInfo) -> bool:
    if not field.groupable or field.identifier:
        return False
    if reading.having is not None:
        return True
    ranked = reading.ranking.field if reading.ranking is not None else None
    if ranked is None:
        return True
    most = reading.ranking is not None and reading.ranking.word in {"most", "fewest", "least"}
    aggregates = {token.folded for token in reading.tokens} & {"average", "mean", "avg", "median", "total"}
    return ranked is not field and (bool(aggregates) or (most and ranked.numeric))


def _add(reading: Reading, link: FieldLink) -> None:
    if link.field not in reading.groups:
        reading.groups.append(link.field)
    reading.use(range(link.start, link.end))
