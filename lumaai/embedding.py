"""The vectors of queries, and of the passages of documents."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from engine import VectorRows
from lumaai.errors import ErrorDetail, InvalidRequestError, OverloadedError, TooLargeError
from lumaai.passages import pieces_of, text_characters
from models import Embedder

# Texts handed to the model in one call: it forms its own batches, this bounds what it holds at once, and how long
# it goes on for a request that is gone.
SLICE_TEXTS = 256
# A query longer than this is a mistake or an attack; the model reads 256 tokens of it anyway.
QUERY_CHARACTERS_MAX = 20_000

Vector = NDArray[np.float32]  # (dim,)


def embed_query(embedder: Embedder, text: object) -> Vector:
    """(dim,) float32 of a query.

    Raises:
        InvalidRequestError: not a string, blank, or longer than `QUERY_CHARACTERS_MAX`.
    """
    if not isinstance(text, str):
        raise _bad_query(f"query must be a string: got={type(text).__name__}")
    if not text.strip():
        raise _bad_query("query must not be blank")
    if len(text) > QUERY_CHARACTERS_MAX:
        raise _bad_query(f"query is too long: maximum={QUERY_CHARACTERS_MAX} got={len(text)} characters")
    vector: Vector = embedder.embed_queries([text])[0]
    return vector


def _bad_query(message: str) -> InvalidRequestError:
    detail = ErrorDetail("/query", "query_invalid", message)
    return InvalidRequestError(message, code="query_invalid", errors=[detail])


@dataclass(frozen=True, slots=True)
class EmbedBounds:
    """How far the embedding of one write may go.

    Attributes:
        characters_max: of text; more is refused before any is embedded.
        stopped: set when nobody waits for the write any more.
    """

    characters_max: int | None = None
    stopped: threading.Event | None = None

    def stop(self) -> None:
        """End the embedding before its next slice."""
        if self.stopped is not None:
            self.stopped.set()

    def check_size(self, characters: int) -> None:
        """Refuse what cannot be embedded in the time of a request.

        Raises:
            TooLargeError: naming the limit.
        """
        if self.characters_max is not None and characters > self.characters_max:
            raise TooLargeError(
                f"too much text to embed in one request: embed_characters_max={self.characters_max} got={characters}; "
                "send fewer documents at once, or a bulk upload",
                code="too_much_text",
            )

    def check_wanted(self) -> None:
        """Go on only if somebody waits for it.

        Raises:
            OverloadedError: nobody does.
        """
        if self.stopped is not None and self.stopped.is_set():
            raise OverloadedError("the request is over: nothing was written", code="request_timeout", retryable=False)


UNBOUNDED = EmbedBounds()


def embed_documents(
    documents: Sequence[Mapping[str, Any]],
    chosen: Sequence[int],
    fields: Sequence[str],
    embedder: Embedder,
    bounds: EmbedBounds = UNBOUNDED,
    *,
    splitter: str = "auto",
) -> VectorRows:
    """Vectors of the passages of some documents of a batch.

    Args:
        documents: the batch.
        chosen: positions in the batch, ascending; the others get no vectors.
        fields: whose text is embedded.
        embedder: makes the vectors.
        bounds: how far it may go.
        splitter: how long text is cut into passages.

    Raises:
        TooLargeError: there is more text than the bounds allow.
        OverloadedError: it was stopped.
    """
    bounds.check_size(sum(text_characters(documents[index], fields) for index in chosen))
    pieces = []
    for index in chosen:
        bounds.check_wanted()
        pieces.append(pieces_of(documents[index], fields, embedder, splitter))
    flat = [piece for group in pieces for piece in group]
    vectors = np.empty((len(flat), embedder.dim), dtype=np.float32)
    for start in range(0, len(flat), SLICE_TEXTS):
        bounds.check_wanted()
        texts = [piece.text for piece in flat[start : start + SLICE_TEXTS]]
        vectors[start : start + len(texts)] = embedder.embed_documents(texts)
    counts = [len(group) for group in pieces]
    owners = np.repeat(np.asarray(chosen, dtype=np.int64), counts)
    return VectorRows(vectors, owners, [piece.passage for piece in flat])
