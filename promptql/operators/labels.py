"""Words that tell groups of texts apart."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from promptql.rules.words import STOPWORDS, tokenize

WORDS_EACH = 3
TEXT_CHARACTERS_MAX = 5_000


def telling_words(texts: Sequence[str], groups: Sequence[int]) -> dict[int, str]:
    """Of each group the three words that are frequent in it and rare in others, joined by commas.

    The weight is that of class-based TF-IDF (Grootendorst, BERTopic, 2022): a word's share of its group's words
    times the logarithm of 1 + words of a group on average / times the word occurs.
    """
    counts: dict[int, Counter[str]] = {}
    for text, group in zip(texts, groups, strict=True):
        words = [token.folded for token in tokenize(text[:TEXT_CHARACTERS_MAX])]
        kept = {word for word in words if len(word) > 2 and word not in STOPWORDS and not word.isnumeric()}
        counts.setdefault(group, Counter()).update(kept)
    total = Counter[str]()
    for counter in counts.values():
        total.update(counter)
    average = sum(total.values()) / max(1, len(counts))
    labels = {}
    for group, counter in counts.items():
        size = max(1, sum(counter.values()))
        weights = {word: n / size * math.log(1 + average / total[word]) for word, n in counter.items()}
        best = sorted(weights, key=lambda word: (-weights[word], word))[:WORDS_EACH]
        labels[group] = ", ".join(best)
    return labels
