"""The first few by a measure, over tables: "top 3 customers by total spending", "the five most expensive orders"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from promptql.answer import Band
from promptql.catalog import ID, Catalog
from promptql.errors import PlanError
from promptql.plan import Assumption, Plan, Support
from promptql.planned import Planned
from promptql.rules.asked import Asked, span_mask
from promptql.rules.columns import Column, identifying
from promptql.rules.compile import compile_sketch
from promptql.rules.concepts import AFTER_MOST, SUPERLATIVES
from promptql.rules.cues import STOP
from promptql.rules.entities import key_column, label_columns, link_entities
from promptql.rules.generate import Reading, understood
from promptql.rules.joins import NotJoinedError
from promptql.rules.model import shipped_model
from promptql.rules.money import money_field, speaks_of_money
from promptql.rules.parts import Part
from promptql.rules.saying import assumptions
from promptql.rules.sketch import ROWS, Clause, Item, Pick, Sketch
from promptql.rules.stored_values import CannotCompileError
from promptql.rules.tables import Tables
from promptql.rules.words import forms
from promptql.steps import AnswerStep, Project, Step
from promptql.validation import validate

N_MAX = 1_000
N_UNSAID = 10
CONFIDENCE = 0.9
ONE_NAME = frozenset({"name", "title"})
_OPENING = frozenset(
    "show list give me us what which who are is were was the our my find name tell please get all a see want".split()
)
_BEST, _WORST = frozenset({"top", "best"}), frozenset({"bottom", "worst"})
_BY = ("by", "according to", "in terms of", "ranked by", "ordered by", "sorted by", "measured by")
_WITH = ("with the", "with", "that have the", "having the", "who have the")
_ENDS = frozenset("in from with of for by on at during since after before between who that which whose where".split())
_FIGURES = {"total": "sum", "sum": "sum", "overall": "sum", "combined": "sum", "average": "avg", "mean": "avg"}
_COUNTS = ("number of", "count of", "amount of", "quantity of")
# Of these the average is meant where there are several: prices do not add up.
_INTENSIVE = frozenset(
    "price rate rating score age year percent percentage ratio height weight length duration speed rank grade".split()
)
_MOST = frozenset("most fewest least highest lowest largest greatest biggest smallest".split())
_LITTLE = frozenset("fewest least lowest smallest".split())


@dataclass(slots=True)
class _Top:
    """What is asked for: words [noun, end) are what, `measure` by what.

    Attributes:
        measures: what a superlative without a measure looks for.
        mask: words that the form itself explains.
        counted: documents are counted.
        by_id: documents have no name but their id.
    """

    n: int
    descending: bool
    noun: tuple[int, int]
    measure: tuple[int, int] | None
    measures: tuple[str, ...] = ()
    mask: int = 0
    counted: bool = False
    by_id: bool = False
    assumed: list[Assumption] = field(default_factory=list)


def plan_top(question: str, tables: Tables, catalog: Catalog) -> Planned | None:
    """The first few of what is named, by a measure that is named; None where that is not asked, or not all of it read.

    A number is how many there are to be; where none is said, ten.
    """
    asked = understood(question, tables.view)
    top = _taken_apart(asked)
    found = None if top is None else _Tops(asked, tables, catalog, top).sketch()
    if top is None or found is None:
        return None
    sketch, said = found
    try:
        steps = compile_sketch(sketch, tables.view, tables.joined)
        steps = _with_ids(steps) if top.by_id else steps
        plan = Plan(question, steps, steps[-1].id, assumptions=tuple(dict.fromkeys((*top.assumed, *said))))
        validate(plan, catalog)
    except (CannotCompileError, NotJoinedError, PlanError):
        return None
    guessed = any(item.support in (Support.INFERRED, Support.DEFAULT) for item in plan.assumptions)
    return Planned(plan, CONFIDENCE, Band.ASSUMPTIONS if guessed else Band.ANSWER)


def _with_ids(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """The steps with the documents' ids before what is shown of them, as the answer."""
    *before, project, answer = steps
    assert isinstance(project, Project)
    assert isinstance(answer, AnswerStep)
    shown = replace(project, fields=tuple(dict.fromkeys((ID, *project.fields))))
    return (*before, shown, replace(answer, fields=(ID,)))


def _taken_apart(asked: Asked) -> _Top | None:
    """The number, the superlative, the noun and the measure, where the question is of that form."""
    words, at = asked.words, 0
    numbers = {number.start: number for number in asked.numbers}
    while at < len(words) and words[at] in _OPENING and at not in numbers:
        at += 1
    begin = at
    n: int | None = None
    descending: bool | None = None
    measures: tuple[str, ...] = ()
    for _ in range(2):  # "top 3", "5 most expensive"
        number = numbers.get(at)
        if number is not None and n is None and 1 <= number.value <= N_MAX and number.value == int(number.value):
            n, at = int(number.value), number.end
        elif at < len(words) and descending is None:
            size, descending, measures = _superlative(words, at)
            at += size
    if at >= len(words) or (descending is None and n is None):
        return None
    end, measure = _measure_after(words, at, ranks=descending is None)
    if descending is None:  # "3 customers with the most orders"
        if measure is None:
            return None
        descending = True
    if measure is None and not measures:
        return None
    plural = any(forms(words[i]) - {words[i]} for i in range(at, end))
    if n is None and not plural:
        return None
    rest = next((i for i in range(at + 1, end) if words[i] in _ENDS), end)
    found = _Top(n or N_UNSAID, descending, (at, rest), measure, () if measure is not None else measures)
    if n is None:
        found.assumed.append(Assumption(f"how many is not said: {N_UNSAID} at most", Support.DEFAULT))
    found.mask = span_mask(begin, at)
    if measure is not None:
        found.mask |= span_mask(end, measure[0])
        _take_figure(words, found)
    return found


def _superlative(words: Sequence[str], at: int) -> tuple[int, bool | None, tuple[str, ...]]:
    """How many words a superlative there takes, its direction, and what it measures."""
    word, following = words[at], words[at + 1] if at + 1 < len(words) else ""
    if word in _BEST | _WORST:
        return 1, word in _BEST, ()
    if word in ("most", "least") and following in AFTER_MOST:
        return 2, word == "most", AFTER_MOST[following]
    if word in SUPERLATIVES:
        return 1, SUPERLATIVES[word].descending, SUPERLATIVES[word].measures
    return 0, None, ()


def _measure_after(words: Sequence[str], at: int, *, ranks: bool) -> tuple[int, tuple[int, int] | None]:
    """Where the noun ends, and the words of the measure: behind "by", or "with the most", which alone `ranks`."""
    for place in range(at + 1, len(words)):
        for phrase in _WITH if ranks else (*_BY, *_WITH):
            parts = phrase.split()
            end = place + len(parts)
            if list(words[place:end]) != parts or end >= len(words):
                continue
            if phrase in _BY or words[end] in _MOST:
                return place, (end, len(words))
    return len(words), None


def _take_figure(words: Sequence[str], top: _Top) -> None:
    """Without the words that say how: "the number of", "the most"."""
    assert top.measure is not None
    start, end = top.measure
    while start < end and (words[start] in _MOST or words[start] in ("the", "their", "its", "total", "overall")):
        if words[start] in _MOST:
            top.descending = words[start] not in _LITTLE
        if words[start] in _FIGURES:
            break
        start += 1
    skipped = start + 1 if start < end and words[start] in _FIGURES else start
    if " ".join(words[skipped : skipped + 2]) in _COUNTS:
        top.counted, start = True, skipped + 2
    top.mask |= span_mask(top.measure[0], start)
    top.measure = (start, end)


class _Tops:
    """The sketch of one question."""

    def __init__(self, asked: Asked, tables: Tables, catalog: Catalog, top: _Top) -> None:
        self.asked = asked
        self.view = tables.view
        self.tables = tables
        self.catalog = catalog
        self.top = top
        self.entities = link_entities(asked, self.view)
        self.reading = Reading(
            asked, self.view, tables.headers, shipped_model().over(len(self.view.names)), tables.joined
        )

    def sketch(self) -> tuple[Sketch, tuple[Assumption, ...]] | None:
        """What is asked for, and how its conditions were read."""
        what = self._what()
        if what is None:
            return None
        table, column, mask = what
        item = self._item(table, column)
        if item is None:
            return None
        key, more, said = item
        about = more[-1] if more else table
        clauses = self._clauses(mask | said | self.top.mask, about)
        if clauses is None:
            return None
        where, found = clauses
        pick = Pick("max" if self.top.descending else "min", key, self.top.n)
        if column is not None:
            sketch = Sketch((Item(column), key), where, (column,), pick=pick, tables=more)
        else:
            names = self._names(table)
            if not names and (key.fn or more):
                return None
            self.top.by_id = not names
            names = names or [key.column]
            shown = tuple(map(Item, names))
            if not key.fn:
                sketch = Sketch(shown, where, pick=pick, tables=(table,))
            else:
                own = key_column(self.view, table, self.tables.joined)
                group = tuple(dict.fromkeys((*([own] if own is not None else []), *names)))
                sketch = Sketch((*shown, key), where, group, pick=pick, tables=tuple(dict.fromkeys((table, *more))))
        if self.tables.joined is not None and key.fn and not self._adds_up(sketch, key, more):
            return None
        return sketch, found

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
        fn = next((_FIGURES[words[i]] for i in range(start, min(start + 1, end)) if words[i] in _FIGURES), None)
        named = self._number(table, start + 1 if fn is not None else start, end)
        if named is None and fn is not None:
            named = self._number(table, start, end)  # a column that is called "total"
            fn = None
        if named is None:  # "with the most orders"
            return self._counted(table, column, start, end) if end - start == 1 else None
        number, mask = named
        chosen = self.view.columns[number]
        if fn is None and (column is not None or chosen.table != table):
            fn = "avg" if _INTENSIVE & set(chosen.words) else "sum"
        mask |= span_mask(start, start + 1) if fn is not None and words[start] in _FIGURES else 0
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
        found: list[tuple[int, int]] = []
        for number, column in enumerate(self.view.columns):
            if column.kind != "number" or not column.stored_numbers or identifying(column.words):
                continue
            size = len(column.words)
            at = next((i for i in range(start, end - size + 1) if _named(words[i : i + size], column)), None)
            if at is not None:
                found.append((number, span_mask(at, at + size)))
        if not found:
            for i in range(start, end):
                name = money_field(words[i], self.catalog) if speaks_of_money(words[i]) else None
                held = [n for n, c in enumerate(self.view.columns) if c.name == name and c.kind == "number"]
                if len(held) == 1:
                    self.top.assumed.append(Assumption(f"'{words[i]}' = {name}", Support.FUZZY))
                    return held[0], span_mask(i, i + 1)
        own = [item for item in found if self.view.columns[item[0]].table == table]
        best = own or found
        longest = [item for item in best if item[1].bit_count() == max(m.bit_count() for _, m in best)]
        return longest[0] if len(longest) == 1 else None

    def _measured(self, table: int) -> int | None:
        """The column of numbers, or times, that a superlative measures: a price, else what was paid."""
        columns = [n for n in self.view.of_table(table) if self.view.columns[n].ordered]
        for measure in self.top.measures:
            for number in columns:
                if measure in self.view.columns[number].words:
                    said = f"{'greatest' if self.top.descending else 'least'} {self.view.columns[number].name}"
                    self.top.assumed.append(Assumption(f"ordered by the {said}", Support.FUZZY))
                    return number
        if "price" in self.top.measures:
            for word in ("total", "amount", "subtotal", "value"):
                for number in columns:
                    if word in self.view.columns[number].words and self.view.columns[number].kind == "number":
                        said = f"{'greatest' if self.top.descending else 'least'} {self.view.columns[number].name}"
                        self.top.assumed.append(Assumption(f"ordered by the {said}", Support.FUZZY))
                        return number
        return None

    def _names(self, table: int) -> list[int]:
        """What documents are called: their name, or both parts of it; else what tells them apart."""
        columns = self.view.columns
        parts = [n for n in self.view.of_table(table) if {"first", "last"} & set(columns[n].words)]
        parts = [n for n in parts if ONE_NAME & set(columns[n].words) and columns[n].kind == "text"]
        if len(parts) == 2:
            return parts
        for number in label_columns(self.view, table)[:1]:
            named = ONE_NAME & set(columns[number].words)
            if columns[number].kind == "text" and (named or columns[number].distinct_share > 0.9):
                return [number]
        own = key_column(self.view, table, self.tables.joined)
        return [] if own is None else [own]

    def _clauses(self, mask: int, about: int) -> tuple[tuple[Clause, ...], tuple[Assumption, ...]] | None:
        """The likeliest conditions that explain all words that are left; None where none do.

        Times that are said beside the measure are those of the collection that it is of, where that has times.
        """
        left = self.asked.content & ~mask
        found = []
        for rows in self.reading.row_sets:
            taken = 0
            for part in rows.parts:
                taken |= part.value
            if not left & ~rows.mask and not taken & mask:
                found.append((self._strays(rows.parts, about), -rows.score, rows))
        if not found:
            return None
        rows = min(found, key=lambda item: item[:2])[2]
        return rows.clauses, assumptions(self.asked, self.view, rows.parts, mask | rows.mask)

    def _strays(self, parts: Sequence[Part], about: int) -> int:
        """How many times beside the measure are of another collection."""
        columns = self.view.columns
        dated = any(columns[number].kind == "date" for number in self.view.of_table(about))
        start = 0 if self.top.measure is None else self.top.measure[0]
        return sum(
            columns[part.column].kind == "date" and columns[part.column].table != about
            for part in parts
            if dated and part.start >= start
        )

    def _adds_up(self, sketch: Sketch, key: Item, more: Sequence[int]) -> bool:
        """Whether the join finds each document that is counted or summed once: it leads on by unique keys alone."""
        joined = self.tables.joined
        assert joined is not None
        table = more[-1] if key.column == ROWS else self.view.columns[key.column].table
        first, hops = joined.path(sketch)
        edges = [(self.view.columns[hop.key].table, hop.key, hop.table, hop.column) for hop in hops]
        reached, waiting = {table}, [table]
        while waiting:
            here = waiting.pop()
            for left, key_there, right, column in edges:
                for one, other, into in ((left, right, column), (right, left, key_there)):
                    if one == here and other not in reached:
                        if self.view.columns[into].distinct_share < 1.0:
                            return False
                        reached.add(other)
                        waiting.append(other)
        return first in reached


def _named(words: Sequence[str], column: Column) -> bool:
    return len(words) == len(column.words) and all(
        forms(word) & forms(own) and (word not in STOP or word == own)
        for word, own in zip(words, column.words, strict=True)
    )
