"""Formats of a database's directory, and the way from each to the next.

| format | since | what is new in it                                                                     |
|--------|-------|---------------------------------------------------------------------------------------|
| 1      | 0.1.0 | the first                                                                             |
| 2      | 0.1.0 | documents that expire (format 2 of the codec), garbage in manifests, ids in changes,   |
|        |       | an exact counter beside the mark                                                       |

What format 2 adds has defaults, so that data of format 1 is read as it is: the step writes the number alone, and keeps
older versions from reading what they do not understand. `needs` beside the number tells them which version does.
"""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable, Mapping
from pathlib import Path

from engine import failpoints
from engine.directory.durable import write_durably
from engine.directory.highwater import HighWater
from engine.directory.layout import FORMAT_FILE
from engine.errors import FormatError

log = logging.getLogger(__name__)

FORMAT = 2
_VERSION = re.compile(r"[0-9]{1,4}(\.[0-9]{1,4}){0,3}")
NEEDS = "0.1.0"  # the first version of LumaDB AI that reads `FORMAT`


def read_format(directory: Path) -> int:
    """The format of a directory.

    Raises:
        FormatError: the file is damaged, or the format is a newer one.
    """
    file = directory / FORMAT_FILE
    try:
        data = json.loads(file.read_bytes())
        number: object = data["format"]
        needs: object = data.get("needs")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise FormatError(f"file is damaged: path={file}") from error
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise FormatError(f"file is damaged: path={file} format={number!r:.40}")
    if number > FORMAT:
        raise FormatError(f"database has {describe_newer(number, needs)}: path={file}")
    return number


def describe_newer(number: int, needs: object) -> str:
    """What to say of a format that is newer than `FORMAT`: which version reads it.

    Args:
        number: the format.
        needs: what the file says of that. No version up to `NEEDS` can read it, whatever the file says.
    """
    later = isinstance(needs, str) and (_numbers(needs) or (0,)) > (_numbers(NEEDS) or (0,))
    version = f"LumaDB AI {needs:.20} or later" if later else f"a version that reads format {number}"
    return f"format {number}, which needs {version}; this version reads up to format {FORMAT}"


def _numbers(version: str) -> tuple[int, ...] | None:
    """The numbers of a version such as "0.2.1"; None where it is none."""
    return tuple(map(int, version.split("."))) if _VERSION.fullmatch(version) else None


def write_marker(directory: Path) -> None:
    """Say that the directory has the current format, at one stroke: another process may be looking."""
    write_durably(directory / FORMAT_FILE, json.dumps({"format": FORMAT, "needs": NEEDS}).encode())


def migrate(directory: Path) -> None:
    """Bring a directory to the current format, step by step; one that was cut short is done again.

    The caller holds the directory's lock, and has found the store sound.
    """
    found = read_format(directory)
    for number in range(found, FORMAT):
        failpoints.hit("migrate.before_step")
        _STEPS[number](directory)
        failpoints.hit("migrate.after_step")
    if found < FORMAT:
        write_marker(directory)
        failpoints.hit("migrate.after_marker")
        log.info("database.migrated", extra={"from": found, "to": FORMAT})


def _to_format_2(directory: Path) -> None:
    """Nothing to rewrite: see the module's docstring. The counter beside the mark is new."""
    high_water = HighWater(directory)
    high_water.advance(high_water.sequence or 0)
    high_water.close()


_STEPS: Mapping[int, Callable[[Path], None]] = {1: _to_format_2}
