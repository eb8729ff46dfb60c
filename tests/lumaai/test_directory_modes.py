from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

import lumaai


@pytest.fixture(autouse=True)
def usual_umask() -> Iterator[None]:
    before = os.umask(0o022)
    yield
    os.umask(before)


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_directories_are_their_owners_alone(tmp_path: Path) -> None:
    """A database's, that of its snapshots elsewhere, and a restored one's; those above as everybody's are."""
    place, kept = tmp_path / "above" / "db", tmp_path / "kept"
    with lumaai.Database(place, snapshots_directory=kept) as db:
        db.create_collection("notes", embed={}).add([{"id": "1"}])
        db.create_snapshot("one")
    lumaai.restore(kept / "one", tmp_path / "restored")
    assert [mode_of(path) for path in (place, kept, tmp_path / "restored")] == [0o700] * 3
    assert mode_of(tmp_path / "above") == 0o755


def test_one_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    """Who made it for a group, meant it."""
    place = tmp_path / "db"
    place.mkdir(mode=0o750)
    with lumaai.Database(place):
        assert mode_of(place) == 0o750
