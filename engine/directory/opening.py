"""What is looked at, mended or refused before a database's directory is used."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from engine.directory.durable import make_directory
from engine.directory.highwater import HighWater
from engine.directory.layout import (
    ARCHIVE_FILE,
    ARCHIVING,
    FORMAT_FILE,
    NO_CONTENT,
    RESTORE_JOURNAL,
    STORE,
)
from engine.directory.migration import migrate, read_format, write_marker
from engine.directory.restoring import finish_restore
from engine.errors import CorruptionError, ForeignDirectoryError, FormatError
from engine.memory import MEMORY_BYTES_DEFAULT, MemoryLimits
from engine.store import keys
from engine.store.checks import check_log, read_number
from engine.store.options import StoreOptions
from engine.store.rocks import Store
from engine.vector.device.searcher import SearchDevice
from engine.writes.commit import SYNC_INTERVAL_SECONDS

log = logging.getLogger(__name__)

SEAL_ROWS = 4096  # an exact scan of so many rows × 784 costs about 0.65 ms


@dataclass(frozen=True, slots=True)
class OpenOptions:
    """How a database is opened; see `Database.open`."""

    seal_rows: int = SEAL_ROWS
    memory_bytes_max: int = MEMORY_BYTES_DEFAULT
    sync_interval_seconds: float = SYNC_INTERVAL_SECONDS
    given: StoreOptions = field(default_factory=StoreOptions)
    device: str | SearchDevice = "auto"

    @property
    def masks_bytes(self) -> int:
        """The share of filters' masks in the cap on memory."""
        return MemoryLimits.split(self.memory_bytes_max).masks_bytes

    @property
    def indexes_bytes(self) -> int:
        """The share of fields' indexes."""
        return MemoryLimits.split(self.memory_bytes_max).indexes_bytes

    @property
    def text_bytes(self) -> int:
        """The share of text indexes' writers."""
        return MemoryLimits.split(self.memory_bytes_max).text_bytes

    @property
    def store(self) -> StoreOptions:
        """The store's options, with its share in the cap on memory."""
        return replace(self.given, cache_bytes=MemoryLimits.split(self.memory_bytes_max).block_cache_bytes)


@contextmanager
def naming(directory: Path) -> Iterator[None]:
    """Damage is always said to be in some file: where the error names none, in the store."""
    try:
        yield
    except CorruptionError as error:
        if str(directory) in str(error):
            raise
        raise CorruptionError(f"{error}: path={directory / STORE}") from error


def check_format(directory: Path) -> bool:
    """Refuse what this version cannot open; writes nothing.

    Returns:
        Whether there is a database.

    Raises:
        FormatError: the directory holds something else, a newer format, or an archive.
    """
    names = {entry.name for entry in directory.iterdir()}
    if ARCHIVE_FILE in names:
        raise ForeignDirectoryError(f"directory is an archive, to be restored into another one: path={directory}")
    if RESTORE_JOURNAL in names:
        return True  # finished under the lock
    if FORMAT_FILE in names:
        read_format(directory)
        return True
    if STORE in names:
        raise FormatError(f"file that marks a database is missing: path={directory / FORMAT_FILE}")
    if names - NO_CONTENT:
        raise ForeignDirectoryError(f"directory holds other files and is no LumaDB database: path={directory}")
    return False


def prepare(directory: Path) -> HighWater:
    """Finish what was cut short, and make sure of the store; the caller holds the directory's lock.

    RocksDB would tidy away what a damaged manifest no longer names, so nothing is opened for writing before a look.

    Raises:
        CorruptionError: the store is damaged; nothing was changed.
        FormatError: see `check_format`.
        OSError: the disk refuses it.
    """
    finish_restore(directory)
    shutil.rmtree(directory / ARCHIVING, ignore_errors=True)
    there = check_format(directory)
    high_water = HighWater(directory)
    if expect_store(directory / STORE, high_water):
        store = Store(directory / STORE, read_only=True)
        try:
            check_store(store, high_water)
        finally:
            store.close()
    high_water.opening()
    if there:
        migrate(directory)
    else:
        write_marker(directory)
    make_directory(directory / STORE)
    prepared = HighWater(directory)  # with what the migration wrote
    prepared.found = high_water.found
    return prepared


def expect_store(path: Path, high_water: HighWater) -> bool:
    """Whether there is a store at `path`.

    Raises:
        CorruptionError: there is none, but there was.
    """
    there = (path / "CURRENT").exists()
    if not there and (high_water.sequence is not None or any(path.glob("*.sst"))):
        raise CorruptionError(f"file is missing: path={path / 'CURRENT'}")
    return there


def check_store(store: Store, high_water: HighWater) -> None:
    """Compare a store with its mark, if it has one, and make sure of its log.

    Raises:
        CorruptionError: it is behind the mark, or something is missing.
    """
    if high_water.sequence is not None:
        sequence, following = read_number(store, keys.SEQUENCE), read_number(store, keys.NEXT_COLLECTION, 1)
        high_water.check(sequence, following, store.tables(), store.path)
        check_log(store)
