"""Text into terms, the same for documents, queries and highlights.

A word is a run of letters, digits and marks; it is lower-cased, stemmed where its language is declared, and folded
(`engine.text.characters`). No word is dropped. A run of a script without spaces becomes overlapping pairs of
characters and its last character alone, so that a query of one character finds every run that holds it by prefix.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import tantivy

from engine.errors import InvalidInputError
from engine.text.characters import fold, is_unspaced, word_pattern
from engine.text.languages import LANGUAGES

VERSION = 1  # of what text becomes; an index made by another is built again
WORD_CHARACTERS_MAX = 100  # longer words are cut; what is longer is no word that anyone types
_CACHED_WORDS_MAX = 100_000
_ASCII_WORD = re.compile(r"[a-z0-9]+")
# Latin, Greek and Cyrillic without marks of their own are cut ten times as fast by Python's own idea of a word.
_PLAIN_WORD = re.compile(r"[^\W_]+")
_NOT_PLAIN = re.compile("[\u00ad\u0300-\u036f\u0483-\u0489\u0530-\u1dff\u200c\u200d\u202a-\u209f\u20d0-\U0010ffff]")


class Term(NamedTuple):
    """What one word becomes.

    Attributes:
        term: what is indexed.
        entry: the word in the dictionary, see `split_entry`.
    """

    term: str
    entry: str


@dataclass(frozen=True, slots=True)
class Token:
    """A term and the characters that it stands for."""

    term: str
    entry: str
    start: int
    end: int


def split_entry(entry: str) -> tuple[str, str]:
    """A dictionary entry as the folded word, by which it is found, and the word in lower case, which is stemmed."""
    folded, _, word = entry.partition("|")
    return folded, word or folded


class Analyzer:
    """The analysis of one language; None stems nothing. Safe for many threads.

    Raises:
        InvalidInputError: there are no stems for that language.
    """

    def __init__(self, language: str | None = None) -> None:
        if language is not None and language not in LANGUAGES:
            raise InvalidInputError(
                f"unknown language {language!r:.40}: expected one of {', '.join(sorted(LANGUAGES))}"
            )
        self.language = language
        self._words = _Words(language)

    def terms(self, text: str) -> list[Term]:
        """The terms of a document's text, in order."""
        words = self._words
        words.make_room()
        if text.isascii():
            return [words[word] for word in _ASCII_WORD.findall(text.lower())]
        if not _NOT_PLAIN.search(text):
            return [words[word] for word in _PLAIN_WORD.findall(text)]
        return [term for word, unspaced in _find(text) for term in (_pairs(word) if unspaced else (words[word],))]

    def query_terms(self, text: str) -> list[Term]:
        """The terms to look for: as `terms`, without the single characters that end pairs."""
        if not _NOT_PLAIN.search(text):
            return self.terms(text)
        return [Term(token.term, token.entry) for token in self.tokens(text, query=True)]

    def tokens(self, text: str, *, query: bool = False) -> Iterator[Token]:
        """The terms of a text with their places in it."""
        self._words.make_room()
        for match in word_pattern().finditer(text):
            start, end = match.span()
            if match["unspaced"] is None:
                term, entry = self._words[match[0]]
                yield Token(term, entry, start, end)
                continue
            pairs = _pairs(match[0])
            aligned = len(pairs) == end - start  # else characters were composed, and only the run has a place
            for place, (pair, _) in enumerate(pairs):
                if query and len(pair) == 1 and len(pairs) > 1:
                    continue
                here = (start + place, start + place + len(pair)) if aligned else (start, end)
                yield Token(pair, pair, *here)

    def stem_entry(self, entry: str) -> str:
        """The term that the word of a dictionary entry is indexed as."""
        folded, word = split_entry(entry)
        return folded if is_unspaced(folded[0]) else self._words[word].term


class _Words(dict[str, Term]):
    """Words met so far and their terms."""

    def __init__(self, language: str | None) -> None:
        super().__init__()
        self._language = language

    def __missing__(self, word: str) -> Term:
        lower = unicodedata.normalize("NFC", word.lower())[:WORD_CHARACTERS_MAX]
        folded = fold(lower) or lower
        stem = folded if self._language is None else fold(_stem(self._language, lower)) or folded
        made = self[word] = Term(stem, folded if folded == lower else f"{folded}|{lower}")
        return made

    def make_room(self) -> None:
        """Forget all once there are too many."""
        if len(self) > _CACHED_WORDS_MAX:
            self.clear()


def _find(text: str) -> Iterator[tuple[str, bool]]:
    return ((match[0], match.lastgroup is not None) for match in word_pattern().finditer(text))


def _pairs(run: str) -> list[Term]:
    """Overlapping pairs of characters, then the last one alone."""
    composed = unicodedata.normalize("NFKC", run).lower()
    pairs = [composed[i : i + 2] for i in range(len(composed))]
    return [Term(pair, pair) for pair in pairs if not pair.isspace()]


def _stem(language: str, word: str) -> str:
    stems = _stemmer(language).analyze(word)
    return stems[0] if stems else word


@cache
def _stemmer(language: str) -> tantivy.TextAnalyzer:
    builder = tantivy.TextAnalyzerBuilder(tantivy.Tokenizer.raw())
    return builder.filter(tantivy.Filter.stemmer(LANGUAGES[language])).build()
