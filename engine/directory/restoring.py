"""Putting an archive in the place of a database.

A restore copies the archive into `restoring/new/` of the target, comparing every file with its checksum, and opens the
copy as a database. Until then nothing else is touched, and an error or a crash leaves the target as it was. Then the
journal `restore.json` is written: from here on the restore is finished, now or when the directory is opened next, by
moving the old files to `restoring/old/` and the new ones to their places.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from engine import failpoints
from engine.directory.archive import (
    ArchiveInfo,
    ArchiveList,
    Progress,
)
from engine.directory.continuing import continue_above, has_past, keep_lasting, read_past, settle
from engine.directory.durable import OWNERS_ALONE, make_directory, sync_directory, write_durably
from engine.directory.layout import (
    ARCHIVE_FILE,
    DATA,
    FORMAT_FILE,
    LOCK_FILE,
    NO_CONTENT,
    RESTORE_DRAFT,
    RESTORE_JOURNAL,
    RESTORING,
    STORE,
)
from engine.directory.lock import DirectoryLock
from engine.directory.migration import read_format
from engine.directory.reading import check_there, copy_archive
from engine.errors import ArchiveError, CorruptionError, EngineError, StorageError
from engine.store import keys
from engine.store.checks import check_log, read_number
from engine.store.failures import translate
from engine.store.rocks import Store

log = logging.getLogger(__name__)

NEW, OLD, CALLED_OFF = "new", "old", "called-off"


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
        check_there(archive)
        make_directory(directory, OWNERS_ALONE)
        lock = DirectoryLock(directory)
        try:
            finish_restore(directory)  # of an earlier one
            listed = stage(archive, directory, progress)
            with discarding(directory):
                check_target(directory, replace=replace)
                write_journal(directory)
            finish_restore(directory)
        except EngineError:
            if new:
                _remove_unused(directory)
            raise
        finally:
            lock.release()
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
    names = {entry.name for entry in directory.iterdir()} - NO_CONTENT
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
        listed = copy_archive(archive, place / NEW, progress)
        _look(archive, place / NEW, listed)
        _open(archive, place / NEW, settled=has_past(directory))
        for path in (*(place / NEW).rglob("*"), place / NEW, place, directory):
            sync_directory(path)  # or a file: opening may have written some
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
        OSError: the disk refuses it; nothing was decided, and nothing is left of what was staged.
    """
    names = [entry.name for entry in (directory / RESTORING / NEW).iterdir()]
    failpoints.hit("restore.before_journal")
    try:
        write_durably(directory / RESTORE_JOURNAL, json.dumps({"names": sorted(names)}).encode())
        failpoints.hit("restore.after_journal")
    except BaseException as error:
        with suppress(OSError):
            _call_off(directory)
        if not isinstance(error, OSError) or not (directory / RESTORE_JOURNAL).exists():
            raise
        log.warning("restore.journal_unsure", extra={"path": str(directory), "reason": str(error)})


@contextmanager
def discarding(directory: Path) -> Iterator[None]:
    """Clear away what is staged if the block raises before it is decided that it comes in."""
    try:
        yield
    except BaseException:
        if not (directory / RESTORE_JOURNAL).exists():
            shutil.rmtree(directory / RESTORING, ignore_errors=True)
        raise


def finish_restore(directory: Path) -> bool:
    """Finish a restore that was decided, or clear away one that was not; whether there was one decided.

    Every step can be done again. The caller holds the directory's lock.

    Raises:
        CorruptionError: the journal is damaged.
        StorageError: the disk refuses it; to be called again.
    """
    try:
        return _finish(directory)
    except OSError as error:
        raise translate(error, directory) from error


def _finish(directory: Path) -> bool:
    place, journal = directory / RESTORING, directory / RESTORE_JOURNAL
    if not journal.exists():
        (directory / RESTORE_DRAFT).unlink(missing_ok=True)
        shutil.rmtree(place, ignore_errors=True)
        return False
    coming = _read_journal(journal)
    if not (place / NEW).is_dir():  # the journal of what was given up came back, without a sync of its removal
        journal.unlink()
        shutil.rmtree(place, ignore_errors=True)
        return False
    if not (place / OLD).is_dir():  # made when this is done: from then on the old files may be gone from their place
        past = read_past(directory)
        if past.furthest is not None:
            continue_above(place / NEW, past.furthest, past.lasting)
        elif past.lasting is not None:
            keep_lasting(place / NEW, past.lasting)
        (place / OLD).mkdir()
        sync_directory(place)
    for name in DATA:
        failpoints.hit("restore.before_swap")
        if (place / NEW / name).exists() or name not in coming:
            _put_aside(directory / name, place / OLD)
        if (place / NEW / name).exists():
            failpoints.hit("restore.between_renames")
            (place / NEW / name).rename(directory / name)
    for path in (directory, place / OLD, place / NEW):
        if path.is_dir():
            sync_directory(path)
    failpoints.hit("restore.after_swap")
    journal.unlink()  # before what it speaks of
    sync_directory(directory)
    failpoints.hit("restore.after_journal_removed")
    shutil.rmtree(place, ignore_errors=True)
    failpoints.hit("restore.after_old_removed")
    log.info("restore.finished", extra={"path": str(directory)})
    return True


def _call_off(directory: Path) -> None:
    """Undo `write_journal`, or leave all as it is.

    What was staged goes first and at one stroke: a journal that a crash of the machine brings back then says nothing.
    """
    place = directory / RESTORING
    (place / NEW).rename(place / CALLED_OFF)
    try:
        with suppress(OSError):
            sync_directory(place)
        (directory / RESTORE_JOURNAL).unlink(missing_ok=True)
    except OSError:
        (place / CALLED_OFF).rename(place / NEW)
        raise
    (directory / RESTORE_DRAFT).unlink(missing_ok=True)
    shutil.rmtree(place, ignore_errors=True)
    sync_directory(directory)


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
    """Take away a directory that was made for a restore which came to nothing; the lock on it is still held."""
    (directory / LOCK_FILE).unlink(missing_ok=True)
    if directory.is_dir() and not any(directory.iterdir()):
        directory.rmdir()


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


def _open(archive: Path, staged: Path, *, settled: bool) -> None:
    """Open what was copied as it will be opened, before anything is given up for it; see `settle` for the other."""
    from engine.database import Database

    try:
        if settled:
            settle(staged)
        Database.open(staged).close()
        (staged / LOCK_FILE).unlink()
    except (StorageError, OSError):
        raise
    except Exception as error:
        what = "it is damaged" + (", and can be restored to a new place only" if settled else "")
        reason = str(error) if isinstance(error, EngineError) else repr(error)
        raise ArchiveError(f"archive cannot be used: path={archive}: {what}: {reason:.500}") from error
