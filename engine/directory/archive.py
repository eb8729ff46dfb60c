"""Archives: a consistent copy of a database, as a directory or a tar, with a checksum of every file.

| file                   | holds                                                                        |
|------------------------|------------------------------------------------------------------------------|
| `archive.json`         | format, sequence, size and BLAKE2b of every other file, and its own checksum |
| `lumaai.json`, `highwater.*`, `store/…`, `indexes/…` | as in a database's directory |

The store's part is a checkpoint of RocksDB and the segments' files are immutable, so on the same file system both are
hard links, which take no time and no room. `engine.directory.restoring` is the way back.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import shutil
import tarfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from engine import failpoints
from engine.directory.durable import sync_directory
from engine.directory.highwater import HighWater
from engine.directory.layout import ARCHIVE_FILE, ARCHIVING, INDEXES, STORE
from engine.directory.migration import FORMAT, NEEDS, write_marker
from engine.errors import ArchiveError
from engine.segments.manifest import SegmentEntry, decode_manifest
from engine.store import keys
from engine.store.checks import read_number
from engine.store.failures import translate
from engine.store.rocks import SYSTEM, Store

log = logging.getLogger(__name__)

ARCHIVE_VERSION = 1
LINK_TRIES = 20  # a segment may be merged away between the checkpoint and the link
DIGEST_BYTES = 32
_CHUNK_BYTES = 1 << 20
Progress = Callable[[str, int, int], None]
"""Told of the step, and how much of it is done and to be done in all (bytes, for archives)."""


@dataclass(frozen=True, slots=True)
class ArchiveInfo:
    """What an archive holds.

    Attributes:
        name: of its directory or tar, without the ending.
        sequence: of the last write in it.
        bytes: of all its files.
        files: how many.
    """

    name: str
    sequence: int
    bytes: int
    files: int


@dataclass(frozen=True, slots=True)
class ArchiveList:
    """What `archive.json` says: the sequence, the format, and file → (size in bytes, BLAKE2b as hexadecimal digits)."""

    sequence: int
    format: int
    files: Mapping[str, tuple[int, str]]

    def info(self, source: Path) -> ArchiveInfo:
        """In short, for the archive at `source`."""
        return ArchiveInfo(
            archive_name(source), self.sequence, sum(size for size, _ in self.files.values()), len(self.files)
        )

    def encode(self) -> bytes:
        """The bytes of `archive.json`."""
        content: dict[str, Any] = {
            "archive": ARCHIVE_VERSION,
            "format": self.format,
            "needs": NEEDS,
            "sequence": self.sequence,
            "files": {name: list(entry) for name, entry in sorted(self.files.items())},
        }
        return json.dumps({**content, "checksum": list_checksum(content)}, indent=1).encode()


def list_checksum(content: Mapping[str, Any]) -> str:
    """Checksum of what `archive.json` says, all but the checksum itself."""
    text = json.dumps({key: value for key, value in content.items() if key != "checksum"}, sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=DIGEST_BYTES).hexdigest()


def archive_name(path: Path) -> str:
    """The name of an archive: its path's last part, without ".tar"."""
    return path.name.removesuffix(".tar")


def write_archive(
    database: Path,
    store: Store,
    hold: Callable[[], AbstractContextManager[None]],
    target: Path,
    progress: Progress | None = None,
) -> ArchiveInfo:
    """Archive the open database in directory `database`.

    Args:
        database: its directory.
        store: its open store.
        hold: keeps writes from being published.
        target: a directory to make, or a tar where it ends with ".tar".
        progress: told as files are read.

    Raises:
        ArchiveError: `target` exists, or its parent does not.
        StorageError: the disk refuses it; nothing is left at `target`.
    """
    tar = target.name.endswith(".tar")
    partial = target.with_name(target.name + ".partial")
    staging = database / ARCHIVING if tar else partial
    if os.path.lexists(target):
        raise ArchiveError(f"archive exists already: path={target}")
    if not target.parent.is_dir():
        raise ArchiveError(f"directory does not exist: path={target.parent}")
    try:
        try:
            _remove(partial)
            _remove(database / ARCHIVING)
            listed = _stage(database, store, hold, staging, progress)
            if tar:
                _write_tar(staging, listed, partial)
            _sync_tree(partial)
            failpoints.hit("archive.before_rename")
            partial.rename(target)
            sync_directory(target.parent)
            failpoints.hit("archive.after_rename")
        finally:
            _remove(partial)
            _remove(database / ARCHIVING)
    except OSError as error:
        raise translate(error, target) from error
    info = listed.info(target)
    log.info("archive.written", extra={"sequence": info.sequence, "bytes": info.bytes, "count": info.files})
    return info


def _stage(
    database: Path,
    store: Store,
    hold: Callable[[], AbstractContextManager[None]],
    staging: Path,
    progress: Progress | None,
) -> ArchiveList:
    """All files of the archive, `archive.json` last."""
    staging.mkdir()
    indexes = staging / INDEXES
    _link_segments(database / INDEXES, indexes, _segments(store))  # before they can be merged away
    for tries in range(1, LINK_TRIES + 1):
        failpoints.hit("archive.before_checkpoint")
        store.flush()  # outside the GIL, and before writers have to wait
        _copy_store(database, store, hold, staging)
        failpoints.hit("archive.after_checkpoint")
        with _reading(staging / STORE) as copy:
            sequence, following = read_number(copy, keys.SEQUENCE), read_number(copy, keys.NEXT_COLLECTION, 1)
            entries = _segments(copy)
        whole = _link_segments(database / INDEXES, indexes, entries)
        if len(whole) == len(entries) or tries == LINK_TRIES:
            break
        shutil.rmtree(staging / STORE)
    _remove_others(indexes, whole)
    write_marker(staging)
    high_water = HighWater(staging)
    high_water.record(sequence, following)
    high_water.close()
    listed = ArchiveList(sequence, FORMAT, _checksums(staging, entries, progress))
    failpoints.hit("archive.before_list")
    (staging / ARCHIVE_FILE).write_bytes(listed.encode())
    return listed


def _copy_store(database: Path, store: Store, hold: Callable[[], AbstractContextManager[None]], staging: Path) -> None:
    """The store as of now. RocksDB holds the GIL, and writers wait: so it only links, and others' disks come later."""
    made = database / ARCHIVING / STORE
    made.parent.mkdir(exist_ok=True)
    with hold():
        store.checkpoint(made)
    if made.parent != staging:
        shutil.move(made, staging / STORE)


@contextmanager
def _reading(path: Path) -> Iterator[Store]:
    store = Store(path, read_only=True)
    try:
        yield store
    finally:
        store.close()


def _segments(store: Store) -> dict[str, SegmentEntry]:
    """Every segment that a manifest names: "collection/segment" → its entry."""
    begin, end = keys.MANIFEST_PREFIX, keys.MANIFEST_PREFIX + b"\xff"
    return {
        f"{int(key[len(begin) :]):08d}/{entry.number:08d}": entry
        for key, value in store.items(SYSTEM, begin, end)
        for entry in decode_manifest(value).segments
    }


def _link_segments(source: Path, target: Path, entries: Mapping[str, SegmentEntry]) -> set[str]:
    """Link the files of segments that are not in `target` yet; the segments of which every file was still there."""
    whole = set(entries)
    for segment, entry in entries.items():
        directory = target / segment
        directory.mkdir(parents=True, exist_ok=True)
        for name in entry.files:
            try:
                if not (directory / name).exists():
                    _link(source / segment / name, directory / name)
            except FileNotFoundError:
                whole.discard(segment)
    return whole


def _link(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:  # another file system, or one without hard links
        shutil.copyfile(source, target)


def _remove_others(indexes: Path, whole: set[str]) -> None:
    """Segments that are no more, or of which files are missing: opening builds the latter again."""
    for directory in indexes.glob("*/*"):
        if f"{directory.parent.name}/{directory.name}" not in whole:
            log.info("archive.segment_left_out", extra={"path": str(directory)})
            shutil.rmtree(directory)


def _checksums(
    staging: Path, entries: Mapping[str, SegmentEntry], progress: Progress | None
) -> dict[str, tuple[int, str]]:
    """File → size and BLAKE2b. A segment that is not as it was written is left out: opening builds it again."""
    files = {path.relative_to(staging).as_posix(): path for path in staging.rglob("*") if path.is_file()}
    total, done = sum(path.stat().st_size for path in files.values()), 0
    found: dict[str, tuple[int, str]] = {}
    damaged: set[str] = set()
    for name, path in sorted(files.items()):
        size, checksum, digest = _digest(path)
        found[name] = (size, digest)
        done += size
        if progress is not None:
            progress("archive", done, total)
        top, _, rest = name.partition("/")
        segment = rest.rpartition("/")[0]
        if top == INDEXES and entries[segment].files[path.name] != (size, checksum):
            log.warning("archive.segment_damaged", extra={"path": str(path)})
            damaged.add(f"{INDEXES}/{segment}/")
    for prefix in damaged:
        shutil.rmtree(staging / prefix)
    return {name: entry for name, entry in found.items() if not name.startswith(tuple(damaged))}


def _digest(path: Path) -> tuple[int, int, str]:
    """Size, CRC-32 and BLAKE2b of a file."""
    digest, checksum, size = hashlib.blake2b(digest_size=DIGEST_BYTES), 0, 0
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK_BYTES):
            digest.update(chunk)
            checksum = zlib.crc32(chunk, checksum)
            size += len(chunk)
    return size, checksum, digest.hexdigest()


def _write_tar(staging: Path, listed: ArchiveList, target: Path) -> None:
    """`archive.json` first, so that a reader knows what to expect."""
    with tarfile.open(target, "x:", format=tarfile.PAX_FORMAT) as tar:
        for name in (ARCHIVE_FILE, *sorted(listed.files)):
            member = tarfile.TarInfo(name)
            with (staging / name).open("rb") as file:
                status = os.fstat(file.fileno())
                member.size, member.mtime, member.mode = status.st_size, int(status.st_mtime), 0o644
                tar.addfile(member, file)
            failpoints.hit("archive.after_member")


def _sync_tree(path: Path) -> None:
    """Make a file, or a directory with all that is in it, durable."""
    for each in (path, *path.rglob("*")) if path.is_dir() else (path,):
        sync_directory(each)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)
