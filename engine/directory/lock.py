"""One owner a directory: a file locked by the kernel, which says who holds it and is free at once if the owner dies."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import socket
import time
from pathlib import Path
from typing import IO, Any

from engine.directory import forking
from engine.directory.layout import LOCK_FILE
from engine.errors import DatabaseLockedError

LOOK_SECONDS = 0.02  # longer than somebody takes to look whether it is locked


class DirectoryLock:
    """Held from construction until `release`. Forked children do not hold it: it is free when the owner dies.

    Raises:
        DatabaseLockedError: naming the owner's pid and host.
        OSError: the directory cannot be written.
    """

    def __init__(self, directory: Path) -> None:
        path = directory / LOCK_FILE
        self._file = _locked(path, directory)
        while not _is_at(self._file, path):  # its owner took it away, with all that was there
            self._file.close()
            self._file = _locked(path, directory)
        self._file.truncate(0)
        json.dump({"pid": os.getpid(), "host": socket.gethostname()}, self._file)
        self._file.flush()
        forking.watch(self)

    def release(self) -> None:
        """Let the next owner in. The file stays, unless the owner removed it before."""
        forking.unwatch(self)
        self._file.close()

    def forked(self) -> None:
        """In a child: let go of the descriptor, which shares the parent's lock and would outlive the parent."""
        self._file.close()


def check_unlocked(path: str | Path) -> None:
    """Refuse a directory that another process owns, before anything large is imported to open it.

    Raises:
        DatabaseLockedError: naming the owner's pid and host.
    """
    with contextlib.suppress(OSError, ValueError, RuntimeError):  # opening it says what is wrong with the path
        directory = Path(path).expanduser().resolve()
        with (directory / LOCK_FILE).open("r+") as file:
            if not _try_lock(file):
                owner = _parse_owner(file.read())
                raise DatabaseLockedError(str(directory), owner.get("pid"), owner.get("host"))


def _try_lock(file: IO[str]) -> bool:
    with contextlib.suppress(OSError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def _locked(path: Path, directory: Path) -> IO[str]:
    """The file, opened and locked."""
    file = path.open("a+")
    try:
        if not _try_lock(file):
            time.sleep(LOOK_SECONDS)  # it was only `check_unlocked`
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.seek(0)
        owner = _parse_owner(file.read())
        file.close()
        raise DatabaseLockedError(str(directory), owner.get("pid"), owner.get("host")) from error
    return file


def _is_at(file: IO[str], path: Path) -> bool:
    """Whether an open file is the one of that name: whoever locked another one owns nothing."""
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    return False


def _parse_owner(text: str) -> dict[str, Any]:
    with contextlib.suppress(ValueError):
        owner = json.loads(text)
        if isinstance(owner, dict):
            return owner
    return {}
