"""A batch that is more than a service takes in one request: its pieces on the way out, their results joined."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace

from lumaai.batch import Batch
from lumaai.errors import ErrorDetail, InvalidRequestError, TooLargeError
from lumaai.options import WriteOptions
from lumaai.results import WriteResult

# What a service takes by default; one that takes less says so, and pieces become smaller.
DOCUMENTS_MAX = 10_000
VECTOR_BYTES_MAX = 32 << 20
# How a service refuses a batch whose parts it may take.
OF_THE_BATCH = frozenset({"too_large", "body_too_large", "too_much_text"})

OnWritten = Callable[[int, int], None]  # documents done, of how many
_PLACE = re.compile(r"^/documents/(\d+)")


class Pieces:
    """A batch on its way to a service: as it is, or in pieces where that changes nothing but how much fails together.

    All or nothing goes in one request: a batch with conditions, with a key of the caller's, or that inserts or patches
    all or nothing is sent as it is.

    Args:
        mode: "add", "insert" or "patch".
        batch: what is written.
        options: how.
    """

    def __init__(self, mode: str, batch: Batch, options: WriteOptions) -> None:
        self._batch = batch
        self._may_split = (
            options.idempotency_key is None and not options.has_conditions and (mode == "add" or not options.atomic)
        )
        self.total = len(batch.documents)
        self.done = 0
        self._size = min(self.total, DOCUMENTS_MAX, self._vector_rows()) if self._may_split else self.total
        self._results: list[tuple[int, WriteResult]] = []  # each with where its piece began

    @property
    def is_done(self) -> bool:
        """Whether all of it is written."""
        return self.done >= self.total

    def next(self) -> Batch:
        """The piece to send now."""
        if self._size >= self.total:
            return self._batch
        part = slice(self.done, self.done + self._size)
        vectors = {name: array[part] for name, array in self._batch.vectors.items()}
        return Batch(self._batch.documents[part], vectors)

    def written(self, result: WriteResult) -> None:
        """Go on with the next piece."""
        self._results.append((self.done, result))
        self.done += min(self._size, self.total - self.done)

    def smaller(self, error: TooLargeError) -> bool:
        """Whether the piece that was refused may be sent in smaller ones; the next ones will be."""
        size = min(self._size, self.total - self.done)
        if not self._may_split or error.code not in OF_THE_BATCH or size < 2:
            return False
        self._size = (size + 1) // 2
        return True

    def refused(self, error: InvalidRequestError | TooLargeError) -> None:
        """Name places as they are in the whole batch, and say what is written already."""
        if self.done:
            error.errors = tuple(_moved(detail, self.done) for detail in error.errors)
            error.message = f"{error.message}; the first {self.done} of {self.total} documents are written"
            error.args = (error.message,)

    def result(self) -> WriteResult:
        """What became of all of it."""
        results = [result for _, result in self._results]
        return replace(
            results[-1],
            added=sum(each.added for each in results),
            replaced=sum(each.replaced for each in results),
            skipped=sum(each.skipped for each in results),
            errors=tuple(_moved(detail, start) for start, each in self._results for detail in each.errors),
            ids=tuple(id_ for each in results for id_ in each.ids),
            results=tuple(
                item if item.error is None else replace(item, error=_moved(item.error, start))
                for start, each in self._results
                for item in each.results
            ),
        )

    def _vector_rows(self) -> int:
        width = sum(4 * array.shape[1] for array in self._batch.vectors.values())
        return max(1, VECTOR_BYTES_MAX // width) if width else self.total


def _moved(detail: ErrorDetail, by: int) -> ErrorDetail:
    """A place in a piece as one in the whole batch."""
    pointer = _PLACE.sub(lambda found: f"/documents/{int(found[1]) + by}", detail.pointer)
    return replace(detail, pointer=pointer, index=None if detail.index is None else detail.index + by)
