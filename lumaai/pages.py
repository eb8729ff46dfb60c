"""Reading stored documents into an answer whose size is bounded: a few at a time, so that too much is never held."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

from numpy.typing import NDArray

from lumaai.errors import TooLargeError

D = TypeVar("D", bound=bytes | None)

# Documents read at once; more than a usual page of a search, so that it is read in one.
READ_DOCUMENTS = 32


def bounded(keys: Sequence[Any] | NDArray[Any], read: Callable[[Any], list[D]], bytes_max: int | None) -> list[D]:
    """All documents of `keys`.

    Args:
        keys: a list or an array of what `read` takes.
        read: gives a document for each key.
        bytes_max: of all documents together; None for any number.

    Raises:
        TooLargeError: they are more.
    """
    if bytes_max is None:
        return read(keys)
    documents: list[D] = []
    size = 0
    for some in _parts(keys, read):
        documents += some
        size += sum(len(document) for document in some if document is not None)
        if size > bytes_max:
            raise TooLargeError(
                f"answer is too large: response_bytes_max={bytes_max}; ask for fewer documents at once",
                code="response_too_large",
            )
    return documents


def up_to(keys: Sequence[Any] | NDArray[Any], read: Callable[[Any], list[bytes]], bytes_max: int | None) -> list[bytes]:
    """The first documents of `keys` that fit into `bytes_max` together, and one at least."""
    if bytes_max is None:
        return read(keys)
    documents: list[bytes] = []
    size = 0
    for some in _parts(keys, read):
        for document in some:
            size += len(document)
            if size > bytes_max and documents:
                return documents
            documents.append(document)
    return documents


def _parts(keys: Sequence[Any] | NDArray[Any], read: Callable[[Any], list[D]]) -> Iterator[list[D]]:
    for start in range(0, len(keys), READ_DOCUMENTS):
        yield read(keys[start : start + READ_DOCUMENTS])
