"""Value linking: which words of a question are values that some field holds."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import IntEnum

from promptql.catalog import CollectionInfo, FieldInfo
from promptql.predicate import Scalar
from promptql.rules.linking import FieldLink
from promptql.rules.mentions import QuotedMention
from promptql.rules.words import STOPWORDS, Token, normalize

WORDS_MAX = 8  # longest value, in words, that is looked for
_BEFORE_CATEGORY = frozenset({"in", "of", "from", "by", "for", "within", "inside", "under"})
_JOINERS = frozenset({"the", "a", "an", "named", "called", "is", "of", "=", "equals", "are"})


class Trust(IntEnum):
    """How sure it is that the words are meant as the value."""

    NONE = 0
    HINTED = 1  # a word after "in", "of", …, of a field with many values
    SURE = 2


@dataclass(frozen=True, slots=True)
class ValueLink:
    """Tokens [start, end) are `value` of `field`, held by `count` documents; `exact`: not only a plural of it."""

    field: FieldInfo
    value: Scalar
    count: int
    start: int
    end: int
    exact: bool
    trust: Trust


def link_values(
    text: str,
    tokens: Sequence[Token],
    collection: CollectionInfo,
    fields: Sequence[FieldLink],
    quoted: Sequence[QuotedMention],
) -> tuple[ValueLink, ...]:
    """Values in the question, none overlapping: trust first, then the longest, nearest its field's name, rarest."""
    found: list[tuple[tuple[int, int, int, int], ValueLink]] = []
    for field in collection.fields.values():
        index = _index(field)
        if not index:
            continue
        for link, raw in _matches(tokens, field, index):
            near = _near_field(link, tokens, fields)
            trust = _trust(link, raw, text, tokens, near=near, label=field.name == collection.label, quoted=quoted)
            if trust is not Trust.NONE:
                rank = (-trust, link.start - link.end, -near, link.count)
                found.append((rank, replace(link, trust=trust)))
    found.sort(key=lambda item: item[0])
    taken: set[int] = set()
    kept = []
    for _, link in found:
        span = set(range(link.start, link.end))
        if not span & taken:
            taken |= span
            kept.append(link)
    return tuple(sorted(kept, key=lambda link: link.start))


def _index(field: FieldInfo) -> dict[str, tuple[Scalar, int]]:
    index: dict[str, tuple[Scalar, int]] = {}
    for value, count in field.values:
        if isinstance(value, str):
            key = normalize(value)
            if key:
                index.setdefault(key, (value, count))
    return index


def _matches(
    tokens: Sequence[Token], field: FieldInfo, index: dict[str, tuple[Scalar, int]]
) -> list[tuple[ValueLink, str]]:
    found = []
    for start in range(len(tokens)):
        for end in range(min(len(tokens), start + WORDS_MAX), start, -1):
            head = " ".join(token.folded for token in tokens[start : end - 1])
            whole = f"{head} {tokens[end - 1].folded}".strip()
            keys = [whole, *(f"{head} {form}".strip() for form in sorted(tokens[end - 1].forms))]
            key = next((key for key in keys if key in index), None)
            if key is not None:
                value, count = index[key]
                link = ValueLink(field, value, count, start, end, key == whole, Trust.NONE)
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
    if all(token.folded in STOPWORDS for token in words):
        return Trust.NONE
    if near or _written_out(raw, text, words):
        return Trust.SURE
    if link.field.small:
        return Trust.SURE
    capitals = all(token.text[:1].isupper() for token in words if token.folded not in STOPWORDS)
    if link.start > 0 and label and capitals and text[words[0].start : words[-1].end] == raw:
        return Trust.SURE  # a title, written as one: "who directed Alien"
    if link.start > 0 and capitals and (len(words) > 1 or not link.field.identifier):
        return Trust.SURE
    content = sum(token.folded not in STOPWORDS for token in words)
    if content > 1:
        return Trust.HINTED if link.field.identifier else Trust.SURE
    if not link.field.identifier and link.exact and _after_preposition(tokens, link.start):
        return Trust.HINTED
    return Trust.NONE


def _written_out(raw: str, text: str, words: Sequence[Token]) -> bool:
    """Whether a value with a dot or underscore in it is written in the question just so."""
    marked = any(mark in raw for mark in "._")
    return marked and text[words[0].start : words[-1].end].casefold() == raw.casefold()


def _after_preposition(tokens: Sequence[Token], start: int) -> bool:
    before = [token.folded for token in tokens[max(0, start - 2) : start]]
    if before and before[-1] == "the":
        before.pop()
    return bool(before) and before[-1] in _BEFORE_CATEGORY
