"""Value linking: which words of a question are values that some field holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

from promptql.catalog import ID, CollectionInfo, FieldInfo, SemanticType
from promptql.expressions import Scalar
from promptql.rules.linking import FieldLink, mentions_collection
from promptql.rules.mentions import QuotedMention
from promptql.rules.nationalities import same_place
from promptql.rules.roles import are_alike, fits_role
from promptql.rules.units import UNITS
from promptql.rules.words import NEGATIONS, STOPWORDS, Token, name_words, normalize, plural, singular

SAID_RANKS = 4  # of what links are ordered by, what the question says; the rest is what is likely
WORDS_MAX = 8  # longest value, in words, that is looked for
_BEFORE_CATEGORY = frozenset({"in", "of", "from", "by", "for", "within", "inside", "under"})
_KIND_NAMES = frozenset({"kind", "type", "category", "class", "format"})
_ASKS_ABOUT_ONE = frozenset({"is", "was", "does", "when", "who", "where", "what"})
_HOW_MANY = ("how", "many")
_CATEGORY_VALUES_MAX = 300  # the plural of a genre may be meant as one; that of one of thousands of names hardly
_NAMED = frozenset({"named", "called", "titled"})
_ORDINARY = frozenset({"polish", "turkey", "china", "chile"})  # words that are places where they are capitalized
_JOINERS = frozenset({"the", "a", "an", "named", "called", "is", "of", "=", "equals", "are"})


class Trust(IntEnum):
    """How sure it is that the words are meant as the value."""

    NONE = 0
    HINTED = 1  # a word after "in", "of", …, of a field with many values
    SURE = 2


@dataclass(frozen=True, slots=True)
class ValueLink:
    """Tokens [start, end) are `value` of `field`, held by `count` documents.

    Attributes:
        exact: the words are not only a plural of it.
        rival: another field of the same kind of things that holds it as well, where no word tells which is meant.
    """

    field: FieldInfo
    value: Scalar
    count: int
    start: int
    end: int
    exact: bool
    trust: Trust
    rival: str | None = None


_STATING = frozenset("is are was were be been not and or nor neither both".split())
_GOING_ON = frozenset("by in as from for with of to at on".split())


def _same_units() -> dict[str, tuple[str, ...]]:
    """Unit → the other ways to write it: "minutes" → "min", "mins", "minute"."""
    return {unit: tuple(other for other in UNITS if UNITS[other] == UNITS[unit] and other != unit) for unit in UNITS}


_SAME_UNIT = _same_units()


def link_values(
    text: str,
    tokens: Sequence[Token],
    collection: CollectionInfo,
    fields: Sequence[FieldLink],
    quoted: Sequence[QuotedMention],
) -> tuple[ValueLink, ...]:
    """Values in the question, none overlapping.

    Trust first, then the longest, then the nearest to its field's name. Of what is left a kind of documents comes
    before a mere property, and the rarest first, but the most frequent where the words say what the question is about.
    """
    found: list[tuple[tuple[int, ...], ValueLink]] = []
    stretches = _stretches(tokens)
    for field in collection.fields.values():
        for link, raw in _matches(stretches, field):
            near = _near_field(link, tokens, fields)
            label = field.name == collection.label
            trust = _trust(link, raw, text, tokens, near=near, label=label, quoted=quoted)
            if trust is Trust.NONE and _perhaps(link, tokens, collection, fields, label=label):
                trust = Trust.HINTED
            if trust is not Trust.NONE:
                frequency = -link.count if is_subject(tokens, link.start) else link.count
                role = fits_role(field, tokens, link.start)
                rank = (-trust, link.start - link.end, -near, -role, -_names_kinds(field), frequency, not label)
                found.append((rank, replace(link, trust=trust)))
    found.sort(key=lambda item: item[0])
    taken: set[int] = set()
    kept = []
    for order, link in found:
        span = set(range(link.start, link.end))
        if not span & taken:
            taken |= span
            told = order[:SAID_RANKS]
            rivals = [other for place, other in found if other.field is not link.field and place[:SAID_RANKS] == told]
            rival = next((other for other in rivals if other.start == link.start and _are_rivals(link, other)), None)
            kept.append(replace(link, rival=rival.field.name if rival is not None else None))
    return tuple(sorted(kept, key=lambda link: link.start))


def _are_rivals(link: ValueLink, other: ValueLink) -> bool:
    return link.field.small and other.field.small and are_alike(link.field, other.field)


def is_category(field: FieldInfo) -> bool:
    """Whether the field has so few values that a common word may well be meant as one of them."""
    return field.complete and not field.identifier and len(field.values) <= _CATEGORY_VALUES_MAX


def _names_kinds(field: FieldInfo) -> bool:
    """Whether the values say what the documents are: "Movie", "TV Show"."""
    return field.small and not field.many and bool(_KIND_NAMES & set(name_words(field.name)))


def is_subject(tokens: Sequence[Token], start: int) -> bool:
    """Whether the word is the noun that is asked for: nothing but small words before it."""
    return all(token.folded in STOPWORDS or token.folded.isdigit() for token in tokens[:start])


def _stretches(tokens: Sequence[Token]) -> list[list[tuple[int, int, list[str]]]]:
    """For each word the stretches that begin there, the longest first, with how a value could be written so."""
    found = []
    for start in range(len(tokens)):
        here = []
        for end in range(min(len(tokens), start + WORDS_MAX), start, -1):
            head = " ".join(token.folded for token in tokens[start : end - 1])
            whole = f"{head} {tokens[end - 1].folded}".strip()
            keys = [whole, *(f"{head} {form}".strip() for form in sorted(tokens[end - 1].forms))]
            keys.append(f"{head} {plural(tokens[end - 1].folded)}".strip())  # "the cheapest textile" of textiles
            if whole not in _ORDINARY or tokens[start].text[:1].isupper():  # "Polish" is of Poland
                keys += same_place(whole)
            keys += _SAME_UNIT.get(whole, ())
            here.append((start, end, keys))
        found.append(here)
    return found


def _matches(
    stretches: Sequence[Sequence[tuple[int, int, list[str]]]], field: FieldInfo
) -> list[tuple[ValueLink, str]]:
    found = []
    index = field.index
    for here in stretches if index else ():
        for start, end, keys in here:
            key = next((key for key in keys if key in index), None)
            if key is not None:
                value, count = index[key]
                link = ValueLink(field, value, count, start, end, key == keys[0], Trust.NONE)
                found.append((link, str(value)))
                break
    return found


def _near_field(link: ValueLink, tokens: Sequence[Token], fields: Sequence[FieldLink]) -> bool:
    """Whether the field's own name stands next to the value: "os module", "directed by X"."""
    for mention in fields:
        if mention.field.name != link.field.name or mention.start == link.start:
            continue
        between = tokens[mention.end : link.start] if mention.end <= link.start else tokens[link.end : mention.start]
        if len(between) <= 2 and all(token.folded in _JOINERS or token.folded == "by" for token in between):
            return True
    return False


def _trust(
    link: ValueLink,
    raw: str,
    text: str,
    tokens: Sequence[Token],
    *,
    near: bool,
    label: bool,
    quoted: Sequence[QuotedMention],
) -> Trust:
    words = tokens[link.start : link.end]
    if any(link.start == mention.start and link.end == mention.end for mention in quoted):
        return Trust.SURE
    if all(token.folded in STOPWORDS or token.folded in NEGATIONS for token in words):
        return Trust.SURE if link.exact and is_category(link.field) and _is_stated(tokens, link) else Trust.NONE
    if link.field.name == ID:  # an id is meant where it is written out, and an ordinary word is none
        return Trust.SURE if _written_out(raw, text, words) else Trust.NONE
    named = link.exact and link.start > 0 and tokens[link.start - 1].folded in _NAMED
    if near or named or _written_out(raw, text, words):
        return Trust.SURE
    if link.field.small or _is_place_otherwise(link, raw, words):
        return Trust.SURE
    capitals = all(token.text[:1].isupper() for token in words if token.folded not in STOPWORDS)
    if link.start > 0 and label and capitals and text[words[0].start : words[-1].end] == raw:
        return Trust.SURE  # a title, written as one: "who directed Alien"
    if link.start > 0 and capitals and (len(words) > 1 or not link.field.identifier):
        return Trust.SURE
    content = sum(token.folded not in STOPWORDS for token in words)
    if content > 1:
        return Trust.HINTED if link.field.identifier else Trust.SURE
    return Trust.NONE


def _is_stated(tokens: Sequence[Token], link: ValueLink) -> bool:
    """Whether a small word is said of the documents, as in "are sorted", "municipal and sorted", not "sorted by"."""
    if link.end - link.start != 1 or link.start == 0 or not tokens[link.start].folded.endswith(("ed", "able")):
        return False
    after = tokens[link.end].folded if link.end < len(tokens) else ""
    return tokens[link.start - 1].folded in _STATING and after not in _GOING_ON


def _is_place_otherwise(link: ValueLink, raw: str, words: Sequence[Token]) -> bool:
    """As "French" of France, in a field of places."""
    said = " ".join(token.folded for token in words)
    return link.field.semantic is SemanticType.PLACE and normalize(raw) in same_place(said)


def _perhaps(
    link: ValueLink, tokens: Sequence[Token], collection: CollectionInfo, fields: Sequence[FieldLink], *, label: bool
) -> bool:
    """A word that may be meant as a value for where it stands: "of comedies", "how many comedies", "is monaco …"."""
    words = tokens[link.start : link.end]
    if any(token.folded in NEGATIONS or mentions_collection(token, collection) for token in words):
        return False
    if all(token.folded in STOPWORDS for token in words) or link.field.name == ID:
        return False
    if not link.field.identifier:
        category = is_category(link.field)
        counted = category and tuple(token.folded for token in tokens[:2]) == _HOW_MANY and link.start == 2
        asked = category and link.exact and _is_noun_asked_for(tokens, link.start)
        return counted or asked or ((link.exact or category) and _after_preposition(tokens, link.start))
    named = any(mention.start < link.end and link.start < mention.end for mention in fields)
    lower = not any(token.text != token.text.lower() for token in tokens[1:])
    return label and link.exact and lower and not named and tokens[0].folded in _ASKS_ABOUT_ONE


def _is_noun_asked_for(tokens: Sequence[Token], start: int) -> bool:
    """As in "dramas of 2015", "French dramas": the plural that is asked for, of a place or not."""
    plural = singular(tokens[start].folded) != tokens[start].folded
    before = start - 1 if start and same_place(tokens[start - 1].folded) else start
    return plural and is_subject(tokens, before)


def _written_out(raw: str, text: str, words: Sequence[Token]) -> bool:
    """Whether a value with a dot or underscore in it is written in the question just so."""
    marked = any(mark in raw for mark in "._:/")
    return marked and text[words[0].start : words[-1].end].casefold() == raw.casefold()


def _after_preposition(tokens: Sequence[Token], start: int) -> bool:
    before = [token.folded for token in tokens[max(0, start - 2) : start]]
    if before and before[-1] == "the":
        before.pop()
    return bool(before) and before[-1] in _BEFORE_CATEGORY
