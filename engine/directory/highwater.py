"""The high-water mark: how far a database had come, in two small files outside its store.

A store whose log or manifest was cut short opens as an older, perfectly sound one. The mark, which is never ahead of
what is durable, tells the two apart. `highwater.json` follows within a second and is fsynced: it outlives a loss of
power. `highwater.counter` follows every acknowledged write through the page cache: it is exact after `kill -9`.
Where one of the two is missing or damaged, a warning says so, and the other still guards the store.
"""

from __future__ import annotations

import json
import logging
import os
import struct
import threading
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from engine import failpoints
from engine.directory.durable import write_durably
from engine.directory.layout import COUNTER_FILE, MARK_FILE
from engine.errors import CorruptionError

log = logging.getLogger(__name__)

_MAGIC = b"LumaHW1\n"
_SLOT = struct.Struct("<QQ")  # sequence, CRC-32 of its eight bytes
_SLOTS = 2  # written in turn: a write cut short spoils one of them
_UNCHECKED = {"sequence", "next_collection", "clean", "tables"}  # the fields of a mark without a checksum


@dataclass(frozen=True, slots=True)
class Mark:
    """What the store must at least hold.

    Attributes:
        sequence: of the last acknowledged write that the mark knows of.
        next_collection: number of the next collection.
        closed_with: names of the store's tables, sorted, if it was closed since and not opened for writing again.
    """

    sequence: int
    next_collection: int
    closed_with: tuple[str, ...] | None = None

    def encode(self) -> bytes:
        """The content of `highwater.json`: what is said, and its checksum."""
        content = asdict(self)
        return json.dumps({**content, "checksum": _checksum(content)}).encode()

    @staticmethod
    def decode(data: bytes) -> Mark:
        """The inverse of `encode`; also of what was written before there was a checksum.

        Raises:
            ValueError: it is not as it was written.
        """
        try:
            content: dict[str, Any] = json.loads(data)
            if content.keys() == _UNCHECKED:
                tables = content["tables"] if content["clean"] else None
            elif content.pop("checksum") == _checksum(content):
                tables = content["closed_with"]
            else:
                raise ValueError("checksum does not fit")
            closed_with = None if tables is None else tuple(map(str, tables))
            return Mark(int(content["sequence"]), int(content["next_collection"]), closed_with)
        except (KeyError, TypeError, AttributeError, RecursionError) as error:
            raise ValueError(f"fields are missing: {error}") from error


class HighWater:
    """The mark of one database. Safe for many threads; it never goes back.

    Attributes:
        mark: what `highwater.json` says; None where there is none, or none that can be read.
        found: which files could not be read at first, and what is to be said of it: they are written anew.
    """

    def __init__(self, directory: Path) -> None:
        self._file = directory / MARK_FILE
        self._lock = threading.Lock()
        self._counter = Counter(directory / COUNTER_FILE)
        self.mark = self._read()
        self.found: list[tuple[Path, str]] = []
        if self.mark is None and self._file.exists():
            self.found.append((self._file, f"high-water mark is damaged: path={self._file}"))
        if self._counter.sequence is None and self._counter.file.exists():
            self.found.append((self._counter.file, f"counter is damaged: path={self._counter.file}"))

    @property
    def sequence(self) -> int | None:
        """The last acknowledged write that either file knows of; None where there is neither."""
        known = (self.mark.sequence if self.mark else None, self._counter.sequence)
        return max((each for each in known if each is not None), default=None)

    def warn_of_missing(self) -> None:
        """Say so where the store has content and one of the files is not there: it guards nothing until it is again."""
        for file in (self._file, self._counter.file):
            if not file.exists():
                log.warning("highwater.missing", extra={"path": str(file)})

    def advance(self, sequence: int) -> None:
        """Note that everything up to `sequence` is durable.

        Raises:
            OSError: the disk refuses it.
        """
        self._counter.advance(sequence)

    def record(self, sequence: int, next_collection: int, tables: Sequence[str] | None = None) -> None:
        """Make a mark durable, unless it says what the last one says.

        Args:
            sequence: see `Mark`.
            next_collection: see `Mark`.
            tables: of the store, now that it is closed.

        Raises:
            OSError: the disk refuses it.
        """
        with self._lock:
            last = self.mark or Mark(0, 0)
            furthest = max(sequence, last.sequence), max(next_collection, last.next_collection)
            mark = Mark(*furthest, None if tables is None else tuple(sorted(tables)))
            if mark != self.mark:
                self._write(mark)
                self.mark = mark
            self._counter.advance(sequence)

    def opening(self) -> None:
        """Take note, durably, that the store is about to be opened for writing: its tables change from then on.

        Raises:
            OSError: the disk refuses it.
        """
        with self._lock:
            if self.mark is not None and self.mark.closed_with is not None:
                mark = replace(self.mark, closed_with=None)
                self._write(mark)
                self.mark = mark

    def check(self, sequence: int, next_collection: int, tables: Sequence[str], store: Path) -> None:
        """Compare the mark with what the store holds.

        Raises:
            CorruptionError: the store is behind, or was closed with tables that it no longer names.
        """
        known = self.mark or Mark(0, 0)
        for name, found, least, file in (
            ("sequence", sequence, known.sequence, self._file),
            ("sequence", sequence, self._counter.sequence or 0, self._counter.file),
            ("next_collection", next_collection, known.next_collection, self._file),
        ):
            if found < least:
                message = f"store has lost what was acknowledged: path={store} {name}={found} expected at least {least}"
                raise CorruptionError(f"{message} (by {file.name}); nothing was changed")
        lost = sorted(set(known.closed_with or ()) - set(tables))
        if lost:
            raise CorruptionError(f"store's manifest has lost tables: path={store} {', '.join(lost)}")

    def damages(self) -> list[tuple[Path, str]]:
        """Which of the files cannot be read, or say less than they should."""
        found = []
        least, counted = self.mark.sequence if self.mark else 0, self._counter.sequence or 0  # writers go on meanwhile
        mark, counter = self._read(), Counter(self._counter.file).sequence
        if mark is None or mark.sequence < least:
            found.append((self._file, f"high-water mark is missing or damaged: path={self._file}"))
        if counter is None or counter < counted:
            found.append((self._counter.file, f"counter is missing or damaged: path={self._counter.file}"))
        return found

    def write_anew(self) -> None:
        """Write both files again with what is known.

        Raises:
            OSError: the disk refuses it.
        """
        with self._lock:
            self._write(self.mark or Mark(0, 0))
            self._counter.write_anew()

    def close(self) -> None:
        """Let go of the counter's file."""
        self._counter.close()

    def _read(self) -> Mark | None:
        """The mark of the file; None where there is none, or none that can be read: the store may well be sound."""
        try:
            return Mark.decode(self._file.read_bytes())
        except FileNotFoundError:
            return None
        except ValueError:
            log.warning("highwater.damaged", extra={"path": str(self._file)})
            return None

    def _write(self, mark: Mark) -> None:
        failpoints.hit("mark.before_write")
        write_durably(self._file, mark.encode())
        failpoints.hit("mark.after_write")


class Counter:
    """A number in a small file, in two slots with checksums. Safe for many threads; it never goes back.

    Written through the page cache without a sync, so that it costs a microsecond and outlives the process, not the
    machine. The file is made when the number is first advanced: looking at a database changes nothing.
    """

    def __init__(self, file: Path) -> None:
        self.file = file
        self._lock = threading.Lock()
        self._descriptor: int | None = None
        self._turn = 0
        self.sequence = self._read()

    def advance(self, sequence: int) -> None:
        """Raise the number to `sequence`.

        Raises:
            OSError: the disk refuses it.
        """
        with self._lock:
            if self._descriptor is None:
                self._open()
            elif sequence <= (self.sequence or 0):
                return
            furthest = max(sequence, self.sequence or 0)
            os.pwrite(self._descriptor or 0, _slot(furthest), len(_MAGIC) + self._turn * _SLOT.size)
            self._turn = 1 - self._turn
            self.sequence = furthest

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None

    def write_anew(self) -> None:
        """Replace the file by one that says what is known.

        Raises:
            OSError: the disk refuses it.
        """
        with self._lock:
            if self._descriptor is not None:
                os.close(self._descriptor)
                self._descriptor = None
            write_durably(self.file, _MAGIC + _slot(self.sequence or 0) * _SLOTS)
            self._open()

    def _open(self) -> None:
        if self.sequence is None or not self.file.exists():
            write_durably(self.file, _MAGIC + _slot(self.sequence or 0) * _SLOTS)
        self._descriptor = os.open(self.file, os.O_WRONLY | os.O_CLOEXEC)

    def _read(self) -> int | None:
        try:
            data = self.file.read_bytes()
        except FileNotFoundError:
            return None
        found = []
        if data.startswith(_MAGIC) and len(data) == len(_MAGIC) + _SLOTS * _SLOT.size:
            slots = [data[len(_MAGIC) + i * _SLOT.size :][: _SLOT.size] for i in range(_SLOTS)]
            found = [_SLOT.unpack(slot)[0] for slot in slots if slot == _slot(_SLOT.unpack(slot)[0])]
        if not found:
            log.warning("highwater.damaged", extra={"path": str(self.file)})
        return max(found, default=None)


def _checksum(content: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(content, sort_keys=True).encode())


def _slot(sequence: int) -> bytes:
    return _SLOT.pack(sequence, zlib.crc32(struct.pack("<Q", sequence)))
