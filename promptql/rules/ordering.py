"""What a question orders by, which way, and how many it wants: "sorted by age", "the three oldest", "most recent"."""

from __future__ import annotations

from typing import TYPE_CHECKING

from promptql.rules.asked import span_mask
from promptql.rules.columns import identifying, numbering
from promptql.rules.cues import MAX_WORDS, MIN_WORDS
from promptql.rules.draft import Features
from promptql.rules.lists import Lists
from promptql.rules.measures import measured
from promptql.rules.parts import Part

if TYPE_CHECKING:
    from promptql.rules.generate import Reading

DOWN = frozenset("descending desc decreasing reverse reversed".split())
SAID = frozenset(
    "descending ascending order sorted ordered increasing decreasing alphabetical alphabetic reverse reversed".split()
)
HIGH, LOW = MAX_WORDS | {"high", "large", "most", "new", "late"}, MIN_WORDS | {"low", "small", "old", "early"}
LATE, EARLY = frozenset("recent recently latest last newest".split()), frozenset({"first", "earliest"})
EITHER = frozenset("youngest latest newest recent earliest oldest top".split())  # more of an age, less of a year
AGES = frozenset({"oldest", "youngest", "newest"})  # which end of a year or a date they mean is no question
BESIDE = 2.0
TIMES = frozenset("date year time day month".split())


class Ordering:
    """Orders that one question may ask for."""

    def __init__(self, reading: Reading, lists: Lists) -> None:
        self.reading = reading
        self.asked = reading.asked
        self.view = reading.view
        self.lists = lists
        self._known: dict[int, list[Part]] = {}
        self.order = self._order()
        self.directions = self._directions()
        self.times = self._times()
        self.top = self._top()

    def _top(self) -> int:
        """How many are wanted, where a number says so; else 1."""
        words = self.asked.words
        for number in self.asked.numbers:
            if 1 < number.value <= 100 and (
                (number.start and words[number.start - 1] in ("top", "first", "bottom", "the", "last"))
                or (number.end < len(words) and words[number.end] in MAX_WORDS | MIN_WORDS)
            ):
                return int(number.value)
        return 1

    def top_mask(self, n: int) -> int:
        """The words that say so."""
        return sum(span_mask(x.start, x.end) for x in self.asked.numbers if x.value == n) if n > 1 else 0

    def _directions(self) -> list[tuple[str, int]]:
        """("max" or "min", its words) of superlatives."""
        words = self.asked.words
        found = []
        for how, said in (("max", MAX_WORDS), ("min", MIN_WORDS)):
            mask = sum(1 << i for i, word in enumerate(words) if word in said)
            if mask:
                found.append((how, mask))
        return found

    def _times(self) -> list[tuple[str, int]]:
        """("max" or "min", its words) of what comes last or first in time."""
        taken = 0
        for mentions in self.reading.mentions.values():
            for mention in mentions:
                taken |= mention.mask if mention.matched > 1 else 0
        words = self.asked.words
        found = []
        for how, said in (("max", LATE), ("min", EARLY)):
            mask = sum(1 << i for i, word in enumerate(words) if word in said and not taken >> i & 1)
            if mask:
                mask |= sum(1 << i for i, word in enumerate(words) if word == "most" and mask >> (i + 1) & 1)
                found.append((how, mask))
        return found

    def ways(self, how: str, mask: int, column: int) -> tuple[str, ...]:
        """Which ends of a column may be meant: "the youngest" has the least age or the greatest year of birth."""
        said = {word for i, word in enumerate(self.asked.words) if mask >> i & 1}
        if said & AGES and not said - AGES:
            chosen = self.view.columns[column]
            if chosen.kind == "date" or chosen.yearly:
                return ("min",) if "oldest" in said else ("max",)
        return ("max", "min") if said & EITHER else (how,)

    def _order(self) -> tuple[bool, int] | None:
        """Whether a list is ordered downwards, and the words that say so; None where it is not ordered."""
        mask = self.asked.cues.get("order", 0)
        words = self.asked.words
        span = self._from_to()
        if not mask and span is None:
            return None
        down = any(word in DOWN for word in words)
        if span is not None:
            down, said = span
            mask |= said
        mask |= sum(1 << index for index, word in enumerate(words) if word in SAID)
        return down, mask

    def _from_to(self) -> tuple[bool, int] | None:
        """As in "from the oldest to the youngest", "from high to low"."""
        words = self.asked.words
        for index, word in enumerate(words):
            if word != "to" or not index or index + 1 >= len(words):
                continue
            after = index + 2 if words[index + 1] == "the" and index + 2 < len(words) else index + 1
            before = index - 1
            if words[before] in HIGH and words[after] in LOW:
                return True, span_mask(before, after + 1)
            if words[before] in LOW and words[after] in HIGH:
                return False, span_mask(before, after + 1)
        return None

    def keys(self, cue: int) -> list[Part]:
        """Columns as what is ordered by, the likeliest first; text too."""
        known = self._known.get(cue)
        if known is None:
            known = self._known[cue] = sorted(self._keys(cue), key=lambda part: -part.score - _beside(part))
        return known

    def figures(self, cue: int) -> list[Part]:
        """Those that hold numbers."""
        return [key for key in self.keys(cue) if self.view.columns[key.column].kind == "number"]

    def ordered(self, cue: int) -> list[Part]:
        """Those that hold numbers or dates."""
        return [key for key in self.keys(cue) if self.view.columns[key.column].ordered]

    def _keys(self, cue: int) -> list[Part]:
        found = []
        for part in self.reading.wanted:
            column = self.view.columns[part.column]
            mention = part.mention
            fits = measured(self.asked, cue, column.words)
            if mention is not None and identifying(column.words) and mention.coverage < 0.9:
                continue
            if mention is None and (
                not column.ordered or identifying(column.words) or (("s:bare:had", 1.0) in part.features and not fits)
            ):
                continue
            features: Features = [("o:named" if mention else "o:bare", 1.0)]
            if mention is not None:
                gap = mention.start - cue.bit_length()
                behind = (cue & -cue).bit_length() - 1 - mention.end
                near = "next" if 0 <= gap <= 2 else "just" if 0 <= behind <= 2 else "behind" if gap < 0 else "far"
                within = cue & -cue < mention.mask and mention.mask < cue
                if span_mask(mention.start, mention.end) & cue or within:
                    near = "in"
                features += [
                    (f"o:{near}", 1.0),
                    ("o:coverage", mention.coverage),
                    ("o:matched", float(mention.matched)),
                ]
            else:
                features.append(("o:measure" if fits else "o:nomeasure", 1.0))
            features += [(f"o:{name}", v) for name, v in self.lists.affinity(part.column, part.start, part.start + 1)]
            features.append((f"o:kind:{column.kind}", 1.0))
            if numbering(column) if self.lists.several else identifying(column.words):
                features.append(("o:identifier", 1.0))
            key = Part(part.mask, features, column=part.column, head=part.head, start=part.start, mention=mention)
            key.score = self.reading.model.score(features)
            found.append(key)
        return found

    def timed(self, column: int) -> bool:
        """Whether a column holds times."""
        chosen = self.view.columns[column]
        return chosen.kind == "date" or chosen.yearly or bool(TIMES & set(chosen.words))


def _beside(part: Part) -> float:
    """What being named right beside the words that order is worth."""
    names = {name for name, _ in part.features}
    return BESIDE if names & {"o:next", "o:just", "o:in", "o:measure"} else 0.0
