"""P3: whatever happens to any one file of a database, it is whole, or an error says what is not; nobody dies of it."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.crash.damaging import PAGE, build, look

ROOT = Path(__file__).parent.parent.parent
FLIPS, FLIPS_SLOW = 3, 100
SEED = 20261122


def files_of(path: Path) -> list[str]:
    """All files but RocksDB's diary and the locks, which nothing depends on."""
    names = (file.relative_to(path) for file in path.rglob("*") if file.is_file())
    return sorted(str(name) for name in names if not name.name.startswith(("LO", "lumaai.lock")))


def damages(path: Path, flips: int) -> Iterator[tuple[str, str, int]]:
    """Every file: cut at 0, 1, half and the last byte, bits flipped at random, the first page and another zeroed."""
    chance = random.Random(SEED)
    for name in files_of(path):
        size = (path / name).stat().st_size
        if not size:
            continue
        yield from ((name, "cut", place) for place in sorted({0, 1, size // 2, size - 1}) if place < size)
        yield from ((name, "flip", chance.randrange(size)) for _ in range(flips))
        yield from ((name, "zero", place) for place in {0, chance.randrange(size) // PAGE * PAGE})


def judge(path: Path, work: Path, flips: int) -> int:
    """Do each damage to a copy, and compare what is found with what was there; how many were refused."""
    before = path.with_suffix(".before")
    subprocess.run(["cp", "-a", str(path), str(before)], check=True)
    expected = look(before)
    assert expected["refused"] is None
    command = [sys.executable, "-m", "tests.crash.damaging"]
    refused = 0
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as looker:
        assert looker.stdin is not None
        assert looker.stdout is not None
        for name, how, place in damages(path, flips):
            print(json.dumps([str(path), str(work), name, how, place]), file=looker.stdin, flush=True)
            line = looker.stdout.readline()
            assert line, f"the process died: exit={looker.wait()} file={name} {how} at {place}"
            refused += compare(json.loads(line), expected, work, f"file={name} {how} at {place}")
        looker.stdin.close()
    return refused


def compare(found: dict[str, Any], expected: dict[str, Any], work: Path, what: str) -> bool:
    """Complete, or refused by an error that names a file or the collection; whether it was."""
    if found["refused"] is not None:
        assert found["refused"].startswith(("CorruptionError", "FormatError")), f"{what}: {found['refused']}"
        assert str(work) in found["refused"], f"{what}: {found['refused']}"
        return True
    assert found["sequence"] == expected["sequence"], what
    assert found["collections"].keys() == expected["collections"].keys(), what
    refused = False
    for name, documents in found["collections"].items():
        if isinstance(documents, str):
            refused = True
            assert str(work) in documents, f"{what}: {documents}"
        else:
            assert documents == expected["collections"][name], f"{what}: {name} is not what it was"
    return refused


@pytest.mark.parametrize("killed", [False, True], ids=["closed", "killed"])
def test_damage_to_any_file_is_found_or_of_no_consequence(tmp_path: Path, killed: bool) -> None:
    """Every file of a database that was closed, and of one that was killed: a few bits each."""
    build(tmp_path / "db", killed=killed)
    assert judge(tmp_path / "db", tmp_path / "work", FLIPS) > 20


@pytest.mark.slow
@pytest.mark.parametrize("killed", [False, True], ids=["closed", "killed"])
def test_damage_anywhere_is_found_or_of_no_consequence(tmp_path: Path, killed: bool) -> None:
    """The same with a hundred bits a file."""
    build(tmp_path / "db", killed=killed)
    assert judge(tmp_path / "db", tmp_path / "work", FLIPS_SLOW) > 200
