"""Readings that list several columns, group, or lead across collections: what databases are asked."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import product
from typing import TYPE_CHECKING

from promptql.rules.asked import span_mask, stem
from promptql.rules.draft import Draft, Features
from promptql.rules.entities import EntityMention, key_column, label_columns
from promptql.rules.lists import FIGURES, Lists, Wanted, counting
from promptql.rules.nesting import both, both_counted, compared, comparisons, greatest, having_any, negated
from promptql.rules.ordering import Ordering
from promptql.rules.parts import Part
from promptql.rules.sketch import ROWS, Item, Pick, Sketch

if TYPE_CHECKING:
    from promptql.rules.generate import Reading, RowSet

ROW_SETS_TRIED = 7
PAIRS_MAX = 110  # of lists and conditions that readings are made of
LISTS_EACH_MIN = 14  # that go with each set of conditions
KEYS_TRIED = 4  # columns that a list may be ordered by
OTHERS_MAX = 3  # further collections that a reading may lead to
TELLING = frozenset(
    "howmany numberof count average max min different each or not same than mostoften order once both and".split()
)
SINGLE = frozenset({"multiple", "several", "twice"})


class Queries:
    """Makes the readings of one question over one view."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.asked = reading.asked
        self.view = reading.view
        self.entities = reading.entities
        self.several = len(self.view.names) > 1
        self.lists = Lists(reading)
        self.ordering = Ordering(reading, self.lists)
        self.count_mask = self.lists.count_mask
        self.comparisons = comparisons(self.asked.words)
        self._known_figured: dict[int, list[tuple[Part, str, int]]] = {}
        self._known_others: dict[tuple[int, ...], list[EntityMention]] = {}

    def drafts(self) -> Iterator[Draft]:
        """All of them."""
        lists, rows = self.lists.found(), self._row_sets()
        share = max(LISTS_EACH_MIN, PAIRS_MAX // len(rows))
        for wanted, row_set in product(lists[:share], rows):
            for draft in self._modified(wanted, row_set):
                yield from self._roles(draft)

    def _row_sets(self) -> list[RowSet]:
        """The likeliest conditions, those without a number that may count, and none."""
        known = self.reading.row_sets
        rows = {row_set.clauses: row_set for row_set in known[:ROW_SETS_TRIED]}
        if self.several:
            for row_set in list(rows.values()):
                for fewer in self.reading.without_numbers(row_set):
                    rows.setdefault(fewer.clauses, fewer)
        for row_set in known:
            if not row_set.parts:
                rows.setdefault((), row_set)
        return list(rows.values())

    def worthwhile(self) -> bool:
        """Whether the question of one collection has a word of lists, groups or orders."""
        words, cues = self.asked.words, self.asked.cues
        grouped = any(word in words for word in ("each", "per", "every", "by"))
        averaged = "average" in cues and "than" in cues
        return grouped or "order" in cues or self.ordering.top > 1 or "and" in words or averaged

    # Drafts

    def draft(
        self,
        name: str,
        sketch: Sketch,
        wanted: Wanted,
        rows: RowSet,
        features: Features,
        mask: int = 0,
        extra: tuple[Part, ...] = (),
    ) -> Draft:
        """A reading, with what speaks for its joins and which collections' names it explains."""
        joins, used = self._joins(sketch)
        figures = any(item.fn for item in sketch.select) and not sketch.group
        cues = [(f"op:{name}:{cue}", 1.0) for cue in self.asked.cues if cue in TELLING]
        named = [(f"op:{name}", 1.0), *cues, *features, *joins, *rows.features]
        for entity in self.entities:
            if entity.table in used:
                mask |= entity.mask
        return Draft(name, sketch, (*rows.parts, wanted.part, *extra), named, mask, figures, wanted.part)

    def _joins(self, sketch: Sketch) -> tuple[Features, set[int]]:
        joined = self.reading.joined
        if joined is None or not self.several:
            return [], set()
        tables = joined.tables_of(sketch)
        used = set(tables)
        for inner in _inside(sketch):
            used |= set(joined.tables_of(inner))
        mentioned = {entity.table for entity in self.entities}
        features: Features = [
            (f"j:tables:{min(len(tables), 4)}", 1.0),
            ("j:unmentioned", float(len(set(tables) - mentioned))),
        ]
        if mentioned - used:
            strong = {e.table for e in self.entities if e.coverage == 1.0} - used
            features += [("j:unused", float(len(mentioned - used))), ("j:unused:full", float(len(strong)))]
        return features, used

    def _roles(self, draft: Draft) -> Iterator[Draft]:
        """The reading, and, where two of its collections are related in two ways, the other way as well."""
        joined = self.reading.joined
        if joined is None or not joined.parallel(draft.sketch):
            yield draft
            return
        for via in range(2):
            sketch = replace(draft.sketch, via=via)
            said = sum(stem(word) in self.asked.stems for word in joined.role(sketch))
            features: Features = [("j:via", float(via)), ("j:role", float(said))]
            yield replace(draft, sketch=sketch, features=[*draft.features, *features])

    # What is made of a list

    def _modified(self, wanted: Wanted, rows: RowSet) -> Iterator[Draft]:
        items = wanted.items
        figures = tuple(item for item in items if item.fn)
        counted = [slot.table for slot in wanted.slots if counting(slot)]
        base = Sketch(items, rows.clauses, tables=tuple(dict.fromkeys(counted)) if self.several else ())
        if figures and len(figures) < len(items):
            yield from self._mixed(base, wanted, rows, figures)
        elif figures:
            yield from self._figures(base, wanted, rows)
        else:
            yield from self._plain(base, wanted, rows)
        if not figures or len(figures) == len(items):
            yield from compared(self, base, wanted, rows)

    def _mixed(self, base: Sketch, wanted: Wanted, rows: RowSet, figures: tuple[Item, ...]) -> Iterator[Draft]:
        """Columns beside figures: the figures of each group, or the row that has the greatest."""
        cues = self.asked.cues
        plain = tuple(item.column for item in base.select if not item.fn)
        features: Features = [("q:grouped", 1.0), (f"q:grouped:{'each' if 'each' in cues else 'uneach'}", 1.0)]
        for group, keyed in self._groups(plain):
            grouped = replace(base, group=group)
            yield self.draft("grouped", grouped, wanted, rows, [*features, *keyed], cues.get("each", 0))
            yield from self._ranked(grouped, wanted, rows, figures)
            yield from self._having(grouped, wanted, rows)
        yield from compared(self, replace(base, group=plain), wanted, rows)
        if len(figures) == 1 and figures[0].fn in ("max", "min") and figures[0].column != ROWS:
            select = tuple(Item(item.column) for item in base.select)
            sketch = replace(base, select=select, pick=Pick(figures[0].fn, Item(figures[0].column)))
            yield self.draft("best", sketch, wanted, rows, [("q:extreme", 1.0)])

    def _figures(self, base: Sketch, wanted: Wanted, rows: RowSet) -> Iterator[Draft]:
        yield self.draft("figures", base, wanted, rows, [])
        yield from self._grouped_by(base, wanted, rows)
        if self.several:
            yield from greatest(self, base, wanted, rows)
            yield from having_any(self, base, wanted, rows)
        yield from negated(self, base, wanted, rows)
        if base.select == (Item(ROWS, "count"),) and self.several:
            yield from self._counted_once(base, wanted, rows)

    def _counted_once(self, base: Sketch, wanted: Wanted, rows: RowSet) -> Iterator[Draft]:
        """As in "how many dogs went through treatments": each counted once, however often it is found."""
        key = key_column(self.view, wanted.slots[0].table, self.reading.joined)
        if key is None:
            return
        once = (Item(key, "distinct"),)
        yield from both_counted(self, wanted, rows, key)
        for entity in self.others(base):
            sketch = replace(base, select=once, tables=(*base.tables, entity.table))
            yield self.draft("figures", sketch, wanted, rows, [("q:counted:distinct", 1.0), ("q:related", 1.0)])
        assert self.reading.joined is not None
        if len(self.reading.joined.tables_of(base)) > 1:
            yield self.draft("figures", replace(base, select=once), wanted, rows, [("q:counted:distinct", 1.0)])

    def _plain(self, base: Sketch, wanted: Wanted, rows: RowSet) -> Iterator[Draft]:
        cues = self.asked.cues
        plain = tuple(item.column for item in base.select)
        yield self.draft("list", base, wanted, rows, [])
        if self.several or "different" in cues:
            features: Features = [("q:distinct", 1.0), (f"q:distinct:{'cue' if 'different' in cues else 'none'}", 1.0)]
            mask = cues.get("different", 0)
            yield self.draft("list", replace(base, distinct=True), wanted, rows, features, mask)
        yield from self._sorted(base, wanted, rows)
        yield from self._best(base, wanted, rows)
        for group, keyed in self._groups(plain):
            yield from self._most(replace(base, group=group), wanted, rows, keyed)
            yield from self._having(replace(base, group=group), wanted, rows)
        yield from negated(self, base, wanted, rows)
        yield from both(self, base, wanted, rows)
        if self.several:
            for entity in self.others(base):
                extra = replace(base, tables=(*base.tables, entity.table), distinct=True)
                yield self.draft("related", extra, wanted, rows, [("q:related", 1.0), ("q:related:once", 1.0)])
                yield self.draft("related", replace(extra, distinct=False), wanted, rows, [("q:related", 1.0)])

    def _groups(self, plain: tuple[int, ...]) -> list[tuple[tuple[int, ...], Features]]:
        """Columns to group by: those listed, and with the key of their collection where they do not tell apart."""
        groups: list[tuple[tuple[int, ...], Features]] = [(plain, [])]
        columns = self.view.columns
        if self.several and not any(columns[number].distinct_share == 1.0 for number in plain):
            key = key_column(self.view, columns[plain[0]].table, self.reading.joined)
            named = {word for number in plain for word in columns[number].words}
            if key is not None and (len(plain) > 1 or named & {"name", "title"}):
                groups.append(((key, *plain), [("q:keyed", 1.0)]))
        return groups

    def others(self, sketch: Sketch) -> list[EntityMention]:
        """Collections that are mentioned and that the sketch does not name."""
        assert self.reading.joined is not None
        tables = self.reading.joined.tables_of(sketch)
        known = self._known_others.get(tables)
        if known is None:
            known = self._known_others[tables] = self._found_others(set(tables))
        return known

    def _found_others(self, used: set[int]) -> list[EntityMention]:
        seen: dict[int, EntityMention] = {}
        for entity in sorted(self.entities, key=lambda entity: -entity.coverage):
            if entity.table not in used and entity.coverage >= 0.5:
                seen.setdefault(entity.table, entity)
        return list(seen.values())[:OTHERS_MAX]

    def _grouped_by(self, base: Sketch, wanted: Wanted, rows: RowSet) -> Iterator[Draft]:
        """Figures of each … whose name is not among what is listed."""
        each = self.asked.cues.get("each")
        if not each:
            return
        at = each.bit_length()
        for part in self.reading.wanted[:8]:
            if part.mention is not None and 0 <= part.mention.start - at <= 2:
                sketch = replace(base, select=(Item(part.column), *base.select), group=(part.column,))
                yield self.draft("groupedby", sketch, wanted, rows, [("q:by", 1.0)], each | part.mask)
                yield from compared(self, sketch, wanted, rows)
        for entity in self.entities:
            if 0 <= entity.start - at <= 2:
                for column in label_columns(self.view, entity.table)[:1]:
                    tables = tuple(dict.fromkeys((*base.tables, entity.table)))
                    sketch = replace(base, select=(Item(column), *base.select), group=(column,), tables=tables)
                    features: Features = [("q:by", 1.0), ("q:by:entity", 1.0)]
                    yield self.draft("groupedby", sketch, wanted, rows, features, each | entity.mask)

    # Orders

    def _sorted(self, base: Sketch, wanted: Wanted, rows: RowSet) -> Iterator[Draft]:
        order = self.ordering.order
        if order is None:
            return
        down, mask = order
        how = "max" if down else "min"
        for key in self.ordering.keys(mask)[:KEYS_TRIED]:
            pick = Pick(how, Item(key.column), everything=True)
            yield self.draft("sorted", replace(base, pick=pick), wanted, rows, [("q:sorted", 1.0)], mask, (key,))
        counted = self.count_mask | sum(1 << i for i, w in enumerate(self.asked.words) if w in ("frequency", "count"))
        if counted and len(base.select) == 1:
            pick = Pick(how, Item(ROWS, "count"), everything=True)
            tables: list[tuple[int, ...]] = [base.tables, *((*base.tables, e.table) for e in self._reached(base))]
            for reached in tables:
                sketch = replace(base, group=(base.select[0].column,), pick=pick, tables=reached)
                features: Features = [("q:sorted", 1.0), ("q:sorted:count", 1.0)]
                yield self.draft("sorted", sketch, wanted, rows, features, mask | counted)

    def _reached(self, base: Sketch) -> list[EntityMention]:
        return self.others(base) if self.several else []

    def _best(self, base: Sketch, wanted: Wanted, rows: RowSet) -> Iterator[Draft]:
        """With the greatest or least of a column."""
        n = self.ordering.top
        numbers = self.ordering.top_mask(n)
        for how, mask in self.ordering.directions:
            for key in self.ordering.ordered(mask)[:KEYS_TRIED]:
                for way in self.ordering.ways(how, mask, key.column):
                    sketch = replace(base, pick=Pick(way, Item(key.column), n))
                    features: Features = [(f"q:best:{'as' if way == how else 'against'}", 1.0)]
                    yield self.draft("best", sketch, wanted, rows, features, mask | numbers, (key,))
        if self.several:
            yield from self._latest(base, wanted, rows, n)

    def _latest(self, base: Sketch, wanted: Wanted, rows: RowSet, n: int) -> Iterator[Draft]:
        """The first or last in time."""
        for how, mask in self.ordering.times:
            timed = [key for key in self.ordering.ordered(mask) if self.ordering.timed(key.column)]
            for key in timed[:2]:
                sketch = replace(base, pick=Pick(how, Item(key.column), n))
                yield self.draft("best", sketch, wanted, rows, [("q:best:time", 1.0)], mask, (key,))

    def _most(self, base: Sketch, wanted: Wanted, rows: RowSet, features: Features) -> Iterator[Draft]:
        """With the most documents of their own or of another collection, or the greatest figure of them."""
        n = self.ordering.top
        options = [base.tables, *((*base.tables, entity.table) for entity in self._reached(base))]
        for how, mask in self.ordering.directions:
            for tables in options:
                sketch = replace(base, pick=Pick(how, Item(ROWS, "count"), n), tables=tables)
                own = "own" if tables == base.tables else "other"
                found: Features = [("q:most", 1.0), (f"q:most:{own}", 1.0), *features]
                yield self.draft("most", sketch, wanted, rows, found, mask | self.count_mask)
            for key, fn, said in self._figured_keys(mask):
                pick = Pick(how, Item(key.column, fn), n)
                found = [("q:most", 1.0), ("q:most:figured", 1.0), *features]
                yield self.draft("most", replace(base, pick=pick), wanted, rows, found, mask | said, (key,))

    def _figured_keys(self, cue: int) -> list[tuple[Part, str, int]]:
        """Columns whose total or average is what counts, with the words that say so."""
        known = self._known_figured.get(cue)
        if known is None:
            known = self._known_figured[cue] = list(self._found_figured(cue))
        return known

    def _found_figured(self, cue: int) -> Iterator[tuple[Part, str, int]]:
        for fn in ("sum", "avg"):
            said = sum(1 << i for i, word in enumerate(self.asked.words) if FIGURES.get(word) == fn)
            if said and self.several:
                keys = [key for key in self.ordering.figures(cue | said) if key.mention is not None]
                for key in keys[:2]:
                    yield key, fn, said

    def _ranked(self, grouped: Sketch, wanted: Wanted, rows: RowSet, figures: tuple[Item, ...]) -> Iterator[Draft]:
        order = self.ordering.order
        if order is not None:
            how = "max" if order[0] else "min"
            pick = Pick(how, figures[0], everything=True)
            yield self.draft("grouped", replace(grouped, pick=pick), wanted, rows, [("q:sorted", 1.0)], order[1])
            for item in [item for item in grouped.select if not item.fn][:2]:
                sketch = replace(grouped, pick=Pick(how, item, everything=True))
                yield self.draft("grouped", sketch, wanted, rows, [("q:sorted", 1.0), ("q:sorted:name", 1.0)], order[1])
        for how, mask in self.ordering.directions:
            pick = Pick(how, figures[-1], self.ordering.top)
            features: Features = [("q:most", 1.0), ("q:most:figure", 1.0)]
            yield self.draft("most", replace(grouped, pick=pick), wanted, rows, features, mask)
            names = tuple(item for item in grouped.select if not item.fn)
            if names and names != grouped.select:
                sketch = replace(grouped, select=names, pick=pick)
                yield self.draft("most", sketch, wanted, rows, [("q:most", 1.0), ("q:most:hidden", 1.0)], mask)

    # Groups that are large enough

    def _having(self, base: Sketch, wanted: Wanted, rows: RowSet) -> Iterator[Draft]:
        tables = [base.tables, *((*base.tables, entity.table) for entity in self._reached(base))]
        taken = 0
        for part in rows.parts:
            taken |= part.mask
        for number in self.asked.numbers:
            if number.value != int(number.value):
                continue
            own = span_mask(number.start, number.end)
            for op, name, cue in self.reading.maker.ops(number) or [("=", "exactly", 0)]:
                mask = cue | own
                if mask & taken:
                    continue
                features: Features = [
                    ("q:having", 1.0),
                    (f"q:having:{op}:{name}", 1.0),
                    ("q:having:spelled", float(number.spelled)),
                ]
                for reached in tables if number.value <= 1_000 else ():
                    other = (f"q:having:{'own' if reached == base.tables else 'other'}", 1.0)
                    sketch = replace(base, having=(Item(ROWS, "count"), op, number.value), tables=reached)
                    yield self.draft("having", sketch, wanted, rows, [*features, other], mask | self.count_mask)
                for key, fn, said in self._figured_keys(mask):
                    sketch = replace(base, having=(Item(key.column, fn), op, number.value))
                    figured: Features = [*features, ("q:having:figured", 1.0)]
                    yield self.draft("having", sketch, wanted, rows, figured, mask | said, (key,))
        for index, word in enumerate(self.asked.words):
            if word in SINGLE:
                sketch = replace(base, having=(Item(ROWS, "count"), ">", 1.0))
                features = [("q:having", 1.0), ("q:having:multiple", 1.0)]
                yield self.draft("having", sketch, wanted, rows, features, 1 << index)


def _inside(sketch: Sketch) -> Iterator[Sketch]:
    """The sketches that it compares with or is combined with."""
    for clause in sketch.where:
        for test in clause:
            if isinstance(test.value, Sketch):
                yield test.value
                yield from _inside(test.value)
    if sketch.combine is not None:
        yield sketch.combine[1]
        yield from _inside(sketch.combine[1])


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
