"""Errors of RocksDB and of the disk as ours: what happened, to which file, and what is to be done."""

from __future__ import annotations

import errno
import re
from pathlib import Path

from engine.errors import CorruptionError, StorageError, StorageFullError

ADVICE = "restore a snapshot with `lumaai restore`, or read what is left with read_only"
_FULL_NUMBERS = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
_FULL = re.compile(r"No space left on device|File too large|Disk quota exceeded")
_CORRUPTION = re.compile(r"^Corruption: ?")
_ENVIRONMENT = re.compile(
    r"Permission denied|Too many open files|Read-only file system|Input/output error|Cannot allocate memory"
    r"|lock hold by current process|While lock file"
)
_LOCKED = re.compile(r"lock hold by current process|While lock file")
_DROPPING = re.compile(r"(\d{6,}\.log): dropping \d+ bytes; (.*)")
_NOTES_BYTES = 1 << 20  # of the end of RocksDB's own notes


def translate(error: Exception, path: Path | None = None) -> Exception:
    """The engine's error for one of rocksdict's or the system's, naming the store."""
    where = "" if path is None else f"path={path}: "
    if _is_full(error, path):
        return StorageFullError(f"disk is full: {where}{error}")
    if _CORRUPTION.search(str(error)):
        return CorruptionError(f"store is damaged: {where}{error}; {ADVICE}")
    return StorageError(f"store failed: {where}{error}")


def translate_opening(error: Exception, path: Path) -> Exception:
    """At opening, what neither the disk nor the machine explains is damage: a file that is not there, for example."""
    known = translate(error, path)
    if type(known) is StorageFullError or _ENVIRONMENT.search(_own_words(error, path)):
        return known if type(known) is not CorruptionError else StorageError(f"store failed: path={path}: {error}")
    log = _damaged_log(path) if _names_no_file(error) else None
    named = "" if log is None else f" file={path / log[0]} ({log[1]})"
    return CorruptionError(f"store is damaged: path={path}:{named} {error}; {ADVICE}")


def is_locked(error: Exception, path: Path) -> bool:
    """Whether RocksDB found its own lock taken, of an error that `translate_opening` made."""
    return error.__cause__ is not None and _LOCKED.search(_own_words(error.__cause__, path)) is not None


def _is_full(error: Exception, path: Path | None) -> bool:
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in _FULL_NUMBERS
    return _FULL.search(_own_words(error, path)) is not None


def _own_words(error: BaseException, path: Path | None) -> str:
    """What the error says, without the path: a directory may have any name."""
    text = str(error)
    return text if path is None else text.replace(str(path), "")


def _names_no_file(error: Exception) -> bool:
    return re.search(r"\d{6,}\.(log|sst)|MANIFEST-\d+|CURRENT", str(error)) is None


def _damaged_log(path: Path) -> tuple[str, str] | None:
    """The write-ahead log that RocksDB could not read to its end, by its notes of the last opening, and why."""
    try:
        with (path / "LOG").open("rb") as file:
            file.seek(max(0, (path / "LOG").stat().st_size - _NOTES_BYTES))
            found = _DROPPING.findall(file.read().decode(errors="replace"))
    except OSError:
        return None
    return (found[-1][0], found[-1][1].strip()) if found else None
