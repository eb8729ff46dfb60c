"""The first few by a measure, over tables: "top 3 customers by total spending", "the five most expensive orders"."""

from __future__ import annotations

from collections.abc import Sequence

from promptql.catalog import Catalog
from promptql.plan import Assumption, Support
from promptql.planned import Planned
from promptql.rules.asked import Asked, span_mask
from promptql.rules.columns import identifying
from promptql.rules.cues import STOP
from promptql.rules.entities import key_column
from promptql.rules.forms import Form
from promptql.rules.generate import understood
from promptql.rules.joins import NotJoinedError
from promptql.rules.linking import without_unit
from promptql.rules.measures import is_intensive
from promptql.rules.money import money_field, speaks_of_money
from promptql.rules.ranked import FIGURES, Ranked, grouped_in, ranked_in
from promptql.rules.saying import assumptions
from promptql.rules.sketch import ROWS, Clause, Item, Pick, Sketch
from promptql.rules.tables import Tables
from promptql.rules.words import forms


def plan_top(question: str, tables: Tables, catalog: Catalog) -> Planned | None:
    """The first few of what is named, by a measure that is named; None where that is not asked, or not all of it read.

    A number is how many there are to be; where none is said, ten. "Total revenue by country" asks for all.
    """
    asked = understood(question, tables.view)
    top = ranked_in(asked) or (None if tables.joined is None else grouped_in(asked))
    if top is None:
        return None
    try:
        return _Tops(asked, tables, catalog, top).plan()
    except NotJoinedError:
        return None


class _Tops(Form):
    """The reading of one question."""

    def __init__(self, asked: Asked, tables: Tables, catalog: Catalog, top: Ranked) -> None:
        super().__init__(asked, tables, catalog)
        self.top = top
        self.assumed += top.assumed

    def plan(self) -> Planned | None:
        """What is asked for; None where a word is not understood."""
        what = self._what()
        if what is None:
            return None
        table, column, mask = what
        item = self._item(table, column)
        if item is None:
            return None
        key, more, said = item
        where = self._clauses(mask | said | self.top.mask, more[-1] if more else table)
        if where is None:
            return None
        pick = Pick("max" if self.top.descending else "min", key, self.top.n, everything=self.top.all)
        names = self.names(table) if column is None else [column]
        if not names and (key.fn or more):
            return None
        shown = tuple(map(Item, names or [key.column]))
        if not key.fn and self.top.all:
            return None
        if not key.fn:
            return self.planned(Sketch(shown, where, pick=pick, tables=(table,)), by_id=not names)
        own = key_column(self.view, table, self.tables.joined) if column is None else None
        group = tuple(dict.fromkeys((*([own] if own is not None else []), *names)))
        reached = more if column is not None else tuple(dict.fromkeys((table, *more)))
        select = shown if self.top.named else (*shown, key)
        sketch = Sketch(select, where, group, pick=pick, tables=reached)
        measured = (more[-1] if more else table) if key.column == ROWS else self.view.columns[key.column].table
        return self.planned(sketch) if self.found_once(sketch, measured) else None

    def _what(self) -> tuple[int, int | None, int] | None:
        """The collection whose documents are wanted, or a column of it whose values are, with the words for it."""
        start, end = self.top.noun
        last = end - 1
        for entity in self.entities:
            if entity.mask >> last & 1 and entity.mask & ~span_mask(start, end) == 0:
                return entity.table, None, entity.mask
        for number, mentions in self.reading.mentions.items():
            column = self.view.columns[number]
            for mention in mentions:
                whole = mention.literal or mention.coverage >= 0.9
                repeated = column.kind == "text" and column.distinct_share < 1.0
                if whole and repeated and mention.mask >> last & 1 and not mention.mask & ~span_mask(start, end):
                    return column.table, number, mention.mask
        return None

    def _item(self, table: int, column: int | None) -> tuple[Item, tuple[int, ...], int] | None:
        """What is ordered by, the collections that it needs besides, and the words for it."""
        if self.top.measure is None:
            found = self._measured(table)
            best = "" if column is None else "max" if self.top.descending else "min"
            return None if found is None else (Item(found, best), (), 0)
        start, end = self.top.measure
        words = self.asked.words
        if self.top.counted:
            return self._counted(table, column, start, end)
        fn = next((FIGURES[words[i]] for i in range(start, min(start + 1, end)) if words[i] in FIGURES), None)
        named = self._number(table, start + 1 if fn is not None else start, end)
        if named is None and fn is not None:
            named = self._number(table, start, end)  # a column that is called "total"
            fn = None
        if named is None:  # "with the most orders"
            return self._counted(table, column, start, start + 1) if start < end else None
        number, mask = named
        chosen = self.view.columns[number]
        if fn is None and (column is not None or chosen.table != table):
            fn = self.top.extreme or ("avg" if is_intensive(chosen.name) else "sum")
        if fn is not None and self.top.amount and words[start] not in FIGURES:
            figure = "total" if fn == "sum" else "average"
            said = f"'{self.top.amount}' of each = the order of the {figure} {chosen.name}"
            self.assumed.append(Assumption(said, Support.INFERRED))
        mask |= span_mask(start, start + 1) if fn is not None and words[start] in FIGURES else 0
        return Item(number, fn or ""), (chosen.table,) if chosen.table != table else (), mask

    def _counted(
        self, table: int, column: int | None, start: int, end: int
    ) -> tuple[Item, tuple[int, ...], int] | None:
        for entity in self.entities:
            if start <= entity.start < end:
                if entity.table != table:
                    return Item(ROWS, "count"), (table, entity.table), entity.mask
                if column is not None:
                    return Item(ROWS, "count"), (table,), entity.mask
        return None

    def _number(self, table: int, start: int, end: int) -> tuple[int, int] | None:
        """The column of numbers that the words name, in that collection before others; None where several do."""
        words = self.asked.words
        found = self._called(start, end, whole=True) or self._called(start, end, whole=False)
        if not found:
            for i in range(start, end):
                name = money_field(words[i], self.catalog) if speaks_of_money(words[i]) else None
                held = [n for n, c in enumerate(self.view.columns) if c.name == name and c.kind == "number"]
                if len(held) == 1:
                    self.assumed.append(Assumption(f"'{words[i]}' = {name}", Support.FUZZY))
                    return held[0], span_mask(i, i + 1)
        own = [item for item in found if self.view.columns[item[0]].table == table]
        best = own or found
        longest = [item for item in best if item[1].bit_count() == max(m.bit_count() for _, m in best)]
        return longest[0] if len(longest) == 1 else None

    def _called(self, start: int, end: int, *, whole: bool) -> list[tuple[int, int]]:
        """Columns of numbers by their `whole` name, else by it without its unit: "honey" of "honey_kg"."""
        found: list[tuple[int, int]] = []
        for number, column in enumerate(self.view.columns):
            if column.kind != "number" or not column.stored_numbers or identifying(column.words):
                continue
            name = column.words if whole else without_unit(tuple(column.words))
            size = len(name)
            spans = range(start, end - size + 1)
            at = next((i for i in spans if _named(self.asked.words[i : i + size], name)), None)
            if at is not None:
                found.append((number, span_mask(at, at + size)))
        return found

    def _measured(self, table: int) -> int | None:
        """The column of numbers, or times, that a superlative measures: a price, else what was paid."""
        columns = [n for n in self.view.of_table(table) if self.view.columns[n].ordered]
        for measure in self.top.measures:
            for number in columns:
                if measure in self.view.columns[number].words:
                    said = f"{'greatest' if self.top.descending else 'least'} {self.view.columns[number].name}"
                    self.assumed.append(Assumption(f"ordered by the {said}", Support.FUZZY))
                    return number
        if "price" in self.top.measures:
            for word in ("total", "amount", "subtotal", "value"):
                for number in columns:
                    if word in self.view.columns[number].words and self.view.columns[number].kind == "number":
                        said = f"{'greatest' if self.top.descending else 'least'} {self.view.columns[number].name}"
                        self.assumed.append(Assumption(f"ordered by the {said}", Support.FUZZY))
                        return number
        return None

    def _clauses(self, mask: int, about: int) -> tuple[Clause, ...] | None:
        """The likeliest conditions that explain all words that are left; None where none do.

        Times that are said beside the measure are those of the collection that it is of, where that has times.
        """
        start = 0 if self.top.measure is None else self.top.measure[0]
        found = self.row_sets(mask)
        if not found:
            return None
        _, parts, clauses, said = min(found, key=lambda item: (self.strays(item[1], about, start), -item[0]))
        self.assumed += assumptions(self.asked, self.view, parts, mask | said)
        return clauses


def _named(words: Sequence[str], name: Sequence[str]) -> bool:
    return len(words) == len(name) and all(
        forms(word) & forms(own) and (word not in STOP or word == own) for word, own in zip(words, name, strict=True)
    )
