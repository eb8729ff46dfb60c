"""A directory of links to the files of another one.

rocksdict writes its `rocksdict-config.json` into the directory it opens, even to read. A reader opens a mirror instead,
so that it needs no permission to write, and changes nothing.
"""

from __future__ import annotations

import os
from pathlib import Path

_NOT_MIRRORED = ("LOCK", "LOG", "rocksdict-config.json", "ballast")


def list_files(source: Path) -> frozenset[str]:
    """Names of the files of `source` that are linked.

    Raises:
        OSError: `source` cannot be read.
    """
    with os.scandir(source) as entries:
        return frozenset(entry.name for entry in entries if not entry.name.startswith(_NOT_MIRRORED))


def refresh_mirror(source: Path, mirror: Path) -> frozenset[str]:
    """Link what is in `source` now, and remove the links to what no longer is.

    Returns:
        Names of the files.

    Raises:
        OSError: `source` cannot be read, or `mirror` not written.
    """
    mirror.mkdir(exist_ok=True)
    wanted = list_files(source)
    with os.scandir(mirror) as entries:
        linked = {entry.name for entry in entries if entry.is_symlink()}
    for name in linked - wanted:
        (mirror / name).unlink()
    for name in wanted - linked:
        (mirror / name).symlink_to(source / name)
    return wanted
