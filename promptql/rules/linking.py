"""Schema linking: which words of a question name a field."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from promptql.catalog import CollectionInfo, FieldInfo
from promptql.rules.events import recorded_in
from promptql.rules.words import STOPWORDS, Token, forms, name_words, root

PEOPLE = frozenset({"population", "people", "inhabitants", "residents", "populous", "populated"})
# Words that mean the same when they name a field. English at large, nothing of any one data set.
SYNONYMS: tuple[frozenset[str], ...] = (
    frozenset({"parameters", "parameter", "arguments", "argument", "params", "args"}),
    frozenset({"movie", "film"}),
    frozenset({"rating", "score", "stars"}),
    frozenset({"genre", "category"}),
    frozenset({"kind", "type"}),
    frozenset({"price", "cost", "fee", "fare"}),
    frozenset({"quantity", "qty", "units"}),
    frozenset({"length", "duration", "runtime"}),
    frozenset({"author", "writer"}),
    frozenset({"country", "nation"}),
    frozenset({"company", "manufacturer", "maker"}),
    frozenset({"text", "description", "docstring", "documentation"}),
    PEOPLE,
    frozenset({"cast", "actor", "actress", "star", "starred", "starring"}),
    frozenset({"salary", "earn", "earns", "earned", "earnings"}),
    frozenset({"language", "speak", "speaks", "spoken"}),
)
EXACT, STEM, SYNONYM, PART = 1.0, 0.8, 0.7, 0.6
# Last words of a field's name that tell how it is measured rather than what: "area_km2", "release_year".
_UNITS = frozenset(
    """km2 km m2 m cm mm mi sqkm sqmi kg g lb lbs usd eur gbp min mins minute minutes sec secs second seconds ms hour
    hours days year years date time timestamp at on pct percent""".split()
)
_FILLERS = frozenset("data dataset info information details list table record records collection".split())
_ARTICLES = frozenset("the a an its their this that each every".split())
_CORE_CHARACTERS_MIN = 3  # of a name but for its unit
_PART_CHARACTERS_MIN = 4  # shorter parts of names ("un", "cca") are too easily ordinary words


@dataclass(frozen=True, slots=True)
class FieldLink:
    """Tokens [start, end) name `field`, with a strength from 0 to 1."""

    field: FieldInfo
    start: int
    end: int
    strength: float


def link_fields(tokens: Sequence[Token], collection: CollectionInfo) -> tuple[FieldLink, ...]:
    """For each place in the question the field it names best; longer names win over shorter ones."""
    found: list[FieldLink] = []
    named = {field.names for field in collection.fields.values()}
    names = {name: words for name in collection.fields if name not in named and (words := name_words(name))}
    for name, words in names.items():
        field = collection.fields[name]
        whole = [link for start in range(len(tokens)) if (link := _link_at(tokens, start, field, words)) is not None]
        found += (link for link in whole if not _is_collection(tokens, link, collection))
        for called in dict.fromkeys(filter(None, map(name_words, field.synonyms))):  # as a whole: they are no names
            links = (_link_at(tokens, start, field, called) for start in range(len(tokens)))
            found += (link for link in links if link is not None and link.end - link.start == len(called))
        found += _part_links(tokens, field, words, collection, names)
    found += _of_objects(found, tokens)
    found.sort(key=lambda link: (link.start - link.end, -link.strength))
    taken: dict[int, FieldLink] = {}
    for link in found:
        if not any(index in taken for index in range(link.start, link.end)):
            taken |= dict.fromkeys(range(link.start, link.end), link)
    return tuple(sorted(set(taken.values()), key=lambda link: link.start))


def _of_objects(links: Sequence[FieldLink], tokens: Sequence[Token]) -> list[FieldLink]:
    """The links of leaves with the objects that are named beside them: "city of the venue", "the venue's city"."""
    found = []
    for link in links:
        objects = [words for key in link.field.keys[:-1] if (words := name_words(key))]
        whole = link
        while objects and (more := _with_object(whole, objects, tokens)) is not None:
            whole = more
        if whole is not link:
            found.append(whole)
    return found


def _with_object(link: FieldLink, objects: Sequence[tuple[str, ...]], tokens: Sequence[Token]) -> FieldLink | None:
    """The link and one of these objects, right before it or behind an "of"; None where there is none."""
    after = link.end
    if after < len(tokens) and tokens[after].folded == "of":
        after += 1
        while after < len(tokens) and tokens[after].folded in _ARTICLES:
            after += 1
    for words in objects:
        before = link.start - len(words)
        if before >= 0 and _spell(tokens, before, words):
            return replace(link, start=before, strength=EXACT)
        if after > link.end and _spell(tokens, after, words):
            return replace(link, end=after + len(words), strength=EXACT)
    return None


def _spell(tokens: Sequence[Token], start: int, words: tuple[str, ...]) -> bool:
    span = tokens[start : start + len(words)]
    return len(span) == len(words) and all(
        _strength(token, word) == EXACT for token, word in zip(span, words, strict=True)
    )


def _is_collection(tokens: Sequence[Token], link: FieldLink, collection: CollectionInfo) -> bool:
    """Whether the documents are named, by a word that is only akin to the field: plants, and not when "planted"."""
    alone = link.end - link.start == 1 and link.strength == STEM
    return alone and mentions_collection(tokens[link.start], collection)


def _link_at(tokens: Sequence[Token], start: int, field: FieldInfo, words: tuple[str, ...]) -> FieldLink | None:
    end = start + len(words)
    if end <= len(tokens):
        matches = [_strength(token, word) for token, word in zip(tokens[start:end], words, strict=True)]
        if all(matches):
            return FieldLink(field, start, end, min(matches))
    if len(words) > 1 and len(words[-1]) > 2 and words[-1] not in STOPWORDS:
        last = _strength(tokens[start], words[-1])
        if last == EXACT:
            return FieldLink(field, start, start + 1, PART)
    return None


def _part_links(
    tokens: Sequence[Token],
    field: FieldInfo,
    words: tuple[str, ...],
    collection: CollectionInfo,
    names: Mapping[str, tuple[str, ...]],
) -> list[FieldLink]:
    """The name without its unit, or its first word where no other field has that word: "area", "released"."""
    core = without_unit(words)
    if len(words) == 1 or core[-1] == "id" or words[-1] == "id":
        return []
    parts = [core] if core != words else []
    if field.keys and (own := without_unit(name_words(field.keys[-1]))) != core and not _is_shared(own, field, names):
        parts.append(own)
    if core[0] not in STOPWORDS and not any(core[0] in other for name, other in names.items() if name != field.name):
        parts.append(core[:1])
    found = []
    for part in parts:
        for start in range(len(tokens) - len(part) + 1):
            span = tokens[start : start + len(part)]
            strength = min(_strength(token, word) for token, word in zip(span, part, strict=True))
            measured = part == core and core != words and len(core[0]) >= _CORE_CHARACTERS_MIN  # "fee" of "fee_eur"
            telling = len(part) > 1 or len(part[0]) >= _PART_CHARACTERS_MIN or measured
            enough = SYNONYM if part == core else STEM  # "costs" are the price of "price_eur"
            if telling and strength >= enough and not any(mentions_collection(token, collection) for token in span):
                found.append(FieldLink(field, start, start + len(part), PART))
    return found


def _is_shared(own: tuple[str, ...], field: FieldInfo, names: Mapping[str, tuple[str, ...]]) -> bool:
    """Whether the name of another field ends with these words, but for its unit."""
    others = (without_unit(words) for name, words in names.items() if name != field.name)
    return not own or any(words[-len(own) :] == own for words in others)


def without_unit(words: tuple[str, ...]) -> tuple[str, ...]:
    """The words of a field's name without those behind that tell how it is measured: "honey_kg" is honey."""
    while len(words) > 1 and words[-1] in _UNITS:
        words = words[:-1]
    return words


def _strength(token: Token, word: str) -> float:
    return _likeness(token.folded, word)


@lru_cache(maxsize=65_536)
def _likeness(said: str, word: str) -> float:
    """How well a folded word of a question is one of a field's name, 0 to 1."""
    said_forms, said_root = forms(said), root(said)
    if said_forms & forms(word):
        return EXACT
    if said in STOPWORDS:
        return 0.0
    word_root = root(word)
    if (said_root == word_root and len(word_root) >= 3) or (said_root == word and said.endswith("ed")):
        return STEM
    if any(said_forms & group and forms(word) & group for group in SYNONYMS):
        return SYNONYM
    return 0.0


def mentions_collection(token: Token, collection: CollectionInfo) -> bool:
    """Whether the word is the collection's name, the last word of it that says something, or what its documents are."""
    for name in (collection.name, *collection.synonyms):
        words = telling_words(name)
        if words:
            names = forms(words[-1])
            if token.forms & names or any(token.forms & group and names & group for group in SYNONYMS):
                return True
    return any(token.forms & forms(noun) for noun in recorded_in(tuple(collection.fields)))


@lru_cache(maxsize=4_096)
def telling_words(name: str) -> tuple[str, ...]:
    """The words of a collection's name without those behind that say nothing: "Sales-Data" is called sales."""
    words = name_words(name)
    while len(words) > 1 and words[-1] in _FILLERS:
        words = words[:-1]
    return words
