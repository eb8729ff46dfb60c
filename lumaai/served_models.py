"""What models do for callers beside collections: the vectors of texts, and their scores by a query."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

import engine
import models
from lumaai.embedding import SLICE_TEXTS, UNBOUNDED, EmbedBounds
from lumaai.errors import ErrorDetail, InvalidRequestError, NotFoundError
from lumaai.opened import Opened
from lumaai.reranking import Scores
from models import LATE_INTERACTION

OURS = "lumaai"
REMOTE_PREFIX = "openai:"


class Task(StrEnum):
    """What a model is for."""

    CHAT = "chat"
    EMBEDDING = "embedding"
    RERANK = "rerank"


@dataclass(frozen=True, slots=True)
class ServedModel:
    """A model by the name that it is asked for by."""

    id: str
    task: Task


@dataclass(frozen=True, slots=True)
class Embedded:
    """(n, dim) float32 of n texts, and the tokens that were read of them."""

    vectors: models.Vectors
    tokens: int


class ServedModels:
    """Models in use, for callers of their own. Only those that the service or a collection uses are given out.

    Args:
        opened: the database.
        default: the embedder of collections that name none.
    """

    def __init__(self, opened: Opened, default: str) -> None:
        self._opened = opened
        self._default = default
        self.since = int(time.time())

    def embedders(self, collections: Sequence[str]) -> list[str]:
        """Names of the service's own embedder and of those of collections; what is damaged or gone is left out."""
        return list(dict.fromkeys([self._default, *self.in_use(collections)]))

    def in_use(self, collections: Sequence[str]) -> list[str]:
        """Names of the embedders of collections, as `embedders`."""
        found: list[str] = []
        for name in collections:
            try:
                schema = self._opened.native.collection(name).schema
            except (engine.CollectionNotFoundError, engine.CorruptionError):
                continue
            found += [each.model for each in schema.embed.values()]
        return list(dict.fromkeys(found))

    def load(self, model: str) -> None:
        """Make an embedder ready, so that nobody has to wait for it.

        Raises:
            ModelError: it cannot be had.
        """
        self._opened.embedders.get(model)

    def rerankers(self) -> list[str]:
        """Names of rerankers."""
        return list(dict.fromkeys([LATE_INTERACTION, self._opened.rerankers.default]))

    def embed(
        self,
        texts: Sequence[str],
        model: str,
        *,
        as_queries: bool = False,
        dimensions: int | None = None,
        bounds: EmbedBounds = UNBOUNDED,
    ) -> Embedded:
        """Vectors of texts.

        Args:
            texts: no empty ones.
            model: one of `embedders`.
            as_queries: they are queries, not documents; not every model makes a difference.
            dimensions: the first so many numbers of each, scaled to length 1; None: all.
            bounds: how far it may go.

        Raises:
            InvalidRequestError: `dimensions` is more than the model has.
            TooLargeError: there is more text than the bounds allow.
            OverloadedError: nobody waits for it any more, or too many do.
            ModelError: the model cannot be had.
        """
        bounds.check_size(sum(map(len, texts)))
        embedder = self._opened.embedders.get(model)
        if dimensions is not None and dimensions > embedder.dim:
            message = f"the model has fewer dimensions: maximum={embedder.dim} got={dimensions}"
            detail = ErrorDetail("/dimensions", "invalid_value", message, embedder.dim, dimensions)
            raise InvalidRequestError(message, code="invalid_value", errors=[detail])
        embed = embedder.embed_queries if as_queries else embedder.embed_documents
        vectors = np.empty((len(texts), embedder.dim), dtype=np.float32)
        for start in range(0, len(texts), SLICE_TEXTS):
            bounds.check_wanted()
            vectors[start : start + SLICE_TEXTS] = embed(texts[start : start + SLICE_TEXTS])
        tokens = sum(min(len(embedder.token_offsets(text)), embedder.max_tokens) for text in texts)
        return Embedded(_shortened(vectors, dimensions), tokens)

    def score(self, query: str, texts: Sequence[str], model: str | None = None) -> Scores:
        """(n,) float32, larger is better: how well each text answers a query.

        Args:
            query: what is looked for.
            texts: that may answer it.
            model: one of `rerankers`, or a service's as "openai:NAME"; None for the service's own.

        Raises:
            InvalidRequestError: late interaction, with a default model that gives no vectors of tokens.
            ModelError: the reranker cannot be had.
        """
        found: Scores = self._opened.rerankers.standing(model, self._default)(query, texts)
        return found


def check_known(model: str, known: Sequence[str]) -> None:
    """Refuse models that are not given out.

    Raises:
        NotFoundError: code "model_not_found".
    """
    if model not in known:
        message = f"there is no such model here, or it is not for this: {model!r:.140} (GET /v1/models lists them)"
        raise NotFoundError(message, code="model_not_found", errors=[ErrorDetail("/model", "model_not_found", message)])


def _shortened(vectors: models.Vectors, dimensions: int | None) -> models.Vectors:
    if dimensions is None or dimensions == vectors.shape[1]:
        return vectors
    cut = vectors[:, :dimensions]
    scaled: models.Vectors = cut / np.maximum(np.linalg.norm(cut, axis=1, keepdims=True), 1e-12)
    return scaled
