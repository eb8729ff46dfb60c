"""The words that an unfinished or misspelt one may stand for."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

from engine.text.analyzer import split_entry
from engine.text.vocabulary import Vocabulary, edits_allowed

WORDS = "words"  # Tantivy field: a document's dictionary entries, each once
EXPANSIONS_MAX = 50
PREFIX_CHARACTERS_MIN = 2  # one letter begins a twentieth of all words
_RECENT_MAX = 20_000

EXACT_BOOST = 1.0
PREFIX_BOOST = 0.9
EDIT_BOOSTS = {0: EXACT_BOOST, 1: 0.8, 2: 0.6}  # by number of edits


@dataclass(frozen=True, slots=True)
class Candidate:
    """A dictionary entry that a word may stand for."""

    entry: str
    boost: float
    documents: int


class Dictionary:
    """The words of an index, packed on the first look-up of a misspelt one and kept up to date from then on.

    `_lock` guards the packed words and those that came later.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._packed: Vocabulary | None = None
        self._recent: set[str] = set()
        self._recent_packed: Vocabulary | None = None

    def add(self, entries: set[str]) -> None:
        """Words of a document on its way in; costs nothing until somebody has looked a word up."""
        if self._packed is None:
            return
        with self._lock:
            self._recent |= entries
            self._recent_packed = None
            if len(self._recent) > _RECENT_MAX:
                self._packed = None
                self._recent = set()

    def near(self, searcher: Any, word: str, edits: int) -> dict[str, int]:
        """Entries within some edits of a folded word, with the number of edits; they may be of documents gone."""
        with self._lock:
            if self._packed is None:
                self._packed = Vocabulary(entry for entry, _ in searcher.terms_with_prefix(WORDS, ""))
                self._recent = set()
            if self._recent_packed is None:
                self._recent_packed = Vocabulary(self._recent)
            packed, recent = self._packed, self._recent_packed
        return dict([*packed.near(word, edits), *recent.near(word, edits)])

    def memory_bytes(self) -> int:
        """Bytes of the packed words."""
        return 0 if self._packed is None else self._packed.memory_bytes()


def completions(searcher: Any, folded: str) -> list[Candidate]:
    """Words that begin with `folded`, the most frequent first."""
    found = searcher.terms_with_prefix(WORDS, folded, limit=EXPANSIONS_MAX)
    return [
        Candidate(entry, EXACT_BOOST if split_entry(entry)[0] == folded else PREFIX_BOOST, documents)
        for entry, documents in found
    ]


def corrections(searcher: Any, dictionary: Dictionary, folded: str) -> list[Candidate]:
    """Words that `folded` may be a misspelling of, or differ from by their diacritics only."""
    edits = edits_allowed(folded)
    near = dictionary.near(searcher, folded, edits) if edits else {}
    return [
        Candidate(entry, EDIT_BOOSTS[far], documents)
        for entry, far in near.items()
        if (documents := searcher.doc_freq(WORDS, entry))
    ]


def best_candidates(candidates: list[Candidate]) -> list[Candidate]:
    """At most `EXPANSIONS_MAX`, each once: the likeliest first, among those the most frequent."""
    best: dict[str, Candidate] = {}
    for candidate in candidates:
        known = best.get(candidate.entry)
        if known is None or known.boost < candidate.boost:
            best[candidate.entry] = candidate
    ranked = sorted(best.values(), key=lambda each: (-each.boost, -each.documents, each.entry))
    return ranked[:EXPANSIONS_MAX]
