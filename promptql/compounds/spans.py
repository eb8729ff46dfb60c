"""Things of one kind that a question names beside each other: "France and Germany", "2024 and 2025"."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from promptql.rules.comparators import YEARS
from promptql.rules.reading import Reading, begin_reading

if TYPE_CHECKING:
    from datetime import datetime

    from promptql.catalog import Catalog
    from promptql.compounds.planning import Asking

JOINERS = frozenset("and with to vs versus against or the in from for of".split())
ITEMS_MAX = 8
YEAR, PERIOD = "year", "period"


@dataclass(frozen=True, slots=True)
class Named:
    """Characters [start, end) of the question that name a value of a field, a year or a period.

    Attributes:
        shown: what it is called; key: the field that it is of.
        identifying: whether it names one document.
    """

    start: int
    end: int
    shown: str
    key: str
    identifying: bool = False


def named_in(asking: Asking) -> list[list[Named]]:
    """Things of one kind, of each field by itself, in the order of the question."""
    return [items for items in all_named(asking.question, asking.catalog, asking.asked_at).values() if len(items) > 1]


def all_named(question: str, catalog: Catalog, asked_at: datetime) -> dict[tuple[str, str], list[Named]]:
    """What is named in a question: values by collection and field, years and periods, in the question's order."""
    found: dict[tuple[str, str], dict[int, Named]] = {}
    for info in catalog.collections.values():
        if not info.rows:
            continue
        reading = begin_reading(question, info, asked_at)
        for link in reading.values:
            start, end = reading.tokens[link.start].start, reading.tokens[link.end - 1].end
            item = Named(start, end, str(link.value), link.field.name, link.field.identifier)
            found.setdefault((info.name, link.field.name), {})[start] = item
        for item in _times(reading):
            found.setdefault(("", item.key), {})[item.start] = item
    return {key: [items[start] for start in sorted(items)] for key, items in found.items()}


def runs(asking: Asking) -> list[list[Named]]:
    """Those that stand beside each other with nothing but "and" or the like between them, the most first."""
    made = [run for items in named_in(asking) for run in _runs(asking.question, items)]
    return sorted(made, key=lambda run: (-len(run), -(run[-1].end - run[0].start)))


def _runs(question: str, items: Sequence[Named]) -> Iterator[list[Named]]:
    run: list[Named] = []
    for item in items:
        if run and not _joined(question[run[-1].end : item.start]):
            yield from [run] if 1 < len(run) <= ITEMS_MAX else []
            run = []
        run.append(item)
    if 1 < len(run) <= ITEMS_MAX:
        yield run


def _joined(between: str) -> bool:
    words = between.replace(",", " , ").replace(".", " ").lower().split()
    return bool(words) and all(word in JOINERS | {",", "&", "-", "–"} for word in words)


def _times(reading: Reading) -> Iterable[Named]:
    for mention in reading.dates:
        start, end = reading.tokens[mention.start].start, reading.tokens[mention.end - 1].end
        yield Named(start, end, reading.text[start:end], PERIOD)
    for number in reading.numbers:
        if isinstance(number.value, int) and YEARS[0] <= number.value <= YEARS[1]:
            start, end = reading.tokens[number.start].start, reading.tokens[number.end - 1].end
            if reading.text[start:end].isdigit():
                yield Named(start, end, reading.text[start:end], YEAR)
