"""Vectors from hashed words: no weights, the same vector every time. For tests only."""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Sequence

import numpy as np

from models.embedder import PROBE_TEXT, TokenOffsets, Vectors, check_texts, probe_fingerprint

_WORD = re.compile(r"\w+|[^\w\s]")


class HashingEmbedder:
    """Signed feature hashing of words and word pairs, scaled to length 1; texts sharing words are near.

    Weinberger et al., "Feature Hashing for Large Scale Multitask Learning", ICML 2009,
    https://arxiv.org/abs/0902.2206. It knows no meaning, so it is never chosen unless asked for by name.

    Args:
        dim: numbers in one vector, at least 2.
        max_tokens: words read of one text.
    """

    normalized = True
    revision = "1"
    is_cheap = True  # a cache would cost more than it spares

    def __init__(self, dim: int = 64, *, max_tokens: int = 254) -> None:
        if dim < 2:
            raise ValueError(f"dim is too small: expected=at least 2 got={dim}")
        self.name = f"hashing:{dim}"
        self.dim = dim
        self.max_tokens = max_tokens
        self.fingerprint = probe_fingerprint(self._embed(PROBE_TEXT))

    def embed_documents(self, texts: Sequence[str]) -> Vectors:
        """Vectors of documents, (n, dim) float32; see `Embedder`."""
        check_texts(texts)
        vectors = np.empty((len(texts), self.dim), dtype=np.float32)
        for row, text in enumerate(texts):
            vectors[row] = self._embed(text)
        return vectors

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """Vectors of queries, the same as those of documents."""
        return self.embed_documents(texts)

    def token_offsets(self, text: str) -> TokenOffsets:
        """Character span of every word and mark, (tokens, 2) int64."""
        check_texts([text])
        return np.array([match.span() for match in _WORD.finditer(text)], dtype=np.int64).reshape(-1, 2)

    def _embed(self, text: str) -> Vectors:
        words = [word.lower() for word in _WORD.findall(text)][: self.max_tokens]
        vector = np.zeros(self.dim, dtype=np.float32)
        for feature in [*words, *map(" ".join, itertools.pairwise(words))]:
            digest = hashlib.blake2b(feature.encode(), digest_size=8).digest()
            vector[int.from_bytes(digest[1:], "little") % self.dim] += 1.0 if digest[0] & 1 else -1.0
        norm = np.linalg.norm(vector)
        if norm == 0.0:  # no words, or words that cancel out: still a vector of length 1
            vector[0] = norm = np.float32(1.0)
        return vector / norm
