"""A file that only takes room, so that there is some when the disk is full: for deleting, and for opening again."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

BALLAST_BYTES = 4 * 1024 * 1024  # opening again takes about 0.1 MiB, deleting 100,000 documents about 3
BALLAST_FILE = "ballast"
_DRAFT_FILE = "ballast.new"


class Ballast:
    """The file `ballast` in a store's directory.

    Attributes:
        held: whether it takes its room now.
    """

    def __init__(self, directory: Path) -> None:
        self._file = directory / BALLAST_FILE
        self._draft = directory / _DRAFT_FILE
        self.held = False

    def reserve(self) -> bool:
        """Take the room, unless it is taken; whether that worked."""
        if self.held:
            return True
        try:
            if not self._file.exists() or self._file.stat().st_size != BALLAST_BYTES:
                self._make()
        except OSError:
            with contextlib.suppress(OSError):
                self._draft.unlink(missing_ok=True)
            return False
        self.held = True
        return True

    def release(self) -> None:
        """Give the room to whoever needs it."""
        self.held = False
        with contextlib.suppress(OSError):
            self._file.unlink(missing_ok=True)

    def _make(self) -> None:
        with self._draft.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, BALLAST_BYTES)
        self._draft.rename(self._file)
