"""Group commit: writers that wait at the same time share one fsync, and are published in the order of the log.

Writers that do not ask for the fsync are published without one, unless somebody who waits with them does.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum

from engine import failpoints
from engine.errors import DatabaseClosedError, StorageError, StorageFullError
from engine.writes.expiry import Clock
from engine.writes.waking import Waking

SYNC_INTERVAL_SECONDS = 0.05
GATHER_SHARE = 1.0  # of the last sync's time, that a leader waits for as many writers as came together before
WAKE_SECONDS = 1.0  # a follower whose leader was interrupted looks after itself


class Durability(StrEnum):
    """What holds of a write when it is acknowledged. All survive a killed process; a crash of the machine differs.

    `sync`: it is fsynced. `interval`: it will be within the interval of the database. `none`: it will be with the next
    write that asks for it, when the collection is sealed, or when the database is closed.
    """

    SYNC = "sync"
    INTERVAL = "interval"
    NONE = "none"


@dataclass(slots=True)
class _Entry:
    sequence: int
    publish: Callable[[], None]
    durability: Durability
    done: bool = False
    error: BaseException | None = None
    writer: Waking = field(default_factory=Waking)  # told when it is done, or has to look after itself


class CommitQueue:
    """Gives writes their sequence, makes them durable, and publishes them.

    Safe for many threads. `_order` guards the next sequence and the waiting entries; whoever holds `_leader` syncs
    and publishes on behalf of all that wait. Of those that wait one at most is queued for `_leader` (`_following`): it
    will take the others along, and tells them when they are done.

    After a failed sync nobody knows what is on disk, so every later commit fails until the database is opened again;
    likewise when a write or its publishing was cut short (Ctrl-C), because memory may then say something else than the
    log.

    Args:
        sequence: of the last write.
        sync: makes durable all that was written before it is called.
        interval_seconds: at most so long a published write of `Durability.INTERVAL` waits for its sync.
        on_synced: told of every new `synced`, before anybody is; raises nothing.

    Attributes:
        published: sequence of the last write that can be seen.
        synced: sequence up to which all is durable; behind `published` while writes did not ask for the sync.
        clock: of the database, by which documents of all collections expire.
    """

    def __init__(
        self,
        sequence: int,
        sync: Callable[[], None],
        *,
        interval_seconds: float = SYNC_INTERVAL_SECONDS,
        on_synced: Callable[[int], None] | None = None,
    ) -> None:
        self._sequence = sequence
        self.clock = Clock()
        self.published = sequence
        self.synced = sequence
        self._sync = sync
        self._on_synced = on_synced
        self._order = threading.Lock()
        self._leader = threading.Lock()
        self._arrived = threading.Condition(self._order)
        self._following = False
        self._gathering = sys.maxsize  # entries that a leader waits for, if one does
        self._groups = (1, 1)  # writes that the last two leaders took
        self._sync_seconds = 0.0
        self._waiting: list[_Entry] = []
        self._failure: BaseException | None = None
        self._ticker = _Ticker(self._tick, interval_seconds)

    def commit(
        self, write: Callable[[int], None], publish: Callable[[], None], durability: Durability = Durability.SYNC
    ) -> Callable[[], None]:
        """Write under the next sequence; the returned function waits until that is as durable as asked, and published.

        Args:
            write: puts the committing batch into the store's log, unsynced, under the sequence it is given.
            publish: makes the change visible; called once, in order of sequence, after the sync.
            durability: what must hold when the returned function returns.

        Raises:
            StorageError: from `write`, or because an earlier sync failed.
        """
        with self._order:
            self._check()
            entry = _Entry(self._sequence + 1, publish, durability)
            try:
                failpoints.hit("commit.before_batch")
                write(entry.sequence)
                self._sequence = entry.sequence
                self._waiting.append(entry)
                if len(self._waiting) >= self._gathering:
                    self._arrived.notify()
            except Exception:
                raise  # the store refused it: nothing was written
            except BaseException as interruption:
                self._failure = interruption
                raise
        failpoints.hit("commit.after_batch")
        return lambda: self._wait(entry)

    def settle(self, durability: Durability = Durability.SYNC) -> None:
        """Wait until everything written so far is published, and as durable as asked.

        Raises:
            StorageError: some of it could not be made so.
        """
        with self._leader:
            self._lead(sync=durability is Durability.SYNC)
        with self._order:
            self._check()
            behind = self.synced < self._sequence
        if durability is Durability.INTERVAL and behind:
            self._ticker.start()

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Nothing is published meanwhile, so several collections can be looked at as of one point of the log."""
        with self._leader:
            yield

    def close(self) -> None:
        """Let those that wait finish, make all of it durable, and refuse what comes later."""
        self._ticker.stop()
        with self._leader:
            self._lead(sync=True)
            with self._order:
                self._failure = DatabaseClosedError("database is closed")

    def _tick(self) -> None:
        with self._leader:
            self._lead(sync=True)

    def _wait(self, entry: _Entry) -> None:
        while not entry.done:
            with self._order:
                leads = not self._following
                self._following = True
            if leads:
                self._lead_group(entry)
            else:
                entry.writer.wait(WAKE_SECONDS)
        if entry.error is not None:
            raise entry.error
        if entry.durability is Durability.INTERVAL and self.synced < entry.sequence:
            self._ticker.start()

    def _lead_group(self, entry: _Entry) -> None:
        """Lead, as soon as the leader of now is done, all that wait by then."""
        try:
            with self._leader:
                if not entry.done and entry.durability is Durability.SYNC:
                    self._gather()
                with self._order:
                    self._following = False  # who comes from here on needs another leader
                self._lead(sync=False)
        except BaseException:  # Ctrl-C: whoever was to be taken along has to look after itself
            with self._order:
                self._following = False
                for each in self._waiting:
                    each.writer.wake()
            raise

    def _gather(self) -> None:
        """Wait a moment for the writers that were just served, who would come back just too late for this sync."""
        with self._order:
            self._waiting = [entry for entry in self._waiting if not entry.done]
            self._gathering = max(self._groups)
            self._arrived.wait_for(self._gathered, GATHER_SHARE * self._sync_seconds)
            self._gathering = sys.maxsize
            self._groups = (self._groups[1], len(self._waiting))

    def _gathered(self) -> bool:
        return len(self._waiting) >= self._gathering

    def _lead(self, *, sync: bool) -> None:
        """Sync if that is wanted, by the caller or by what waits, and publish what waits.

        An entry stays in the queue until then: a leader that is interrupted while it syncs leaves it to the next.
        """
        with self._order:
            self._waiting = [entry for entry in self._waiting if not entry.done]
            entries, failure, last = list(self._waiting), self._failure, self._sequence
        if failure is not None:  # written while the sync before was failing: a later sync would prove nothing
            self._fail(entries, failure)
            return
        sync = (sync and self.synced < last) or any(entry.durability is Durability.SYNC for entry in entries)
        try:
            if sync:
                failpoints.hit("commit.before_sync")
                started = time.perf_counter()
                self._sync()
                self._sync_seconds = time.perf_counter() - started
                self.synced = last
                if self._on_synced is not None:
                    self._on_synced(last)
                failpoints.hit("commit.after_sync")
        except Exception as error:  # noqa: BLE001  (kept, and raised to every writer it concerns)
            self._fail(entries, error)
            return
        self._publish(entries)

    def _publish(self, entries: Sequence[_Entry]) -> None:
        for place, entry in enumerate(entries):
            try:
                failpoints.hit("commit.before_publish")
                entry.publish()
                self.published = entry.sequence
                entry.done = True
                entry.writer.wake()
            except BaseException as error:
                self._fail(entries[place:], error)
                if not isinstance(error, Exception):
                    raise
                return

    def _fail(self, entries: Sequence[_Entry], failure: BaseException) -> None:
        with self._order:
            self._failure = self._failure or failure
        for entry in entries:
            entry.error = failure
            entry.done = True
            entry.writer.wake()

    def _check(self) -> None:
        if isinstance(self._failure, DatabaseClosedError):
            raise DatabaseClosedError(str(self._failure))
        if self._failure is not None:
            kind = StorageFullError if isinstance(self._failure, StorageFullError) else StorageError
            raise kind(f"database refuses writes since a failure: {self._failure!r}") from self._failure


class _Ticker:
    """Calls `tick` once, `seconds` after each `start`; its thread exists only where somebody ever starts it."""

    def __init__(self, tick: Callable[[], None], seconds: float) -> None:
        self._tick = tick
        self._seconds = seconds
        self._lock = threading.Lock()  # guards `_thread`
        self._thread: threading.Thread | None = None
        self._wanted = threading.Event()
        self._stopped = threading.Event()

    def start(self) -> None:
        """Ask for a tick."""
        if self._wanted.is_set():
            return
        self._wanted.set()
        with self._lock:
            if self._thread is None and not self._stopped.is_set():
                self._thread = threading.Thread(target=self._run, name="lumaai-sync", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """End the thread; a tick that was asked for may be left out."""
        with self._lock:
            self._stopped.set()
            thread, self._thread = self._thread, None
        self._wanted.set()
        if thread is not None:
            thread.join()

    def _run(self) -> None:
        while self._wanted.wait() and not self._stopped.wait(self._seconds):
            self._wanted.clear()
            if self._stopped.is_set():  # its `_wanted` may be what was just cleared
                return
            self._tick()
