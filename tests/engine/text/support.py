"""What tests of text search share: plain Python BM25, and short ways to add and to ask."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from engine.text.index import TextIndex
from engine.text.query import TextQuery, parse_query
from engine.text.view import Allowed, TextHits, TextView

K1, B = 1.2, 0.75


def add(index: TextIndex, documents: Sequence[Any], first: int = 0) -> None:
    """Strings are values of the field `text`."""
    values = [{"text": each} if isinstance(each, str) else each for each in documents]
    index.add(np.arange(first, first + len(values), dtype=np.uint32), values)


def search(view: TextView, text: str, k: int = 10, allowed: Allowed | None = None, **options: Any) -> TextHits:
    return view.search(TextQuery(parse_query(text, view.fields), **options), k, allowed)


def found(index: TextIndex, text: str, k: int = 10, **options: Any) -> list[int]:
    """Ordinals, best first."""
    ordinals: list[int] = search(index.view(), text, k, **options).ordinals.tolist()
    return ordinals


def bm25(documents: Sequence[Mapping[str, str]], words: Sequence[str], boosts: Mapping[str, float]) -> list[float]:
    """Scores of all documents, by the formula (k1 = 1.2, b = 0.75; idf = ln(1 + (N - n + 0.5) / (n + 0.5)))."""
    scores = [0.0] * len(documents)
    for field, boost in boosts.items():
        texts = [document.get(field, "").split() for document in documents]
        average = sum(map(len, texts)) / len(texts)
        for word in words:
            have = sum(word in text for text in texts)
            idf = math.log(1 + (len(texts) - have + 0.5) / (have + 0.5))
            for place, text in enumerate(texts):
                tf = text.count(word)
                if tf:
                    norm = K1 * (1 - B + B * len(text) / average)
                    scores[place] += boost * idf * tf * (K1 + 1) / (tf + norm)
    return scores
