"""Files and names that are on disk, not only in memory, when a call returns."""

from __future__ import annotations

import os
from pathlib import Path

# Modes of directories, before the umask. A database's is its owner's alone: keys would else keep from nobody on the
# machine what they keep from callers. What is in it is as everybody's is, so that who means to share it opens one door.
OWNERS_ALONE, EVERYBODYS = 0o700, 0o777


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


def make_directory(path: Path, mode: int = EVERYBODYS) -> None:
    """Make a directory, with those above it that are missing, so that their names are durable too.

    Args:
        path: one that is there stays as it is.
        mode: of the directory itself; those above it are as everybody's are.

    Raises:
        OSError: the disk refuses it, or something else has the name.
    """
    if path.is_dir():
        return
    make_directory(path.parent)
    path.mkdir(mode, exist_ok=True)
    sync_directory(path.parent)


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
