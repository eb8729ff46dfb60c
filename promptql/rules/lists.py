"""What a question lists: "the name, country and age", "the average and maximum age", "how many", "their ids"."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

from promptql.rules.asked import span_mask
from promptql.rules.columns import identifying
from promptql.rules.draft import Features
from promptql.rules.entities import EntityMention, key_column, label_columns, nearest
from promptql.rules.parts import Part
from promptql.rules.sketch import ROWS, Item
from promptql.rules.words import singular

if TYPE_CHECKING:
    from promptql.rules.generate import Reading

SLOTS_MAX = 14  # places of the question where something may be asked for
READINGS_MAX = 4  # of one place
LENGTH_MAX = 6  # things that are listed
CROSSED_MAX = 2  # words that mean something between two things of a list
CHAINS_KEPT = 14
LISTS_MAX = 40
GAIN_SHARE = 0.5  # of what an explained word is worth: conditions may explain it as well
FIGURES = {
    "average": "avg", "mean": "avg", "avg": "avg", "maximum": "max", "max": "max", "minimum": "min", "min": "min",
    "total": "sum", "sum": "sum", "combined": "sum", "highest": "max", "lowest": "min", "largest": "max",
    "smallest": "min", "greatest": "max", "oldest": "max", "youngest": "min", "most": "max", "least": "min",
    "shortest": "min", "longest": "max", "overall": "sum", "earliest": "min", "latest": "max",
}  # fmt: skip
PLAIN_FIGURES = frozenset("average mean avg maximum max minimum min total sum combined".split())
KEYS, LABELS = frozenset({"id", "ids", "identifier", "code"}), frozenset({"name", "title"})
EVERYTHING = frozenset("information info details detail data records record columns fields attributes".split())


@dataclass(slots=True)
class Slot:
    """One thing of the list that is asked for."""

    items: tuple[Item, ...]
    mask: int
    start: int
    end: int
    features: Features
    score: float
    table: int
    label: bool = False


@dataclass
class Wanted:
    """A list of things that may be asked for."""

    slots: tuple[Slot, ...]
    features: Features
    score: float
    rank: float = 0.0  # the score with what the words it explains are worth

    @cached_property
    def items(self) -> tuple[Item, ...]:
        """All items in order, each once."""
        return tuple(dict.fromkeys(item for slot in self.slots for item in slot.items))

    @cached_property
    def mask(self) -> int:
        """The words that it explains."""
        mask = 0
        for slot in self.slots:
            mask |= slot.mask
        return mask

    @cached_property
    def part(self) -> Part:
        """The list as a piece of a sketch."""
        features = [pair for slot in self.slots for pair in slot.features] + self.features
        return Part(self.mask, features, column=self.items[0].column, head=self.mask, score=self.score)


class Lists:
    """Finds the lists of one question over one view."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.asked = reading.asked
        self.view = reading.view
        self.entities = reading.entities
        self.several = len(self.view.names) > 1
        self._named = 0
        for entity in self.entities:
            self._named |= entity.mask
        for part in reading.conditions:
            self._named |= part.value if part.clauses[0][0].op not in ("~", "!~") else 0
        cues = self.asked.cues
        self.count_mask = (
            cues.get("howmany", 0) | cues.get("numberof", 0) | cues.get("totalnumber", 0) | cues.get("count", 0)
        )

    def found(self) -> list[Wanted]:
        """The likeliest lists, best first."""
        places = self.places()
        lists: list[Wanted] = []
        chains: list[Wanted] = []
        for place in places:
            grown = [self._list((slot,)) for slot in place]
            grown += [
                self._list((*chain.slots, slot))
                for chain in chains
                for slot in place[: 2 if len(chain.slots) > 1 else READINGS_MAX]
                if self._continues(chain.slots, slot)
            ]
            lists += grown
            chains = sorted([*chains, *grown], key=lambda chain: -chain.rank)[:CHAINS_KEPT]
        return sorted(lists, key=lambda wanted: -wanted.rank)[:LISTS_MAX]

    def _continues(self, chain: tuple[Slot, ...], slot: Slot) -> bool:
        last = chain[-1]
        if slot.start < last.end or len(chain) >= LENGTH_MAX or any(slot.items == one.items for one in chain):
            return False
        return self._crossed(last.end, slot.start) <= CROSSED_MAX

    def _crossed(self, end: int, start: int) -> int:
        """Words between that mean something and are no collection's name."""
        return (span_mask(end, start) & self.asked.content & ~self._named).bit_count() if end < start else 0

    # Places

    def places(self) -> list[list[Slot]]:
        """Places of the question where something is asked for, each with its likeliest readings."""
        by_start: dict[int, dict[tuple[Item, ...], Slot]] = {}
        for slot in self._slots():
            here = by_start.setdefault(slot.start, {})
            known = here.get(slot.items)
            if known is None or known.score < slot.score:
                here[slot.items] = slot
        ranked = [sorted(here.values(), key=lambda slot: -slot.score) for _, here in sorted(by_start.items())]
        return [slots[:READINGS_MAX] for slots in ranked][:SLOTS_MAX]

    def _slots(self) -> Iterator[Slot]:
        for part in self.reading.wanted:
            mention = part.mention
            if mention is None or mention.coverage < 0.3:
                continue
            if self.several and self._unsaid(part.column, part.mask):
                continue
            table = self.view.columns[part.column].table
            features: Features = [*part.features, *self.affinity(part.column, mention.start, mention.end)]
            slot = self._slot((Item(part.column),), part.mask, (mention.start, mention.end), features, table)
            yield slot
            yield from self._figured(slot)
        yield from self._counts()
        yield from self._labels()
        if self.several:
            yield from self._generic()
        yield from self._everything()

    def _unsaid(self, column: int, mask: int) -> bool:
        """Whether only documents are named, and the column numbers them: books are no ids of books."""
        chosen = self.view.columns[column]
        if not chosen.words or chosen.words[-1] not in ("id", "ids"):
            return False
        return any(entity.table == chosen.table and not mask & ~entity.mask for entity in self.entities)

    def _slot(
        self,
        items: tuple[Item, ...],
        mask: int,
        span: tuple[int, int],
        features: Features,
        table: int,
        *,
        label: bool = False,
    ) -> Slot:
        return Slot(items, mask, *span, features, self.reading.model.score(features), table, label)

    def affinity(self, column: int, start: int, end: int) -> Features:
        """How near the words are to a mention of the column's own collection."""
        if not self.several:
            return []
        table = self.view.columns[column].table
        gap = nearest(self.entities, table, start, end)
        features: Features = [(f"t:gap:{'none' if gap is None else min(gap, 4) if gap < 8 else 'far'}", 1.0)]
        rival = [e for e in self.entities if e.table != table]
        closer = [e for e in rival if gap is None or max(0, start - e.end, e.start - end) < gap]
        if closer:
            features.append(("t:closer", 1.0))
        if self.entities and self.entities[0].table == table:
            features.append(("t:first", 1.0))
        return features

    def _labels(self) -> Iterator[Slot]:
        """A collection's name stands for what its documents are called."""
        for entity in self.entities:
            for rank, column in enumerate(label_columns(self.view, entity.table)[:1]):
                features: Features = [
                    ("q:label", 1.0),
                    (f"q:label:{rank}", 1.0),
                    ("q:label:coverage", entity.coverage),
                    (f"q:label:asks:{self.asked.asks}", 1.0),
                ]
                span = (entity.start, entity.end)
                yield self._slot((Item(column),), entity.mask, span, features, entity.table, label=True)

    def _generic(self) -> Iterator[Slot]:
        """As in "their ids", "the name of the singer": the key or the label of a collection that is mentioned."""
        for index, word in enumerate(self.asked.words):
            one = singular(word)
            if one not in KEYS and one not in LABELS:
                continue
            for rank, (entity, where) in enumerate(self._owners(index)):
                found = (
                    key_column(self.view, entity.table, self.reading.joined)
                    if one in KEYS
                    else next(iter(label_columns(self.view, entity.table)), None)
                )
                if found is None or (one in LABELS and self.view.columns[found].words[-1] not in LABELS):
                    continue
                adjacent = where == "before"
                features: Features = [
                    ("s:generic", 1.0),
                    (f"s:generic:{'key' if one in KEYS else 'label'}", 1.0),
                    (f"s:generic:{where}:{min(rank, 2)}", 1.0),
                ]
                mask = (1 << index) | (entity.mask if where in ("before", "behind") else 0)
                span = (entity.start if adjacent else index, index + 1)
                yield self._slot((Item(found),), mask, span, features, entity.table)

    def _owners(self, index: int) -> list[tuple[EntityMention, str]]:
        """Collections whose name or key a word may be: those right beside it, the last one before it, the first."""
        found: dict[int, tuple[EntityMention, str]] = {}
        for entity in self.entities:
            if 0 <= index - entity.end <= 1 and not (index - entity.end == 1 and self.asked.words[entity.end] != "s"):
                found.setdefault(entity.table, (entity, "before"))
            elif 0 < entity.start - index <= 4:
                found.setdefault(entity.table, (entity, "behind"))
        earlier = [entity for entity in self.entities if entity.end <= index]
        for entity in [*earlier[-1:], *self.entities[:1]]:
            found.setdefault(entity.table, (entity, "far"))
        return list(found.values())[:3]

    def _everything(self) -> Iterator[Slot]:
        """As in "all the information about …": every column."""
        words = self.asked.words
        at = next((i for i, word in enumerate(words) if word in EVERYTHING), -1)
        if at < 0 or "all" not in words[max(0, at - 3) : at]:
            return
        for entity in self.entities:
            if 0 < entity.start - at <= 4 or not self.several:
                items = tuple(Item(column) for column in self.view.of_table(entity.table))
                mask = entity.mask | 1 << at
                yield self._slot(items, mask, (at, entity.end), [("q:star", 1.0)], entity.table)

    # Figures

    def _figured(self, slot: Slot) -> Iterator[Slot]:
        """The same column as a figure: "the average and maximum age"."""
        if self.counted_before(slot.start):
            yield from self._different(slot)
        fns, mask = self._fns(slot.start)
        column = self.view.columns[slot.items[0].column]
        if self.several and identifying(column.words):
            return
        kept = [fn for fn in fns if column.ordered and (fn not in ("avg", "sum") or column.kind == "number")]
        if not kept:
            return
        words = self.asked.words
        plain = any(words[i] in PLAIN_FIGURES for i in range(len(words)) if mask >> i & 1)
        features = [
            *slot.features,
            ("q:figure", 1.0),
            (f"q:figure:{'plain' if plain else 'superlative'}", 1.0),
            ("q:figures", float(len(kept))),
        ]
        items = tuple(Item(slot.items[0].column, fn) for fn in kept)
        yield self._slot(items, slot.mask | mask, (slot.start, slot.end), features, slot.table)

    def _fns(self, start: int) -> tuple[list[str], int]:
        """The figures that words before a place name, in their order, and those words."""
        words = self.asked.words
        fns: list[str] = []
        mask, index = 0, start - 1
        while index >= 0 and start - index <= 8:
            word = words[index]
            if word in FIGURES:
                fns.insert(0, FIGURES[word])
                mask |= 1 << index
            elif word not in ("and", "the", "of", "a", "its", "their", "all") and (fns or start - index > 3):
                break
            index -= 1
        return list(dict.fromkeys(fns)), mask

    def _different(self, slot: Slot) -> Iterator[Slot]:
        """As in "how many different cities", "the number of points": counted or summed."""
        distinct = self.asked.cues.get("different", 0)
        number = slot.items[0].column
        said = "different" if distinct else "plain"
        numbering = self.several and identifying(self.view.columns[number].words)
        for fn in ("distinct",) if numbering else ("distinct", "count"):
            features = [*slot.features, (f"q:{fn}", 1.0), (f"q:{fn}:{said}", 1.0)]
            mask = slot.mask | self.count_mask | distinct
            yield self._slot((Item(number, fn),), mask, (slot.start, slot.end), features, slot.table)
        if self.view.columns[number].kind == "number" and not numbering:
            features = [*slot.features, ("q:sum:counted", 1.0)]
            mask = slot.mask | self.count_mask
            yield self._slot((Item(number, "sum"),), mask, (slot.start, slot.end), features, slot.table)

    def counted_before(self, start: int) -> bool:
        """Whether "how many" or the like stands shortly before a place."""
        return bool(self.count_mask & span_mask(max(0, start - 5), start))

    def _counts(self) -> Iterator[Slot]:
        """Counted documents: "how many singers"."""
        mask = self.count_mask
        if not mask:
            return
        for entity in self.entities or []:
            before = mask & span_mask(0, entity.start)
            gap = entity.start - before.bit_length()
            if before and 0 <= gap <= 5:
                features: Features = [
                    ("q:count", 1.0),
                    (f"q:count:gap:{min(gap, 3)}", 1.0),
                    ("q:count:coverage", entity.coverage),
                ]
                span = (entity.start, entity.end)
                yield self._slot((Item(ROWS, "count"),), entity.mask | mask, span, features, entity.table)
        if not self.entities or not self.several:
            start = mask.bit_length()
            features = [("q:count", 1.0), ("q:count:nothing", 1.0)]
            yield self._slot((Item(ROWS, "count"),), mask, (start, start), features, 0)

    # Lists

    def _list(self, slots: tuple[Slot, ...]) -> Wanted:
        features: Features = [(f"q:items:{min(len(slots), 4)}", 1.0)]
        words = self.asked.words
        for one, two in pairwise(slots):
            between = range(one.end, two.start)
            joined = any(words[i] in ("and", "with") for i in between) or "," in self._text(one.end, two.start)
            crossed = self._crossed(one.end, two.start)
            features.append((f"q:link:{'and' if joined else 'none'}:{min(crossed, 2)}", 1.0))
            features.append(("q:link:words", float(len(between))))
            if one.table != two.table:
                features.append(("q:link:tables", 1.0))
        columns = [item.column for slot in slots for item in slot.items]
        if len({slot.items[0].column for slot in slots}) < len(slots) or len(set(columns)) < len(columns) - 2:
            features.append(("q:repeated", 1.0))
        features.append(("q:from", min(slots[0].start, 12) / 6))
        gain = -GAIN_SHARE * self.reading.model.weight("g:uncovered")
        explained = _union(slot.mask for slot in slots) & self.asked.content & ~self._named
        score = sum(slot.score for slot in slots) + self.reading.model.score(features)
        return Wanted(slots, features, score, score + gain * explained.bit_count())

    def _text(self, end: int, start: int) -> str:
        """The question's own characters between two words."""
        places = self.asked.places
        return self.asked.text[places[end - 1][1] : places[start][0]] if 0 < end <= start < len(places) else ""


def counting(slot: Slot) -> bool:
    """Whether it counts documents."""
    return any(item.column == ROWS for item in slot.items)


def _union(masks: Iterable[int]) -> int:
    union = 0
    for mask in masks:
        union |= mask
    return union
