"""engine.text.dictionary: candidates for unfinished and misspelt words."""

from __future__ import annotations

from typing import Any

from engine.text.dictionary import (
    EXPANSIONS_MAX,
    PREFIX_BOOST,
    Candidate,
    Dictionary,
    best_candidates,
    completions,
    corrections,
)


class Words:
    """A searcher of nothing but words, with how many documents have each."""

    def __init__(self, words: dict[str, int]) -> None:
        self.words = words
        self.walks = 0

    def terms_with_prefix(self, _field: str, prefix: str, limit: int | None = None) -> list[tuple[str, int]]:
        self.walks += 1
        found = [(word, count) for word, count in self.words.items() if word.startswith(prefix)]
        return sorted(found, key=lambda pair: (-pair[1], pair[0]))[:limit]

    def doc_freq(self, _field: str, word: str) -> int:
        return self.words.get(word, 0)


def test_completions_are_the_most_frequent_first() -> None:
    """A word that differs by its diacritics alone is the word itself."""
    words: Any = Words({"ecole|école": 2, "ecolier": 5, "other": 9})
    assert completions(words, "ecol") == [
        Candidate("ecolier", PREFIX_BOOST, 5),
        Candidate("ecole|école", PREFIX_BOOST, 2),
    ]
    assert completions(words, "ecole") == [Candidate("ecole|école", 1.0, 2)]


def test_corrections_are_of_words_that_documents_have() -> None:
    """Each with a boost by its distance."""
    words: Any = Words({"house": 3, "mouse": 1, "gone": 0, "university": 2})
    found = {each.entry: each.boost for each in corrections(words, Dictionary(), "hoose")}
    assert found == {"house": 0.8}
    assert {each.entry: each.boost for each in corrections(words, Dictionary(), "unviersitty")} == {"university": 0.6}
    assert corrections(words, Dictionary(), "hose") == []


def test_words_are_packed_once_and_added_to() -> None:
    """The whole dictionary is walked on the first look-up only."""
    words = Words({"alpha": 1})
    dictionary = Dictionary()
    dictionary.add({"beta"})
    assert dictionary.memory_bytes() == 0
    assert dictionary.near(words, "alpah", 1) == {"alpha": 1}
    dictionary.add({"bravo", "gamma"})
    assert dictionary.near(words, "brava", 1) == {"bravo": 1}
    assert words.walks == 1
    assert dictionary.memory_bytes() > 0


def test_many_new_words_are_packed_anew() -> None:
    """So that what came later does not grow without bound."""
    words = Words({"alpha": 1})
    dictionary = Dictionary()
    dictionary.near(words, "alpha", 1)
    dictionary.add({f"word{i}" for i in range(30_000)})
    words.words["bravo"] = 1
    assert dictionary.near(words, "bravi", 1) == {"bravo": 1}
    assert words.walks == 2


def test_the_best_candidates_are_kept() -> None:
    """Each once, by boost, then by frequency; at most fifty."""
    many = [Candidate(f"w{i:02}", 0.8, i) for i in range(80)]
    best = best_candidates([*many, Candidate("w00", 1.0, 0), Candidate("w01", 0.6, 1)])
    assert len(best) == EXPANSIONS_MAX
    assert [each.entry for each in best[:3]] == ["w00", "w79", "w78"]
