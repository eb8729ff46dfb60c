"""One reading of a question against one collection: what each word was taken for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from promptql.catalog import CollectionInfo, FieldInfo
from promptql.expressions import DateUnit, Operator, Predicate
from promptql.plan import Assumption, Support
from promptql.rules.concepts import LIGHT_VERBS
from promptql.rules.dates import DateMention, find_dates
from promptql.rules.linking import FieldLink, link_fields, mentions_collection
from promptql.rules.mentions import NumberMention, QuotedMention, find_numbers, find_quoted
from promptql.rules.once import once
from promptql.rules.values import Trust, ValueLink, link_values
from promptql.rules.words import NEGATIONS, STOPWORDS, Token, singular, tokenize
from promptql.steps import Function

_DOING = frozenset({"did", "do", "does", "has", "have", "had"})
_PARTICLES = frozenset({"out", "off"})  # behind a verb they change what it says: "sold out"
_PAST = frozenset("spent sold made taken given paid held built bought lent sent left won lost drunk eaten run".split())
_PASSIVE = frozenset({"was", "were", "is", "are", "been"})


@dataclass(frozen=True, slots=True)
class Condition:
    """A predicate that some words stand for; `trust` HINTED ones are not used to narrow a search."""

    predicate: Predicate
    trust: Trust = Trust.SURE


@dataclass(frozen=True, slots=True)
class Having:
    """A comparison with the number of rows of a group: "modules with more than 10 functions"."""

    op: Operator
    value: float


@dataclass(frozen=True, slots=True)
class Ranking:
    """A superlative; `field` None ranks groups by their number of rows (or their aggregate)."""

    field: FieldInfo | None
    descending: bool
    word: str


@dataclass(slots=True)
class Reading:
    """What the triggers have found so far; they fill it in turn, and mark the words that they explain."""

    text: str
    tokens: tuple[Token, ...]
    collection: CollectionInfo
    fields: tuple[FieldLink, ...]
    values: tuple[ValueLink, ...]
    numbers: tuple[NumberMention, ...]
    quoted: tuple[QuotedMention, ...]
    dates: tuple[DateMention, ...] = ()
    asked_at: datetime = field(default_factory=lambda: datetime.now(UTC))  # in the asker's time zone
    used: set[int] = field(default_factory=set)
    conditions: list[Condition] = field(default_factory=list)
    assumptions: list[Assumption] = field(default_factory=list)
    groups: list[FieldInfo] = field(default_factory=list)
    buckets: dict[str, DateUnit] = field(default_factory=dict)  # of those groups that are of times, by field
    wanted: list[FieldInfo] = field(default_factory=list)
    having: Having | None = None
    ranking: Ranking | None = None
    limit: int | None = None
    counted: bool = False
    aggregate: tuple[Function, FieldInfo] | None = None

    def word(self, index: int) -> str:
        """The folded word there, "" beyond the ends."""
        return self.tokens[index].folded if 0 <= index < len(self.tokens) else ""

    def raw(self, start: int, end: int) -> str:
        """The question's own characters for tokens [start, end)."""
        return self.text[self.tokens[start].start : self.tokens[end - 1].end]

    def use(self, indexes: Iterable[int]) -> None:
        """Mark words as explained."""
        self.used.update(indexes)

    def assume(self, text: str, support: Support) -> None:
        """Record how something was read."""
        self.assumptions.append(Assumption(text, support))

    def field_at(self, index: int) -> FieldLink | None:
        """The mention of a field that begins there."""
        return next((link for link in self.fields if link.start == index), None)

    def value_at(self, index: int) -> ValueLink | None:
        """The value that begins there."""
        return next((link for link in self.values if link.start == index), None)

    def number_at(self, index: int) -> NumberMention | None:
        """The number that begins there."""
        return next((mention for mention in self.numbers if mention.start == index), None)

    def names_documents(self, index: int) -> bool:
        """Whether the word there stands for documents: the collection's name, a small category, "titles"."""
        if not 0 <= index < len(self.tokens):
            return False
        value = self.value_at(index)
        return self.names_collection(index) or self.names_labels(index) or (value is not None and value.field.small)

    def names_labels(self, index: int) -> bool:
        """Whether the word there is the plural of the field that names documents: "titles" are documents."""
        if not 0 <= index < len(self.tokens):
            return False
        link = self.field_at(index)
        return (
            link is not None
            and link.field.name == self.collection.label
            and singular(self.word(index)) != self.word(index)
        )

    def names_collection(self, index: int) -> bool:
        """Whether the word there is the collection's name."""
        return 0 <= index < len(self.tokens) and mentions_collection(self.tokens[index], self.collection)

    def conditions_name_one(self) -> bool:
        """Whether some value that is said names a single document."""
        return any(link.field.identifier or link.count == 1 for link in self.values)

    def content(self) -> set[int]:
        """The words that carry meaning and must be explained."""
        small = STOPWORDS - NEGATIONS  # "not" changes everything
        said = {index for index, token in enumerate(self.tokens) if token.folded not in small}
        ends = {link.end for link in self.fields}
        return said | {index for index in ends if index > 1 and self.word(index) in _PARTICLES}

    def ignorable(self) -> str | None:
        """The one word left unexplained, where it is a verb that says no more than the words beside it."""
        words = set(self.unexplained())
        sound = bool(self.conditions or self.groups or self.ranking or self.aggregate)
        light = words <= LIGHT_VERBS or (self.aggregate is not None and self.aggregate[0] is Function.SUM)
        if len(words) != 1 or not sound or not light:
            return None
        (word,) = words
        return word if word in LIGHT_VERBS or self._is_verb(word) else None

    def _is_verb(self, word: str) -> bool:
        """As in "how many hours did Ana spend", "were worked": what is added up is told, and the verb says no more."""
        place = next(index for index in sorted(self.content() - self.used) if self.word(index) == word)
        if self.tokens[place].text != word or not word.isalpha():
            return False
        if self.word(place - 1) in _PASSIVE:
            return word.endswith("ed") or word in _PAST
        doing = any(self.word(index) in _DOING for index in range(place))
        ends = {link.end for link in self.values} | {link.end for link in self.fields}
        return doing and place in ends

    def unexplained(self) -> list[str]:
        """The words that carry meaning, and that nothing was made of."""
        return [self.word(index) for index in sorted(self.content() - self.used)]

    def coverage(self) -> float:
        """The share of the content words that are explained, 0 to 1; 1 where there is none."""
        content = self.content()
        return len(content & self.used) / len(content) if content else 1.0


def begin_reading(text: str, collection: CollectionInfo, asked_at: datetime | None = None) -> Reading:
    """Mentions and links, nothing interpreted yet.

    Args:
        text: the question.
        collection: what it is read against.
        asked_at: when, in the asker's time zone: "today" is a day of it. None: now, in UTC.
    """
    moment = datetime.now(UTC) if asked_at is None else asked_at
    begun = once(("reading", text, moment), collection, lambda: _begin(text, collection, moment))
    return replace(begun, used=set(), conditions=[], assumptions=[], groups=[], buckets={}, wanted=[])


def _begin(text: str, collection: CollectionInfo, moment: datetime) -> Reading:
    tokens = tokenize(text)
    fields = link_fields(tokens, collection)
    quoted = find_quoted(text, tokens)
    values = link_values(text, tokens, collection, fields, quoted)
    dates = find_dates(text, tokens, moment.date())
    return Reading(text, tokens, collection, fields, values, find_numbers(text, tokens), quoted, dates, moment)
