"""Reading archives: verifying them, and putting one in the place of a database.

A restore copies the archive into `restoring/new/` of the target, comparing every file with its checksum, and opens the
copy to look at it. Until then nothing else is touched, and an error or a crash leaves the target as it was. Then the
journal `restore.json` is written: from here on the restore is finished, now or when the directory is opened next, by
moving the old files to `restoring/old/` and the new ones to their places.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
import stat
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

from engine import failpoints
from engine.directory.archive import (
    ARCHIVE_VERSION,
    DIGEST_BYTES,
    ArchiveInfo,
    ArchiveList,
    Progress,
    list_checksum,
)
from engine.directory.durable import sync_directory, write_durably
from engine.directory.layout import (
    ARCHIVE_FILE,
    COUNTER_FILE,
    DATA,
    FORMAT_FILE,
    INDEXES,
    LOCK_FILE,
    MARK_FILE,
    RESTORE_JOURNAL,
    RESTORING,
    STORE,
)
from engine.directory.lock import DirectoryLock
from engine.directory.migration import FORMAT, describe_newer, read_format
from engine.errors import ArchiveError, CorruptionError, EngineError, StorageError
from engine.store import keys
from engine.store.checks import check_log, read_number
from engine.store.rocks import Store, translate

log = logging.getLogger(__name__)

NEW, OLD = "new", "old"
LIST_BYTES_MAX = 64 * 1024 * 1024  # of `archive.json`: room for some 500,000 files
_CHUNK_BYTES = 1 << 20
_PART = r"[A-Za-z0-9_][A-Za-z0-9_.-]*"
_NAME = re.compile(
    rf"{re.escape(FORMAT_FILE)}|{re.escape(MARK_FILE)}|{re.escape(COUNTER_FILE)}|{STORE}/{_PART}|{INDEXES}/[0-9]{{8,10}}/[0-9]{{8,10}}/{_PART}"
)


def verify_archive(source: str | Path, *, progress: Progress | None = None) -> ArchiveInfo:
    """Read an archive in full and compare every file with its checksum; writes nothing.

    Args:
        source: a directory, or a tar.
        progress: told as files are read.

    Raises:
        ArchiveError: it is damaged, foreign, unsafe, or of a newer format.
        StorageError: it cannot be read.
    """
    return _read_archive(Path(source), None, progress).info(Path(source))


def read_archive(source: str | Path) -> ArchiveList:
    """What an archive says of itself; its files are not read.

    Raises:
        ArchiveError: it is none, or of a newer format.
        StorageError: it cannot be read.
    """
    archive = Path(source)
    _check_there(archive)
    with _members(archive) as members:
        name, file = next(members, ("", None))
        if name != ARCHIVE_FILE or file is None:
            raise ArchiveError(f"file is no archive: path={archive} ({ARCHIVE_FILE} is missing)")
        return _read_list(archive, file)


def restore_archive(
    source: str | Path, target: str | Path, *, replace: bool = False, progress: Progress | None = None
) -> ArchiveInfo:
    """Make the database in directory `target` what the archive holds.

    Args:
        source: a directory, or a tar.
        target: made if it is missing.
        replace: give up the database that is there.
        progress: told as files are copied.

    Raises:
        ArchiveError: the archive cannot be used, or `target` is taken; nothing was changed.
        DatabaseLockedError: somebody has `target` open.
        StorageError: the disk refuses it. Before the swap nothing was changed; after it, opening finishes it.
    """
    archive, directory = Path(source), Path(target).expanduser().resolve()
    new = not directory.exists()
    if not new:
        check_target(directory, replace=replace)
    try:
        _check_there(archive)
        directory.mkdir(parents=True, exist_ok=True)
        lock = DirectoryLock(directory)
        try:
            finish_restore(directory)  # of an earlier one
            listed = stage(archive, directory, progress)
            check_target(directory, replace=replace)
            write_journal(directory)
            finish_restore(directory)
        finally:
            lock.release()
    except EngineError:
        if new:
            _remove_unused(directory)
        raise
    except OSError as error:
        raise translate(error, directory) from error
    return listed.info(archive)


def check_target(directory: Path, *, replace: bool) -> None:
    """Refuse a directory that holds a database which is not to be given up, or something else.

    Raises:
        ArchiveError: naming it.
    """
    if not directory.is_dir():
        raise ArchiveError(f"target is no directory: path={directory}")
    names = {entry.name for entry in directory.iterdir()} - {LOCK_FILE, RESTORING}
    if ARCHIVE_FILE in names:
        raise ArchiveError(f"target is itself an archive: path={directory}")
    if FORMAT_FILE in names or STORE in names or RESTORE_JOURNAL in names:
        if not replace:
            raise ArchiveError(f"target holds a database: path={directory}; say that it is to be replaced")
    elif names:
        raise ArchiveError(f"target holds other files and is no LumaDB database: path={directory}")


def stage(archive: Path, directory: Path, progress: Progress | None = None) -> ArchiveList:
    """Copy an archive to where `finish_restore` takes it from, verified and durable; the caller holds the lock.

    Raises:
        ArchiveError: the archive cannot be used; nothing is left of the copy.
        StorageError: the disk refuses it, likewise.
    """
    place = directory / RESTORING
    try:
        shutil.rmtree(place, ignore_errors=True)
        (place / NEW).mkdir(parents=True)
        failpoints.hit("restore.before_copy")
        listed = _read_archive(archive, place / NEW, progress)
        _look(archive, place / NEW, listed)
        for path in (*(place / NEW).rglob("*"), place / NEW, place, directory):
            if path.is_dir():
                sync_directory(path)
        failpoints.hit("restore.after_copy")
    except BaseException as error:
        shutil.rmtree(place, ignore_errors=True)
        if isinstance(error, OSError):
            raise translate(error, directory) from error
        raise
    return listed


def write_journal(directory: Path) -> None:
    """Decide that what is staged comes in: from here on there is no way back.

    Raises:
        OSError: the disk refuses it; nothing was decided.
    """
    names = [entry.name for entry in (directory / RESTORING / NEW).iterdir()]
    failpoints.hit("restore.before_journal")
    write_durably(directory / RESTORE_JOURNAL, json.dumps({"names": sorted(names)}).encode())
    failpoints.hit("restore.after_journal")


def finish_restore(directory: Path) -> bool:
    """Finish a restore that was decided, or clear away one that was not; whether there was one decided.

    Every step can be done again. The caller holds the directory's lock.

    Raises:
        OSError: the disk refuses it; to be called again.
    """
    place, journal = directory / RESTORING, directory / RESTORE_JOURNAL
    if not journal.exists():
        shutil.rmtree(place, ignore_errors=True)
        return False
    coming = _read_journal(journal)
    (place / OLD).mkdir(parents=True, exist_ok=True)
    for name in DATA:
        failpoints.hit("restore.before_swap")
        if (place / NEW / name).exists() or name not in coming:
            _put_aside(directory / name, place / OLD)
        if (place / NEW / name).exists():
            failpoints.hit("restore.between_renames")
            (place / NEW / name).rename(directory / name)
    for path in (directory, place / OLD, place / NEW):
        sync_directory(path)
    failpoints.hit("restore.after_swap")
    shutil.rmtree(place, ignore_errors=True)
    journal.unlink()
    sync_directory(directory)
    failpoints.hit("restore.after_journal_removed")
    log.info("restore.finished", extra={"path": str(directory)})
    return True


def _read_journal(journal: Path) -> set[str]:
    try:
        return set(json.loads(journal.read_bytes())["names"])
    except (ValueError, KeyError, TypeError) as error:
        raise CorruptionError(f"journal of a restore is damaged: path={journal}") from error


def _put_aside(path: Path, old: Path) -> None:
    if os.path.lexists(path):
        shutil.rmtree(old / path.name, ignore_errors=True)
        path.rename(old / path.name)


def _remove_unused(directory: Path) -> None:
    """Take away a directory that was made for a restore which came to nothing."""
    (directory / LOCK_FILE).unlink(missing_ok=True)
    if directory.is_dir() and not any(directory.iterdir()):
        directory.rmdir()


def _check_there(archive: Path) -> None:
    if not archive.exists():
        raise ArchiveError(f"archive does not exist: path={archive}")


def _look(archive: Path, staged: Path, listed: ArchiveList) -> None:
    """Open what was copied, without changing it: checksums say that it is what was archived, not that it is sound."""
    try:
        read_format(staged)
        store = Store(staged / STORE, read_only=True)
        try:
            check_log(store)
            sequence = read_number(store, keys.SEQUENCE)
        finally:
            store.close()
    except StorageError:
        raise
    except EngineError as error:
        raise ArchiveError(f"archive cannot be used: path={archive}: {error}") from error
    if sequence != listed.sequence:
        raise ArchiveError(f"archive is not what it says: path={archive} sequence={sequence} listed={listed.sequence}")


def _read_archive(archive: Path, into: Path | None, progress: Progress | None) -> ArchiveList:
    """Compare every file with its checksum, and copy it to `into` if that is given."""
    _check_there(archive)
    with _members(archive) as members:
        name, file = next(members, ("", None))
        if name != ARCHIVE_FILE or file is None:
            raise ArchiveError(f"file is no archive: path={archive} ({ARCHIVE_FILE} is missing)")
        listed = _read_list(archive, file)
        total, done = sum(size for size, _ in listed.files.values()), 0
        seen: set[str] = set()
        for name, file in members:
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


def _read_list(archive: Path, file: IO[bytes]) -> ArchiveList:
    try:
        content: dict[str, Any] = json.loads(file.read(LIST_BYTES_MAX))
        files = {str(name): (int(size), str(digest)) for name, (size, digest) in content["files"].items()}
        version, number, sequence = int(content["archive"]), int(content["format"]), int(content["sequence"])
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
    return ArchiveList(sequence, number, files)


def _copy(file: IO[bytes], size: int, target: Path | None) -> tuple[int, str]:
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
def _members(archive: Path) -> Iterator[Iterator[tuple[str, IO[bytes]]]]:
    """The files of an archive, `archive.json` first.

    Raises:
        ArchiveError: it cannot be read, or holds something else than plain files.
    """
    try:
        if archive.is_dir():
            yield _directory_members(archive)
        else:
            with tarfile.open(archive, "r:") as tar:
                yield _tar_members(archive, tar)
    except (tarfile.TarError, EOFError, UnicodeError) as error:
        raise ArchiveError(f"archive cannot be read: path={archive}: {error}") from error


def _directory_members(archive: Path) -> Iterator[tuple[str, IO[bytes]]]:
    names = sorted(path.relative_to(archive).as_posix() for path in _walk(archive))
    for name in sorted(names, key=lambda each: (each != ARCHIVE_FILE, each)):
        descriptor = os.open(archive / name, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            yield name, file


def _walk(archive: Path) -> Iterator[Path]:
    with os.scandir(archive) as entries:
        found = list(entries)
    for entry in found:
        kind = entry.stat(follow_symlinks=False).st_mode
        if stat.S_ISDIR(kind):
            yield from _walk(Path(entry.path))
        elif stat.S_ISREG(kind):
            yield Path(entry.path)
        else:
            raise ArchiveError(
                f"archive holds something else than plain files: path={archive} file={entry.path!r:.200}"
            )


def _tar_members(archive: Path, tar: tarfile.TarFile) -> Iterator[tuple[str, IO[bytes]]]:
    for member in tar:
        if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or member.issparse():
            what = f"path={archive} file={member.name!r:.200}"
            raise ArchiveError(f"archive holds something else than plain files: {what}")
        yield member.name, cast("IO[bytes]", tar.extractfile(member))
