"""Reading archives that may come from anywhere: what they say they hold, and whether they hold it."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from engine import failpoints
from engine.directory.archive import (
    ARCHIVE_VERSION,
    DIGEST_BYTES,
    ArchiveInfo,
    ArchiveList,
    Progress,
    list_checksum,
)
from engine.directory.layout import ARCHIVE_FILE, COUNTER_FILE, FORMAT_FILE, INDEXES, MARK_FILE, STORE
from engine.directory.members import Readable, members
from engine.directory.migration import FORMAT, describe_newer
from engine.errors import ArchiveError
from engine.store.failures import translate

LIST_BYTES_MAX = 64 * 1024 * 1024  # of `archive.json`: room for some 500,000 files
_CHUNK_BYTES = 1 << 20
_PART = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
_NAME = re.compile(
    rf"{re.escape(FORMAT_FILE)}|{re.escape(MARK_FILE)}|{re.escape(COUNTER_FILE)}|{STORE}/{_PART}|{INDEXES}/[0-9]{{8,10}}/[0-9]{{8,10}}/{_PART}"
)
_NEEDED = frozenset({FORMAT_FILE, f"{STORE}/CURRENT"})


def verify_archive(source: str | Path, *, progress: Progress | None = None) -> ArchiveInfo:
    """Read an archive in full and compare every file with its checksum; writes nothing.

    Args:
        source: a directory, or a tar.
        progress: told as files are read.

    Raises:
        ArchiveError: it is damaged, foreign, unsafe, or of a newer format.
        StorageError: it cannot be read.
    """
    archive = Path(source)
    with _naming(archive):
        return copy_archive(archive, None, progress).info(archive)


def read_archive(source: str | Path) -> ArchiveList:
    """What an archive says of itself; its files are not read.

    Raises:
        ArchiveError: it is none, or of a newer format.
        StorageError: it cannot be read.
    """
    archive = Path(source)
    check_there(archive)
    with _naming(archive), members(archive) as files:
        return _read_first(archive, files)


def check_there(archive: Path) -> None:
    """Refuse a path at which there is nothing.

    Raises:
        ArchiveError: naming it.
    """
    if not archive.exists():
        raise ArchiveError(f"archive does not exist: path={archive}")


def copy_archive(archive: Path, into: Path | None, progress: Progress | None) -> ArchiveList:
    """Compare every file with its checksum, and copy it to `into`, durably, if that is given.

    Raises:
        ArchiveError: the archive is damaged, foreign, unsafe, or of a newer format.
        OSError: the disk refuses it.
    """
    check_there(archive)
    with members(archive) as files:
        listed = _read_first(archive, files)
        total, done = sum(size for size, _ in listed.files.values()), 0
        seen: set[str] = set()
        for name, file in files:
            if name not in listed.files or name in seen:
                raise ArchiveError(
                    f"archive holds a file that is not listed, or twice: path={archive} file={name!r:.200}"
                )
            seen.add(name)
            size, _ = listed.files[name]
            if _copy(file, size, None if into is None else into / name) != listed.files[name]:
                raise ArchiveError(f"archive is damaged: path={archive} file={name} is not as it was written")
            done += size
            if progress is not None:
                progress("verify" if into is None else "restore", done, total)
            failpoints.hit("restore.after_file")
        missing = sorted(listed.files.keys() - seen)
        if missing:
            raise ArchiveError(f"archive is not whole: path={archive} missing={missing[0]} (of {len(missing)})")
    return listed


def _read_first(archive: Path, files: Iterator[tuple[str, Readable]]) -> ArchiveList:
    name, file = next(files, ("", None))
    if name != ARCHIVE_FILE or file is None:
        raise ArchiveError(f"file is no archive: path={archive} ({ARCHIVE_FILE} is missing)")
    return _read_list(archive, file)


def _read_list(archive: Path, file: Readable) -> ArchiveList:
    try:
        content: dict[str, Any] = json.loads(file.read(LIST_BYTES_MAX))
        files = {name: (_integer(size, 0), str(digest)) for name, (size, digest) in content["files"].items()}
        version, number = _integer(content["archive"], 1), _integer(content["format"], 1)
        sequence = _integer(content["sequence"], 0)
        if content["checksum"] != list_checksum(content):
            raise ArchiveError(f"archive is damaged: path={archive} file={ARCHIVE_FILE} is not as it was written")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ArchiveError(f"archive is damaged: path={archive} file={ARCHIVE_FILE} cannot be read") from error
    if version > ARCHIVE_VERSION or number > FORMAT:
        newer = describe_newer(max(number, FORMAT + (version > ARCHIVE_VERSION)), content.get("needs"))
        raise ArchiveError(f"archive has {newer}: path={archive}")
    unsafe = sorted(name for name in files if not _NAME.fullmatch(name))
    if unsafe:
        raise ArchiveError(f"archive names a file that no database has: path={archive} file={unsafe[0]!r:.200}")
    missing = sorted(_NEEDED - files.keys())
    if missing:
        raise ArchiveError(f"archive is not whole: path={archive} missing={missing[0]}")
    return ArchiveList(sequence, number, files)


def _integer(value: object, least: int) -> int:
    """A number of a list that anybody may have written: neither true, nor infinite, nor of a thousand digits."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value < 2**63:
        raise ValueError(f"number is out of range: {value!r:.40}")
    return value


def _copy(file: Readable, size: int, target: Path | None) -> tuple[int, str]:
    """Size and BLAKE2b of a file, which is copied durably; reads no more than a byte beyond `size`."""
    digest, found = hashlib.blake2b(digest_size=DIGEST_BYTES), 0
    with _writing(target) as copy:
        while found <= size and (chunk := file.read(min(_CHUNK_BYTES, size + 1 - found))):
            digest.update(chunk)
            found += len(chunk)
            if copy is not None:
                copy.write(chunk)
    return found, digest.hexdigest()


@contextmanager
def _writing(target: Path | None) -> Iterator[IO[bytes] | None]:
    if target is None:
        yield None
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    with target.open("xb") as file:
        yield file
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def _naming(archive: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise translate(error, archive) from error
