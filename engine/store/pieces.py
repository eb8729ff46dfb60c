"""Writes that go to the store in pieces of bounded size."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from rocksdict import ColumnFamily, WriteBatch

PIECE_BYTES = 4 * 1024 * 1024  # a write of this size holds the GIL for about 20 ms
PIECE_BYTES_SMALL = 64 * 1024  # up to this a piece goes along with the batch that commits it
GROWING = frozenset({"documents", "vectors"})  # families of which what is put makes the store larger


class Piece:
    """Operations that are written as one, atomically.

    Attributes:
        grows: it stores documents or vectors. What does not, deletes or records what was done, and is written also
            when the disk is full.
        operations: methods of `WriteBatch`, each with the family and its arguments before that one.
    """

    def __init__(self) -> None:
        self.grows = False
        self.operations: list[tuple[Callable[..., Any], str, bytes, bytes | None]] = []

    @property
    def families(self) -> set[str]:
        """Those that it touches."""
        return {family for _, family, _, _ in self.operations}

    def batch(self, handles: Mapping[str, ColumnFamily]) -> WriteBatch:
        """The piece for RocksDB, which takes a batch only once."""
        batch = WriteBatch(raw_mode=True)
        for apply, family, key, other in self.operations:
            if other is None:
                apply(batch, key, handles[family])
            else:
                apply(batch, key, other, handles[family])
        return batch


class Pieces:
    """Writes that go to the store in pieces, so that no write holds the GIL for long.

    Each piece is atomic, the whole is not: what must appear at once belongs in one piece (`flush` it alone).

    Args:
        write: writes one piece.
    """

    def __init__(self, write: Callable[[Piece], None]) -> None:
        self._write = write
        self._piece = Piece()
        self._bytes = 0

    def put(self, family: str, key: bytes, value: bytes) -> None:
        """Set a key."""
        self._piece.operations.append((WriteBatch.put, family, key, value))
        if family in GROWING:
            self._piece.grows = True
        self._bytes += len(key) + len(value)

    def delete(self, family: str, key: bytes) -> None:
        """Delete a key."""
        self._piece.operations.append((WriteBatch.delete, family, key, None))
        self._bytes += len(key)

    def delete_range(self, family: str, begin: bytes, end: bytes) -> None:
        """Delete the keys from `begin` up to but without `end`."""
        self._piece.operations.append((WriteBatch.delete_range, family, begin, end))
        self._bytes += len(begin) + len(end)

    def flush_if_large(self) -> None:
        """Write what has gathered if it has reached the size of a piece."""
        if self._bytes >= PIECE_BYTES:
            self.flush()

    def flush_unless_small(self) -> None:
        """Write what has gathered if it is too much to hold others up, when it is written with what commits it."""
        if self._bytes > PIECE_BYTES_SMALL:
            self.flush()

    def flush(self) -> None:
        """Write what has gathered, as one atomic piece.

        Raises:
            DatabaseClosedError: the store is closed.
            StorageFullError: there is no room for it.
            StorageError: the disk refuses it.
        """
        if self._bytes:
            self._write(self._piece)
            self._piece = Piece()
            self._bytes = 0
