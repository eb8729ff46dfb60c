"""What a question may have to do with each of many collections: quick, and only good enough to choose among them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache

from promptql.catalog import Catalog, CollectionInfo
from promptql.expressions import Scalar
from promptql.rules.words import STOPWORDS, name_words, normalize, root, tokenize

TOKENS_MAX = 80  # of a question that are looked up; longer ones are prose
PHRASE_TOKENS_MAX = 4
COLLECTIONS_READ = 10  # by the rules planner, word by word: 3 ms each
PARTLY = 0.3  # what a name counts for of which the question has a part


@dataclass(slots=True)
class Relevance:
    """How much a question has to do with a collection, and with what of it.

    Attributes:
        weight: larger is more; 0 where nothing speaks for it.
        fields: that it names, wholly 1, in part less.
        values: that it names, by field.
    """

    weight: float = 0.0
    fields: dict[str, float] = field(default_factory=dict)
    values: dict[str, list[Scalar]] = field(default_factory=dict)


def relevances(question: str, catalog: Catalog) -> dict[str, Relevance]:
    """Of each collection: its name, its fields and their synonyms by roots of words, its values by whole phrases."""
    tokens = tokenize(question)[:TOKENS_MAX]
    words = frozenset(token.root for token in tokens)
    telling = frozenset(token.root for token in tokens if token.folded not in STOPWORDS)
    spans = ((i, j) for i in range(len(tokens)) for j in range(i + 1, min(len(tokens), i + PHRASE_TOKENS_MAX) + 1))
    texts = {question[tokens[i].start : tokens[j - 1].end] for i, j in spans}
    phrases = [key for key in map(normalize, texts) if key and key not in STOPWORDS]
    return {name: _relevance(info, words, telling, phrases) for name, info in catalog.collections.items()}


def _relevance(
    info: CollectionInfo, words: frozenset[str], telling: frozenset[str], phrases: Sequence[str]
) -> Relevance:
    found = Relevance()
    for name, item in info.fields.items():
        share = max(_share(text, words) for text in (name, *item.synonyms))
        if item.description:
            share = max(share, PARTLY * bool(telling & _roots_of(item.description)))
        if share:
            found.fields[name] = share
        if item.index:
            values = [item.index[phrase][0] for phrase in phrases if phrase in item.index]
            if values:
                found.values[name] = values
    named = max(_share(text, words) for text in (info.name, *info.synonyms))
    described = len(telling & _roots_of(info.description)) if info.description else 0
    found.weight = 2 * named + sum(found.fields.values()) + len(found.values) + 0.5 * described
    return found


def _share(name: str, words: frozenset[str]) -> float:
    """1 where all words of a name are there, less where some are that are no mere numbers."""
    roots = _roots_of_name(name)
    shared = roots & words
    if not shared:
        return 0.0
    if len(shared) == len(roots):
        return 1.0
    return 0.0 if all(word.isdigit() for word in shared) else PARTLY


@lru_cache(maxsize=16_384)
def _roots_of_name(name: str) -> frozenset[str]:
    return frozenset(map(root, name_words(name)))


@lru_cache(maxsize=4_096)
def _roots_of(text: str) -> frozenset[str]:
    return frozenset(token.root for token in tokenize(text) if token.folded not in STOPWORDS)


def nearest_collections(question: str, catalog: Catalog, count: int = COLLECTIONS_READ) -> Catalog:
    """The collections that a question has most to do with, and the largest among equals; all where they are few."""
    if len(catalog.collections) <= count:
        return catalog
    found = relevances(question, catalog)
    order = sorted(catalog.collections.values(), key=lambda info: (-found[info.name].weight, -info.rows, info.name))
    chosen: Mapping[str, CollectionInfo] = {info.name: info for info in order[:count]}
    return Catalog(chosen, catalog.detect)
