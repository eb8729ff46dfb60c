"""How much of something: "How many hours did Ana spend on Apollo?" adds up a field, of all documents that are meant."""

from __future__ import annotations

from dataclasses import replace

from promptql.answer import Band
from promptql.catalog import Catalog
from promptql.plan import IGNORED, Assumption, Support
from promptql.planned import Planned
from promptql.rules.asked import span_mask
from promptql.rules.columns import Column, identifying
from promptql.rules.concepts import LIGHT_VERBS
from promptql.rules.cues import STOP
from promptql.rules.forms import Form
from promptql.rules.generate import understood
from promptql.rules.joins import NotJoinedError
from promptql.rules.linking import PEOPLE
from promptql.rules.measures import is_intensive
from promptql.rules.probe import CannotRunError, Probe
from promptql.rules.roles import speaks_of_roles
from promptql.rules.saying import assumptions
from promptql.rules.sketch import Item, Sketch
from promptql.rules.tables import Tables
from promptql.rules.units import UNITS
from promptql.rules.words import tokenize

AMOUNT_CONFIDENCE = 0.8  # some who ask so want the documents counted
_HOW_MANY, _ARTICLES = ["how", "many"], frozenset({"the", "total", "of"})
_AUXILIARIES = frozenset("did do does has have had was were are is been there".split())
_HAVE = frozenset({"have", "has", "had"})
_VERB_CHARACTERS_MIN = 3


def plan_amount(question: str, tables: Tables, catalog: Catalog) -> Planned | None:
    """The total of a field of numbers that is named behind "how many"; None for other questions.

    Of fields whose values add up alone, and where all words but the verb are explained: that verb is said to be left
    out. A document that is named has one value, which is its own total.
    """
    asked = understood(question, tables.view)
    if asked.words[:2] != _HOW_MANY or len(asked.words) < len(_HOW_MANY) + 1:
        return None
    tokens, infos = tokenize(question), (catalog.collections[name] for name in tables.view.names)
    if any(speaks_of_roles(tokens, info) for info in infos):
        return None
    return _Amount(asked, tables, catalog).plan()


class _Amount(Form):
    """One such question."""

    def plan(self) -> Planned | None:
        """The plan; None where the words behind "how many" are no field whose values add up."""
        found = self._column()
        if found is None:
            return None
        number, end = found
        if self._has_more(end):
            return None
        verb = self._verb(end)
        mask = span_mask(0, end) | (1 << verb if verb is not None else 0)
        mask |= sum(1 << i for i, word in enumerate(self.asked.words) if word in _AUXILIARIES)
        about = self.view.columns[number].table
        for entity in self.entities:
            mask |= entity.mask if entity.table == about else 0
        for _, parts, clauses, said in self.row_sets(mask):
            sketch = Sketch((Item(number, "sum"),), clauses, tables=(about,))
            if not parts or not self._runs(sketch, about):
                continue
            self.assumed += assumptions(self.asked, self.view, parts, self.asked.content | said)
            name = self.view.columns[number].name
            shown = self.asked.text[: self.asked.places[end - 1][1]]
            self.assumed.append(Assumption(f"'{shown}' = the total {name}", Support.FUZZY))
            if verb is not None:
                self.assumed.append(Assumption(f"{IGNORED}'{self.asked.words[verb]}'", Support.INFERRED))
            planned = self.planned(sketch)
            return None if planned is None else replace(planned, band=Band.ASSUMPTIONS, confidence=AMOUNT_CONFIDENCE)
        return None

    def _has_more(self, end: int) -> bool:
        """As in "how many goals have an average of 3": what they have themselves is asked about."""
        return self.asked.words[end : end + 1] in ([word] for word in _HAVE) and (
            self.asked.words[end + 1 : end + 2] in (["a"], ["an"], ["the"])
        )

    def _column(self) -> tuple[int, int] | None:
        """The field that is named right behind "how many", wholly, and the place behind; None where it is not one."""
        start = len(_HOW_MANY)
        while start < len(self.asked.words) and self.asked.words[start] in _ARTICLES:
            start += 1
        if any(entity.start == start and entity.coverage >= 1.0 for entity in self.entities):
            return None
        words = self.asked.words
        of = words[start + 1 : start + 2] == ["of"] and words[start] in UNITS  # "minutes of delay"
        found = []
        for number, column in enumerate(self.view.columns):
            end = start + len(column.words) + of
            said = [*words[start + 2 : end], words[start]] if of else words[start:end]
            if self._adds_up(column) and _is_named(said, column):
                found.append((number, end))
        return found[0] if len(found) == 1 else None

    def _adds_up(self, column: Column) -> bool:
        joined = self.tables.joined
        linking = {key for edges in joined.edges.values() for _, *pair in edges for key in pair} if joined else set()
        return (
            column.stored_numbers
            and not column.yearly
            and not identifying(column.words)
            and not is_intensive(" ".join(column.words))
            and self.view.columns.index(column) not in linking
        )

    def _verb(self, end: int) -> int | None:
        """The place of the verb of "did Ana spend", "were worked", which names nothing in the data."""
        words = self.asked.words
        if end < len(words) and words[end] in LIGHT_VERBS:  # "how many people live in …"
            return end
        if end >= len(words) or words[end] not in _AUXILIARIES:
            return None
        taken = 0
        for link in self.reading.links:
            taken |= link.mask
        for index in range(end + 1, len(words)):
            if taken >> index & 1 or words[index] in STOP:
                continue
            named = any(mention.mask >> index & 1 for found in self.reading.mentions.values() for mention in found)
            entity = any(entity.mask >> index & 1 for entity in self.entities)
            told = named or entity or self.asked.capital >> index & 1 or len(words[index]) < _VERB_CHARACTERS_MIN
            return None if told or not words[index].isalpha() else index
        return None

    def _runs(self, sketch: Sketch, about: int) -> bool:
        """Whether the documents of `about` are reached, each once, and hold an amount."""
        try:
            return self.found_once(sketch, about) and bool(Probe(self.view, self.tables.joined).run(sketch))
        except (CannotRunError, NotJoinedError):
            return False


def _is_named(words: list[str], column: Column) -> bool:
    """Whether they are the name as it is, or people of a population: "stages" counts, where "stage" numbers them."""
    return tuple(words) == column.words or (len(words) == 1 and {*words, *column.words} <= PEOPLE)
