"""The reranker protocol: a query and texts in, one score each out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
import numpy.typing as npt

from models.embedder import Vectors

Scores: TypeAlias = npt.NDArray[np.float32]  # (n,), larger is better


@runtime_checkable
class Reranker(Protocol):
    """Says how well each text answers a query, more exactly than their vectors do. Safe to call from many threads."""

    @property
    def name(self) -> str:
        """The model's name, by which it can be loaded again."""

    def score(self, query: str, texts: Sequence[str]) -> Scores:
        """One score for each text, (n,) float32; larger is better, comparable within one call only.

        Raises:
            InvalidTextError: an element is not a string or holds a lone surrogate.
        """


@runtime_checkable
class TokenEmbedder(Protocol):
    """An embedder that also gives the vectors of a text's tokens."""

    @property
    def name(self) -> str:
        """The model's name."""

    def token_vectors(self, texts: Sequence[str]) -> list[Vectors]:
        """One (tokens, dim) float32 for each text, not normalised; as many tokens as the model reads."""
