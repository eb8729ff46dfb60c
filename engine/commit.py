"""Group commit: writers that wait at the same time share one fsync, and are published in the order of the log."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from engine.errors import DatabaseClosedError, StorageError, StorageFullError


@dataclass(slots=True)
class _Entry:
    sequence: int
    publish: Callable[[], None]
    done: bool = False
    error: BaseException | None = None


class CommitQueue:
    """Gives writes their sequence, makes them durable, and publishes them.

    Safe for many threads. `_order` guards the next sequence and the waiting entries; whoever holds `_leader` syncs
    and publishes on behalf of all that wait. After a failed sync nobody knows what is on disk, so every later commit
    fails until the database is opened again; likewise when a write or its publishing was cut short (Ctrl-C), because
    memory may then say something else than the log.
    """

    def __init__(self, sequence: int, sync: Callable[[], None]) -> None:
        self._sequence = sequence
        self.published = sequence
        self._sync = sync
        self._order = threading.Lock()
        self._leader = threading.Lock()
        self._waiting: list[_Entry] = []
        self._failure: BaseException | None = None

    def commit(self, write: Callable[[int], None], publish: Callable[[], None]) -> Callable[[], None]:
        """Write under the next sequence; the returned function waits until that is durable and published.

        Args:
            write: puts the committing batch into the store's log, unsynced, under the sequence it is given.
            publish: makes the change visible; called once, in order of sequence, after the sync.

        Raises:
            StorageError: from `write`, or because an earlier sync failed.
        """
        with self._order:
            self._check()
            entry = _Entry(self._sequence + 1, publish)
            try:
                write(entry.sequence)
                self._sequence = entry.sequence
                self._waiting.append(entry)
            except Exception:
                raise  # the store refused it: nothing was written
            except BaseException as interruption:
                self._failure = interruption
                raise
        return lambda: self._wait(entry)

    def settle(self) -> None:
        """Wait until everything written so far is durable and published.

        Raises:
            StorageError: some of it could not be made so.
        """
        with self._leader:
            self._lead()
        with self._order:
            self._check()

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
        """Sync and publish what waits.

        An entry stays in the queue until then: a leader that is interrupted while it syncs leaves it to the next.
        """
        with self._order:
            self._waiting = [entry for entry in self._waiting if not entry.done]
            entries, failure = list(self._waiting), self._failure
        if not entries:
            return
        if failure is not None:  # written while the sync before was failing: a later sync would prove nothing
            self._fail(entries, failure)
            return
        try:
            self._sync()
        except Exception as error:  # noqa: BLE001  (kept, and raised to every writer it concerns)
            self._fail(entries, error)
            return
        for place, entry in enumerate(entries):
            try:
                entry.publish()
                self.published = entry.sequence
                entry.done = True
            except BaseException as error:
                self._fail(entries[place:], error)
                if not isinstance(error, Exception):
                    raise
                return

    def _fail(self, entries: Sequence[_Entry], failure: BaseException) -> None:
        with self._order:
            self._failure = failure
        for entry in entries:
            entry.done, entry.error = True, failure

    def _check(self) -> None:
        if isinstance(self._failure, DatabaseClosedError):
            raise DatabaseClosedError(str(self._failure))
        if self._failure is not None:
            kind = StorageFullError if isinstance(self._failure, StorageFullError) else StorageError
            raise kind(f"database refuses writes since a failure: {self._failure!r}") from self._failure
