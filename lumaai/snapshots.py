"""Snapshots of a database: archives of the engine in one directory, known by names, and given out as tar files."""

from __future__ import annotations

import contextlib
import errno
import os
import re
import shutil
import tarfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import engine
from lumaai.errors import (
    ConflictError,
    CorruptionError,
    ErrorDetail,
    InvalidRequestError,
    NotFoundError,
    StorageFullError,
)
from lumaai.reports import SnapshotInfo

SNAPSHOTS = "snapshots"  # in the database's directory, where no other place is set
SNAPSHOT_NAME = r"[A-Za-z0-9_][A-Za-z0-9_.\-]{0,127}"
# Endings that mean something to the engine: one file, and a snapshot in the making.
_RESERVED = (".tar", ".partial", ".deleting")
ARCHIVE_FILE = "archive.json"
PIECE_BYTES = 1 << 20


def check_snapshot_name(name: object) -> str:
    """The name, if it can be one: never a path.

    Raises:
        InvalidRequestError: it cannot.
    """
    if not isinstance(name, str) or not re.fullmatch(SNAPSHOT_NAME, name) or name.endswith(_RESERVED):
        rule = "1 to 128 of A-Z a-z 0-9 _ . - and not begin with . or - nor end with .tar, .partial or .deleting"
        message = f"snapshot name must be {rule}: got={name!r:.140}"
        detail = ErrorDetail("/name", "snapshot_name_invalid", message)
        raise InvalidRequestError(message, code="snapshot_name_invalid", errors=[detail])
    return name


def new_snapshot_name() -> str:
    """A name from the time, which sorts by it: 20250131T120000.123Z."""
    now = time.time()
    return f"{time.strftime('%Y%m%dT%H%M%S', time.gmtime(now))}.{int(now * 1000) % 1000:03d}Z"


class SnapshotDirectory:
    """The snapshots in one directory, which is made when the first one is."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def place_for(self, name: str) -> Path:
        """Where a new snapshot goes.

        Raises:
            ConflictError: there is one of that name.
        """
        place = self.path / check_snapshot_name(name)
        if os.path.lexists(place):
            raise ConflictError(f"snapshot exists already: {name!r}", code="snapshot_exists")
        self.path.mkdir(parents=True, exist_ok=True)
        return place

    def existing(self, name: str) -> Path:
        """Where a snapshot is.

        Raises:
            NotFoundError: there is none of that name.
        """
        place = self.path / check_snapshot_name(name)
        if place.is_symlink() or not place.is_dir():
            raise NotFoundError(f"snapshot does not exist: {name!r}", code="snapshot_not_found")
        return place

    def info(self, name: str) -> SnapshotInfo:
        """What a snapshot says of itself; its files are not read.

        Raises:
            NotFoundError: there is none of that name.
            ArchiveError: its list is damaged.
        """
        place = self.existing(name)
        found = engine.read_archive(place).info(place)
        return SnapshotInfo(name, found.sequence, found.bytes, found.files)

    def infos(self) -> list[SnapshotInfo]:
        """All snapshots that are whole as far as their lists say, by name."""
        names = sorted(entry.name for entry in self.path.iterdir()) if self.path.is_dir() else []
        found = []
        for name in names:
            if re.fullmatch(SNAPSHOT_NAME, name) and not name.endswith(_RESERVED):
                try:
                    found.append(self.info(name))
                except (NotFoundError, engine.ArchiveError):
                    continue  # deleted meanwhile, or something else that lies here
        return found

    def delete(self, name: str) -> None:
        """Delete a snapshot: out of sight at one stroke, then its files.

        Raises:
            NotFoundError: there is none of that name.
        """
        place = self.existing(name)
        going = place.with_name(f"{name}.deleting")
        shutil.rmtree(going, ignore_errors=True)
        try:
            place.rename(going)
        except FileNotFoundError as error:
            raise NotFoundError(f"snapshot does not exist: {name!r}", code="snapshot_not_found") from error
        shutil.rmtree(going)

    def tar(self, name: str) -> TarOfSnapshot:
        """A snapshot as one tar file, which is made while it is read.

        Raises:
            NotFoundError: there is none of that name.
            ArchiveError: its list is damaged.
        """
        place = self.existing(name)
        listed = engine.read_archive(place)
        sizes = {ARCHIVE_FILE: (place / ARCHIVE_FILE).stat().st_size}
        sizes |= {file: listed.files[file][0] for file in sorted(listed.files)}
        return TarOfSnapshot(place, sizes)


@dataclass(frozen=True, slots=True)
class TarOfSnapshot:
    """A tar of a snapshot's files, never held as a whole.

    Attributes:
        place: the snapshot's directory.
        sizes: of its files in bytes, in the order in which they are written.
    """

    place: Path
    sizes: dict[str, int]

    @property
    def length(self) -> int:
        """How long the tar is."""
        files = sum(len(_head(name, size)) + _padded(size) for name, size in self.sizes.items())
        return files + 2 * tarfile.BLOCKSIZE

    def pieces(self) -> Iterator[bytes]:
        """The tar, in pieces of at most `PIECE_BYTES`.

        Raises:
            CorruptionError: a file is not as long as the snapshot's list says, or gone.
        """
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
    draft = target.with_name(f"{target.name}.partial")
    try:
        with draft.open("wb") as file:
            for piece in pieces:
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        draft.rename(target)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            raise StorageFullError(f"no room for the file: path={target} ({os.strerror(error.errno)})") from error
        raise InvalidRequestError(f"cannot write {target}: {error.strerror}", code="target_unusable") from error
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)


def _head(name: str, size: int) -> bytes:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o644
    return member.tobuf(tarfile.PAX_FORMAT)


def _padded(size: int) -> int:
    return -(-size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
