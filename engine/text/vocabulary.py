"""The words of an index in arrays, to find those within a few edits of another.

One edit inserts, removes or replaces a letter, or exchanges two neighbours (optimal string alignment,
https://en.wikipedia.org/wiki/Damerau%E2%80%93Levenshtein_distance).
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from engine.text.analyzer import split_entry

LETTERS_MIN = 4  # shorter words are within an edit of half the dictionary
LETTERS_MAX = 40
ONE_EDIT_LETTERS = 5
TWO_EDITS_LETTERS = 9

Codes = npt.NDArray[np.uint32]  # (words, letters) code points


def edits_allowed(word: str) -> int:
    """How many edits a word of that length may be away from what was meant."""
    if len(word) < ONE_EDIT_LETTERS or len(word) > LETTERS_MAX:
        return 0
    return 2 if len(word) >= TWO_EDITS_LETTERS else 1


class Vocabulary:
    """Immutable; safe for many threads.

    Args:
        entries: of the dictionary (see `engine.text.analyzer.split_entry`), in any order, each once.
    """

    def __init__(self, entries: Iterable[str]) -> None:
        by_length: dict[int, list[str]] = {}
        self._accented: dict[str, list[str]] = {}
        for entry in entries:
            folded, _ = split_entry(entry)
            if entry != folded:
                self._accented.setdefault(folded, []).append(entry)
            if LETTERS_MIN <= len(folded) <= LETTERS_MAX:
                by_length.setdefault(len(folded), []).append(folded)
        self._groups = {length: _Group(words, length) for length, words in by_length.items()}

    def near(self, word: str, edits: int) -> list[tuple[str, int]]:
        """The entries whose folded words are at most `edits` (1 or 2) away from `word`, with how many it takes."""
        found: list[tuple[str, int]] = []
        for length in range(len(word) - edits, len(word) + edits + 1):
            group = self._groups.get(length)
            if group is not None:
                found += group.near(word, edits)
        return [(entry, far) for folded, far in dict(found).items() for entry in self.entries(folded)]

    def entries(self, folded: str) -> list[str]:
        """The entries of one folded word; it may be none of the dictionary's."""
        return [folded, *self._accented.get(folded, ())]

    def memory_bytes(self) -> int:
        """Bytes of the arrays."""
        return sum(group.codes.nbytes + group.signatures.nbytes for group in self._groups.values())


class _Group:
    """The words of one length."""

    def __init__(self, words: list[str], length: int) -> None:
        self._words = np.array(words, dtype=f"<U{length}")
        self.codes: Codes = self._words.view(np.uint32).reshape(len(words), length)
        self.signatures = _signatures(self.codes)

    def near(self, word: str, edits: int) -> list[tuple[str, int]]:
        query: Codes = np.array([word], dtype=f"<U{len(word)}").view(np.uint32)
        signature = _signatures(query[None, :])[0]
        # An edit brings at most one letter in and takes at most one out.
        strange = np.bitwise_count(self.signatures & ~signature) <= edits
        strange &= np.bitwise_count(signature & ~self.signatures) <= edits
        places = np.flatnonzero(strange)
        distances = edit_distances(query, self.codes[places], edits)
        near = distances <= edits
        return list(zip(self._words[places[near]].tolist(), distances[near].tolist(), strict=True))


def _signatures(codes: Codes) -> npt.NDArray[np.uint64]:
    """One bit for each letter (modulo 64) that a word has, (words,)."""
    bits = np.left_shift(np.uint64(1), (codes & np.uint32(63)).astype(np.uint64))
    signatures: npt.NDArray[np.uint64] = np.bitwise_or.reduce(bits, axis=1)
    return signatures


def edit_distances(query: Codes, words: Codes, edits: int) -> npt.NDArray[np.int8]:
    """Edits from `query` to each of `words`, exact up to `edits` and larger than that beyond.

    Args:
        query: (letters,).
        words: (words, letters).
        edits: at most 2.
    """
    count, length = words.shape
    far = np.int8(edits + 1)
    outside = np.full(count, far, dtype=np.int8)
    rows: list[dict[int, npt.NDArray[np.int8]]] = [
        {j: np.full(count, j, dtype=np.int8) for j in range(min(edits, length) + 1)}
    ]
    for i in range(1, len(query) + 1):
        row: dict[int, npt.NDArray[np.int8]] = {}
        for j in range(max(0, i - edits), min(length, i + edits) + 1):
            if j == 0:
                row[j] = np.full(count, i, dtype=np.int8)
                continue
            same = words[:, j - 1] == query[i - 1]
            best = rows[i - 1].get(j - 1, outside) + ~same
            best = np.minimum(best, rows[i - 1].get(j, outside) + np.int8(1))
            best = np.minimum(best, row.get(j - 1, outside) + np.int8(1))
            if i > 1 and j > 1:
                swapped = (words[:, j - 1] == query[i - 2]) & (words[:, j - 2] == query[i - 1])
                best = np.where(swapped, np.minimum(best, rows[i - 2].get(j - 2, outside) + np.int8(1)), best)
            row[j] = np.minimum(best, far)
        rows.append(row)
    return rows[-1].get(length, outside)
