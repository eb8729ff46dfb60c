"""The files of an archive, one after another, out of a directory or a tar.

Archives come from anywhere. Of tars only plain files with ustar headers are read, before each at most one pax header
with small records; links, sparse files, long chains of headers and whatever else a tar can hold are refused unread.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Protocol

from engine.errors import ArchiveError

RECORDS_BYTES_MAX = 16 * 1024  # of a pax header: ours have none, others name times and owners
DEPTH_MAX = 3  # directories above a file: indexes, collection, segment
_BLOCK_BYTES = 512
_USTAR = b"ustar\0"
_NUMBER = re.compile(rb" *([0-7]*)[ \0]*")
_RECORD = re.compile(rb"([1-9][0-9]{0,4}) ([^=\n]+)=")
_SIZE = re.compile(rb"[0-9]{1,18}")


class Readable(Protocol):
    """What a file's content is read from."""

    def read(self, size: int, /) -> bytes:
        """At most `size` bytes, none at the end."""
        ...


@contextmanager
def members(archive: Path) -> Iterator[Iterator[tuple[str, Readable]]]:
    """The files of an archive, by name; `archive.json` first if it is a directory.

    Raises:
        ArchiveError: it cannot be read, or holds something else than plain files.
        OSError: the disk refuses it.
    """
    if archive.is_dir():
        yield _of_directory(archive)
    elif archive.is_file():
        with archive.open("rb") as file:
            yield _of_tar(archive, file)
    else:
        raise ArchiveError(f"archive is neither a directory nor a file: path={archive}")


def _of_directory(archive: Path) -> Iterator[tuple[str, Readable]]:
    names = [path.relative_to(archive).as_posix() for path in _walk(archive, archive, 0)]
    for name in sorted(names, key=lambda each: (each != "archive.json", each)):
        descriptor = os.open(archive / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            yield name, file


def _walk(archive: Path, directory: Path, depth: int) -> Iterator[Path]:
    with os.scandir(directory) as entries:
        found = list(entries)
    for entry in found:
        kind = entry.stat(follow_symlinks=False).st_mode
        if stat.S_ISDIR(kind) and depth < DEPTH_MAX:
            yield from _walk(archive, Path(entry.path), depth + 1)
        elif stat.S_ISREG(kind):
            yield Path(entry.path)
        else:
            raise _not_plain(archive, entry.path)


class _Section:
    """The next `size` bytes of a file."""

    def __init__(self, file: IO[bytes], size: int) -> None:
        self._file, self._left = file, size

    def read(self, size: int, /) -> bytes:
        """See `Readable`."""
        data = self._file.read(min(size, self._left))
        self._left -= len(data)
        return data


def _of_tar(archive: Path, file: IO[bytes]) -> Iterator[tuple[str, Readable]]:
    end, place = file.seek(0, os.SEEK_END), 0
    records: Mapping[bytes, bytes] | None = None
    while header := _header(archive, file, place):
        name, kind, size = header
        place += _BLOCK_BYTES
        if kind == b"x" and records is None and size <= RECORDS_BYTES_MAX:
            records = _records(archive, file.read(size))
        elif kind in {b"0", b"\0"}:
            name, size = _override(archive, name, size, records or {})
            if size > end - place:
                raise ArchiveError(f"archive is damaged: path={archive} file={name!r:.200} is cut short")
            yield name, _Section(file, size)
            records = None
        else:
            raise _not_plain(archive, name)
        place += -(-size // _BLOCK_BYTES) * _BLOCK_BYTES
    if records is not None:
        raise ArchiveError(f"archive cannot be read: path={archive}: it ends behind a header")


def _header(archive: Path, file: IO[bytes], place: int) -> tuple[str, bytes, int] | None:
    """Name, kind and size of the member whose header is at `place`; None at the end."""
    file.seek(place)
    block = file.read(_BLOCK_BYTES)
    if not any(block):
        return None
    checksum = sum(block) - sum(block[148:156]) + 8 * ord(" ")
    if len(block) < _BLOCK_BYTES or _number(block[148:156]) != checksum:
        raise ArchiveError(f"archive cannot be read: path={archive}: no header of a tar at byte {place}")
    size = _number(block[124:136])
    if size is None:
        raise ArchiveError(f"archive cannot be read: path={archive}: no size in the header at byte {place}")
    name = block[:100].partition(b"\0")[0]
    prefix = block[345:500].partition(b"\0")[0] if block[257:263] == _USTAR else b""
    return _text(archive, prefix + b"/" + name if prefix else name), block[156:157], size


def _number(field: bytes) -> int | None:
    """A number of a header: in octal digits, or behind a byte 0x80; None where it is neither."""
    if field[0] == 0x80:
        return int.from_bytes(field[1:])
    found = _NUMBER.fullmatch(field)
    return None if found is None else int(found[1] or b"0", 8)


def _records(archive: Path, data: bytes) -> dict[bytes, bytes]:
    """The records of a pax header: each is its own length, a key and a value."""
    found, place = {}, 0
    while place < len(data):
        record = _RECORD.match(data, place)
        end = place + int(record[1]) if record else 0
        if record is None or not record.end() < end <= len(data) or data[end - 1 : end] != b"\n":
            raise ArchiveError(f"archive cannot be read: path={archive}: a pax header is damaged")
        if record[2].startswith(b"GNU.sparse"):
            raise _not_plain(archive, "sparse")
        found[record[2]] = data[record.end() : end - 1]
        place = end
    return found


def _override(archive: Path, name: str, size: int, records: Mapping[bytes, bytes]) -> tuple[str, int]:
    """Name and size, as the pax header before the member corrects them."""
    if b"path" in records:
        name = _text(archive, records[b"path"])
    if b"size" in records:
        if not _SIZE.fullmatch(records[b"size"]):
            raise ArchiveError(f"archive cannot be read: path={archive}: no size in a pax header")
        size = int(records[b"size"])
    return name, size


def _text(archive: Path, name: bytes) -> str:
    try:
        return name.decode()
    except UnicodeDecodeError as error:
        raise ArchiveError(f"archive cannot be read: path={archive} file={name!r:.200} is not UTF-8") from error


def _not_plain(archive: Path, name: str) -> ArchiveError:
    return ArchiveError(f"archive holds something else than plain files: path={archive} file={name!r:.200}")
