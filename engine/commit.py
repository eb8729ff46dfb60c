"""Group commit: writers that wait at the same time share one fsync, and are published in the order of the log."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from engine.errors import DatabaseClosedError, StorageError


@dataclass(slots=True)
class _Entry:
    sequence: int
    publish: Callable[[], None]
    done: bool = False
    error: Exception | None = None


class CommitQueue:
    """Gives writes their sequence, makes them durable, and publishes them.

    Safe for many threads. `_order` guards the next sequence and the waiting entries; whoever holds `_leader` syncs
    and publishes on behalf of all that wait. After a failed sync nobody knows what is on disk, so every later commit
    fails until the database is opened again.
    """

    def __init__(self, sequence: int, sync: Callable[[], None]) -> None:
        self._sequence = sequence
        self.published = sequence
        self._sync = sync
        self._order = threading.Lock()
        self._leader = threading.Lock()
        self._waiting: list[_Entry] = []
        self._failure: Exception | None = None

    def commit(self, write: Callable[[int], None], publish: Callable[[], None]) -> Callable[[], None]:
        """Write under the next sequence; the returned function waits until that is durable and published.

        Args:
            write: puts the committing batch into the store's log, unsynced, under the sequence it is given.
            publish: makes the change visible; called once, in order of sequence, after the sync.

        Raises:
            StorageError: from `write`, or because an earlier sync failed.
        """
        with self._order:
            if isinstance(self._failure, DatabaseClosedError):
                raise self._failure
            if self._failure is not None:
                raise StorageError(f"database refuses writes since a failure: {self._failure}") from self._failure
            write(self._sequence + 1)
            self._sequence += 1
            entry = _Entry(self._sequence, publish)
            self._waiting.append(entry)
        return lambda: self._wait(entry)

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Nothing is published meanwhile, so several collections can be looked at as of one point of the log."""
        with self._leader:
            yield

    def close(self) -> None:
        """Let those that wait finish, and refuse what comes later."""
        with self._leader:
            self._lead()
            with self._order:
                self._failure = DatabaseClosedError("database is closed")

    def _wait(self, entry: _Entry) -> None:
        with self._leader:
            if not entry.done:
                self._lead()
        if entry.error is not None:
            raise entry.error

    def _lead(self) -> None:
        with self._order:
            entries, self._waiting = self._waiting, []
        error: Exception | None = None
        try:
            self._sync()
            for entry in entries:
                entry.publish()
                self.published = entry.sequence
                entry.done = True
        except Exception as failure:  # noqa: BLE001  (kept, and raised to every writer it concerns)
            error = failure
            with self._order:
                self._failure = failure
        for entry in entries:
            if not entry.done:
                entry.done, entry.error = True, error
