"""What becomes of a store after a write that failed: RocksDB refuses all further ones until it is opened anew."""

from __future__ import annotations

import contextlib
import os
import threading
import time
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Protocol

from engine.errors import StorageError, StorageFullError
from engine.store.ballast import BALLAST_BYTES, Ballast
from engine.store.failures import is_locked, translate

REOPEN_TRIES = 50  # 10 ms apart: RocksDB lets go of its own lock when the last handle is gone


class Handles(Protocol):
    """What is closed and opened anew."""

    path: Path

    def alone(self) -> AbstractContextManager[None]:
        """Nobody else uses the handles meanwhile."""

    def is_open(self) -> bool:
        """Whether there are handles."""

    def written(self) -> int:
        """RocksDB's number of the last write."""

    def open_handles(self, *, lean: bool = False) -> None:
        """Open what is not open."""

    def close_handles(self) -> None:
        """Close, as far as it goes."""


class Reopening:
    """Opens a store anew when a write has failed, before the next use. Safe for many threads.

    What was written before is read back from the log. On a full disk that must not need room for it in tables, so the
    store is opened lean: all of it stays in memory (see `engine.store.options`). For the little that deleting needs,
    and opening itself, there is a ballast to give up. What stores documents waits until there is room for the ballast,
    and for what is in memory.

    Attributes:
        refused: a write has failed, and the store was not opened anew since.
        torn: the write that failed could not be appended: all before it is whole in the log's files.
    """

    def __init__(self, store: Handles) -> None:
        self.refused = False
        self.torn = False
        self._store = store
        self._ballast = Ballast(store.path)
        self._lock = threading.Lock()
        self._lean = False
        self._expected: int | None = None  # RocksDB's number of the last write when the first attempt began
        self._lost: str | None = None

    def open_first(self) -> None:
        """Open the store of a process that begins, also on a full disk.

        Raises:
            StorageError: it cannot be opened.
            CorruptionError: likewise.
        """
        (self._store.path / "room.probe").unlink(missing_ok=True)  # of an earlier version that was killed
        try:
            self._store.open_handles()
        except StorageFullError:
            self._ballast.release()
            self._open_lean()
        else:
            self._ballast.reserve()

    def failed(self, error: Exception) -> None:
        """Note that a write was refused; what RocksDB says of it."""
        self.torn = self.torn or (not self.refused and "While appending" in str(error))
        self.refused = True
        if isinstance(translate(error, self._store.path), StorageFullError):
            self._ballast.release()

    def ready(self) -> None:
        """For reading: handles must be there, whatever went wrong when they were to be opened.

        Raises:
            StorageError: it still does.
        """
        if self.refused and not self._store.is_open():
            self.mend()

    def mend(self) -> None:
        """Open the store anew, if a write has failed.

        Raises:
            StorageFullError: there is not even room for that.
            StorageError: it cannot be opened now, or the log does not hold exactly what was written, which is final.
        """
        with self._lock:
            if self.refused:
                self._reopen(lean=True)

    def make_room(self) -> None:
        """For a write that takes room: afterwards the ballast is there, and RocksDB writes tables.

        Raises:
            StorageFullError: there is no room for that.
            StorageError: see `mend`.
        """
        if self._ballast.held and not self._lean and not self.refused:
            return
        with self._lock:
            if self._ballast.held and not self._lean and not self.refused:
                return
            self._check_room()
            if self._lean or self.refused:
                self._leave_lean()

    def _check_room(self) -> None:
        """Take the ballast's room. What is in memory has to go to tables then, which are smaller than the log."""
        needed = BALLAST_BYTES
        if self._ballast.reserve():
            needed = sum(file.stat().st_size for file in self._store.path.glob("*.log"))
            status = os.statvfs(self._store.path)
            if not self._lean or status.f_bavail * status.f_frsize >= needed:
                return
            self._ballast.release()
        text = f"path={self._store.path} needed={needed} bytes; delete documents and compact, or free some disk"
        raise StorageFullError(f"disk is full: {text}")

    def _leave_lean(self) -> None:
        self.refused = True
        try:
            self._reopen(lean=False)
        except StorageFullError:
            self._ballast.release()
            self._reopen(lean=True)
            raise

    def _reopen(self, *, lean: bool) -> None:
        if self._lost is not None:
            raise StorageError(self._lost)
        with self._store.alone():
            if self._store.is_open():
                if self._expected is None:
                    self._expected = self._store.written()
                with contextlib.suppress(StorageError):  # of the failure that is being mended
                    self._store.close_handles()
            if lean:
                self._open_lean()
            else:
                self._open_patiently(lean=False)
            self._compare()
            self._lean = lean
            self.refused = self.torn = False
            self._expected = None

    def _compare(self) -> None:
        found = self._store.written()
        if found == self._expected or self._expected is None:
            return
        numbers = f"expected={self._expected} got={found}"
        self._lost = f"log has lost writes, the database must be opened again: path={self._store.path} {numbers}"
        with contextlib.suppress(StorageError):
            self._store.close_handles()
        raise StorageError(self._lost)

    def _open_lean(self) -> None:
        try:
            sync_logs(self._store.path)  # RocksDB would sync only what it writes from now on
        except OSError as error:
            raise translate(error, self._store.path) from error
        self._open_patiently(lean=True)
        self._lean = True

    def _open_patiently(self, *, lean: bool) -> None:
        for _ in range(REOPEN_TRIES):
            try:
                return self._store.open_handles(lean=lean)
            except StorageError as error:
                if not is_locked(error, self._store.path):
                    raise
                time.sleep(0.01)
        return self._store.open_handles(lean=lean)


def sync_logs(path: Path) -> None:
    """Make a store's logs durable, whatever RocksDB thinks of them.

    Raises:
        OSError: the disk refuses it.
    """
    for file in path.glob("*.log"):
        with file.open("rb") as opened:
            os.fsync(opened.fileno())
