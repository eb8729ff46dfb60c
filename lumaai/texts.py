"""Texts for models to embed or to score, beside any collection: what is refused, and the pieces that they go in."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lumaai.errors import ErrorDetail, InvalidRequestError
from lumaai.search import check_strings

Vectors = NDArray[np.float32]  # (n, dim)
Scores = NDArray[np.float32]  # (n,), larger is better

# Of one request to a service, far within what it takes.
TEXTS_A_REQUEST = 512
CHARACTERS_A_REQUEST = 250_000
TEXT_CHARACTERS_MAX = 1_000_000
DIMENSIONS_MAX = 65_536


def check_texts(name: str, texts: Sequence[str]) -> list[str]:
    """Texts that a model can read.

    Raises:
        InvalidRequestError: no list of strings, an empty one, or one with an empty or too long text.
    """
    found = check_strings(name, texts)
    if not found:
        raise _refused(f"/{name}", f"{name} must hold at least one text")
    for place, text in enumerate(found):
        if not 1 <= len(text) <= TEXT_CHARACTERS_MAX:
            message = f"a text has from 1 to {TEXT_CHARACTERS_MAX} characters: got={len(text)}"
            raise _refused(f"/{name}/{place}", message)
    return found


def check_query(query: object) -> str:
    """A text to compare others with.

    Raises:
        InvalidRequestError: no text, or a blank one.
    """
    if not isinstance(query, str) or not query.strip():
        raise _refused("/query", f"query must be a text that is not blank: got={query!r:.40}")
    return query


def check_dimensions(dimensions: object) -> int | None:
    """How many numbers of a vector are wanted; None: all.

    Raises:
        InvalidRequestError: no whole number, or out of range.
    """
    if dimensions is None:
        return None
    if isinstance(dimensions, bool) or not isinstance(dimensions, int) or not 1 <= dimensions <= DIMENSIONS_MAX:
        raise _refused("/dimensions", f"dimensions must be from 1 to {DIMENSIONS_MAX}: got={dimensions!r:.40}")
    return dimensions


def pieces(texts: Sequence[str]) -> Iterator[list[str]]:
    """The texts in order, as many at a time as a service takes in one request."""
    piece: list[str] = []
    characters = 0
    for text in texts:
        if piece and (len(piece) == TEXTS_A_REQUEST or characters + len(text) > CHARACTERS_A_REQUEST):
            yield piece
            piece, characters = [], 0
        piece.append(text)
        characters += len(text)
    if piece:
        yield piece


def vectors_of(answer: Mapping[str, Any]) -> Vectors:
    """The vectors in an answer of `/v1/embeddings` that was asked for base64."""
    rows = [np.frombuffer(base64.b64decode(item["embedding"]), dtype="<f4") for item in answer["data"]]
    return np.stack(rows).astype(np.float32, copy=False)


def scores_of(answer: Mapping[str, Any], count: int) -> Scores:
    """The scores in an answer of `/v1/rerank`, in the order of the `count` texts."""
    scores = np.empty(count, dtype=np.float32)
    for item in answer["results"]:
        scores[item["index"]] = item["relevance_score"]
    return scores


@contextmanager
def in_openais_shape() -> Iterator[None]:
    """Errors of paths in OpenAI's shape as they are elsewhere: what means nothing is 422."""
    try:
        yield
    except InvalidRequestError as error:
        if error.status == 400:
            error.status = 422
        raise


def _refused(pointer: str, message: str) -> InvalidRequestError:
    return InvalidRequestError(message, code="invalid_value", errors=[ErrorDetail(pointer, "invalid_value", message)])
