"""A period beside a question over several collections: "revenue by customer in March", which is the orders' month.

The forms over tables know no times but years. The period is read by words, what is left of the question by tables, and
the documents that happen in time are narrowed where their collection is read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime

from engine import FieldType
from promptql.catalog import Catalog, CollectionInfo
from promptql.expressions import fields_of
from promptql.plan import Support
from promptql.planned import Planned
from promptql.predicate import conjunction
from promptql.rules.comparisons import read_plain_numbers
from promptql.rules.periods import read_periods
from promptql.rules.reading import Reading, begin_reading
from promptql.steps import Scan


def plan_dated(
    question: str, catalog: Catalog, asked_at: datetime, plan: Callable[[str], Planned | None]
) -> Planned | None:
    """The reading of a question with one period, of the largest collection with times that it reads beside others.

    Args:
        question: in English.
        catalog: of the collections that may answer it.
        asked_at: when, in the asker's time zone.
        plan: reads the question without the period; None where it makes no sense so.
    """
    timed = [info for info in catalog.collections.values() if info.rows and _times(info)]
    for place, info in enumerate(sorted(timed, key=lambda item: (-item.rows, item.name))):
        reading = _period_of(question, info, asked_at)
        named = reading is not None and any(item.support is Support.EXACT for item in reading.assumptions)
        if reading is None or (place and not named):
            continue
        planned = next((found for rest in _rests(reading) if (found := plan(rest)) is not None), None)
        if planned is None:
            continue
        scans = [step for step in planned.plan.steps if isinstance(step, Scan)]
        own = [step for step in scans if step.collection == info.name]
        if len(own) != 1 or len(scans) < 2:  # the words know one collection alone
            continue
        where = conjunction(*([own[0].where] if own[0].where is not None else []), reading.conditions[0].predicate)
        steps = tuple(replace(step, where=where) if step is own[0] else step for step in planned.plan.steps)
        assumptions = (*reading.assumptions, *planned.plan.assumptions)
        return replace(planned, plan=replace(planned.plan, question=question, steps=steps, assumptions=assumptions))
    return None


def _times(info: CollectionInfo) -> frozenset[str]:
    return frozenset(
        field.name for field in info.fields.values() if field.type is FieldType.DATETIME and not field.many
    )


def _period_of(question: str, info: CollectionInfo, asked_at: datetime) -> Reading | None:
    """The one period that is said, as a condition on the collection's times; None where there is none, or more."""
    reading = begin_reading(question, info, asked_at)
    read_periods(reading)
    if not reading.conditions:
        read_plain_numbers(reading)  # a year
    times = _times(info)
    return reading if len(reading.conditions) == 1 and fields_of(reading.conditions[0].predicate) <= times else None


def _rests(reading: Reading) -> Iterator[str]:
    """The question without its period: with the verb that names the field, as in "ordered in May", and without."""
    verbs = {index for link in reading.fields for index in range(link.start, link.end)}
    for dropped in dict.fromkeys((frozenset(reading.used - verbs), frozenset(reading.used))):
        kept, place = "", 0
        for index in sorted(dropped):
            kept += reading.text[place : reading.tokens[index].start]
            place = reading.tokens[index].end
        yield " ".join((kept + reading.text[place:]).replace(" ?", "?").split())
