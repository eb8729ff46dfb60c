"""What makes sense of a question as a whole: each of its words heard once, and nothing read into it.

`shape` looks at where pieces are named; this looks at what a reading leaves unheard ("average", without an average),
says twice (one "not" for two negations), or takes from the wrong collection ("age of students" as that of their pets).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from promptql.rules.asked import Asked
from promptql.rules.columns import UNIQUE_SHARE_MIN, View
from promptql.rules.cues import COMPARATIVES
from promptql.rules.draft import Draft, Features
from promptql.rules.entities import EntityMention, key_column
from promptql.rules.joins import Joined
from promptql.rules.links import Mention
from promptql.rules.measures import measured
from promptql.rules.nesting import NEGATED_OPS, denials
from promptql.rules.parts import NO, YES
from promptql.rules.shape import TIMED, everything
from promptql.rules.sketch import ROWS, Condition, Item, Sketch, columns_of

COUNTS = frozenset({"howmany", "numberof", "totalnumber", "count"})  # cues of a count
YEARS = (1000.0, 2100.0)  # a number of four digits that may be a year
COMPARED = frozenset({"<", ">", "<=", ">="})
# Words between a comparison and what it compares: "version number | greater than | 5".
COMPARING = frozenset(
    """than more less greater larger higher bigger smaller lower fewer least most at over above below under exactly
    equal to or is are was were of the a an that has have had longer older younger before after later earlier with
    between and from not no by on only exceeding exceeds about in since until""".split()
)
BEYOND = frozenset("over above below under".split())
COMPARATIVE = COMPARATIVES | frozenset("over above below under least most after before exceeding exceeds since".split())
# Words between a field's name and the collection that it is of: "names of all the singers".
OF = frozenset("of the all for each every in any different distinct and s this these those both our a an s".split())
# Cues: the words that call for something; one of them in the question, and nothing like it in the reading, is unheard.
CALLS: Mapping[str, frozenset[str]] = {
    "avg": frozenset({"average", "mean", "avg"}),
    "sum": frozenset({"total", "sum", "combined"}),
    "or": frozenset({"or", "either"}),
    "each": frozenset({"each", "every", "per"}),
    "different": frozenset({"different", "distinct", "unique"}),
    "order": frozenset({"order", "ordered", "sorted", "sort", "alphabetical", "descending", "ascending"}),
    "both": frozenset({"both"}),
}


class Senses:
    """The features of readings of one question."""

    def __init__(
        self,
        asked: Asked,
        view: View,
        mentions: Mapping[int, Sequence[Mention]],
        entities: Sequence[EntityMention],
        joined: Joined | None,
        kinds: Sequence[str],
    ) -> None:
        self.asked, self.view, self.joined = asked, view, joined
        self.mentions, self.entities, self.kinds = mentions, entities, kinds
        words = asked.words
        said = set(words)
        self.called = [name for name, calls in CALLS.items() if not said.isdisjoint(calls)]
        self.counts = not COUNTS.isdisjoint(asked.cues)
        self.extremes = sum(kind in ("max", "min") for kind in kinds)
        self.negated = denials(words)
        self.negations = self.negated.bit_count()
        self.different = "different" in self.called
        self.superlative = sum(1 << i for i, kind in enumerate(kinds) if kind in ("max", "min"))
        self.named = 0
        for found in mentions.values():
            for mention in found:
                if mention.coverage >= 0.99:
                    self.named |= mention.mask
        self.named_count = self._inside()
        self.names = self.named
        for entity in entities:
            self.names |= entity.mask
        self.linking = {
            number
            for edges in (joined.edges.values() if joined is not None else ())
            for _, *pair in edges
            for number in pair
        }
        self.measuring = [fields for index in range(len(words)) if (fields := self._measuring(index))]
        self._own: dict[int, int | None] = {}
        self._places: dict[tuple[int, int], tuple[str, int]] = {}
        self._anchors = {number.start: self._anchor(number.start) for number in asked.numbers}

    def _measuring(self, index: int) -> set[int]:
        """The fields that hold what a superlative measures: ages and years for "oldest"; none for other words."""
        if not self.superlative >> index & 1:
            return set()
        columns = enumerate(self.view.columns)
        return {n for n, column in columns if column.ordered and measured(self.asked, 1 << index, column.words)}

    def _anchor(self, start: int) -> int:
        """The last word before a number that is not of its comparison; -1 where there is none."""
        index = start - 1
        while index >= 0 and self.asked.words[index] in COMPARING:
            index -= 1
        return index

    def features(self, draft: Draft, rows: int) -> Features:
        """All of them, of a reading that gave so many rows."""
        sketch = draft.sketch
        found: Features = []
        found += self._unheard(sketch)
        found += self._twice(draft)
        found += self._listed(draft)
        found += self._numbers(draft)
        found += self._keys(draft, rows)
        return found

    def _unheard(self, sketch: Sketch) -> Iterator[tuple[str, float]]:
        """Words that call for what the reading does not do."""
        does = set(_doings(sketch))
        for name in self.called:
            heard = name in does or (name == "sum" and "count" in does)
            grouping = name == "each" and not heard and "per" in self.asked.words
            yield f"w:{name}:{'heard' if heard else 'unheard'}", 2.0 if grouping else 1.0  # "each" may just mean all
        if self.counts:
            yield f"w:count:{'heard' if does & {'count', 'different', 'sum'} else 'unheard'}", 1.0
        elif any(item.fn == "count" for item in sketch.select):
            yield "w:count:unsaid", 1.0

    def _twice(self, draft: Draft) -> Iterator[tuple[str, float]]:
        """Superlatives and negations, more or fewer of them than the question has."""
        sketch = draft.sketch
        extremes, negations = _extremes(sketch), 0
        for inner in _all(sketch):
            for clause in inner.where:
                for test in clause:
                    negations += test.op in NEGATED_OPS or (test.value in NO and self._flag(test))
            negations += inner.combine is not None and inner.combine[0] == "except"
        yield f"w:extremes:{max(-2, min(2, extremes - self.extremes))}", 1.0
        yield f"w:negations:{max(-2, min(2, negations - self.negations))}", 1.0
        combined = sketch.combine is not None and sketch.combine[0] in ("intersect", "union")
        if combined and any(test.op in COMPARED for clause in sketch.where for test in clause):
            yield f"w:combined:compared:{'both' if 'both' in self.called else 'none'}", 1.0
        for part in draft.parts:
            if part.value and part.clauses and part.clauses[0][0].op in ("~", "!~"):
                if not part.value & ~self.names:
                    yield "w:part:named", 1.0
                if not part.value & self.asked.content:
                    yield "w:part:empty", 1.0
            if part.value & self.negated and not part.value & ~self.negated:
                yield "w:value:negation", 1.0

    def _flag(self, test: Condition) -> bool:
        return set(self.view.columns[test.column].rows_by_key) <= YES | NO | {""}

    def _listed(self, draft: Draft) -> Iterator[tuple[str, float]]:
        """What is listed: of which collections, counted or not, and whether each thing has words of its own."""
        if everything(draft):
            return
        wanted = draft.wanted.mask if draft.wanted is not None else draft.mask
        masks: dict[int, int] = {}
        for item in draft.sketch.select:
            if item.column == ROWS:
                continue
            if item.fn in ("count", "distinct"):
                yield f"w:{item.fn}ed:{self._kind(item.column)}:{self._said_different(item.column, wanted)}", 1.0
            elif item.fn and item.column in self.linking:
                yield "w:figure:linking", 1.0
            where, masks[item.column] = self._place(item.column, wanted)
            if not item.fn and where.startswith("part:"):
                yield from self._key(item.column)
                if item.column in self.linking and self._owned_by_others(item.column, masks[item.column]):
                    yield "w:key:meant", 1.0
            yield f"w:of:{where}", 1.0
        yield from self._together(draft.sketch, [mask for mask in masks.values() if mask])

    def _together(self, sketch: Sketch, said: Sequence[int]) -> Iterator[tuple[str, float]]:
        """What is listed as a whole: words taken twice, several collections, what the conditions say already."""
        columns = self.view.columns
        if len(set(said)) < len(said):
            yield "w:listed:shared", float(len(said) - len(set(said)))
        plain = [columns[item.column] for item in sketch.select if item.column != ROWS and not item.fn]
        tables = len({column.table for column in plain})
        if tables > 1:
            yield f"w:listed:tables:{min(tables, 3)}", 1.0
        fixed = {
            columns[clause[0].column].words
            for inner in _all(sketch)
            for clause in inner.where
            if len(clause) == 1 and clause[0].op == "=" and not isinstance(clause[0].value, Sketch)
        }
        alike = sum(column.words in fixed for column in plain) if fixed else 0
        if alike:
            yield "w:listed:fixed", float(alike)
        if self.named_count and any(item.column == ROWS for item in sketch.select):
            yield "w:count:named", 1.0

    def _kind(self, column: int) -> str:
        """What counting a field counts: references, things that differ, or things that repeat."""
        if column in self.linking:
            return "linking"
        return "unique" if self.view.columns[column].distinct_share > UNIQUE_SHARE_MIN else "common"

    def _said_different(self, column: int, wanted: int) -> str:
        """Whether "different" stands right before a field's name, or elsewhere."""
        if not self.different:
            return "plain"
        for mention in self.mentions.get(column, ()):
            if mention.mask & wanted == mention.mask:
                before = self.asked.words[max(0, mention.start - 3) : mention.start]
                return "apart" if CALLS["different"].isdisjoint(before) else "different"
        return "apart"

    def _key(self, column: int) -> Iterator[tuple[str, float]]:
        """An "id" without more is the collection's own, hardly the one by which it refers to another."""
        table = self.view.columns[column].table
        if table not in self._own:
            self._own[table] = key_column(self.view, table, self.joined)
        if column == self._own[table]:
            yield "w:key:own", 1.0
        elif column in self.linking:
            yield "w:key:foreign", 1.0

    def _owned_by_others(self, column: int, mask: int) -> bool:
        """Whether words that name a field name another collection in full: "each member" is no member id of a loan."""
        table = self.view.columns[column].table
        return any(e.table != table and not mask & ~e.mask and e.coverage >= 0.99 for e in self.entities)

    def _inside(self) -> bool:
        """Whether the words that call for a count are of a field's name: a phone number counts nothing."""
        said = 0
        for name in COUNTS:
            said |= self.asked.cues.get(name, 0)
        return bool(said & self.named) and "howmany" not in self.asked.cues

    def _place(self, column: int, wanted: int) -> tuple[str, int]:
        """Of which collection a field is said to be, and the words that name it."""
        known = self._places.get((column, wanted))
        if known is None:
            known = self._places[column, wanted] = self._placed(column, wanted)
        return known

    def _placed(self, column: int, wanted: int) -> tuple[str, int]:
        found = [m for m in self.mentions.get(column, ()) if m.mask & wanted == m.mask]
        if not found:
            return "unsaid", 0
        mention, table = found[0], self.view.columns[column].table
        full = "" if mention.coverage >= 0.99 else "part:"
        before = {
            e.table for e in self.entities if mention.start - 1 <= e.end <= mention.start and not e.mask & mention.mask
        }
        if not before:
            before = self._before(mention.start - 1)
        if before:
            return f"{full}before:{'same' if table in before else 'other'}", mention.mask
        if not mention.literal and any(not mention.mask & ~e.mask and e.coverage >= 0.99 for e in self.entities):
            return f"{full}meant", mention.mask  # a word that names a collection, and stands for the field's name
        if any(e.mask & mention.mask and e.table == table for e in self.entities):
            return f"{full}within", mention.mask
        after = self._after(mention.end)
        if not after:
            return f"{full}none", mention.mask
        return f"{full}after:{'same' if table in after else 'other'}", mention.mask

    def _before(self, index: int) -> set[int]:
        """The collections that a list of names begins with: "each owner's first name, last name"."""
        words = self.asked.words
        while index >= 0 and (words[index] in ("and", "s") or self.named >> index & 1):
            found = {e.table for e in self.entities if e.end == index}
            if found and words[index] == "s":
                return found
            index -= 1
        return set()

    def _after(self, index: int) -> set[int]:
        """The collections that a list of names ends with: "names and ages of the singers"."""
        words = self.asked.words
        while index < len(words):
            found = {e.table for e in self.entities if e.start == index}
            if found:
                return found
            if words[index] not in OF and not self.named >> index & 1:
                return set()
            index += 1
        return set()

    def _numbers(self, draft: Draft) -> Iterator[tuple[str, float]]:
        """Numbers: what they compare, whether they look like years, and what the words before them name."""
        sketch, columns = draft.sketch, self.view.columns
        for number in self.asked.numbers:
            anchor = self._anchors[number.start]
            kind = self.kinds[anchor] if anchor >= 0 else "^"
            part = next((part for part in draft.parts if part.value >> number.start & 1), None)
            if part is None:
                having = sketch.having is not None and sketch.having[2] == number.value
                pick = sketch.pick is not None and sketch.pick.n == number.value
                yield f"w:number:{'having' if having else 'pick' if pick else 'unused'}:{kind}", 1.0
                continue
            column = columns[part.column]
            before = self.asked.words
            compared = not COMPARATIVE.isdisjoint(before[anchor + 1 : number.start])
            compared |= not BEYOND.isdisjoint(before[max(0, number.start - 3) : number.start])
            if compared and part.clauses and part.clauses[0][0].op == "=":
                yield "w:comparison:unheard", 1.0
            said = "said" if part.head else "unsaid"
            named = anchor >= 0 and any(m.mask >> anchor & 1 for m in self.mentions.get(part.column, ()))
            yield f"w:number:where:{kind}:{'named' if named else 'other'}", 1.0
            if not number.spelled and YEARS[0] <= number.value <= YEARS[1]:
                timed = column.kind == "date" or column.yearly or bool(TIMED & set(column.words))
                yield f"w:year:{'time' if timed else 'other'}:{said}", 1.0
            elif column.yearly or column.kind == "date":
                yield f"w:notyear:time:{said}", 1.0
            if part.column in self.linking:
                yield f"w:number:linking:{said}", 1.0

    def _keys(self, draft: Draft, rows: int) -> Iterator[tuple[str, float]]:
        """What a superlative measures, and whether it tells one from the others."""
        having = draft.sketch.having
        if having is not None and having[1] == "=" and having[2] <= 1:
            yield "w:having:one", 1.0
        if self.measuring:
            yield from self._measures(draft.sketch)
        pick = draft.sketch.pick
        if pick is None:
            return
        if pick.item.column != ROWS:
            column = self.view.columns[pick.item.column]
            if pick.item.column in self.linking and pick.item.fn != "count":
                yield "w:key:linking", 1.0
            if any(item.column == pick.item.column and not item.fn for item in draft.sketch.select):
                beside = any(
                    m.start and self.kinds[m.start - 1] in ("max", "min")
                    for m in self.mentions.get(pick.item.column, ())
                )
                yield f"w:key:shown:{'beside' if beside else 'apart'}", 1.0
            if not pick.everything:
                fits = measured(self.asked, self.superlative, column.words)
                tables = {self.view.columns[item.column].table for item in draft.sketch.select if item.column != ROWS}
                yield f"w:key:{'fits' if fits else 'other'}:{'same' if column.table in tables else 'far'}", 1.0
        if not pick.everything and pick.n == 1:
            kind = "count" if pick.item.column == ROWS else "figure" if pick.item.fn else "plain"
            yield f"w:ties:{kind}:{'one' if rows == 1 else 'few' if rows <= 3 else 'many'}", 1.0

    def _measures(self, sketch: Sketch) -> Iterator[tuple[str, float]]:
        """Whether the most or least is taken of what a superlative measures, where a collection read holds that."""
        inside = list(_all(sketch))
        read = {number for inner in inside for number in inner.tables}
        read |= {self.view.columns[column].table for inner in inside for column in columns_of(inner)}
        taken = {item.column for inner in inside for item in inner.select if item.fn}
        taken |= {inner.pick.item.column for inner in inside if inner.pick is not None}
        for fields in self.measuring:
            known = {number for number in fields if self.view.columns[number].table in read}
            if known:
                yield f"w:measure:{'other' if known.isdisjoint(taken) else 'same'}", 1.0


def _all(sketch: Sketch) -> Iterator[Sketch]:
    """A sketch and those inside it."""
    yield sketch
    for clause in sketch.where:
        for test in clause:
            if isinstance(test.value, Sketch):
                yield from _all(test.value)
    if sketch.combine is not None:
        yield from _all(sketch.combine[1])


def _items(sketch: Sketch) -> Iterator[Item]:
    yield from sketch.select
    if sketch.having is not None:
        yield sketch.having[0]
    if sketch.pick is not None:
        yield sketch.pick.item


def _doings(sketch: Sketch) -> Iterator[str]:
    """What a sketch and those inside it do, by the names of `CALLS`."""
    for inner in _all(sketch):
        for item in _items(inner):
            if item.fn:
                yield "different" if item.fn == "distinct" else item.fn
        if inner.group:
            yield "each"
            yield "different"
        if inner.distinct:
            yield "different"
        if inner.pick is not None and inner.pick.everything:
            yield "order"
        if any(len(clause) > 1 for clause in inner.where) or (
            inner.combine is not None and inner.combine[0] == "union"
        ):
            yield "or"
        if inner.combine is not None and inner.combine[0] == "intersect":
            yield "both"


def _extremes(sketch: Sketch) -> int:
    """How many greatest and least things a sketch takes."""
    found = 0
    for inner in _all(sketch):
        found += sum(item.fn in ("max", "min") for item in inner.select)
        found += inner.pick is not None and not inner.pick.everything and inner.pick.how in ("max", "min")
    return found
