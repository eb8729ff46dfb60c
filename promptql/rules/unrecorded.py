"""What no record says of documents: "books that were never borrowed", of a collection of loans."""

from __future__ import annotations

from promptql.catalog import Catalog
from promptql.plan import Assumption, Support
from promptql.planned import Planned
from promptql.rules.entities import EntityMention
from promptql.rules.events import is_recorded
from promptql.rules.forms import Form
from promptql.rules.generate import understood
from promptql.rules.joins import NotJoinedError
from promptql.rules.saying import assumptions
from promptql.rules.sketch import ROWS, Clause, Condition, Item, Sketch
from promptql.rules.tables import Tables

_DENYING = frozenset("never not no nobody none haven hasn weren wasn didn".split())
_SMALL = _DENYING | frozenset(
    """which what who whom that have has had been were was are is did ever by any a an the of list show give me us all
    find name tell how many number there do does to anything so far yet our t one anyone anybody""".split()
)


def plan_unrecorded(question: str, tables: Tables, catalog: Catalog) -> Planned | None:
    """Documents that no document of another collection refers to, or how many; None for other questions."""
    if tables.joined is None:
        return None
    asked = understood(question, tables.view)
    if not _DENYING.intersection(asked.words):
        return None
    try:
        return _Unrecorded(asked, tables, catalog).plan()
    except NotJoinedError:
        return None


class _Unrecorded(Form):
    """One such question."""

    def plan(self) -> Planned | None:
        """The documents without a record, the conditions on either told apart by their collections."""
        words = self.asked.words
        found = self._record()
        if found is None:
            return None
        verb, records, subject, key, column = found
        said = sum(1 << i for i, word in enumerate(words) if word in _SMALL) | 1 << verb
        for entity in self.entities:
            said |= entity.mask
        rows = self.row_sets(said)
        if not rows:
            return None
        _, parts, clauses, mask = rows[0]
        if not {self.view.columns[part.column].table for part in parts} <= {records, subject.table}:
            return None
        self.assumed += assumptions(self.asked, self.view, parts, self.asked.content | mask)
        inner, outer = self._of(clauses, records), self._of(clauses, subject.table)
        name, recorded = self.view.names[subject.table], self.view.names[records]
        self.assumed.append(Assumption(f"'{words[verb]}' = {recorded} that lead to {name}", Support.FUZZY))
        without = Condition(key, "not in", Sketch((Item(column),), inner, tables=(records,)))
        counted = words[:2] == ["how", "many"] or "number of" in " ".join(words[:4])
        names = self.names(subject.table)
        if not counted and not names:
            return None
        select = (Item(ROWS, "count"),) if counted else tuple(map(Item, names))
        return self.planned(Sketch(select, (*outer, (without,)), tables=(subject.table,)))

    def _of(self, clauses: tuple[Clause, ...], table: int) -> tuple[Clause, ...]:
        return tuple(clause for clause in clauses if self.view.columns[clause[0].column].table == table)

    def _record(self) -> tuple[int, int, EntityMention, int, int] | None:
        """The verb's place, the records, the first collection that they refer to, and the two keys."""
        joined = self.tables.joined
        assert joined is not None
        for verb, word in enumerate(self.asked.words):
            recording = [
                table
                for table, (name, title) in enumerate(zip(self.view.names, self.view.titles, strict=True))
                if is_recorded(word, (name, title))
            ]
            for records in recording:
                for entity in self.entities:
                    ways = [way for way in joined.edges.get(entity.table, ()) if way[0] == records]
                    if len(ways) == 1 and entity.table != records and not entity.mask >> verb & 1:
                        return verb, records, entity, ways[0][1], ways[0][2]
        return None
