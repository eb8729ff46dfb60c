"""Files and names that are on disk, not only in memory, when a call returns."""

from __future__ import annotations

import os
from pathlib import Path


def write_durably(file: Path, data: bytes) -> None:
    """Replace a file at one stroke, and fsync it and its directory.

    Raises:
        OSError: the disk refuses it; the file is as it was.
    """
    draft = file.with_name(file.name + ".new")
    with draft.open("wb") as opened:
        opened.write(data)
        opened.flush()
        os.fsync(opened.fileno())
    draft.replace(file)
    sync_directory(file.parent)


def sync_directory(path: Path) -> None:
    """Make renames and new names in a directory durable.

    Raises:
        OSError: the disk refuses it.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
