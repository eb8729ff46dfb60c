"""engine.text.vocabulary: words within a few edits."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine.text.vocabulary import LETTERS_MAX, LETTERS_MIN, Vocabulary, edit_distances, edits_allowed

WORDS = st.text("abcé", min_size=LETTERS_MIN, max_size=10)


def distance(one: str, other: str) -> int:
    """Optimal string alignment, by the textbook."""
    table = [[max(i, j) if not i or not j else 0 for j in range(len(other) + 1)] for i in range(len(one) + 1)]
    for i in range(1, len(one) + 1):
        for j in range(1, len(other) + 1):
            change = table[i - 1][j - 1] + (one[i - 1] != other[j - 1])
            table[i][j] = min(change, table[i - 1][j] + 1, table[i][j - 1] + 1)
            if i > 1 and j > 1 and one[i - 1] == other[j - 2] and one[i - 2] == other[j - 1]:
                table[i][j] = min(table[i][j], table[i - 2][j - 2] + 1)
    return table[-1][-1]


@given(st.sets(WORDS, max_size=30), WORDS, st.sampled_from([1, 2]))
def test_near_words_are_those_of_the_textbook(words: set[str], word: str, edits: int) -> None:
    """All of them, none besides, with how far they are."""
    expected = {other: far for other in words if (far := distance(word, other)) <= edits}
    assert dict(Vocabulary(words).near(word, edits)) == expected


@given(st.lists(WORDS, min_size=1, max_size=5), WORDS)
def test_distances_are_exact_up_to_the_bound(words: list[str], word: str) -> None:
    """Beyond it they are only larger."""
    for other in words:
        codes = np.array([other], dtype=f"<U{len(other)}").view(np.uint32)[None, :]
        query = np.array([word], dtype=f"<U{len(word)}").view(np.uint32)
        assert min(int(edit_distances(query, codes, 2)[0]), 3) == min(distance(word, other), 3)


def test_a_word_with_diacritics_is_found_without() -> None:
    """Its entry says how it was written; the plain word comes along, in the dictionary or not."""
    vocabulary = Vocabulary(["ecole|école", "salon", "x" * (LETTERS_MAX + 1), "abc"])
    assert vocabulary.near("ecole", 1) == [("ecole", 0), ("ecole|école", 0)]
    assert vocabulary.near("ecoles", 1) == [("ecole", 1), ("ecole|école", 1)]
    assert vocabulary.near("abcd", 1) == []
    assert vocabulary.memory_bytes() > 0


@pytest.mark.parametrize(("letters", "edits"), [(4, 0), (5, 1), (8, 1), (9, 2), (40, 2), (41, 0)])
def test_longer_words_may_have_more_typing_errors(letters: int, edits: int) -> None:
    """None below 5 letters, 1 from 5, 2 from 9; what is longer than 40 is no word."""
    assert edits_allowed("x" * letters) == edits
