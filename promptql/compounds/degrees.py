"""By what documents are compared: "older", "more expensive", "a shorter delay", "whose salary is higher"."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from promptql.catalog import CollectionInfo, FieldInfo
from promptql.plan import Support
from promptql.rules.concepts import (
    AFTER_MOST,
    COMPARATIVES,
    LENGTH,
    PAY,
    PRICE,
    SIZE,
    SUPERLATIVES,
    TIME,
    WEIGHT,
    measured_as,
    measured_by,
    time_fields,
)
from promptql.rules.reading import Reading
from promptql.rules.words import name_words

MORE, LESS = frozenset({"more"}), frozenset({"less", "fewer"})
VERBS = {
    "cost": PRICE, "costs": PRICE, "weigh": WEIGHT, "weighs": WEIGHT, "weighed": WEIGHT, "earn": PAY, "earns": PAY,
    "earned": PAY, "last": LENGTH, "lasts": LENGTH, "lasted": LENGTH,
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Measure:
    """Tokens [start, end) that compare by `field`; `descending`: more of it is meant."""

    field: FieldInfo
    descending: bool
    start: int
    end: int
    support: Support


def measures_in(reading: Reading, among: Sequence[int]) -> Iterator[Measure]:
    """What comparatives and superlatives at these places compare by."""
    for index in among:
        measure = measure_at(reading, index)
        if measure is not None:
            yield measure


def measure_at(reading: Reading, index: int) -> Measure | None:
    """What the comparative or superlative there compares by; None where there is none, or no such field."""
    word, info = reading.word(index), reading.collection
    if word in MORE | LESS or word in {"most", "least"}:
        return _more_at(reading, index, descending=word in MORE or word == "most")
    if word in {"first", "last"}:  # "who joined first"
        joined = field_before(reading, index)
        timed = joined is not None and joined[0] in time_fields(info)
        return Measure(joined[0], word == "last", joined[1], index + 1, Support.EXACT) if joined and timed else None
    adjective = COMPARATIVES.get(word) or SUPERLATIVES.get(word)
    if adjective is None:
        return None
    link = reading.field_at(index + 1)
    if link is not None and compares(link.field):  # "a shorter delay"
        return Measure(link.field, adjective.descending, index, link.end, Support.EXACT)
    before = field_before(reading, index)
    if before is not None:  # "whose salary is higher"
        return Measure(before[0], adjective.descending, before[1], index + 1, Support.EXACT)
    found = measured_as(info, word)
    if found is None:
        return None
    return Measure(*found, index, index + 1, _support(info, adjective.measures, found[0]))


def _more_at(reading: Reading, index: int, *, descending: bool) -> Measure | None:
    """As in "more expensive", "more people", "costs more"."""
    info = reading.collection
    measures = AFTER_MOST.get(reading.word(index + 1))
    field = measured_by(info, measures) if measures is not None else None
    if field is not None:
        return Measure(field, descending, index, index + 2, Support.FUZZY)
    link = reading.field_at(index + 1)
    if link is not None and compares(link.field):
        return Measure(link.field, descending, index, link.end, Support.EXACT)
    verb = VERBS.get(reading.word(index - 1))
    field = measured_by(info, verb) if verb is not None else None
    if field is not None:
        return Measure(field, descending, index - 1, index + 1, Support.FUZZY)
    before = field_before(reading, index)
    return None if before is None else Measure(before[0], descending, before[1], index + 1, Support.EXACT)


def field_before(reading: Reading, index: int) -> tuple[FieldInfo, int] | None:
    """The field named right before, and where: "whose price is", "born"."""
    place = index
    while place > index - 3 and reading.word(place - 1) in {"is", "are", "was", "were", "a", "that"}:
        place -= 1
    link = next((link for link in reading.fields if link.end == place), None)
    return None if link is None or not compares(link.field) else (link.field, link.start)


def compares(field: FieldInfo) -> bool:
    """Whether documents can be put in order by it."""
    return field.ordered and not field.identifier


def _support(info: CollectionInfo, measures: Sequence[str], chosen: FieldInfo) -> Support:
    """Inferred where several fields may be meant: "larger" of an area and a population."""
    if measures not in (SIZE, TIME):
        return Support.FUZZY
    rivals = [field for field in info.fields.values() if field.ordered and set(measures) & set(name_words(field.name))]
    return Support.FUZZY if all(field is chosen for field in rivals) else Support.INFERRED
