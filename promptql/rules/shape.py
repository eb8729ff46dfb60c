"""What speaks for a reading's shape: where in the question its pieces are named, and which words call for what it does.

Words come from closed lists of general English; all others count as kinds (a number, a field's or a collection's
name), so that what is learned of some collections holds for others.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from promptql.rules.asked import Asked
from promptql.rules.columns import MISSING, UNIQUE_SHARE_MIN, View, key_of, numbering, text_of
from promptql.rules.cues import COMPARATIVES, MAX_WORDS, MIN_WORDS
from promptql.rules.draft import Draft, Features
from promptql.rules.entities import EntityMention
from promptql.rules.joins import Joined
from promptql.rules.links import Mention
from promptql.rules.sketch import ROWS, Condition, Item, Pick, Sketch

# A word of these begins another part of the question, as "whose" does in "names of singers whose …".
MARKERS = frozenset(
    """with without whose that who which where when have has had having for from in by than not but if each every per
    order ordered sorted sort list give show also most least and or of on do does did is are was were how many number
    total average""".split()
)
# Words that call for what a reading does, wherever they stand.
CALLING = frozenset(
    """each per every all both and or not no than more most least many number total average different distinct unique
    order sorted alphabetical descending ascending whose other also any same at least exactly once only either without
    never some possible ever list count maximum minimum highest lowest largest smallest top common popular""".split()
)
LISTING = frozenset("list give show return tell find only what which".split())
# Words that end a list of what is asked for.
ENDING = frozenset(
    """whose with who that where when have has had for ordered sorted order sort which in from by if but""".split()
)
SINGULAR_ENDINGS = ("ss", "us", "is")
ROWS_LISTED, ROWS_SEEN = 200, 5  # of an answer that are looked through for repetitions, for gaps
YOUNG = frozenset("youngest newest latest recent young".split())
OLD = frozenset("oldest earliest old".split())
AGED, TIMED = frozenset({"age", "ages"}), frozenset("year date time day birth born founded opened".split())


STAR = ("q:star", 1.0)  # the feature of a reading that lists all fields


class Shapes:
    """The features of readings of one question."""

    def __init__(
        self,
        asked: Asked,
        view: View,
        mentions: Mapping[int, Sequence[Mention]],
        entities: Sequence[EntityMention],
        joined: Joined | None,
    ) -> None:
        self.asked, self.view, self.joined = asked, view, joined
        self.mentions, self.entities = mentions, entities
        words = asked.words
        self.calling = list(
            dict.fromkeys(word for i, word in enumerate(words) if word in CALLING and not self._bound(i))
        )
        self.calls = ["", f":asks:{asked.asks}", *(f":{word}" for word in self.calling)]
        self._known: dict[tuple[str, ...], Features] = {}
        self._places: dict[tuple[str, int, int], Features] = {}
        self._left: dict[int, Features] = {}
        self.full = {m for found in mentions.values() for m in found if m.coverage >= 0.99}
        self.named, self.meant = 0, 0
        for mention in self.full:
            self.named |= mention.mask
        for found in mentions.values():
            for mention in found:
                self.meant |= mention.mask if mention.coverage >= 0.5 else 0
        self.entity_words = 0
        for entity in entities:
            self.entity_words |= entity.mask
        self.kinds = [self._kind(index) for index in range(len(words))]
        self.markers = self._markers()
        self.listing = self._listing()
        self.expected = self._expected()

    def _kind(self, index: int) -> str:
        word = self.asked.words[index]
        if word in MAX_WORDS:
            return "max"
        if word in MIN_WORDS:
            return "min"
        if word in MARKERS or word in CALLING:
            return word
        if word[0].isdigit() or any(number.start == index for number in self.asked.numbers):
            return "num"
        named, entity = self.named >> index & 1, self.entity_words >> index & 1
        return ("both" if entity else "field") if named else "entity" if entity else "other"

    def _bound(self, index: int) -> bool:
        """Whether a "no" or "not" belongs to a comparison: "no less than" denies nothing."""
        words = self.asked.words
        return words[index] in ("no", "not") and index + 1 < len(words) and words[index + 1] in COMPARATIVES

    def _markers(self) -> list[str]:
        """(n,) before each word, the last one that began a part of the question."""
        found, last = [], "^"
        for kind in self.kinds:
            found.append(last)
            if kind in MARKERS or kind in ("max", "min", "num"):
                last = kind
        return found

    def _listing(self) -> int:
        """Where a later sentence begins that says what is to be listed; 0 where there is none."""
        words, places, text = self.asked.words, self.asked.places, self.asked.text
        found = 0
        for index in range(1, len(words)):
            ended = any(mark in text[places[index - 1][1] : places[index][0]] for mark in ".?!;")
            if ended and words[index] in LISTING:
                found = index
        return found

    def _expected(self) -> int:
        """How many things are listed before the first condition: those joined by "and" or commas, one more."""
        words, places, text = self.asked.words, self.asked.places, self.asked.text
        count = 1
        seen = False
        for index in range(self.listing, len(words)):
            if (self.meant | self.entity_words) >> index & 1:
                seen = True
            elif seen and words[index] in ENDING:
                break
            if seen and index + 1 < len(words) and words[index + 1] not in ENDING:
                comma = "," in text[places[index][1] : places[index + 1][0]]
                count += words[index + 1] == "and" or comma
        return min(count, 4)

    # One reading

    def features(self, draft: Draft, answer: Sequence[tuple[object, ...]]) -> Features:
        """All of them."""
        sketch = draft.sketch
        found: Features = []
        found += self._elements(sketch, star=everything(draft))
        found += self._roles(draft)
        found += self._numbers(draft)
        found += self._superlatives(sketch)
        found += self._oddities(draft)
        found += self._figures(sketch)
        found += self._rows(sketch, answer)
        return found

    def _elements(self, sketch: Sketch, *, star: bool) -> Features:
        difference = 0 if star else max(-2, min(2, len(sketch.select) - self.expected))
        made = tuple(elements(sketch))
        known = self._known.get(made)
        if known is None:
            known = [(f"z:{element}{more}", 1.0) for element in made for more in self.calls]
            self._known[made] = known
        return [*known, (f"z:items:{difference}", 1.0)]

    def _mention(self, column: int, mask: int) -> Mention | None:
        """The fullest mention of a column among these words."""
        found = [m for m in self.mentions.get(column, ()) if m.mask & mask == m.mask]
        return found[0] if found else None

    def _place(self, role: str, column: int, mask: int) -> Features:
        """Where among these words a column is named, for something that it is read as."""
        known = self._places.get((role, column, mask))
        if known is None:
            mention = self._mention(column, mask)
            if mention is None:
                known = [(f"z:{role}:unsaid", 1.0)]
            else:
                before = self.kinds[mention.start - 1] if mention.start else "^"
                after = self.kinds[mention.end] if mention.end < len(self.kinds) else "$"
                where = [f"in:{self.markers[mention.start]}", f"after:{before}", f"before:{after}"]
                if self.listing:
                    where.append("listing" if mention.start > self.listing else "ahead")
                known = [(f"z:{role}:{place}", 1.0) for place in where]
            self._places[role, column, mask] = known
        return known

    def _roles(self, draft: Draft) -> Iterator[tuple[str, float]]:
        sketch = draft.sketch
        wanted = draft.wanted.mask if draft.wanted is not None else draft.mask
        used = draft.mask
        for item in () if everything(draft) else sketch.select:
            if item.column != ROWS:
                yield from self._place("figure" if item.fn else "select", item.column, wanted)
        if sketch.pick is not None and sketch.pick.item.column != ROWS and not sketch.pick.item.fn:
            keys = [part.mask for part in draft.parts if part.column == sketch.pick.item.column and not part.value]
            mask = keys[-1] if keys else 0
            yield from self._place("key", sketch.pick.item.column, mask)
        if used not in self._left:
            self._left[used] = list(self._unused(used))
        yield from self._left[used]

    def _unused(self, used: int) -> Iterator[tuple[str, float]]:
        """Fields that are named in full, and nothing, or not all of their words, is made of that."""
        unused = {mention.start for mention in self.full if not mention.mask & used}
        for start in sorted(unused):
            yield f"z:unused:in:{self.markers[start]}", 1.0
        yield "z:unused", float(len(unused))
        partly = {m.start for m in self.full if m.mask & used and m.mask & ~used and not m.mask & self.entity_words}
        yield "z:partly", float(len(partly))

    def _numbers(self, draft: Draft) -> Iterator[tuple[str, float]]:
        sketch, words = draft.sketch, self.asked.words
        for number in self.asked.numbers:
            before = self.kinds[number.start - 1] if number.start else "^"
            after = self.kinds[number.end] if number.end < len(words) else "$"
            part = next((part for part in draft.parts if part.value >> number.start & 1), None)
            if part is not None:
                role = "where"
                named = self._mention(part.column, part.head)
                yield f"z:num:where:{'unsaid' if named is None else 'said'}:{after}", 1.0
            elif sketch.having is not None and sketch.having[2] == number.value:
                role = "having"
            elif sketch.pick is not None and sketch.pick.n == number.value:
                role = "pick"
            else:
                role = "unused"
            spelled = "spelled" if number.spelled else "digits"
            yield f"z:num:{role}:{spelled}", 1.0
            yield f"z:num:{role}:after:{before}", 1.0
            yield f"z:num:{role}:before:{after}", 1.0

    def _superlatives(self, sketch: Sketch) -> Iterator[tuple[str, float]]:
        """What "most", "oldest" and the like are made into, and what follows them."""
        words = self.asked.words
        if sketch.pick is not None and sketch.pick.everything:
            index = next((index for index, kind in enumerate(self.kinds) if kind in ("max", "min")), -1)
            if index >= 0:
                yield f"z:from:{self.kinds[index]}:{sketch.pick.how}", 1.0
                yield from self._age(words[index], sketch.pick)
            return
        does = _extreme(sketch)
        said = False
        for index, kind in enumerate(self.kinds):
            if kind not in ("max", "min"):
                continue
            said = True
            after = self.kinds[index + 1] if index + 1 < len(words) else "$"
            yield f"z:sup:{kind}:{does}", 1.0
            yield f"z:sup:{does.split(':')[0]}:{after}", 1.0
            if sketch.pick is not None:
                yield from self._age(words[index], sketch.pick)
        if not said and does != "none":
            yield f"z:sup:unsaid:{does}", 1.0

    def _age(self, word: str, pick: Pick) -> Iterator[tuple[str, float]]:
        """The youngest has the least age, but the latest year of birth."""
        if pick.item.column != ROWS and word in YOUNG | OLD:
            name = set(self.view.columns[pick.item.column].words)
            about = "age" if name & AGED else "time" if name & TIMED else "other"
            yield f"z:age:{'young' if word in YOUNG else 'old'}:{about}:{pick.how}", 1.0

    def _oddities(self, draft: Draft) -> Iterator[tuple[str, float]]:
        """What a question hardly asks: what its conditions fix already."""
        sketch = draft.sketch
        fixed = {clause[0].column for clause in sketch.where if len(clause) == 1 and clause[0].op == "="}
        if fixed:
            for item in sketch.select:
                if not item.fn and item.column in fixed:
                    yield "z:odd:shown_fixed", 1.0
            if not fixed.isdisjoint(sketch.group):
                yield "z:odd:group_fixed", 1.0
        for clause in sketch.where:
            for test in clause:
                yield from self._test(test)
        yield from self._reused(draft)

    def _reused(self, draft: Draft) -> Iterator[tuple[str, float]]:
        """Words that are taken for two things: a value and a name, a condition's field and what is asked for."""
        heads, entities, fields = 0, False, False
        for part in draft.parts:
            if part.value:
                heads |= part.head & ~part.value
                entities |= not part.value & ~self.entity_words
                fields |= not part.value & ~self.named
        if draft.wanted is not None and draft.wanted.mask & heads:
            yield "z:odd:head_wanted", float((draft.wanted.mask & heads).bit_count())
        if entities:
            yield "z:odd:value_entity", 1.0
        if fields:
            yield "z:odd:value_field", 1.0

    def _figures(self, sketch: Sketch) -> Iterator[tuple[str, float]]:
        """Figures and orders of what only numbers things, figures of what is the same in each group."""
        columns = self.view.columns
        for item in sketch.select:
            if item.column == ROWS or not item.fn:
                continue
            if item.column in sketch.group:
                yield f"z:odd:grouped_figure:{item.fn}", 1.0
            if numbering(columns[item.column]):
                yield f"z:odd:identifier:{item.fn}", 1.0
        shown = {item.column for item in sketch.select if item.column != ROWS}
        names = [columns[number].words for number in shown]
        if len(set(names)) < len(names):
            yield "z:odd:same_names", 1.0
        if sketch.pick is not None and sketch.pick.item.column != ROWS:
            key = sketch.pick.item.column
            kind = "identifier" if numbering(columns[key]) else columns[key].kind
            yield f"z:key:{kind}:{'order' if sketch.pick.everything else 'pick'}", 1.0
            if any(item.column == key and not item.fn for item in sketch.select):
                yield "z:odd:key_shown", 1.0

    def _test(self, test: Condition) -> Iterator[tuple[str, float]]:
        column = self.view.columns[test.column]
        if isinstance(test.value, Sketch):
            inner = [t.op for clause in test.value.where for t in clause]
            if test.op == "not in" and any(op in ("!=", "!~") for op in inner):
                yield "z:odd:twice_not", 1.0
            yield f"z:inner:{test.op}:{min(len(inner), 2)}", 1.0
        elif test.op in ("<", ">", "<=", ">=") and numbering(column):
            yield "z:odd:identifier_compared", 1.0

    def _rows(self, sketch: Sketch, answer: Sequence[tuple[object, ...]]) -> Iterator[tuple[str, float]]:
        """How many rows are found, of how many one would speak, and gaps in them."""
        head, words = self.asked.head, self.asked.words
        word = words[head] if 0 <= head < len(words) else ""
        plural = word.endswith("s") and not word.endswith(SINGULAR_ENDINGS)
        number = "plural" if plural else "singular" if word else "no"
        size = "none" if not answer else "one" if len(answer) == 1 else "few" if len(answer) <= 5 else "many"
        yield f"z:rows:{size}:{number}", 1.0
        yield f"z:rows:{size}:{self.asked.asks}", 1.0
        missing = sum(any(key_of(text_of(cell)) in MISSING for cell in row) for row in answer[:ROWS_SEEN])
        if missing:
            yield "z:rows:missing", missing / min(ROWS_SEEN, len(answer))
        if not sketch.group and not any(item.fn for item in sketch.select) and sketch.combine is None:
            yield from self._repetitions(sketch, answer[:ROWS_LISTED])

    def _repetitions(self, sketch: Sketch, answer: Sequence[tuple[object, ...]]) -> Iterator[tuple[str, float]]:
        """Whether a list names things more than once, or was kept from it."""
        tables = len(self.joined.tables_of(sketch)) if self.joined is not None else 1
        several = "joined" if tables > 1 else "single"
        marked = "distinct" if sketch.distinct else "repeated" if len(set(answer)) < len(answer) else "different"
        yield f"z:list:{marked}:{several}", 1.0
        if marked == "different":
            return
        yield f"z:list:{marked}:{several}:{'where' if sketch.where else 'all'}", 1.0
        for cue in self.calling:
            yield f"z:list:{marked}:{cue}", 1.0
        columns = [self.view.columns[item.column] for item in sketch.select if item.column != ROWS]
        unique = any(column.distinct_share > UNIQUE_SHARE_MIN for column in columns)
        yield f"z:list:{marked}:{several}:{'unique' if unique else 'common'}", 1.0


def everything(draft: Draft) -> bool:
    """Whether a reading lists all fields."""
    return draft.wanted is not None and STAR in draft.wanted.features


def elements(sketch: Sketch) -> list[str]:
    """What a sketch does, by name."""
    found = []
    if sketch.group:
        found.append("group")
    if sketch.having is not None:
        found.append("having")
    if sketch.pick is not None:
        counted = sketch.pick.item.column == ROWS or bool(sketch.pick.item.fn)
        found.append("ordered" if sketch.pick.everything else "pickgroup" if counted else "pick")
        found.append(f"{'ordered' if sketch.pick.everything else 'pick'}:{sketch.pick.how}")
        if sketch.pick.n > 1 and not sketch.pick.everything:
            found.append("topn")
    if sketch.distinct:
        found.append("distinct")
    found += sorted({f"fn:{item.fn}:{'rows' if item.column == ROWS else 'field'}" for item in sketch.select if item.fn})
    plain = sum(not item.fn for item in sketch.select)
    found.append(f"plain:{min(plain, 3)}")
    if sketch.combine is not None:
        found.append(f"combine:{sketch.combine[0]}")
    for test in _tests(sketch):
        if isinstance(test.value, Sketch):
            found.append(f"inner:{test.op}")
        elif test.op in ("!=", "!~"):
            found.append("unequal")
    if any(len(clause) > 1 for clause in sketch.where):
        found.append("either")
    if sketch.tables:
        found.append(f"tables:{min(len(sketch.tables), 3)}")
    found.append(f"where:{min(len(sketch.where), 3)}")
    return found


def _tests(sketch: Sketch) -> Iterator[Condition]:
    for clause in sketch.where:
        yield from clause


def _extreme(sketch: Sketch) -> str:
    """What a sketch takes the most or least of."""
    if sketch.pick is not None and not sketch.pick.everything and sketch.pick.how in ("max", "min"):
        item: Item = sketch.pick.item
        kind = "count" if item.column == ROWS else "figure" if item.fn else "pick"
        return f"{kind}:{sketch.pick.how}"
    figures = [item.fn for item in sketch.select if item.fn in ("max", "min")]
    return f"shown:{figures[0]}" if figures else "none"
