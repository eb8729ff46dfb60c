"""The high-water mark: how far a database had come, in a small file outside its store.

A store whose log or manifest was cut short opens as an older, perfectly sound one. The mark, which is never ahead of
what is durable and seldom more than a second behind, tells the two apart.
"""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from engine.errors import CorruptionError

log = logging.getLogger(__name__)

MARK_FILE = "highwater.json"


@dataclass(frozen=True, slots=True)
class Mark:
    """What the store must at least hold.

    Attributes:
        sequence: of the last acknowledged write that the mark knows of.
        next_collection: number of the next collection.
        clean: whether the database was closed since; then the mark is exact.
        tables: names of the store's tables when it was closed, sorted; none while it is open.
    """

    sequence: int
    next_collection: int
    clean: bool
    tables: tuple[str, ...] = ()


class HighWater:
    """The mark of one database. Safe for many threads; it never goes back."""

    def __init__(self, directory: Path) -> None:
        self._file = directory / MARK_FILE
        self._lock = threading.Lock()
        self.mark = self._read()

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
            last = self.mark or Mark(0, 0, clean=False)
            furthest = max(sequence, last.sequence), max(next_collection, last.next_collection)
            mark = Mark(*furthest, clean=tables is not None, tables=tuple(sorted(tables or ())))
            if mark != self.mark:
                self._write(mark)
                self.mark = mark

    def check(self, sequence: int, next_collection: int, tables: Sequence[str], store: Path) -> None:
        """Compare the mark with what the store holds.

        Raises:
            CorruptionError: the store is behind, or was closed with tables that it no longer names.
        """
        if self.mark is None:
            return
        for name, found, least in (
            ("sequence", sequence, self.mark.sequence),
            ("next_collection", next_collection, self.mark.next_collection),
        ):
            if found < least:
                message = f"store has lost what was acknowledged: path={store} {name}={found} expected at least {least}"
                raise CorruptionError(f"{message} (by {self._file.name}); nothing was changed")
        lost = sorted(set(self.mark.tables) - set(tables))
        if lost:
            raise CorruptionError(f"store's manifest has lost tables: path={store} {', '.join(lost)}")

    def _read(self) -> Mark | None:
        """The mark of the file; None where there is none, or none that can be read: the store may well be sound."""
        try:
            data = json.loads(self._file.read_bytes())
            tables = tuple(map(str, data["tables"]))
            return Mark(int(data["sequence"]), int(data["next_collection"]), bool(data["clean"]), tables)
        except FileNotFoundError:
            return None
        except (ValueError, KeyError, TypeError):
            log.warning("highwater.damaged", extra={"path": str(self._file)})
            return None

    def _write(self, mark: Mark) -> None:
        draft = self._file.with_suffix(".new")
        with draft.open("w") as file:
            json.dump(asdict(mark), file)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._file)
        directory = os.open(self._file.parent, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)
