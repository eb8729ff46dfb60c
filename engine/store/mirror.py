"""A directory of links to the files of another one.

rocksdict writes its `rocksdict-config.json` into the directory it opens, even to read. A reader opens a mirror instead,
so that it needs no permission to write, and changes nothing.
"""

from __future__ import annotations

import os
from pathlib import Path

_NOT_MIRRORED = ("LOCK", "LOG", "rocksdict-config.json")


def refresh_mirror(source: Path, mirror: Path) -> None:
    """Link what is in `source` now, and remove the links to what no longer is.

    Raises:
        OSError: `source` cannot be read, or `mirror` not written.
    """
    mirror.mkdir(exist_ok=True)
    with os.scandir(source) as entries:
        wanted = {entry.name for entry in entries if not entry.name.startswith(_NOT_MIRRORED)}
    with os.scandir(mirror) as entries:
        linked = {entry.name for entry in entries if entry.is_symlink()}
    for name in linked - wanted:
        (mirror / name).unlink()
    for name in wanted - linked:
        (mirror / name).symlink_to(source / name)
