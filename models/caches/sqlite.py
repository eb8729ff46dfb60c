"""Vectors in one file of the database directory, by SQLite from the standard library.

Chosen over a memory-mapped file of our own by measurement: see `benchmarks/embedding.py`; a vector is read in about
ten microseconds, and files survive crashes, are shared by processes and overwrite what is deleted without code of ours.
"""

from __future__ import annotations

import logging
import sqlite3
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from models.cache import Vector, decode_vector, encode_vector
from models.embedder import Vectors
from models.errors import CacheUnavailableError, ModelError

log = logging.getLogger(__name__)

DEFAULT_FILE_BYTES_MAX = 1 << 30

_BUSY_SECONDS = 1.0
_QUERY_DIGESTS = 500  # SQLite takes at least 999 parameters
_EVICTED_SHARE = 10  # when full, a tenth goes at once, oldest first
_PRAGMAS = (
    "journal_mode = WAL",
    "synchronous = NORMAL",  # a crash may lose the last vectors, never the file
    "secure_delete = ON",  # what is deleted is overwritten with zeros
    "journal_size_limit = 4194304",
)
# `added` ascends, so that the oldest are found without reading; the schema's version is part of the file's name.
_SCHEMA = """
CREATE TABLE IF NOT EXISTS vectors (
    digest BLOB NOT NULL, model TEXT NOT NULL, vector BLOB NOT NULL, added INTEGER PRIMARY KEY AUTOINCREMENT,
    UNIQUE (digest, model)
)
"""
_SUFFIXES = ("", "-wal", "-shm")

T = TypeVar("T")


class SqliteCache:
    """One file, bounded by bytes; the vectors put in first go first. The lock guards the connection.

    A damaged file is removed and begun anew.

    Args:
        path: the file, made if missing; its directory must exist.
        file_bytes_max: size of the file, about.

    Raises:
        ModelError: the file cannot be made.
    """

    name = "sqlite"

    def __init__(self, path: Path, *, file_bytes_max: int = DEFAULT_FILE_BYTES_MAX) -> None:
        self._path, self._file_bytes_max = path, file_bytes_max
        self._lock = threading.Lock()
        self._closed = False
        try:
            self._connection = self._open()
        except sqlite3.DatabaseError:
            self._connection = self._renewed()

    def get_many(self, model: str, digests: Sequence[bytes]) -> list[Vector | None]:
        """The vector under each digest, or None; also None for all where the file cannot be read."""

        def read() -> dict[bytes, Vector | None]:
            found: dict[bytes, Vector | None] = {}
            for start in range(0, len(digests), _QUERY_DIGESTS):
                part = digests[start : start + _QUERY_DIGESTS]
                marks = ",".join("?" * len(part))
                query = f"SELECT digest, vector FROM vectors WHERE digest IN ({marks}) AND model = ?"  # noqa: S608 - marks only
                found |= {key: decode_vector(value) for key, value in self._connection.execute(query, [*part, model])}
            return found

        found = self._attempt("read", read) or {}
        return [found.get(digest) for digest in digests]

    def put_many(self, model: str, digests: Sequence[bytes], vectors: Vectors) -> None:
        """Keep vectors, (n, dim) float32; none where the file cannot be written."""
        rows = [(digest, model, encode_vector(vector)) for digest, vector in zip(digests, vectors, strict=True)]

        def write() -> None:
            with self._connection:
                self._connection.executemany(
                    "INSERT OR REPLACE INTO vectors (digest, model, vector) VALUES (?, ?, ?)", rows
                )
                self._evict()

        self._attempt("write", write)

    def delete_many(self, digests: Sequence[bytes]) -> None:
        """Forget these digests, of all models: overwritten in the file, and gone from its log.

        Raises:
            CacheUnavailableError: the file cannot be written.
        """
        rows = [(digest,) for digest in digests]
        self._delete(lambda: self._connection.executemany("DELETE FROM vectors WHERE digest = ?", rows))

    def clear(self) -> None:
        """Forget everything; raises what `delete_many` does."""
        self._delete(lambda: self._connection.execute("DELETE FROM vectors"), vacuum=True)

    def close(self) -> None:
        """Close the file; idempotent. A closed cache has nothing and keeps nothing."""
        with self._lock:
            self._closed = True
            self._connection.close()

    def _delete(self, act: Callable[[], object], *, vacuum: bool = False) -> None:
        with self._lock:
            try:
                with self._connection:
                    act()
                if vacuum:
                    self._connection.execute("VACUUM")
                busy = self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            except sqlite3.Error as error:
                raise CacheUnavailableError(f"embedding cache cannot be written: file={self._path}") from error
            if busy:
                raise CacheUnavailableError(f"embedding cache is being read by another process: file={self._path}")

    def _attempt(self, what: str, act: Callable[[], T]) -> T | None:
        """The result of `act`, or None: a failing cache is no reason to fail."""
        with self._lock:
            if self._closed:
                return None
            try:
                return act()
            except sqlite3.OperationalError as error:  # locked, disk full, no such file
                log.warning("cache.failed", extra={"cache": self.name, "what": what, "reason": str(error)})
            except sqlite3.DatabaseError:
                self._connection.close()
                self._connection = self._renewed()
            return None

    def _open(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=_BUSY_SECONDS, check_same_thread=False)
        try:
            for pragma in _PRAGMAS:
                connection.execute(f"PRAGMA {pragma}")
            connection.execute(_SCHEMA)
            self._page_bytes = int(connection.execute("PRAGMA page_size").fetchone()[0])
        except sqlite3.Error:
            connection.close()
            raise
        return connection

    def _renewed(self) -> sqlite3.Connection:
        """A new file in place of one that is damaged."""
        log.warning("cache.damaged", extra={"cache": self.name, "path": str(self._path)})
        try:
            for suffix in _SUFFIXES:
                self._path.with_name(self._path.name + suffix).unlink(missing_ok=True)
            return self._open()
        except (OSError, sqlite3.Error) as error:
            raise ModelError(f"embedding cache cannot be used: file={self._path} reason={error}") from error

    def _evict(self) -> None:
        """Delete the oldest rows where the pages in use exceed the limit; their pages are used again."""
        pages = self._connection.execute("PRAGMA page_count").fetchone()[0]
        free = self._connection.execute("PRAGMA freelist_count").fetchone()[0]
        if (pages - free) * self._page_bytes <= self._file_bytes_max:
            return
        (rows,) = self._connection.execute("SELECT COUNT(*) FROM vectors").fetchone()
        oldest = "SELECT added FROM vectors ORDER BY added LIMIT ?"
        self._connection.execute(
            f"DELETE FROM vectors WHERE added IN ({oldest})",  # noqa: S608 - a constant
            [max(rows // _EVICTED_SHARE, 1)],
        )
