"""Snapshots of a database: archives of the engine in one directory, known by names, and given out as tar files."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import secrets
import shutil
import tarfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import engine
from lumaai.errors import (
    ConflictError,
    CorruptionError,
    InternalError,
    InvalidRequestError,
    NotFoundError,
    StorageFullError,
)
from lumaai.reports import SNAPSHOT_NAME, SNAPSHOT_RESERVED, SNAPSHOT_UNFINISHED, SnapshotInfo, check_snapshot_name

SNAPSHOTS = "snapshots"  # in the database's directory, where no other place is set
ARCHIVE_FILE = "archive.json"
PIECE_BYTES = 1 << 20
DIRECTORY_MODE = 0o700  # snapshots hold what the database does: they are their owner's alone


def new_snapshot_name() -> str:
    """A name from the time, which sorts by it: 20250131T120000.123Z."""
    now = time.time()
    return f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime(now))}.{int(now * 1000) % 1000:03d}Z"


class SnapshotDirectory:
    """The snapshots of one database in one directory, which is made when the first one is.

    The lock guards `_read`; while `_making` is held a snapshot is made, or what others left unfinished is removed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._making = threading.Lock()
        self._read: Counter[str] = Counter()

    @contextmanager
    def place_for(self, name: str) -> Iterator[Path]:
        """Where a new snapshot goes, for as long as it is being made.

        Raises:
            ConflictError: there is one of that name.
        """
        place = self.path / check_snapshot_name(name)
        with self._making:
            if os.path.lexists(place):
                raise ConflictError(f"snapshot exists already: {name!r}", code="snapshot_exists")
            self.path.mkdir(DIRECTORY_MODE, parents=True, exist_ok=True)
            yield place

    def sweep(self) -> None:
        """Remove what was left of snapshots that were being made or deleted when a process ended."""
        with self._making:
            for entry in list(self.path.iterdir()) if self.path.is_dir() else []:
                if entry.suffix in SNAPSHOT_UNFINISHED and re.fullmatch(SNAPSHOT_NAME, entry.stem):
                    shutil.rmtree(entry, ignore_errors=True)  # which follows no links

    def existing(self, name: str) -> Path:
        """Where a snapshot is.

        Raises:
            NotFoundError: there is none of that name.
        """
        place = self.path / check_snapshot_name(name)
        if place.is_symlink() or not place.is_dir():
            raise _missing(name)
        return place

    @contextmanager
    def reading(self, name: str) -> Iterator[Path]:
        """Where a snapshot is; it is not deleted meanwhile.

        Raises:
            NotFoundError: there is none of that name.
        """
        with self._lock:
            place = self.existing(name)
            self._read[name] += 1
        try:
            yield place
        finally:
            with self._lock:
                self._read[name] -= 1

    def names(self) -> list[str]:
        """Names of all that may be snapshots, sorted."""
        names = [entry.name for entry in self.path.iterdir()] if self.path.is_dir() else []
        fitting = (name for name in names if re.fullmatch(SNAPSHOT_NAME, name) and not name.endswith(SNAPSHOT_RESERVED))
        return sorted(name for name in fitting if (self.path / name / ARCHIVE_FILE).is_file())

    def info(self, name: str) -> SnapshotInfo:
        """What a snapshot says of itself; its files are not read.

        Raises:
            NotFoundError: there is none of that name.
            ArchiveError: its list is damaged.
        """
        with self.reading(name) as place:
            found = engine.read_archive(place).info(place)
            made = datetime.fromtimestamp((place / ARCHIVE_FILE).stat().st_mtime, UTC)
        return SnapshotInfo(name, found.sequence, found.bytes, found.files, made.isoformat(timespec="seconds"))

    def infos(self) -> list[SnapshotInfo]:
        """All snapshots that are whole as far as their lists say, by name."""
        found = []
        for name in self.names():
            with contextlib.suppress(NotFoundError, engine.ArchiveError, OSError):
                found.append(self.info(name))  # unless deleted meanwhile, or something else that lies here
        return found

    def delete(self, name: str) -> None:
        """Delete a snapshot: out of sight at one stroke, then its files.

        Raises:
            NotFoundError: there is none of that name.
            ConflictError: it is being downloaded, saved or restored.
        """
        check_snapshot_name(name)
        going = self.path / f"{name}.deleting"
        with self._making:
            shutil.rmtree(going, ignore_errors=True)
            with self._lock:
                place = self.existing(name)
                if self._read[name]:
                    raise ConflictError(f"snapshot is being read: {name!r}", code="snapshot_in_use")
                try:
                    place.rename(going)
                except FileNotFoundError as error:  # deleted by another process
                    raise _missing(name) from error
            sync_directory(self.path)  # else its name could come back without its files
            shutil.rmtree(going, ignore_errors=True)
        if going.exists():
            raise InternalError(f"not all files of the snapshot could be deleted: path={going}")

    def tar(self, name: str) -> TarOfSnapshot:
        """A snapshot as one tar file, which is made while it is read.

        Raises:
            NotFoundError: there is none of that name.
            ArchiveError: its list is damaged.
        """
        with self.reading(name) as place:
            listed = engine.read_archive(place)
            sizes = {ARCHIVE_FILE: (place / ARCHIVE_FILE).stat().st_size}
        sizes |= {file: listed.files[file][0] for file in sorted(listed.files)}
        return TarOfSnapshot(place, sizes, lambda: self.reading(name))


@dataclass(frozen=True, slots=True)
class TarOfSnapshot:
    """A tar of a snapshot's files, never held as a whole.

    Attributes:
        place: the snapshot's directory.
        sizes: of its files in bytes, in the order in which they are written.
        reading: keeps it from being deleted.
    """

    place: Path
    sizes: dict[str, int]
    reading: Callable[[], AbstractContextManager[object]] = contextlib.nullcontext

    @property
    def length(self) -> int:
        """How long the tar is."""
        files = sum(len(_head(name, size)) + _padded(size) for name, size in self.sizes.items())
        return files + 2 * tarfile.BLOCKSIZE

    def pieces(self) -> Iterator[bytes]:
        """The tar, in pieces of at most `PIECE_BYTES`.

        Until the last of them, or until they are closed, the snapshot is not deleted.

        Raises:
            NotFoundError: it was deleted before.
            CorruptionError: a file is not as long as the snapshot's list says, or gone.
        """
        with self.reading():
            for name, size in self.sizes.items():
                yield _head(name, size)
                yield from self._content(name, size)
                yield bytes(_padded(size) - size)
            yield bytes(2 * tarfile.BLOCKSIZE)

    def _content(self, name: str, size: int) -> Iterator[bytes]:
        left = size
        try:
            with (self.place / name).open("rb") as file:
                while left and (piece := file.read(min(left, PIECE_BYTES))):
                    left -= len(piece)
                    yield piece
        except FileNotFoundError as error:
            raise CorruptionError(f"file of the snapshot is missing: path={self.place / name}") from error
        if left:
            raise CorruptionError(f"file of the snapshot is too short: path={self.place / name} missing={left} bytes")


def write_file(pieces: Iterable[bytes], target: Path) -> None:
    """Write a new file, which appears when it is whole.

    Raises:
        ConflictError: it is there already.
        StorageFullError: there is no room for it.
        InvalidRequestError: no file can be made there.
    """
    if os.path.lexists(target):
        raise ConflictError(f"file exists already: path={target}", code="file_exists")
    draft = target.with_name(f".{target.name[:128]}.{secrets.token_hex(8)}.partial")  # others may write there, too
    try:
        with draft.open("xb") as file:
            for piece in pieces:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        _publish(draft, target)
        sync_directory(target.parent)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise StorageFullError(f"no room for the file: path={target} ({os.strerror(error.errno)})") from error
        raise InvalidRequestError(f"cannot write {target}: {error.strerror}", code="target_unusable") from error
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)


def _publish(draft: Path, target: Path) -> None:
    """Give a whole file its name, unless that is taken by now.

    Raises:
        ConflictError: it is.
    """
    try:
        os.link(draft, target)
    except FileExistsError as error:
        raise ConflictError(f"file exists already: path={target}", code="file_exists") from error
    except OSError:  # a file system without hard links
        draft.rename(target)


def sync_directory(path: Path) -> None:
    """Have what was renamed in a directory stay so after a power cut."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _missing(name: str) -> NotFoundError:
    return NotFoundError(f"snapshot does not exist: {name!r}", code="snapshot_not_found")


def _head(name: str, size: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o644
    return member.tobuf(tarfile.PAX_FORMAT)


def _padded(size: int) -> int:
    return -(-size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
