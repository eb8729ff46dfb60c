"""Reranking by the token vectors of the embedder in use: no further weights."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from models.embedder import Vectors, check_texts
from models.errors import ModelUnsupportedError
from models.reranker import Scores, TokenEmbedder


class LateInteractionReranker:
    """MaxSim: the mean, over the query's tokens, of the best cosine with any token of the text.

    Khattab and Zaharia, SIGIR 2020, https://doi.org/10.1145/3397271.3401075, who train for it and sum; with a mean the
    score lies in -1..1 whatever the query's length. A text without tokens scores -1, every text does for a query
    without tokens 0.

    Args:
        embedder: gives token vectors, e.g. `OnnxEmbedder`.

    Raises:
        ModelUnsupportedError: it does not.
    """

    def __init__(self, embedder: object) -> None:
        if not isinstance(embedder, TokenEmbedder):
            raise ModelUnsupportedError(
                f"embedder gives no token vectors, which late interaction needs: got={type(embedder).__name__}"
            )
        self._embedder = embedder
        self.name = f"late-interaction:{embedder.name}"

    def score(self, query: str, texts: Sequence[str]) -> Scores:
        """One score for each text, (n,) float32; see `Reranker`."""
        check_texts([query])
        check_texts(texts)
        if not texts:
            return np.empty(0, dtype=np.float32)
        query_vectors = _unit(self._embedder.token_vectors([query])[0])
        if not len(query_vectors):
            return np.zeros(len(texts), dtype=np.float32)
        return np.array(
            [_max_sim(query_vectors, _unit(vectors)) for vectors in self._embedder.token_vectors(texts)],
            dtype=np.float32,
        )


def _max_sim(query: Vectors, text: Vectors) -> float:
    return float((query @ text.T).max(axis=1).mean()) if len(text) else -1.0


def _unit(vectors: Vectors) -> Vectors:
    scaled: Vectors = vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return scaled
