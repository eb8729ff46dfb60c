"""What somebody or something has: "How many albums does Ada Moon have?", "orders by Bob Stone in 2024"."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from promptql.catalog import Catalog
from promptql.plan import Assumption, Support
from promptql.planned import Planned
from promptql.rules.asked import span_mask
from promptql.rules.cues import STOP
from promptql.rules.entities import EntityMention, key_column
from promptql.rules.events import QUANTITIES, is_recorded
from promptql.rules.forms import Form
from promptql.rules.generate import understood
from promptql.rules.joins import NotJoinedError
from promptql.rules.links import ValueLink
from promptql.rules.parts import Part
from promptql.rules.saying import assumptions
from promptql.rules.sketch import ROWS, Clause, Condition, Item, Sketch
from promptql.rules.tables import Tables

_DOES = frozenset("does did do has have had".split())
_BY = frozenset("by of from for".split())
_THERE = frozenset("are is were was there".split())
_OPENING = frozenset("which what list show name give me us all the tell find are is were was get".split())
_ACTIVE = frozenset("ordered bought purchased borrowed rented booked reserved visited attended enrolled paid".split())
_PASSIVE = frozenset("were was are is been got get have has".split())


def plan_owned(question: str, tables: Tables, catalog: Catalog) -> Planned | None:
    """Documents that belong to a document of another collection, or that another records; None for other questions.

    An album that is called like its artist is not what has albums; of what has tracks the artist is meant, over more
    keys, and that is said.
    """
    if tables.joined is None:
        return None
    try:
        asked = understood(question, tables.view)
        return _Owned(asked, tables, catalog).plan() or _Recorded(asked, tables, catalog).plan()
    except NotJoinedError:
        return None


class _Things(Form):
    """A question about the documents of one collection, named first: "how many X …", "X …", "which X …"."""

    def thing(self) -> tuple[EntityMention, bool, int] | None:
        """The collection, whether its documents are counted, and the words up to it; None for another form."""
        words, at = self.asked.words, 0
        counted = words[:2] == ["how", "many"] or words[:2] == ["number", "of"] or words[:3] == ["the", "number", "of"]
        if counted:
            at = words.index("many" if words[0] == "how" else "of") + 1
        while at < len(words) and words[at] in _OPENING | {"different"}:
            at += 1
        found = [entity for entity in self.entities if entity.start == at and entity.coverage >= 1.0]
        return None if len(found) != 1 else (found[0], counted, span_mask(0, found[0].end))

    def given(self, table: int, clauses: Sequence[Clause], more: tuple[int, ...], *, counted: bool) -> Planned | None:
        """The documents themselves, each once, or how many there are."""
        once = self.found_once(Sketch((Item(ROWS, "count"),), tuple(clauses), tables=(table, *more)), table)
        key = key_column(self.view, table, self.tables.joined)
        if counted:
            if not once and key is None:
                return None
            item = Item(ROWS, "count") if once or key is None else Item(key, "distinct")
            return self.planned(Sketch((item,), tuple(clauses), tables=(table, *more)))
        names = self.names(table)
        if not once and not names:
            return None
        shown = names or [number for number in self.view.of_table(table) if not self._refers(number)]
        sketch = Sketch(tuple(map(Item, shown)), tuple(clauses), tables=(table, *more), distinct=not once)
        return self.planned(sketch, by_id=not names)

    def _refers(self, number: int) -> bool:
        """Whether a column holds keys of another collection, which say nothing to a reader."""
        joined = self.tables.joined
        assert joined is not None
        edges = joined.edges.get(self.view.columns[number].table, ())
        return any(key == number for _, key, _ in edges)


class _Owned(_Things):
    def plan(self) -> Planned | None:
        """As in "how many X does V have", "X by V"."""
        found = self.thing()
        if found is None:
            return None
        thing, counted, mask = found
        words, at = self.asked.words, thing.end
        while at < len(words) and words[at] in _THERE:
            at += 1
        if at == len(words) or words[at] not in (_DOES | _BY if at == thing.end else _BY):
            return None
        owners = [link for link in self.reading.links if self._is_owner(link, thing)]
        ways = [(self._hops(thing.table, self.view.columns[link.column].table), link) for link in owners]
        ranked = sorted(((hops, link) for hops, link in ways if hops is not None), key=lambda way: -way[0])
        if not ranked or (len(ranked) > 1 and ranked[1][0] == ranked[0][0]):
            return None
        owner = ranked[0][1]
        if len(ranked) > 1:
            other = self.view.names[self.view.columns[ranked[1][1].column].table]
            self.assumed.append(Assumption(f"no {other} of that name is meant", Support.INFERRED))
        mask |= self._leading(thing.end, owner.start, owner.end)
        where = self._where(owner, mask, thing.table)
        return None if where is None else self.given(thing.table, where, (), counted=counted)

    def _leading(self, start: int, begin: int, end: int) -> int:
        """The small words between, and the verb behind "does V": "how many orders did V place"."""
        words = self.asked.words
        verb = words[start] in _DOES and end < len(words) and words[end] not in STOP
        return span_mask(start, begin) | (span_mask(end, end + 1) if verb else 0)

    def _is_owner(self, link: ValueLink, thing: EntityMention) -> bool:
        """Whether words name a document of another collection, right behind what it has."""
        column = self.view.columns[link.column]
        if link.kind != "exact" or column.table == thing.table or link.start <= thing.end:
            return False
        between = self.asked.words[thing.end + 1 : link.start]
        return all(word in STOP for word in between) and link.column in self.names(column.table)

    def _hops(self, table: int, owner: int) -> int | None:
        """How many keys lead from the documents to their owner; None where they are not only its own."""
        joined = self.tables.joined
        assert joined is not None
        sketch = Sketch((Item(ROWS, "count"),), tables=(table, owner))
        try:
            hops = joined.path(sketch)[1]
            return len(hops) if self.found_once(sketch, table) else None
        except NotJoinedError:
            return None

    def _where(self, owner: ValueLink, mask: int, table: int) -> tuple[Clause, ...] | None:
        """The owner and the other conditions that are said; None where not all words are explained."""
        own = (Condition(owner.column, "=", owner.key),)
        found = []
        for rows in self.reading.row_sets:
            rest = tuple(part for part in rows.parts if not part.value & owner.mask)
            said = mask | owner.mask
            for part in rest:
                said |= part.mask
            if not self.asked.content & ~said and not any(part.value & mask for part in rest):
                found.append((self.strays(rest, table), -rows.score, rest, said))
        if not found:
            return None
        _, _, rest, said = min(found, key=lambda item: item[:2])
        name = self.view.columns[owner.column].name
        shown = self.asked.text[self.asked.places[owner.start][0] : self.asked.places[owner.end - 1][1]]
        of = self.view.names[self.view.columns[owner.column].table]
        self.assumed.append(Assumption(f"'{shown}' = {name} of {of} is {owner.key}", Support.EXACT))
        self.assumed += assumptions(self.asked, self.view, rest, said | owner.mask)
        return (own, *self.reading.clauses(rest))


class _Recorded(_Things):
    def plan(self) -> Planned | None:
        """As in "which products were sold in 2024", "how many tools were sold to Ann", "which customers ordered"."""
        found = self.thing()
        if found is None:
            return None
        thing, counted, mask = found
        words, at = self.asked.words, thing.end
        while at < len(words) and words[at] in _PASSIVE:
            at += 1
        records = self._records(words[at] if at < len(words) else "", thing.table)
        if records is None or (at == thing.end and words[at] not in _ACTIVE):
            return None
        found_sets = self.row_sets(mask | span_mask(thing.end, at + 1))
        if not found_sets:
            return None
        _, parts, clauses, said = min(found_sets, key=lambda item: (self.strays(item[1], records), -item[0]))
        self.assumed += assumptions(self.asked, self.view, parts, self.asked.content | said)
        pieces = counted and at > thing.end
        return (self._quantity(words[at], records, clauses, parts) if pieces else None) or self.given(
            thing.table, clauses, (records,), counted=counted
        )

    def _records(self, verb: str, table: int) -> int | None:
        """The collection that records what the verb says of those documents, the one nearest to them."""
        joined = self.tables.joined
        assert joined is not None
        near = {other for other, _, _ in joined.edges.get(table, ())}
        found = [other for other in near if is_recorded(verb, (self.view.names[other], self.view.titles[other]))]
        return found[0] if len(found) == 1 else None

    def _quantity(self, verb: str, records: int, clauses: tuple[Clause, ...], parts: Sequence[Part]) -> Planned | None:
        """How many pieces, where the records say: that is what "how many were sold" asks for."""
        columns = self.view.columns
        held = [n for n in self.view.of_table(records) if QUANTITIES & set(columns[n].words)]
        if len(held) != 1 or columns[held[0]].kind != "number":
            return None
        sketch = Sketch((Item(held[0], "sum"),), clauses, tables=(records,))
        if not self.found_once(replace(sketch, tables=(records, *{columns[p.column].table for p in parts})), records):
            return None
        said = f"'how many were {verb}' = the total {columns[held[0]].name} of {self.view.names[records]}"
        self.assumed.append(Assumption(said, Support.INFERRED))
        return self.planned(sketch)
