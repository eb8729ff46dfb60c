"""Readings that list several columns, group, or lead across collections: what databases are asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

from promptql.rules.asked import span_mask
from promptql.rules.cues import MAX_WORDS, MIN_WORDS, STOP
from promptql.rules.draft import Draft, Features
from promptql.rules.entities import EntityMention, label_columns, nearest
from promptql.rules.parts import Part
from promptql.rules.sketch import ROWS, Clause, Condition, Item, Pick, Sketch

if TYPE_CHECKING:
    from promptql.rules.generate import Reading, RowSet

SLOTS_MAX = 9
LISTS_MAX = 50
ROW_SETS_TRIED = 7
FIGURES = {
    "average": "avg", "mean": "avg", "avg": "avg", "maximum": "max", "max": "max", "minimum": "min", "min": "min",
    "total": "sum", "sum": "sum", "combined": "sum", "highest": "max", "lowest": "min", "largest": "max",
    "smallest": "min", "greatest": "max", "oldest": "max", "youngest": "min", "most": "max", "least": "min",
    "shortest": "min", "longest": "max", "overall": "sum", "earliest": "min", "latest": "max",
}  # fmt: skip
PLAIN_FIGURES = frozenset("average mean avg maximum max minimum min total sum combined".split())
DESCENDING = frozenset("descending desc decreasing reverse highest largest oldest most greatest".split())


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


@dataclass(slots=True)
class Wanted:
    """A list of things that may be asked for."""

    slots: tuple[Slot, ...]
    features: Features
    score: float

    @property
    def items(self) -> tuple[Item, ...]:
        """All items in order, each once."""
        return tuple(dict.fromkeys(item for slot in self.slots for item in slot.items))

    @property
    def mask(self) -> int:
        """The words that it explains."""
        mask = 0
        for slot in self.slots:
            mask |= slot.mask
        return mask


class Queries:
    """Makes the readings of one question over one view."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.asked = reading.asked
        self.view = reading.view
        self.entities = reading.entities
        self.several = len(self.view.names) > 1
        self._known_keys: dict[int, list[Part]] = {}
        self._given_order = self._found_order()

    def drafts(self) -> Iterator[Draft]:
        """All of them."""
        lists = self._lists()
        rows = self._row_sets()
        for wanted in lists:
            for row_set in rows:
                yield from self._modified(wanted, row_set)

    def worthwhile(self) -> bool:
        """Whether the question of one collection has a word of lists, groups or orders."""
        words, cues = self.asked.words, self.asked.cues
        grouped = any(word in words for word in ("each", "per", "every", "by"))
        return grouped or "order" in cues or self._top() > 1 or "and" in words or ("average" in cues and "than" in cues)

    def _row_sets(self) -> list[RowSet]:
        return self.reading.row_sets[:ROW_SETS_TRIED]

    # What is asked for

    def _slots(self) -> list[list[Slot]]:
        """Places of the question where something is asked for, each with its likeliest readings."""
        by_start: dict[int, list[Slot]] = {}
        for part in self.reading.wanted:
            mention = part.mention
            if mention is None or mention.coverage < 0.3:
                continue
            features: Features = [*part.features, *self._affinity(part.column, mention.start, mention.end)]
            score = self.reading.model.score(features)
            table = self.view.columns[part.column].table
            slot = Slot((Item(part.column),), part.mask, mention.start, mention.end, features, score, table)
            by_start.setdefault(mention.start, []).append(slot)
            by_start[mention.start] += self._figured(slot)
        for slot in self._counts():
            by_start.setdefault(slot.start, []).append(slot)
        for entity in self.entities:
            for rank, column in enumerate(label_columns(self.view, entity.table)[:1]):
                features = [("q:label", 1.0), (f"q:label:{rank}", 1.0), ("q:label:coverage", entity.coverage)]
                features += [(f"q:label:asks:{self.asked.asks}", 1.0)]
                slot = Slot(
                    (Item(column),),
                    entity.mask,
                    entity.start,
                    entity.end,
                    features,
                    self.reading.model.score(features),
                    entity.table,
                    label=True,
                )
                by_start.setdefault(entity.start, []).append(slot)
        ranked = sorted(by_start.values(), key=lambda slots: slots[0].start)
        return [sorted(slots, key=lambda slot: -slot.score)[:4] for slots in ranked][:SLOTS_MAX]

    def _affinity(self, column: int, start: int, end: int) -> Features:
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

    def _figured(self, slot: Slot) -> Iterator[Slot]:
        """The same column as a figure: "the average and maximum age"."""
        words = self.asked.words
        fns: list[str] = []
        mask, index = 0, slot.start - 1
        while index >= 0 and slot.start - index <= 8:
            word = words[index]
            if word in FIGURES:
                fns.insert(0, FIGURES[word])
                mask |= 1 << index
            elif word not in ("and", "the", "of", "a", "its", "their", "all") and not (
                fns == [] and slot.start - index <= 3
            ):
                break
            index -= 1
        column = self.view.columns[slot.items[0].column]
        kept = [
            fn for fn in dict.fromkeys(fns) if column.ordered and (fn not in ("avg", "sum") or column.kind == "number")
        ]
        distinct = self.asked.cues.get("different", 0)
        if (
            "numberof" in self.asked.cues or "howmany" in self.asked.cues or "count" in self.asked.cues
        ) and self._counted_before(slot.start):
            for fn in ("distinct", "count"):
                features = [*slot.features, (f"q:{fn}", 1.0), (f"q:{fn}:{'different' if distinct else 'plain'}", 1.0)]
                yield replace(
                    slot,
                    items=(Item(slot.items[0].column, fn),),
                    mask=slot.mask | self._count_mask() | distinct,
                    features=features,
                    score=self.reading.model.score(features),
                )
            if column.kind == "number":
                features = [*slot.features, ("q:sum:counted", 1.0)]
                yield replace(
                    slot,
                    items=(Item(slot.items[0].column, "sum"),),
                    mask=slot.mask | self._count_mask(),
                    features=features,
                    score=self.reading.model.score(features),
                )
        if not kept:
            return
        plain = any(words[i] in PLAIN_FIGURES for i in range(len(words)) if mask >> i & 1)
        features = [
            *slot.features,
            ("q:figure", 1.0),
            (f"q:figure:{'plain' if plain else 'superlative'}", 1.0),
            ("q:figures", float(len(kept))),
        ]
        items = tuple(Item(slot.items[0].column, fn) for fn in kept)
        yield Slot(
            items, slot.mask | mask, slot.start, slot.end, features, self.reading.model.score(features), slot.table
        )

    def _count_mask(self) -> int:
        cues = self.asked.cues
        return cues.get("howmany", 0) | cues.get("numberof", 0) | cues.get("totalnumber", 0) | cues.get("count", 0)

    def _counted_before(self, start: int) -> bool:
        mask = self._count_mask()
        return bool(mask & span_mask(max(0, start - 5), start))

    def _counts(self) -> Iterator[Slot]:
        """Counted documents: "how many singers"."""
        mask = self._count_mask()
        if not mask:
            return
        for entity in self.entities or []:
            gap = entity.start - (mask & span_mask(0, entity.start)).bit_length()
            if mask & span_mask(0, entity.start) and 0 <= gap <= 5:
                features: Features = [
                    ("q:count", 1.0),
                    (f"q:count:gap:{min(gap, 3)}", 1.0),
                    ("q:count:coverage", entity.coverage),
                ]
                yield Slot(
                    (Item(ROWS, "count"),),
                    entity.mask | mask,
                    entity.start,
                    entity.end,
                    features,
                    self.reading.model.score(features),
                    entity.table,
                )
        if not self.entities or not self.several:
            start = mask.bit_length()
            features = [("q:count", 1.0), ("q:count:nothing", 1.0)]
            yield Slot((Item(ROWS, "count"),), mask, start, start, features, self.reading.model.score(features), 0)

    def _lists(self) -> list[Wanted]:
        places = self._slots()
        lists: list[Wanted] = []
        for begin in range(len(places)):
            chains: list[tuple[Slot, ...]] = [()]
            for place in places[begin : begin + 6]:
                grown = [
                    (*chain, slot)
                    for chain in chains
                    for slot in place[: 4 if len(chain) < 1 else 2]
                    if not chain
                    or (slot.start >= chain[-1].end and not slot.mask & chain[-1].mask & ~self._count_mask())
                ]
                lists += [self._list(chain) for chain in grown]
                grown.sort(key=lambda chain: -sum(slot.score for slot in chain))
                passed = [chain for chain in chains if chain] if any(slot.label for slot in place) else []
                chains = grown[:7] + passed[:3]  # a collection's name between two columns may stand for itself
                if not chains:
                    break
        lists.sort(key=lambda wanted: -wanted.score)
        return lists[:LISTS_MAX]

    def _text(self, end: int, start: int) -> str:
        """The question's own characters between two words."""
        places = self.asked.places
        return self.asked.text[places[end - 1][1] : places[start][0]] if 0 < end <= start < len(places) else ""

    def _list(self, slots: tuple[Slot, ...]) -> Wanted:
        words, content = self.asked.words, self.asked.content
        named = 0
        for entity in self.entities:
            named |= entity.mask
        features: Features = [(f"q:items:{min(len(slots), 4)}", 1.0)]
        for one, two in pairwise(slots):
            between = range(one.end, two.start)
            joined = any(words[i] in ("and", "with") for i in between) or "," in self._text(one.end, two.start)
            crossed = sum(1 for i in between if content >> i & 1 and not named >> i & 1)
            features.append((f"q:link:{'and' if joined else 'none'}:{min(crossed, 2)}", 1.0))
            features.append(("q:link:words", float(len(between))))
            if one.table != two.table:
                features.append(("q:link:tables", 1.0))
        columns = [item.column for slot in slots for item in slot.items]
        if len({slot.items[0].column for slot in slots}) < len(slots) or len(set(columns)) < len(columns) - 2:
            features.append(("q:repeated", 1.0))
        first = slots[0].start
        features.append(("q:from", min(first, 12) / 6))
        return Wanted(slots, features, sum(slot.score for slot in slots) + self.reading.model.score(features))

    # What is made of it

    def _part(self, wanted: Wanted) -> Part:
        features = [pair for slot in wanted.slots for pair in slot.features] + wanted.features
        columns = [item.column for item in wanted.items]
        return Part(wanted.mask, features, column=columns[0], head=wanted.mask, score=wanted.score)

    def _tables(self, wanted: Wanted) -> tuple[int, ...]:
        counted = [slot.table for slot in wanted.slots if any(item.column == ROWS for item in slot.items)]
        return tuple(dict.fromkeys(counted)) if self.several else ()

    def _draft(
        self,
        name: str,
        sketch: Sketch,
        wanted: Wanted,
        rows: RowSet,
        features: Features,
        mask: int = 0,
        extra: tuple[Part, ...] = (),
    ) -> Draft:
        joined = self._join_features(sketch)
        figures = any(item.fn for item in sketch.select) and not sketch.group
        cues = [(f"op:{name}:{cue}", 1.0) for cue in self.asked.cues if cue in TELLING]
        named = [(f"op:{name}", 1.0), *cues, *features, *joined, *rows.features]
        entity_mask = 0
        if self.several and self.reading.joined is not None:
            used = set(self.reading.joined.tables_of(sketch))
            used |= {
                t
                for clause in sketch.where
                for test in clause
                if isinstance(test.value, Sketch)
                for t in self.reading.joined.tables_of(test.value)
            }
            if sketch.combine is not None:
                used |= set(self.reading.joined.tables_of(sketch.combine[1]))
            for entity in self.entities:
                if entity.table in used:
                    entity_mask |= entity.mask
        part = self._part(wanted)
        return Draft(name, sketch, (*rows.parts, part, *extra), named, mask | entity_mask, figures, part)

    def _join_features(self, sketch: Sketch) -> Features:
        joined = self.reading.joined
        if joined is None or not self.several:
            return []
        tables = joined.tables_of(sketch)
        mentioned = {entity.table for entity in self.entities}
        features: Features = [
            (f"j:tables:{min(len(tables), 4)}", 1.0),
            ("j:unmentioned", float(len(set(tables) - mentioned))),
        ]
        if mentioned - set(tables):
            strong = {e.table for e in self.entities if e.coverage == 1.0} - set(tables)
            features += [("j:unused", float(len(mentioned - set(tables)))), ("j:unused:full", float(len(strong)))]
        if sketch.via:
            features.append(("j:via", 1.0))
        return features

    def _modified(self, wanted: Wanted, rows: RowSet) -> Iterator[Draft]:
        items = wanted.items
        plain = tuple(item.column for item in items if not item.fn)
        figures = tuple(item for item in items if item.fn)
        tables = self._tables(wanted)
        base = Sketch(items, rows.clauses, tables=tables)
        cues = self.asked.cues
        if figures and plain:
            grouped = replace(base, group=plain)
            features: Features = [("q:grouped", 1.0), (f"q:grouped:{'each' if 'each' in cues else 'uneach'}", 1.0)]
            yield self._draft("grouped", grouped, wanted, rows, features, cues.get("each", 0))
            yield from self._ranked(grouped, wanted, rows, figures)
            yield from self._having(grouped, wanted, rows)
        elif figures:
            yield self._draft("figures", base, wanted, rows, [])
            yield from self._grouped_by(base, wanted, rows)
            yield from self._negated(base, wanted, rows)
        else:
            yield self._draft("list", base, wanted, rows, [])
            if self.several or "different" in cues:
                yield self._draft(
                    "list",
                    replace(base, distinct=True),
                    wanted,
                    rows,
                    [("q:distinct", 1.0), (f"q:distinct:{'cue' if 'different' in cues else 'none'}", 1.0)],
                    cues.get("different", 0),
                )
            yield from self._sorted(base, wanted, rows)
            yield from self._best(base, wanted, rows)
            yield from self._most(base, wanted, rows)
            yield from self._having(replace(base, group=plain), wanted, rows)
            yield from self._negated(base, wanted, rows)
            yield from self._both(base, wanted, rows)
        yield from self._average(base, wanted, rows)
        if self.several and not figures:
            for entity in self._others(base):
                extra = replace(base, tables=(*tables, entity.table), distinct=True)
                yield self._draft("related", extra, wanted, rows, [("q:related", 1.0), ("q:related:once", 1.0)])
                yield self._draft("related", replace(extra, distinct=False), wanted, rows, [("q:related", 1.0)])

    def _others(self, sketch: Sketch) -> list[EntityMention]:
        assert self.reading.joined is not None
        used = set(self.reading.joined.tables_of(sketch))
        seen: dict[int, EntityMention] = {}
        for entity in self.entities:
            if entity.table not in used and entity.coverage >= 0.5:
                seen.setdefault(entity.table, entity)
        return list(seen.values())[:2]

    def _grouped_by(self, base: Sketch, wanted: Wanted, rows: RowSet) -> Iterator[Draft]:
        """Figures of each … whose name is not among what is listed."""
        each = self.asked.cues.get("each")
        if not each:
            return
        at = each.bit_length()
        for part in self.reading.wanted[:8]:
            if part.mention is not None and 0 <= part.mention.start - at <= 2:
                sketch = replace(base, select=(Item(part.column), *base.select), group=(part.column,))
                yield self._draft("groupedby", sketch, wanted, rows, [("q:by", 1.0)], each | part.mask)
        for entity in self.entities:
            if 0 <= entity.start - at <= 2:
                for column in label_columns(self.view, entity.table)[:1]:
                    sketch = replace(
                        base,
                        select=(Item(column), *base.select),
                        group=(column,),
                        tables=tuple(dict.fromkeys((*base.tables, entity.table))),
                    )
                    yield self._draft(
                        "groupedby", sketch, wanted, rows, [("q:by", 1.0), ("q:by:entity", 1.0)], each | entity.mask
                    )

    def _found_order(self) -> tuple[bool, int] | None:
        mask = self.asked.cues.get("order", 0)
        words = self.asked.words
        from_to = any(
            words[i] == "from" and i + 1 < len(words) and words[i + 1] in MAX_WORDS | MIN_WORDS
            for i in range(len(words))
        )
        if not mask and not from_to:
            return None
        down = any(word in ("descending", "desc", "decreasing", "reverse") for word in words)
        if from_to:
            begin = next(i for i in range(len(words)) if words[i] == "from" and words[i + 1] in MAX_WORDS | MIN_WORDS)
            down = words[begin + 1] in MAX_WORDS and words[begin + 1] != "earliest"
            mask |= 1 << begin
        for index, word in enumerate(words):
            if word in (
                "descending",
                "ascending",
                "order",
                "sorted",
                "ordered",
                "increasing",
                "decreasing",
                "alphabetical",
                "alphabetic",
            ):
                mask |= 1 << index
        return down, mask

    def _order(self) -> tuple[bool, int] | None:
        return self._given_order

    def _sorted(self, base: Sketch, wanted: Wanted, rows: RowSet) -> Iterator[Draft]:
        order = self._order()
        if order is None:
            return
        down, mask = order
        for key in self._keys(mask)[:3]:
            pick = Pick("max" if down else "min", Item(key.column), everything=True)
            yield self._draft("sorted", replace(base, pick=pick), wanted, rows, [("q:sorted", 1.0)], mask, (key,))

    def _keys(self, cue: int) -> list[Part]:
        """Columns as what is ordered by; text too."""
        known = self._known_keys.get(cue)
        if known is None:
            known = self._known_keys[cue] = self._made_keys(cue)
        return known

    def _made_keys(self, cue: int) -> list[Part]:
        found = []
        columns = self.view.columns
        for part in self.reading.wanted:
            mention = part.mention
            if mention is None and (not columns[part.column].ordered or ("s:bare:had", 1.0) in part.features):
                continue
            features: Features = [("o:named" if mention else "o:bare", 1.0)]
            if mention is not None:
                gap = mention.start - cue.bit_length()
                near = "next" if 0 <= gap <= 2 else "behind" if gap < 0 else "far"
                if span_mask(mention.start, mention.end) & cue:
                    near = "in"
                features += [
                    (f"o:{near}", 1.0),
                    ("o:coverage", mention.coverage),
                    ("o:matched", float(mention.matched)),
                ]
            else:
                from promptql.rules.operations import measured

                features.append(
                    ("o:measure" if measured(self.asked, cue, columns[part.column].words) else "o:nomeasure", 1.0)
                )
            features += [(f"o:{name}", v) for name, v in self._affinity(part.column, part.start, part.start + 1)]
            features.append((f"o:kind:{columns[part.column].kind}", 1.0))
            if identifying(columns[part.column].words):
                features.append(("o:identifier", 1.0))
            key = Part(part.mask, features, column=part.column, head=part.head, start=part.start, mention=mention)
            key.score = self.reading.model.score(features)
            found.append(key)
        found.sort(key=lambda part: -part.score)
        return found

    def _top(self) -> int:
        words = self.asked.words
        for number in self.asked.numbers:
            if 1 < number.value <= 100 and (
                (number.start and words[number.start - 1] in ("top", "first", "bottom", "the", "last"))
                or (number.end < len(words) and words[number.end] in MAX_WORDS | MIN_WORDS)
            ):
                return int(number.value)
        return 1

    def _directions(self) -> list[tuple[str, int]]:
        words = self.asked.words
        found = []
        for how, said in (("max", MAX_WORDS), ("min", MIN_WORDS)):
            mask = sum(1 << i for i, word in enumerate(words) if word in said)
            if mask:
                found.append((how, mask))
        return found

    def _best(self, base: Sketch, wanted: Wanted, rows: RowSet) -> Iterator[Draft]:
        n = self._top()
        for how, mask in self._directions():
            ways = (
                ("max", "min")
                if any(
                    word in ("youngest", "latest", "newest", "recent", "earliest", "oldest", "top")
                    for i, word in enumerate(self.asked.words)
                    if mask >> i & 1
                )
                else (how,)
            )
            for way in ways:
                for key in self._keys(mask)[:4]:
                    if not self.view.columns[key.column].ordered:
                        continue
                    numbers = sum(span_mask(x.start, x.end) for x in self.asked.numbers if x.value == n) if n > 1 else 0
                    sketch = replace(base, pick=Pick(way, Item(key.column), n))
                    features: Features = [(f"q:best:{'as' if way == how else 'against'}", 1.0)]
                    yield self._draft("best", sketch, wanted, rows, features, mask | numbers, (key,))

    def _most(self, base: Sketch, wanted: Wanted, rows: RowSet) -> Iterator[Draft]:
        """With the most documents of their own or of another collection."""
        n = self._top()
        group = tuple(item.column for item in base.select)
        for how, mask in self._directions():
            pick = Pick(how, Item(ROWS, "count"), n)
            options: list[tuple[int, ...]] = [base.tables]
            if self.several:
                options += [(*base.tables, entity.table) for entity in self._others(base)]
            for tables in options:
                sketch = replace(base, group=group, pick=pick, tables=tables)
                features: Features = [("q:most", 1.0), (f"q:most:{'other' if tables != base.tables else 'own'}", 1.0)]
                yield self._draft("most", sketch, wanted, rows, features, mask | self._count_mask())

    def _ranked(self, grouped: Sketch, wanted: Wanted, rows: RowSet, figures: tuple[Item, ...]) -> Iterator[Draft]:
        order = self._order()
        if order is not None:
            pick = Pick("max" if order[0] else "min", figures[0], everything=True)
            yield self._draft("grouped", replace(grouped, pick=pick), wanted, rows, [("q:sorted", 1.0)], order[1])
        for how, mask in self._directions():
            pick = Pick(how, figures[-1], self._top())
            yield self._draft(
                "most", replace(grouped, pick=pick), wanted, rows, [("q:most", 1.0), ("q:most:figure", 1.0)], mask
            )
            names = tuple(item for item in grouped.select if not item.fn)
            if names and names != grouped.select:
                sketch = replace(grouped, select=names, pick=pick)
                yield self._draft("most", sketch, wanted, rows, [("q:most", 1.0), ("q:most:hidden", 1.0)], mask)

    def _having(self, base: Sketch, wanted: Wanted, rows: RowSet) -> Iterator[Draft]:
        conditions = self.reading.maker
        for number in self.asked.numbers:
            if number.value > 1_000 or number.value != int(number.value):
                continue
            options = [(op, name, cue) for op, name, cue in conditions.ops(number)]
            options = options or [("=", "exactly", 0)]
            for op, name, cue in options:
                extras: list[tuple[int, ...]] = [base.tables]
                if self.several:
                    extras += [(*base.tables, entity.table) for entity in self._others(base)]
                for tables in extras:
                    sketch = replace(base, having=(Item(ROWS, "count"), op, number.value), tables=tables)
                    mask = cue | span_mask(number.start, number.end)
                    if any(part.mask & mask for part in rows.parts):
                        continue
                    features: Features = [
                        ("q:having", 1.0),
                        (f"q:having:{op}:{name}", 1.0),
                        (f"q:having:{'other' if tables != base.tables else 'own'}", 1.0),
                        ("q:having:spelled", float(number.spelled)),
                    ]
                    yield self._draft("having", sketch, wanted, rows, features, mask | self._count_mask())
        words = self.asked.words
        for index, word in enumerate(words):
            if word in ("multiple", "several", "twice"):
                sketch = replace(base, having=(Item(ROWS, "count"), ">", 1.0))
                yield self._draft(
                    "having", sketch, wanted, rows, [("q:having", 1.0), ("q:having:multiple", 1.0)], 1 << index
                )

    def _negated(self, base: Sketch, wanted: Wanted, rows: RowSet) -> Iterator[Draft]:
        """Documents that no document of another collection (with the conditions) leads to."""
        joined = self.reading.joined
        words = self.asked.words
        mask = sum(
            1 << i
            for i, word in enumerate(words)
            if word
            in (
                "not",
                "no",
                "without",
                "never",
                "except",
                "don",
                "didn",
                "doesn",
                "haven",
                "hasn",
                "excluding",
                "neither",
            )
        )
        if not mask or joined is None or not self.several:
            return
        for main in joined.tables_of(replace(base, where=())):
            for other, key, column in joined.edges.get(main, ()):
                inside = tuple(c for c in rows.clauses if all(self.view.columns[t.column].table != main for t in c))
                outside = tuple(c for c in rows.clauses if c not in inside)
                mentioned = any(entity.table == other for entity in self.entities)
                if not mentioned and not inside:
                    continue
                inner = Sketch((Item(column),), inside, tables=(other,))
                clauses: tuple[Clause, ...] = (*outside, (Condition(key, "not in", inner),))
                sketch = replace(base, where=clauses)
                features: Features = [
                    ("q:without", 1.0),
                    (f"q:without:{'mentioned' if mentioned else 'unmentioned'}", 1.0),
                    ("q:without:inner", float(len(inside))),
                ]
                yield self._draft("without", sketch, wanted, rows, features, mask)

    def _both(self, base: Sketch, wanted: Wanted, rows: RowSet) -> Iterator[Draft]:
        """What is found with one value and with the other as well."""
        pairs = [clause for clause in rows.clauses if len(clause) == 2]
        words = self.asked.words
        if not pairs or ("and" not in words and "both" not in words):
            return
        rest = tuple(clause for clause in rows.clauses if clause is not pairs[0])
        one, two = ((*rest, (test,)) for test in pairs[0])
        features: Features = [("q:both", 1.0), (f"q:both:{'said' if 'both' in words else 'and'}", 1.0)]
        sketch = replace(base, where=one, combine=("intersect", replace(base, where=two)))
        yield self._draft("both", sketch, wanted, rows, features, self.asked.cues.get("and", 0))
        if {"not", "but"} & set(words):
            sketch = replace(base, where=one, combine=("except", replace(base, where=two)))
            yield self._draft("except", sketch, wanted, rows, [("q:except", 1.0)], self.asked.cues.get("not", 0))

    def _average(self, base: Sketch, wanted: Wanted, rows: RowSet) -> Iterator[Draft]:
        """With more or less than the average of all."""
        words = self.asked.words
        at = next((i for i, word in enumerate(words) if word in ("average", "mean")), -1)
        if at < 0:
            return
        before = words[max(0, at - 5) : at]
        down = bool({"less", "below", "under", "smaller", "lower", "shorter", "younger", "fewer"} & set(before))
        up = bool(
            {"more", "above", "over", "larger", "greater", "higher", "older", "bigger", "longer", "than"} & set(before)
        )
        if not (up or down):
            return
        mask = (1 << at) | sum(
            1 << i for i in range(max(0, at - 5), at) if words[i] not in STOP or words[i] in ("more", "less", "than")
        )
        for key in self._keys(mask)[:4]:
            if self.view.columns[key.column].kind != "number":
                continue
            inner = Sketch((Item(key.column, "avg"),))
            clauses: tuple[Clause, ...] = (*rows.clauses, (Condition(key.column, "<" if down else ">", inner),))
            yield self._draft("average", replace(base, where=clauses), wanted, rows, [("q:average", 1.0)], mask, (key,))


TELLING = frozenset(
    "howmany numberof count average max min different each or not same than mostoften order once both and".split()
)


def identifying(words: tuple[str, ...]) -> bool:
    """Whether a column of that name numbers things, so that more of it means nothing."""
    return bool(words) and words[-1] in ("id", "ids", "code", "no", "number", "key", "zip", "phone")


def queries(reading: Reading) -> Iterator[Draft]:
    """Readings of a question that databases are asked; of one collection only those that no operation makes."""
    maker = Queries(reading)
    if maker.several:
        yield from maker.drafts()
    elif maker.worthwhile():
        for draft in maker.drafts():
            pick = draft.sketch.pick
            if (
                len(draft.sketch.select) > 1
                or draft.name in ("sorted", "having", "groupedby", "average", "both")
                or (pick is not None and pick.n > 1)
            ):
                yield draft
