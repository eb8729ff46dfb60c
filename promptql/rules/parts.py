"""Pieces of sketches with what speaks for each: conditions that words may stand for, columns that may be wanted."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from promptql.rules.asked import Asked, NumberMention, span_mask, stem
from promptql.rules.columns import MISSING, Column, View, identifying
from promptql.rules.cues import (
    AT_LEAST,
    AT_MOST,
    EARLIER,
    EXCEPT,
    LARGER,
    LATER,
    PERSON,
    PLACE,
    SMALLER,
    TIME,
)
from promptql.rules.entities import EntityMention, nearest
from promptql.rules.links import Mention, ValueLink
from promptql.rules.sketch import Clause, Condition

Features = list[tuple[str, float]]
COMPARISONS = (
    (">=", AT_LEAST, "atleast"), ("<=", AT_MOST, "atmost"), (">", LARGER, "larger"), ("<", SMALLER, "smaller"),
    (">", LATER, "later"), ("<", EARLIER, "earlier"),
)  # fmt: skip
YES, NO = frozenset("t true y yes 1".split()), frozenset("f false n no 0".split())
OPPOSITE = {">": "<=", "<": ">=", ">=": "<", "<=": ">"}


@dataclass(slots=True)
class Part:
    """A piece of a sketch.

    Attributes:
        clauses: for a condition, what it adds; column: for a wanted column.
        mask: the words that it explains; value, head: those of them that are a value, a column's name.
        features: what speaks for or against it; score: their weighted sum.
    """

    mask: int
    features: Features
    clauses: tuple[Clause, ...] = ()
    column: int = -1
    value: int = 0
    head: int = 0
    score: float = 0.0
    start: int = 0
    mention: Mention | None = None
    extra: dict[str, float] = field(default_factory=dict)


def class_of(column: Column) -> str:
    """What a column is about, by its cells and its name."""
    if column.kind == "date":
        return "date"
    if column.kind == "number":
        return "year" if column.yearly else "number"
    words = set(column.words)
    if words & PERSON:
        return "person"
    if words & PLACE:
        return "place"
    return "date" if words & TIME else "text"


class Conditions:
    """Makes the conditions that a question's words may stand for."""

    def __init__(
        self,
        asked: Asked,
        view: View,
        mentions: Mapping[int, list[Mention]],
        classes: list[str],
        entities: Sequence[EntityMention] = (),
    ) -> None:
        self.asked = asked
        self.view = view
        self.mentions = mentions
        self.classes = classes
        self.entities = entities
        self.several = len(view.names) > 1
        self._named = 0
        for entity in entities:
            self._named |= entity.mask
        self._known_ops: dict[int, list[tuple[str, str, int]]] = {}

    def make(self, links: list[ValueLink]) -> list[Part]:
        """All conditions, in no order."""
        parts = [part for link in links for part in self._of_value(link, links)]
        exact = {(link.start, link.column) for link in links if link.kind == "exact"}
        compared: set[int] = set()
        for number in self.asked.numbers:
            found = list(self._of_number(number))
            compared |= {number.start for _ in found}
            parts += found
            if number.end - number.start == 1:
                parts += self._equal(number, exact)
        parts += self._between()
        if self.several:
            parts = [part for part in parts if not self._misread(part)]
            parts += self._flags()
        return parts

    def _misread(self, part: Part) -> bool:
        """Whether a number is compared with what only numbers things, or a collection's name is sought in cells."""
        test = part.clauses[0][0]
        if test.op in ("~", "!~") and not part.value & (self.asked.quoted | self.asked.capital):
            return not part.value & ~self._named
        numeric = isinstance(test.value, float) or (isinstance(test.value, str) and test.value.isdigit())
        words = self.view.columns[part.column].words
        if not numeric or not identifying(words):
            return False
        said = {self.asked.stems[i] for i in range(len(self.asked.words)) if part.head >> i & 1}
        return stem(words[-1]) not in said

    def _flags(self) -> Iterator[Part]:
        """Columns of yes and no whose name is said: "official languages", "dogs that were abandoned"."""
        for index, mentions in self.mentions.items():
            column = self.view.columns[index]
            keys = {key for key in column.rows_by_key if key not in MISSING}
            yes = keys & YES
            if len(keys) > 2 or len(yes) != 1 or not keys - yes <= NO:
                continue
            for mention in mentions[:1]:
                features: Features = [("f:flag", 1.0), ("f:flag:coverage", mention.coverage)]
                features += self._table_features(index, mention.start, mention.end)
                negated = self._negated(mention.start)
                test = Condition(index, "=", next(iter(yes)))
                yield Part(mention.mask, features, ((test,),), index, mention.mask, mention.mask, start=mention.start)
                for no in keys - yes if negated else ():
                    test = Condition(index, "=", no)
                    said: Features = [*features, ("f:flag:not", 1.0)]
                    yield Part(
                        mention.mask | negated, said, ((test,),), index, mention.mask, mention.mask, start=mention.start
                    )

    def _supports(self, column: int, start: int, end: int, taken: int = 0) -> Iterator[tuple[Mention | None, Features]]:
        """The mention of the column's name that is nearest to the words (those `taken` are none of it), and none."""
        best: tuple[float, Mention, str] | None = None
        taken = taken or span_mask(start, end)
        for mention in self.mentions.get(column, ()):
            if mention.mask & taken:
                continue
            before = mention.start < start
            gap = max(0, start - mention.end) if before else max(0, mention.start - end)
            between = span_mask(mention.end, start) if before and start > mention.end else 0
            if not before and mention.start > end:
                between = span_mask(end, mention.start)
            crossed = (between & self.asked.content).bit_count()
            cost = gap + 2 * crossed + (0 if before else 1) - 3 * mention.coverage - mention.matched
            if best is None or cost < best[0]:
                bucket = min(crossed, 3) if gap else 0
                best = (cost, mention, f"{'b' if before else 'a'}{bucket}")
        if best is not None:
            _, mention, where = best
            features: Features = [
                (f"c:head:{where}", 1.0),
                (f"c:headcov:{where}", mention.coverage),
                ("c:headwords", float(min(3, mention.matched))),
            ]
            features += self._table_features(column, start, end)
            if mention.literal:
                features.append((f"c:headexact:{where[0]}", 1.0))
            yield mention, features
        near = self._table_features(column, start, end)
        yield None, [*near, ("c:nohead", 1.0), ("c:nohead:had", 1.0 if best is not None else 0.0)]

    def _table_features(self, column: int, start: int, end: int) -> Features:
        """How near the column's collection is mentioned, where there are several."""
        if not self.several:
            return []
        gap = nearest(self.entities, self.view.columns[column].table, start, end)
        return [(f"c:table:{'none' if gap is None else min(gap, 3) if gap < 8 else 'far'}", 1.0)]

    def _of_value(self, link: ValueLink, links: list[ValueLink]) -> Iterator[Part]:
        asked, column = self.asked, self.view.columns[link.column]
        words = link.end - link.start
        rivals = {o.column for o in links if o.start == link.start and o.end == link.end and o.column != link.column}
        supported = any(self._near(other, link.start, link.end) for other in rivals)
        previous = asked.words[link.start - 1] if link.start else "^"
        kind = self.classes[link.column]
        base: Features = [
            (f"c:{link.kind}", 1.0),
            (f"c:{link.kind}:words", float(min(words, 5))),
            (f"c:rivals:{min(len(rivals), 3)}", 1.0),
            (f"c:class:{kind}", 1.0),
            (f"c:{link.kind}:share", link.share),
        ]
        if previous in PREPOSITIONS:
            base.append((f"c:prep:{previous}:{kind}", 1.0))
        if supported:
            base.append(("c:rivalhead", 1.0))
        if words == 1:
            only = asked.words[link.start]
            base.append((f"c:single:{'digit' if only.isdigit() else 'char' if len(only) == 1 else 'word'}", 1.0))
            if not link.mask & asked.content:
                base.append(("c:single:stop", 1.0))
            if asked.words[link.start - 1 : link.start] == ["which"] or link.start == asked.head:
                base.append(("c:ishead", 1.0))
        if link.mask & asked.capital:
            base.append(("c:capital", 1.0))
        if asked.quoted and link.mask & asked.quoted:
            base.append(("c:quoted", 1.0))
        held = len(column.rows_by_key.get(link.key, ())) if link.kind != "part" else 0
        if held:
            base.append(("c:rows:one" if held == 1 else "c:rows:many", 1.0))
        if any(m.mask & link.mask == link.mask for ms in self.mentions.values() for m in ms):
            base.append(("c:isname", 1.0))
        negated = self._negated(link.start)
        op = "~" if link.kind == "part" else "="
        for mention, support in self._supports(link.column, link.start, link.end):
            head = mention.mask if mention is not None else 0
            yield Part(
                link.mask | head,
                base + support,
                ((Condition(link.column, op, link.key),),),
                link.column,
                link.mask,
                head,
                start=link.start,
            )
            if negated:
                yield Part(
                    link.mask | head | negated, [*base, *support, ("c:not", 1.0)],
                    ((Condition(link.column, "!=" if op == "=" else "!~", link.key),),), link.column, link.mask, head,
                    start=link.start,
                )  # fmt: skip

    def _near(self, column: int, start: int, end: int) -> bool:
        return any(
            not m.mask & span_mask(start, end) and (0 <= start - m.end <= 3 or 0 <= m.start - end <= 1)
            for m in self.mentions.get(column, ())
        )

    def _negated(self, start: int) -> int:
        before = self.asked.words[max(0, start - 4) : start]
        for phrase in EXCEPT:
            parts = phrase.split(" ")
            for at in range(len(before) - len(parts) + 1):
                if before[at : at + len(parts)] == parts:
                    begin = max(0, start - 4) + at
                    return span_mask(begin, begin + len(parts))
        return 0

    def ops(self, number: NumberMention) -> list[tuple[str, str, int]]:
        """Comparisons that the words before or after a number stand for: (op, its name, its words)."""
        if number.start not in self._known_ops:
            self._known_ops[number.start] = list(self._ops(number))
        return self._known_ops[number.start]

    def _ops(self, number: NumberMention) -> Iterator[tuple[str, str, int]]:
        words = self.asked.words
        joined = " ".join(words[max(0, number.start - 5) : number.start])
        after = " ".join(words[number.end : number.end + 3])
        seen = set()
        for op, phrases, name in COMPARISONS:
            for phrase in phrases:
                size = phrase.count(" ") + 1
                at = f" {joined} ".rfind(f" {phrase} ")
                if at >= 0 and not phrase.startswith("or "):
                    behind = joined[at + len(phrase) :].split()
                    if len(behind) <= 3 and name not in seen and not any(word.isdigit() for word in behind):
                        seen.add(name)
                        end = number.start - len(behind)
                        mask = span_mask(end - size, end)
                        negative = words[end - size - 1] in ("not", "no") if end - size > 0 else False
                        yield (OPPOSITE[op] if negative and op in "<>" else op), name, mask
                elif phrase.startswith("or ") and f"{after} ".startswith(f"{phrase} ") and name not in seen:
                    seen.add(name)
                    yield op, f"{name}:after", span_mask(number.end, number.end + size)
        return

    def _of_number(self, number: NumberMention) -> Iterator[Part]:
        for op, name, cue in self.ops(number):
            for index, column in enumerate(self.view.columns):
                if not column.ordered:
                    continue
                kind = self.classes[index]
                low, high = column.span
                dated = column.kind == "date"
                fits = (low // 10_000 if dated else low) <= number.value <= (high // 10_000 if dated else high)
                base: Features = [
                    (f"n:{op}:{name}", 1.0),
                    (f"n:class:{kind}:{'year' if 1000 <= number.value <= 2100 else 'number'}", 1.0),
                    ("n:fits" if fits else "n:misfits", 1.0),
                ]
                mask = span_mask(number.start, number.end)
                begin, end = min(number.start, (cue & -cue).bit_length() - 1), max(number.end, cue.bit_length())
                within = mask | cue if self.several else 0  # "above age 20": the name may stand between
                for mention, support in self._supports(index, begin, end, within):
                    head = mention.mask if mention is not None else 0
                    yield Part(
                        mask | cue | head,
                        base + support,
                        ((Condition(index, op, number.value),),),
                        index,
                        mask,
                        head,
                        start=number.start,
                    )

    def _equal(self, number: NumberMention, exact: set[tuple[int, int]]) -> Iterator[Part]:
        for index, column in enumerate(self.view.columns):
            if (
                (number.start, index) in exact
                or not column.ordered
                or (number.spelled and not self.mentions.get(index))
            ):
                continue
            if not any(n == number.value for n in column.numbers):
                continue
            mask = span_mask(number.start, number.end)
            base: Features = [("e:number", 1.0), (f"e:class:{self.classes[index]}", 1.0)]
            if number.spelled:
                base.append(("e:spelled", 1.0))
            for mention, support in self._supports(index, number.start, number.end):
                head = mention.mask if mention is not None else 0
                yield Part(
                    mask | head,
                    base + support,
                    ((Condition(index, "=", number.value),),),
                    index,
                    mask,
                    head,
                    start=number.start,
                )

    def _between(self) -> Iterator[Part]:
        words = self.asked.words
        for low, high in zip(self.asked.numbers, self.asked.numbers[1:], strict=False):
            joining = words[low.end : high.start]
            if joining not in (["and"], ["to"], ["through"], [], ["until"], ["and", "the"]) or low.value > high.value:
                continue
            before = words[max(0, low.start - 3) : low.start]
            if not {"between", "from", "during", "through"} & set(before) and joining != ["to"]:
                continue
            mask = span_mask(low.start, high.end)
            at = next(
                (
                    i
                    for i in range(low.start - 1, max(-1, low.start - 4), -1)
                    if words[i] in ("between", "from", "during")
                ),
                low.start,
            )
            for index, column in enumerate(self.view.columns):
                if not column.ordered:
                    continue
                base: Features = [("b:between", 1.0), (f"b:class:{self.classes[index]}", 1.0)]
                clauses = ((Condition(index, ">=", low.value),), (Condition(index, "<=", high.value),))
                for mention, support in self._supports(index, at, high.end):
                    head = mention.mask if mention is not None else 0
                    yield Part(mask | (1 << at) | head, base + support, clauses, index, mask, head, start=low.start)


PREPOSITIONS = frozenset("in on at by from with for of to as was is the against when where than during".split())
FOLLOWING = frozenset(
    "of for when with that where who did is was were in on at has have had are by from does than".split()
)


def wanted_columns(asked: Asked, view: View, mentions: Mapping[int, list[Mention]], classes: list[str]) -> list[Part]:
    """Each column as what is asked for: by each mention of its name, and without one."""
    starts = sorted({m.start for ms in mentions.values() for m in ms if m.coverage >= 0.5})
    parts = []
    for index, column in enumerate(view.columns):
        kind = classes[index]
        base: Features = [(f"s:place:{min(column.place, 3)}", 1.0)]
        asks = asked.asks
        for mention in mentions.get(index, ())[:2]:
            features: Features = [
                *base,
                ("s:named", 1.0),
                ("s:coverage", mention.coverage),
                ("s:words", float(min(mention.matched, 4))),
                (f"s:asks:{asks}:{kind}", 1.0),
                (f"s:rank:{min(starts.index(mention.start), 3) if mention.start in starts else 4}", 1.0),
                ("s:late", mention.start / max(1, len(asked.words))),
            ]
            if mention.literal:
                features.append(("s:literal", 1.0))
            if mention.coverage < 0.5:
                features.append(("s:weak", 1.0))
            if asked.head >= 0:
                features.append(("s:head" if mention.mask >> asked.head & 1 else "s:nothead", 1.0))
            following = asked.words[mention.end] if mention.end < len(asked.words) else "$"
            features.append((f"s:then:{following if following in FOLLOWING or following == '$' else 'other'}", 1.0))
            before = asked.words[mention.start - 1] if mention.start else "^"
            if before in PRECEDING:
                features.append((f"s:after:{before}", 1.0))
            if any(
                m.mask != mention.mask and m.mask & mention.mask == mention.mask for ms in mentions.values() for m in ms
            ):
                features.append(("s:dominated", 1.0))
            parts.append(
                Part(mention.mask, features, column=index, head=mention.mask, start=mention.start, mention=mention)
            )
        features = [*base, ("s:bare", 1.0), (f"s:bare:{asks}:{kind}", 1.0), ("s:bare:distinct", column.distinct_share)]
        if mentions.get(index):
            features.append(("s:bare:had", 1.0))
        if column.place == 0:
            features.append(("s:bare:first", 1.0))
        parts.append(Part(0, features, column=index))
    return parts


PRECEDING = frozenset(
    "the which what of many much whose by in and for with highest lowest most total average any his her".split()
)
